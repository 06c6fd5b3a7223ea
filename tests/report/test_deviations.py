"""What of a study is not as published, on the page."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from neurocine.config import complete_config
from neurocine.errors import InputErrors
from neurocine.report.deviations import deviation_frame
from neurocine.schema import merge

ROOT = Path(__file__).parents[2]


def study(**changes: Any) -> dict[str, Any]:
    return complete_config(merge(yaml.safe_load((ROOT / "config.yaml").read_text()), changes))


def test_the_published_study_deviates_in_nothing() -> None:
    assert deviation_frame(study()).empty


def test_what_differs_in_effect_stands_with_its_reason() -> None:
    reasons = {"train_encoder": "small", "train_encoder.head": "fast", "decode.steps": "few"}
    config = study(
        train_encoder={"head": "flat", "steps": 600, "log_every": 3},
        train_motion={"steps": 5},  # of the other method, which no experiment uses
        decode={"steps": 10, "every": 4},
        not_as_published=reasons,
    )
    rows = [tuple(row) for row in deviation_frame(config).itertuples(index=False)]
    assert sorted(rows) == [
        ("decode.every", "1", "4", ""),
        ("decode.steps", "200", "10", "few"),
        ("train_encoder.head", '"tokens"', '"flat"', "fast"),
        ("train_encoder.steps", "6000", "600", "small"),
    ]


def test_every_deviation_of_the_embedded_study_has_a_reason() -> None:
    toy = yaml.safe_load((ROOT / "studies/toy/config.yaml").read_text())
    found = deviation_frame(study(**toy))
    assert "train_encoder.state_weight" in set(found["key"])
    assert not found.loc[found["reason"] == "", "key"].tolist()


@pytest.mark.parametrize("name", ["train_encodr", "train_encoder.heads_of_state", "seed"])
def test_a_reason_for_what_is_no_setting_is_refused(name: str) -> None:
    with pytest.raises(InputErrors, match="a section of the config, or section"):
        study(not_as_published={name: "none"})


def test_a_prior_to_start_from_is_named_without_its_folder() -> None:
    reason = {"models.video_prior": "few movies"}
    config = study(models={"video_prior": "/home/somebody/priors/many_movies"}, not_as_published=reason)
    rows = [tuple(row) for row in deviation_frame(config).itertuples(index=False)]
    assert rows == [("models.video_prior", "null", '"many_movies"', "few movies")]
