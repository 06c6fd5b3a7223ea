"""What jobs take of a study: batches, runs and files of results."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from neurocine.config import complete_config
from neurocine.datasets.base import Movie
from neurocine.errors import InputError
from neurocine.first_run import batches
from neurocine.methods import METHODS
from neurocine.result_names import control_strips, decoded_from_fmri, result_files
from neurocine.schema import merge
from neurocine.study import (
    ManyMissing,
    Study,
    repeated_rows,
    row_of,
    trained_rows,
    trainings,
    trainings_behind,
)

ROOT = Path(__file__).parents[1]
NEUROCINE = METHODS["neurocine"]


def config(name: str = "studies/toy/config.yaml", **changes: Any) -> dict[str, Any]:
    published = yaml.safe_load((ROOT / "config.yaml").read_text())
    return complete_config(merge(merge(published, yaml.safe_load((ROOT / name).read_text())), changes))


def test_batches_have_names_of_their_own() -> None:
    assert batches(["seg1", "seg2", "seg3"], 1, []) == {"seg1": ["seg1"], "seg2": ["seg2"], "seg3": ["seg3"]}
    assert list(batches(["seg1", "seg2", "seg3"], 2, [])) == ["seg1-seg2", "seg3"]
    # Movies may have hyphens, so that a batch could be called like a movie or like another batch.
    movies = ["a", "b", "a-b", "a", "b"]
    named = batches(movies, 2, movies)
    assert list(named.values()) == [["a", "b"], ["a-b", "a"], ["b"]]
    assert not {name for name, group in named.items() if len(group) > 1} & set(movies)


def test_movies_of_lists_of_captions_have_the_lengths_of_the_study() -> None:
    assert Study.find(config(), ["recordings"]).listed_movies() == []
    movies = ["seg9", "seg5", "seg4", "seg3", "seg2", "seg1", "test1", "test2"]
    lists = [{"file": "a.txt", "movies": movies}]
    study = Study.find(config(caption_clips={"backend": "file", "lists": lists}), ["recordings"])
    study.found.movies["seg1"] = Movie("seg1", 7, 2.0)
    listed = [Movie.read(text) for text in study.listed_movies()]
    assert [movie.name for movie in listed] == movies
    assert [movie.n_clips for movie in listed] == [240] * 5 + [7] + [240] * 2


def test_a_simulated_study_names_its_files_without_looking() -> None:
    study = Study.find(config(), ("recordings", "rest", "models"))
    assert len(study.videos(["seg1", "test2"])) == 2
    assert [text.split(",")[0] for text in study.movies(["seg1"])] == ['{"name": "seg1"']
    assert len(study.runs("3", ["test1", "test2"])) == len(study.recordings("3", ["test1", "test2"])) == 5
    assert study.excluded("3", ["test2"]) == ["test2:3"]
    assert study.excluded("1", ["test2"]) == []
    assert list(study.rest) == ["100001", "100002"]
    assert not study.packages
    # The excluded run is simulated all the same.
    assert sum(run.excluded for run in study.found.runs) == 1
    assert '"published": false' in study.facts()


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    real = config("config.yaml", data_dir=str(tmp_path), rest={"dir": str(tmp_path)})
    with pytest.raises(ManyMissing) as raised:
        Study.find(real, ("recordings", "rest", "models"))
    for part in ("280 files are missing", "rest runs: 1 files are missing", "5 networks are missing"):
        assert part in str(raised.value)
    with pytest.raises(ManyMissing) as raised:
        Study.find(real, ("recordings",))
    assert "networks" not in str(raised.value)
    study = Study.find(real, ())
    assert study.models["clip"] == ["models/clip-vit-large-patch14/config.json"]
    assert '"published": true' in study.facts()


def test_an_experiment_is_found_under_its_own_method_only() -> None:
    toy = config()
    assert row_of(toy, "exp00", "neurocine")["augment"] is False
    with pytest.raises(InputError, match="experiment exp00 is of method neurocine; expected a path"):
        row_of(toy, "exp00", "other")


def test_files_of_a_result_follow_the_conditions() -> None:
    toy = config(conditions=["fmri", "noise", "vae", "static"], generation_seeds=[4])
    assert decoded_from_fmri(toy, NEUROCINE) == ["fmri", "noise", "fmri_seed4"]
    controls = control_strips(toy, NEUROCINE)
    assert {path.split("/")[1] for path in controls} == {"noise", "static"}
    files = result_files(toy, NEUROCINE)
    assert files[:3] == [f"decode/{name}.safetensors" for name in ("fmri", "noise", "fmri_seed4")]
    assert {"scores.tsv", "clips/test2.mp4", "strips/best.mp4", "attention.tsv"} <= set(files)
    assert [path for path in files if path in controls] == [
        "controls/noise/random.jpg",
        "controls/static/random.jpg",
    ]


def test_a_result_has_the_evaluations_that_are_requested() -> None:
    tables = {"test_order.tsv", "agree_fmri.tsv", "rank_areas.tsv"}
    maps = {"maps/agree_fmri.png", "maps/rank_areas.png"}
    assert tables | maps <= set(result_files(config(), NEUROCINE))
    without = set(result_files(config(evaluate=["rank_areas"]), NEUROCINE))
    assert without & (tables | maps) == {"rank_areas.tsv", "maps/rank_areas.png"}
    assert "scores.tsv" in set(result_files(config(evaluate=[]), NEUROCINE)) - tables - maps


def test_trainings_are_counted_once_per_key() -> None:
    toy = config()
    toy["experiments"] = {name: toy["experiments"][name] for name in toy["ablation_experiments"]}
    assert len(trainings(toy, NEUROCINE, "train_encoder")) == 8
    assert trainings(toy, NEUROCINE, "train_video_prior")["beta0.25"].parameters == {"noise_ratio": 0.25}
    behind = {training.folder for training in trainings_behind(toy, ["exp00", "exp01"])}
    assert {"pretrain_encoder", "train_video_prior/beta0", "train_decoder/plain_beta0"} <= behind


def test_experiments_are_repeated_with_every_training_seed_but_share_their_pretraining() -> None:
    ridge = {"ridge_latents": {"method": "ridge"}, "ridge_caption": {"method": "ridge", "target": "caption"}}
    toy = config(train_seeds=[7, 8], experiments=ridge)
    names = ["paper_main", "ridge_latents", "ridge_caption"]
    assert list(repeated_rows(toy, names)) == [
        *("paper_main", "paper_main_train7", "paper_main_train8"),
        "ridge_latents",  # solved, not trained
        *("ridge_caption", "ridge_caption_train7", "ridge_caption_train8"),
    ]
    assert row_of(toy, "paper_main_train7", "neurocine")["train_seed"] == 7
    every = trainings(toy, NEUROCINE, "train_encoder")
    of_main = {training.folder: training.seed for training in trainings_behind(toy, ["paper_main"])}
    assert set(of_main.values()) == {None}
    encoder = next(folder for folder in of_main if folder.startswith("train_encoder/")).partition("/")[2]
    assert [every[key].seed for key in (encoder, f"{encoder}_train7", f"{encoder}_train8")] == [None, 7, 8]
    assert set(trainings(toy, NEUROCINE, "pretrain_encoder")) == {""}
    priors = trainings(toy, NEUROCINE, "train_video_prior")
    assert priors["beta0.25_train8"].parameters == priors["beta0.25"].parameters
    said = trained_rows(toy, ["paper_main", "ridge_latents"])
    assert said["paper_main_train8"] == said["paper_main"] | {"train_seed": 8}
    assert set(said["paper_main"]["trainings"]) == set(of_main)
    assert said["ridge_latents"] == {"experiment": "ridge_latents", "train_seed": None, "trainings": []}


def test_a_study_without_training_seeds_has_its_own_experiments_alone() -> None:
    toy = config()
    assert toy["train_seeds"] == []
    assert repeated_rows(toy, toy["experiments"]) == toy["experiments"]
