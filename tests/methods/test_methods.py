"""What methods say of themselves: shared trainings, files, and what two methods may not share."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import yaml

from neurocine import methods
from neurocine.config import complete_config
from neurocine.errors import InputErrors
from neurocine.methods import METHODS, Method, method_of, methods_of, training_titles
from neurocine.methods.base import Config, Row, Training, register
from neurocine.methods.neurocine import NeuroCine, encoder_key, prior_key
from neurocine.metrics.published import beside
from neurocine.metrics.tables import Experiments
from neurocine.schema import merge, read_schema
from neurocine.train.encoder import EncoderExperiment, TrainEncoderSettings
from neurocine.train.video_prior import TrainVideoPriorSettings

ROOT = Path(__file__).parents[2]
NEUROCINE = METHODS["neurocine"]


class Other(Method):
    """A method with a training of its own."""

    name = "other"
    definition = "other"
    parameters = ("variant", "noise_ratio")
    titles: ClassVar[dict[str, str]] = {"train_other": "Another training"}
    step = "make_other"
    fmri_conditions = ("fmri", "noise")
    main_experiment = "theirs"
    systems = ("MinD-Video",)

    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        return (Training("train_other", str(row["variant"]), {"variant": row["variant"]}),)

    def used(self, row: Row) -> dict[str, Any]:
        return {"variant": row["variant"]}


def config(**changes: Any) -> dict[str, Any]:
    return merge(yaml.safe_load((ROOT / "config.yaml").read_text()), changes)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A second method beside NeuroCine; its schema."""
    monkeypatch.setitem(methods.METHODS, "other", Other())
    schema = read_schema()
    keys = {
        "method": {"description": "The method.", "enum": ["other"]},
        "variant": {"description": "Which.", "enum": ["paper", "code"], "default": "paper"},
    }
    schema["$defs"]["other"] = {
        "description": "A row.",
        "type": "object",
        "additionalProperties": False,
        "properties": keys,
    }
    return schema


def problems(schema: dict[str, Any], **rows: Any) -> str:
    with pytest.raises(InputErrors) as raised:
        complete_config(config(experiments=rows), schema)
    return str(raised.value)


def test_eleven_rows_share_eight_encoders_and_four_priors() -> None:
    complete = complete_config(config())
    rows = [complete["experiments"][name] for name in complete["ablation_experiments"]]
    assert len(rows) == 11
    assert len({encoder_key(row) for row in rows}) == 8
    assert len({prior_key(row) for row in rows}) == 4
    names = complete["experiments"]
    assert encoder_key(names["exp10"]) == "spa0.2_tem0.333_mu1-1" == encoder_key(names["paper_main"])
    assert prior_key(names["paper_main"]) == "beta0.75"
    assert prior_key(names["paper_best"]) == "beta0.25"
    assert encoder_key(names["exp00"]) == "plain"


MAIN = {
    "spatial_ratio": 0.2,
    "temporal_ratio": 0.3333,
    "spatial_weight": 1,
    "temporal_weight": 1,
    "noise_ratio": 0,
}


def test_rows_that_train_one_encoder_twice_are_refused() -> None:
    """One frame of two is replaced where at least one must be: the ratio of exp04 has no effect then."""
    with pytest.raises(InputErrors) as raised:
        complete_config(config(train_encoder={"interpolate_min_one": True}))
    assert "experiments.exp04: found numbers that train the same encoder as " in str(raised.value)
    complete_config(config(train_encoder={"interpolate_min_one": True, "window": 3}))

    rows = {"one": MAIN, "two": MAIN | {"temporal_ratio": 0.5}}
    names = {"run_experiments": ["one", "two"]}
    complete_config(config(experiments=rows, **names))
    unused = {name: row | {"temporal_weight": 0} for name, row in rows.items()}
    with pytest.raises(
        InputErrors, match=r"experiments\.two: found numbers that train the same encoder as one"
    ):
        complete_config(config(experiments=unused, **names))
    without = MAIN | {"temporal_weight": 0, "spatial_weight": 0}
    with pytest.raises(InputErrors, match="the same encoder as without"):
        complete_config(config(experiments={"without": without}, run_experiments=["without"]))


def test_rows_beyond_the_paper_share_the_prior_and_name_what_they_change() -> None:
    complete = complete_config(config())
    rows = complete["experiments"]
    own = [name for name in rows if name.startswith("own_")]
    assert len(own) == 4
    keys = {name: encoder_key(rows[name]) for name in own}
    assert keys["own_states"] == "spa0.2_tem0.333_mu1-1_state5"
    assert keys["own_flat_states"] == "spa0.2_tem0.333_mu1-1_state5_flat"
    assert keys["own_order"] == "spa0.2_tem0.333_mu1-1_ordered"
    assert len({encoder_key(rows["paper_main"]), *keys.values()}) == 5
    assert {prior_key(rows[name]) for name in own} == {prior_key(rows["paper_main"])}
    trainings = {t.step: t for t in NEUROCINE.trainings(rows["own_flat_states"], complete)}
    given = EncoderExperiment(**trainings["train_encoder"].parameters)
    settings = TrainEncoderSettings.model_validate_json(json.dumps(complete["train_encoder"]))
    chosen = given.choose(settings)
    assert (chosen.head, chosen.state_weight) == ("flat", 5)
    assert chosen == settings.replace(head="flat", state_weight=5.0)
    assert EncoderExperiment().choose(settings) == settings

    # What a row names is no difference where all have it.
    both = {"train_encoder": {"head": "flat"}, "run_experiments": ["paper_main", "own_flat"]}
    with pytest.raises(InputErrors, match=r"own_flat: found numbers that train the same encoder"):
        complete_config(config(**both))


def test_the_recipe_of_mind_video_trains_a_prior_of_its_own() -> None:
    complete = complete_config(config())
    row, plain = complete["experiments"]["mind_video"], complete["experiments"]["exp00"]
    assert encoder_key(row) == encoder_key(plain)
    assert (prior_key(row), prior_key(plain)) == ("beta0_prev2_others_block-end", "beta0")
    prior = {t.step: t for t in NEUROCINE.trainings(row, complete)}["train_video_prior"]
    layers = {"sc_frames": "prev2", "sc_include_self": False, "temporal_position": "block_end"}
    assert prior.parameters == {"noise_ratio": 0, **layers}
    settings = TrainVideoPriorSettings.model_validate_json(json.dumps(complete["train_video_prior"]))
    for key, value in layers.items():
        assert key == "sc_frames" or getattr(settings, key) != value  # else the row would test nothing
    assert prior_key(plain | {"sc_include_self": True}) == "beta0_self"


def test_trainings_lie_where_they_lay_before_there_were_methods() -> None:
    complete = complete_config(config())
    trainings = NEUROCINE.trainings(complete["experiments"]["paper_main"], complete)
    assert [(training.folder, training.of) for training in trainings] == [
        ("pretrain_encoder", "vertices"),
        ("train_encoder/spa0.2_tem0.333_mu1-1", "subject"),
        ("train_video_prior/beta0.75", "study"),
        ("train_decoder/spa0.2_tem0.333_mu1-1_beta0.75", "subject"),
    ]
    imported = complete_config(config(pretrain_on="published"))
    steps = [t.step for t in NEUROCINE.trainings(imported["experiments"]["exp00"], imported)]
    assert "pretrain_encoder" not in steps
    assert "train_encoder" in steps


def test_maps_and_tables_need_places() -> None:
    complete = complete_config(config(extract_attention={"layers": [2, 5]}))
    assert NEUROCINE.tables(complete) == ["attention.tsv"]
    maps = NEUROCINE.maps(complete)
    assert maps[:2] == ["maps/overview.png", "maps/occlusion.png"]
    assert "maps/attention_full_layer5.png" in maps
    assert len(maps) == 2 + 3 * 2
    package = complete_config(config(fmri_from="mind_video", pretrain_on="training_fmri"))
    assert NEUROCINE.maps(package) == NEUROCINE.tables(package) == []


def test_two_methods_share_neither_name_nor_the_title_of_a_training() -> None:
    class Clash(Other):
        name = "clash"
        titles: ClassVar[dict[str, str]] = {"train_encoder": "Something else"}

    assert list(register(NeuroCine(), Other())) == ["neurocine", "other"]
    with pytest.raises(ValueError, match="two methods are called neurocine"):
        register(NeuroCine(), Other(), NeuroCine())
    with pytest.raises(ValueError, match="train_encoder"):
        register(NeuroCine(), Clash())


def test_a_row_has_the_keys_of_its_method(two: dict[str, Any]) -> None:
    complete = complete_config(config(experiments={"theirs": {"method": "other"}}), two)
    assert complete["experiments"]["theirs"] == {"method": "other", "variant": "paper"}
    assert complete["experiments"]["exp01"]["method"] == "neurocine"
    assert [method.name for method in methods_of(complete["experiments"])] == ["neurocine", "other"]
    assert method_of(complete["experiments"]["theirs"]).name == "other"
    assert "experiments.theirs.variant" in problems(two, theirs={"method": "other", "variant": "mine"})


def test_rows_that_mix_methods_are_refused_by_name(two: dict[str, Any]) -> None:
    misspelt = problems(two, theirs={"method": "othr"})
    assert (
        'experiments.theirs.method: found "othr"; expected one of neurocine, mind_animator, ridge, other'
        in misspelt
    )
    assert "Did you mean other?" in misspelt
    foreign = problems(two, mine={"variant": "code"})
    assert "experiments.mine.variant: found a key of method mind_animator and other; expected keys" in foreign
    # paper_main stands in config.yaml already, so both rows are merged: one name for two methods.
    twice = problems(two, paper_main={"method": "other"})
    assert "experiments.paper_main.spatial_ratio: found a key of method neurocine" in twice
    assert "or its name: rows of one name are merged" in twice


def test_experiments_that_share_a_training_have_its_parameters(two: dict[str, Any]) -> None:
    said = problems(two, near={"spatial_ratio": 0.20004})
    assert "experiments.near: found numbers almost those of paper_main" in said


def test_a_published_system_stands_beside_the_method_that_it_is(two: dict[str, Any]) -> None:
    assert beside("MinD-Video", {"neurocine"}).name == "neurocine"
    assert beside("MinD-Video", {"neurocine", "other"}).main_experiment == "theirs"
    assert beside("NeuroCine", {"neurocine", "other"}).name == "neurocine"
    assert beside("Wen", {"other"}).name == "other"
    assert beside("Wen", set()).name == "neurocine"


def test_a_table_has_the_parameters_of_all_methods(two: dict[str, Any]) -> None:
    rows = {"a": {"augment": False, "noise_ratio": 0.25}, "b": {"method": "other", "variant": "code"}}
    table = Experiments(rows=rows)
    assert table.parameters == [*NeuroCine.parameters, "variant"]
    assert {k: v for k, v in table.cells("a").items() if v} == {"noise_ratio": "0.25"}
    assert {k: v for k, v in table.cells("b").items() if v} == {"variant": "code"}
    assert set(table.cells("absent").values()) == {""}
    assert pd.DataFrame([table.cells("a")]).columns.tolist() == table.parameters


def test_the_page_knows_every_training(two: dict[str, Any]) -> None:
    assert list(training_titles()) == [
        *("pretrain_encoder", "train_encoder", "train_video_prior", "train_decoder"),
        *("train_semantic", "train_structure", "train_motion"),
        "train_other",
    ]
