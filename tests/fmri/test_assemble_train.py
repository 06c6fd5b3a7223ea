"""Repeats, standardisation with training statistics only."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from fmri_runs import run_assemble, write_cleaned
from neurocine.errors import InputError
from neurocine.fmri.assemble import (
    AssembleTestSettings,
    AssembleTrainSettings,
    SubjectFmri,
    assemble_test,
    assemble_train,
    mean_of_repeats,
    training_statistics,
)
from neurocine.io import read_arrays
from neurocine.settings import parse_settings

T, V = 12, 4


def cleaned(movies: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Movie -> (n_repeats, T, V) with a mean and spread of each vertex that training must take out."""
    generator = np.random.default_rng(seed)
    scale, shift = np.array([1, 2, 0.5, 3]), np.array([0, 1, -2, 0.3])
    return {
        movie: (generator.normal(size=(count, T, V)) * scale + shift).astype(np.float32)
        for movie, count in movies.items()
    }


@pytest.fixture
def train() -> dict[str, np.ndarray]:
    return cleaned({"seg2": 2, "seg1": 2}, 0)


@pytest.fixture
def shown() -> dict[str, np.ndarray]:
    movies = cleaned({"test1": 5}, 1)
    movies["test1"][1] = np.nan
    return movies


def test_mean_of_repeats_equals_nanmean(
    shown: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    repeats = shown["test1"]
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(mean_of_repeats(repeats, "test1"), np.nanmean(repeats, axis=0), atol=1e-6)
    assert "test1: mean of 4 repeats, not 5" in caplog.text
    caplog.clear()
    # The first three that exist are repeats 1, 3 and 4.
    np.testing.assert_allclose(mean_of_repeats(repeats, "test1", 3), repeats[[0, 2, 3]].mean(0), atol=1e-6)
    assert not caplog.text
    np.testing.assert_array_equal(mean_of_repeats(repeats, "test1", 1), repeats[0])


def test_repeats_without_data_are_refused(train: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match="no repeat with data"):
        mean_of_repeats(np.full((2, T, V), np.nan, np.float32), "seg1")
    train["seg1"][1, 3, 2] = np.nan
    with pytest.raises(InputError, match="NaN within a repeat"):
        mean_of_repeats(train["seg1"], "seg1")


def test_training_statistics_equal_numpy_on_everything(train: dict[str, np.ndarray]) -> None:
    mean, std = training_statistics(list(train.values()))
    every = np.concatenate(list(train.values()), axis=1).reshape(-1, V).astype(np.float64)
    np.testing.assert_allclose(mean, every.mean(0), atol=1e-6)
    np.testing.assert_allclose(std, every.std(0), atol=1e-6)
    assert (mean.dtype, std.dtype) == (np.float32, np.float32)
    _, std = training_statistics([np.zeros((2, T, V), np.float32)])
    np.testing.assert_array_equal(std, np.ones(V))


@pytest.mark.parametrize("first", ["mean", 2])
def test_means_are_standardised_with_training_statistics(
    train: dict[str, np.ndarray], shown: dict[str, np.ndarray], first: str | int
) -> None:
    training = assemble_train(train, AssembleTrainSettings())
    testing = assemble_test(shown, training, AssembleTestSettings(repeats=first))
    means = {movie: repeats.mean(0) for movie, repeats in train.items()}
    every = np.concatenate(list(means.values()))
    mean, std = every.mean(0), every.std(0)
    assert training.movies == ["seg2", "seg1"]
    assert training.repeats == {}
    for movie, values in means.items():
        np.testing.assert_allclose(training.bold[movie], (values - mean) / std, atol=1e-5)
        assert training.bold[movie].dtype == np.float32
    repeats = shown["test1"]
    used = np.nanmean(repeats if first == "mean" else repeats[[0, 2]], axis=0)
    np.testing.assert_allclose(testing.bold["test1"], (used - mean) / std, atol=1e-5)
    np.testing.assert_allclose(testing.repeats["test1"], (repeats - mean) / std, atol=1e-5)
    np.testing.assert_allclose(training.mean, mean, atol=1e-6)
    np.testing.assert_allclose(training.std, std, rtol=1e-5)
    assert testing.mean is None


@pytest.mark.parametrize("mode", ["random", "both"])
def test_single_repeats_for_training(train: dict[str, np.ndarray], mode: str) -> None:
    train["seg1"][0] = np.nan
    training = assemble_train(train, AssembleTrainSettings(repeats="random"))
    every = np.concatenate([*train["seg2"], train["seg1"][1]])
    assert training.samples("seg2").shape == (2, T, V)
    assert training.samples("seg1").shape == (1, T, V)
    given = np.concatenate([*training.samples("seg2"), *training.samples("seg1")])
    np.testing.assert_allclose(given, (every - every.mean(0)) / every.std(0), atol=1e-5)
    np.testing.assert_allclose(given.std(0), 1, atol=1e-5)
    np.testing.assert_allclose(training.bold["seg2"], training.samples("seg2").mean(0), atol=1e-5)


def test_samples_of_means(train: dict[str, np.ndarray]) -> None:
    training = assemble_train(train, AssembleTrainSettings())
    np.testing.assert_array_equal(training.samples("seg1"), training.bold["seg1"][None])
    assert training.n_vertices == V


def test_mixed_up_parts_are_refused(train: dict[str, np.ndarray], shown: dict[str, np.ndarray]) -> None:
    training, settings = assemble_train(train, AssembleTrainSettings()), AssembleTestSettings()
    with pytest.raises(InputError, match="seg1 in train and test"):
        assemble_test(shown | {"seg1": train["seg1"]}, training, settings)
    with pytest.raises(InputError, match=r"runs with \[3, 4\] vertices"):
        assemble_test({"test1": shown["test1"][..., :3]}, training, settings)
    with pytest.raises(InputError, match=r"runs with \[3, 4\] vertices"):
        assemble_train(train | {"seg3": train["seg1"][..., :3]}, AssembleTrainSettings())
    with pytest.raises(InputError, match="no mean and std"):
        assemble_test(shown, SubjectFmri(train), settings)


def test_settings() -> None:
    assert AssembleTrainSettings() == AssembleTrainSettings(repeats="mean")
    for bad in ("all", "both"):
        with pytest.raises(InputError):
            parse_settings(AssembleTrainSettings, json.dumps({"repeats": bad}), "assemble_train")
    for bad in (0, "random", True):
        with pytest.raises(InputError):
            parse_settings(AssembleTestSettings, json.dumps({"repeats": bad}), "assemble_test")


def test_program_and_reader(
    train: dict[str, np.ndarray], shown: dict[str, np.ndarray], tmp_path: Path
) -> None:
    files = [write_cleaned(tmp_path / f"{m}.safetensors", {m: train[m]}) for m in ("seg2", "seg1")]
    test = write_cleaned(tmp_path / "test1.safetensors", shown, excluded=["test1:2"])
    out_train, out_test = run_assemble(tmp_path, files, [test])
    training = assemble_train(train, AssembleTrainSettings())
    testing = assemble_test(shown, training, AssembleTestSettings())
    found = SubjectFmri.read(out_train)
    assert found.movies == ["seg2", "seg1"]
    for name, array in training.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
    assert set(read_arrays(out_train)[0]) == {"seg1", "seg2", "mean", "std"}
    assert set(read_arrays(out_test)[0]) == {"test1", "test1/repeats"}
    np.testing.assert_array_equal(SubjectFmri.read(out_test).repeats["test1"], testing.repeats["test1"])
    assert SubjectFmri.read(out_test, with_repeats=False).repeats == {}
    assert SubjectFmri.read(out_train, ["seg1"]).movies == ["seg1"]
    with pytest.raises(InputError, match="also seg9"):
        SubjectFmri.read(out_train, ["seg9"])
    with pytest.raises(InputError, match="no list of movies"):
        SubjectFmri.read(write_cleaned(tmp_path / "x.safetensors", train, movies=["other"]))
    made = {"settings": {"ddof": 1}, "vertices": "abc"}
    assert found.meta["step"] == "assemble_train"
    assert found.meta["preprocess_run"] == made | {"excluded": []}
    assert SubjectFmri.read(out_test).meta["preprocess_run"] == made | {"excluded": ["test1:2"]}


def test_program_refuses_files_that_do_not_belong_together(
    train: dict[str, np.ndarray], shown: dict[str, np.ndarray], tmp_path: Path
) -> None:
    one = write_cleaned(tmp_path / "a.safetensors", {"seg1": train["seg1"]})
    test = write_cleaned(tmp_path / "t.safetensors", shown)
    for change in ({"vertices": "other"}, {"settings": {"ddof": 0}}):
        other = write_cleaned(tmp_path / "b.safetensors", {"seg2": train["seg2"]}, **change)
        with pytest.raises(InputError, match="Run preprocess_run again"):
            run_assemble(tmp_path, [one, other], [test])
        assert not (tmp_path / "train.safetensors").exists()
        other = write_cleaned(tmp_path / "b.safetensors", shown, **change)
        with pytest.raises(InputError, match="Run preprocess_run again"):
            run_assemble(tmp_path, [one], [other])
        (tmp_path / "train.safetensors").unlink()
    with pytest.raises(InputError, match="seg1 once more"):
        run_assemble(tmp_path, [one, one], [test])
    with pytest.raises(InputError, match="a file of preprocess_run"):
        run_assemble(tmp_path, [write_cleaned(tmp_path / "c.safetensors", train, step="decode")], [test])
    with pytest.raises(InputError, match="no movie"):
        run_assemble(tmp_path, [], [test])
    assert not (tmp_path / "train.safetensors").exists()
