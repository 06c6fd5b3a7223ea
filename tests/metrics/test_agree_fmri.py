"""Agreement with the measured brain: each vertex's ridge, correlations by loops, right and wrong clips."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

import agree_fmri as program
import plot_agreement
from metrics.tiny import slow_movie, write_decoded
from neurocine.errors import InputError, InputErrors
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import read_arrays, read_table, write_arrays, write_table
from neurocine.metrics.fmri_agreement import (
    AgreeFmriSettings,
    ClipFeatures,
    agree_fmri,
    standardise,
)
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import load_clip
from neurocine.regression import fit_ridge_of_movies, split_movies
from neurocine.settings import parse_settings
from neurocine.stimuli.embed import embed_movie
from neurocine.surface.plot import PlotAgreementSettings, PlotSurfaceSettings
from tiny_models import write_clip

SCORE = ScoreSettings(min_shift_tr=4, block_tr=4, null_draws=1000, bootstrap_draws=1000)
SETTINGS = AgreeFmriSettings(folds=3, n_penalties=5)
N_TRAIN, N_TEST, WIDTH, VERTICES = 60, 40, 6, 12
SELECTION = VertexSelection(
    vertex=np.arange(100, 100 + VERTICES),
    area=np.repeat([0, 1, 2], VERTICES // 3),
    hemisphere=np.zeros(VERTICES, np.int8),
    areas=("V1", "V2", "MT"),
    groups=("early", "early", "motion"),
)


def study(noise: float = 1.0) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Features and fMRI of training and test movies; the last four vertices know nothing of the features."""
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(WIDTH, VERTICES)) * (np.arange(VERTICES) < 8)

    def make(names: list[str], n: int) -> tuple[dict[str, Any], dict[str, Any]]:
        features = {name: draw.normal(size=(n, WIDTH)) for name in names}
        return features, {
            name: (values @ weights + noise * draw.normal(size=(n, VERTICES))).astype(np.float32)
            for name, values in features.items()
        }

    return *make(["seg1", "seg2", "seg3"], N_TRAIN), *make(["test1", "test2"], N_TEST)


def test_each_vertex_has_the_ridge_of_its_own_penalty() -> None:
    features, bold, test, _ = study()
    model = fit_ridge_of_movies(features, bold, SETTINGS)
    x, y = np.concatenate(list(features.values())), np.concatenate(list(bold.values()))
    unit = (x - x.mean(0)) / x.std(0)
    assert len(set(model.penalties)) > 1
    for vertex in range(VERTICES):
        ridge = Ridge(alpha=model.penalties[vertex]).fit(unit, y[:, vertex])
        shown = (test["test1"] - x.mean(0)) / x.std(0)
        np.testing.assert_allclose(model.predict(test["test1"])[:, vertex], ridge.predict(shown), atol=1e-4)
        # The penalty is the one that predicts movies which were held out best.
        errors = []
        for penalty in SETTINGS.penalties:
            loss = []
            for rows, held in split_movies(dict.fromkeys(bold, N_TRAIN), 3):
                fitted = Ridge(alpha=penalty).fit(unit[rows], y[rows, vertex])
                rest = y[held, vertex] - fitted.predict(unit[held])
                loss.append((rest**2).mean() / y[held, vertex].var())
            errors.append(np.mean(loss))
        assert model.penalties[vertex] == pytest.approx(SETTINGS.penalties[int(np.argmin(errors))])


def test_whole_movies_are_held_out_and_stretches_of_a_single_one() -> None:
    splits = split_movies({"a": 3, "b": 2, "c": 4}, 2)
    assert [held.tolist() for _, held in splits] == [[0, 1, 2, 5, 6, 7, 8], [3, 4]]
    assert all(set(rows) | set(held) == set(range(9)) and not set(rows) & set(held) for rows, held in splits)
    assert [held.tolist() for _, held in split_movies({"a": 6}, 3)] == [[0, 1], [2, 3], [4, 5]]


def test_products_of_standardised_values_are_correlations() -> None:
    draw = np.random.default_rng(1)
    a = {name: draw.normal(5, 2, (n, 3)) for name, n in (("x", 7), ("y", 9))}
    b = {name: values + draw.normal(size=values.shape) for name, values in a.items()}
    a["x"][:, 2] = a["y"][:, 2] = 4.0  # constant
    found = sum((standardise(a)[name] * standardise(b)[name]).sum(0) for name in a)
    for vertex in range(2):
        flat = [
            np.concatenate([part[:, vertex] - part[:, vertex].mean() for part in values.values()])
            for values in (a, b)
        ]
        assert found[vertex] == pytest.approx(np.corrcoef(*flat)[0, 1])
    assert found[2] == 0


def agreement() -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
    features, bold, test, measured = study()
    clips = {name: np.arange(0, N_TEST, 2) for name in test}
    draw = np.random.default_rng(2)
    own = {name: test[name][index] for name, index in clips.items()}
    made = {
        "original": own,
        "fmri": {name: values + draw.normal(size=values.shape) for name, values in own.items()},
        "shifted": {name: np.roll(values, 7, axis=0) for name, values in own.items()},
        "grey": {name: np.ones_like(values) for name, values in own.items()},
    }
    conditions = [ClipFeatures(name, 3, clips, values) for name, values in made.items()]
    model = fit_ridge_of_movies(features, bold, SETTINGS)
    ceilings = {("all", "all"): 0.9, ("early", "V1"): 0.8}
    table, maps = agree_fmri(model, conditions, measured, SELECTION, ceilings, SCORE, 11)
    predicted = {name: model.predict(values) for name, values in made["fmri"].items()}
    return table.set_index(["condition", "group", "area"]), maps, predicted, measured


def test_right_clips_agree_and_wrong_or_constant_ones_do_not() -> None:
    table, maps, predicted, measured = agreement()
    whole = table.xs(("all", "all"), level=("group", "area"))
    assert whole.loc["original", "value"] > whole.loc["fmri", "value"] > 0.2 > whole.loc["shifted", "value"]
    assert whole.loc["fmri", "p_value"] < 0.01
    assert whole.loc["fmri", "ci_low"] > 0.1
    assert whole.loc["shifted", "ci_low"] < 0 < whole.loc["shifted", "ci_high"]
    assert whole.loc["shifted", "p_value"] > 0.05
    assert whole.loc["grey", "value"] == 0
    assert whole.loc["grey", "p_value"] == 1
    assert (whole["n_clips"] == N_TEST).all()
    # Areas that know nothing of the clips, and those that do.
    assert abs(table.loc[("original", "motion", "MT"), "value"]) < 0.2
    assert table.loc[("original", "early", "V1"), "value"] > 0.7
    assert table.loc[("fmri", "early", "V1"), "noise_ceiling"] == 0.8
    assert np.isnan(table.loc[("fmri", "early", "V2"), "noise_ceiling"])
    # Each vertex by hand, and areas as their means.
    for vertex in (0, 5, 11):
        pair = [
            np.concatenate([part[:, vertex] - part[:, vertex].mean() for part in values])
            for values in (predicted.values(), [part[::2] for part in measured.values()])
        ]
        assert maps["fmri"][vertex] == pytest.approx(np.corrcoef(*pair)[0, 1], abs=1e-5)
    early = table.loc[("fmri", "early", "all")]
    assert early["n_vertices"] == 8
    assert early["value"] == pytest.approx(maps["fmri"][:8].mean(), abs=1e-5)


def smooth(draw: np.random.Generator, n: int) -> np.ndarray:
    """Features of a movie of scenes, (n, WIDTH), as varied as those that were shown."""
    scenes = draw.normal(size=(n, WIDTH))
    return np.repeat(scenes, 4, axis=0)[:n]


def test_what_a_video_shows_decides_and_not_how_fluent_it_is() -> None:
    features, bold, test, measured = study()
    clips = {name: np.arange(N_TEST) for name in test}
    draw = np.random.default_rng(4)
    told = {name: values * (np.arange(WIDTH) < 4) for name, values in test.items()}  # not all is in words
    made = {
        "original": test,
        "caption": told,
        "fmri": {name: values + 0.7 * draw.normal(size=values.shape) for name, values in told.items()},
        "shifted": {name: np.roll(values, 17, axis=0) for name, values in test.items()},
        "constant": {name: np.full_like(values, 3.0) for name, values in test.items()},
        "mean_frame": {name: np.ones_like(values) * values.mean(0) for name, values in test.items()},
    }
    fluent = [f"fluent{number}" for number in range(40)]
    made |= {each: {name: smooth(draw, N_TEST) for name in test} for each in fluent}
    conditions = [ClipFeatures(name, 3, clips, values) for name, values in made.items()]
    model = fit_ridge_of_movies(features, bold, SETTINGS)
    table, _ = agree_fmri(model, conditions, measured, SELECTION, {}, SCORE, 11)
    whole = table[table["group"] == "all"].set_index("condition")
    value = whole["value"]
    assert value["original"] > value["caption"] > value["fmri"] > 0.2
    assert abs(value["shifted"]) < whole.loc["shifted", "null_p99"]
    assert whole.loc["shifted", "ci_low"] < 0 < whole.loc["shifted", "ci_high"]
    # One clip for all predicts one fMRI for all, whatever it shows.
    assert (value[["constant", "mean_frame"]] == 0).all()
    assert (whole.loc[["constant", "mean_frame"], "p_value"] == 1).all()
    assert (value[fluent] < whole.loc["fmri", "ci_low"]).all()
    assert (whole.loc[fluent, "p_value"] <= 0.05).sum() <= 6  # 2 of 40 by luck; 7 or more: p = .002
    # Beside what was decoded: right clips are better, wrong ones worse.
    assert whole.loc["original", "fmri_minus_high"] < 0
    assert (whole.loc[["shifted", "constant", *fluent], "fmri_minus_low"] > 0).all()
    assert np.isnan(whole.loc["fmri", "fmri_minus"])


def test_difference_from_fmri_is_that_of_the_values_and_pairs_clips() -> None:
    table, _, _, _ = agreement()
    values = table["value"].unstack("condition")
    for name in ("original", "shifted", "grey"):
        found = table.xs(name, level="condition")
        np.testing.assert_allclose(found["fmri_minus"], (values["fmri"] - values[name])[found.index])
        assert (found["fmri_minus_low"] < found["fmri_minus"]).all()
        assert (found["fmri_minus"] < found["fmri_minus_high"]).all()
    # What is alike in every clip of both adds nothing to the width.
    grey = table.xs("grey", level="condition")
    own = table.xs("fmri", level="condition")
    np.testing.assert_allclose(grey["fmri_minus_low"], own["ci_low"])


def test_null_of_a_control_leaves_out_what_undoes_it() -> None:
    features, bold, test, measured = study(noise=0.3)
    clips = {name: np.arange(N_TEST) for name in test}
    moved = {name: (index + 12) % N_TEST for name, index in clips.items()}
    shown = {name: test[name][index] for name, index in moved.items()}
    model = fit_ridge_of_movies(features, bold, SETTINGS)
    tables = [
        agree_fmri(
            model, [ClipFeatures("shifted", 0, clips, shown, sources)], measured, SELECTION, {}, SCORE, 0
        )
        for sources in ({}, moved)
    ]
    blind, knowing = (table.iloc[0] for table, _ in tables)
    assert blind["null_p99"] > 2 * knowing["null_p99"]
    assert blind["value"] == knowing["value"]
    assert blind["p_value"] == knowing["p_value"]


def test_the_null_is_that_of_a_loop_over_shifts() -> None:
    features, bold, test, measured = study()
    clips = {name: np.arange(N_TEST) for name in test}
    model = fit_ridge_of_movies(features, bold, SETTINGS)
    table, _ = agree_fmri(model, [ClipFeatures("fmri", 0, clips, test)], measured, SELECTION, {}, SCORE, 0)
    predicted = standardise({name: model.predict(values) for name, values in test.items()})
    centred = standardise(measured)

    def shifted(name: str, shift: int) -> float:
        return float((predicted[name] * np.roll(centred[name], -shift, axis=0)).sum(0).mean())

    by_movie = [[shifted(name, shift) for shift in range(4, N_TEST - 3)] for name in test]
    expected = [first + second for first in by_movie[0] for second in by_movie[1]]
    row = table.iloc[0]
    assert row["null_mean"] == pytest.approx(np.mean(expected), abs=0.01)  # of 1000 draws
    assert row["null_p99"] == pytest.approx(np.quantile(expected, 0.99), abs=0.02)
    assert row["draws"] == SCORE.null_draws
    assert row["p_holds"] == "yes"
    assert row["memory_tr"] < 4
    assert SCORE.block_tr <= row["block_tr"] <= N_TEST / 4


def test_features_and_fmri_must_fit() -> None:
    features, bold, test, measured = study()
    with pytest.raises(InputError, match="features of seg2: found 59 clips"):
        fit_ridge_of_movies({**features, "seg2": features["seg2"][:-1]}, bold, SETTINGS)
    late = ClipFeatures("fmri", 0, {"test1": np.array([1, N_TEST])}, {"test1": test["test1"][:2]})
    with pytest.raises(InputError, match=rf"clip {N_TEST} of test1"):
        agree_fmri(fit_ridge_of_movies(features, bold, SETTINGS), [late], measured, SELECTION, {}, SCORE, 0)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"smallest_penalty": 0.0}, {"largest_penalty": 0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputErrors, match=next(iter(wrong))):
        parse_settings(AgreeFmriSettings, json.dumps(wrong), "--settings")


def test_program(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip")
    torch.manual_seed(0)
    parts = load_clip(tmp_path / "clip")
    draw = np.random.default_rng(0)
    shown = {"seg1": slow_movie(24, 1), "seg2": slow_movie(24, 2), "test1": slow_movie(24, 3)}
    image = {name: embed_movie(videos, parts) for name, videos in shown.items()}
    weights = draw.normal(size=(image["seg1"].shape[-1], VERTICES))
    bold = {name: (values.mean(1) @ weights * 5).astype(np.float32) for name, values in image.items()}
    files = {}
    for part, movies in (("train", ["seg1", "seg2"]), ("test", ["test1"])):
        behind = movies if part == "train" else ["seg1", "seg2", "test1"]
        files[f"fmri_{part}"] = tmp_path / f"fmri_{part}.safetensors"
        write_arrays(
            files[f"fmri_{part}"], {m: bold[m] for m in movies}, {"movies": movies, "computed_from": behind}
        )
        path = tmp_path / f"embed_{part}.safetensors"
        write_arrays(
            path, {f"{m}/image": image[m] for m in movies}, {"movies": movies, "computed_from": movies}
        )
        files[f"{part}_embeddings"] = [path]
    index = np.arange(0, 24, 2)
    decoded = []
    for name, videos in (("fmri", shown["test1"][index]), ("static", shown["seg1"][index])):
        decoded.append(write_decoded(tmp_path / f"{name}.safetensors", name, {"test1": (index, videos)}))
        arrays, meta = read_arrays(decoded[-1])
        write_arrays(decoded[-1], arrays, meta | {"computed_from": ["seg1", "test1"]})
    vertices = tmp_path / "vertices.safetensors"
    write_arrays(vertices, SELECTION.arrays(), SELECTION.meta() | {"computed_from": []})
    ceiling = pd.DataFrame({"group": ["all"], "area": ["all"], "ceiling_mean": [0.7]})
    write_table(tmp_path / "ceiling.tsv", ceiling)
    given = files | {
        "train_movies": ["seg1", "seg2"],
        "decoded": decoded,
        "clip": tmp_path / "clip",
        "vertices": vertices,
        "seed": 1,
        "settings": SETTINGS,
        "score": SCORE,
        "noise_ceiling": tmp_path / "ceiling.tsv",
        "device": "cpu",
        "out": tmp_path / "out.tsv",
        "maps": tmp_path / "maps.safetensors",
    }
    program.main(**given)
    table = read_table(tmp_path / "out.tsv")
    whole = table[table["group"] == "all"].set_index("condition")
    # Clips that are the originals score as they do.
    assert whole.loc["fmri", "value"] == pytest.approx(whole.loc["original", "value"], abs=1e-5)
    assert whole.loc["fmri", "value"] > whole.loc["static", "value"] + 0.2
    assert (whole["noise_ceiling"] == 0.7).all()
    maps, meta = read_arrays(tmp_path / "maps.safetensors")
    assert maps["fmri"].shape == (CORTEX,)
    assert np.isfinite(maps["fmri"]).sum() == VERTICES
    assert meta["computed_from"] == ["seg1", "seg2", "test1"]
    quick = PlotSurfaceSettings(views=("lateral",), dpi=40)
    chosen = PlotAgreementSettings(conditions=("original", "fmri", "vae"))  # the last was not made
    drawn = {"agreement": tmp_path / "maps.safetensors", "settings": chosen, "surface": quick}
    plot_agreement.main(**drawn, out=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    with pytest.raises(InputError, match="original, fmri, static"):
        plot_agreement.main(
            **drawn | {"settings": PlotAgreementSettings(conditions=("vae",))}, out=tmp_path / "b.png"
        )
    stimuli = {"train_stimuli": [tmp_path / "train.safetensors"], "stimuli": [tmp_path / "test.safetensors"]}
    for part, movies in (("train", ["seg1", "seg2"]), ("test", ["test1"])):
        write_arrays(tmp_path / f"{part}.safetensors", {m: shown[m] for m in movies}, {"movies": movies})
    moving = SETTINGS.replace(features=("clip", "motion_energy"))
    program.main(**given | stimuli | {"settings": moving})
    both = read_table(tmp_path / "out.tsv").query("group == 'all'").set_index("condition")["value"]
    assert both["fmri"] == pytest.approx(both["original"], abs=1e-5)
    assert both["fmri"] != pytest.approx(whole.loc["fmri", "value"], abs=1e-4)
    with pytest.raises(InputError, match="features of seg1: found 0 clips"):
        program.main(**given | {"settings": moving})
    with pytest.raises(InputError, match="only training movies"):
        program.main(**given | {"train_movies": ["seg1"]})
