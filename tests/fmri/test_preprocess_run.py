"""Cleaning of runs, against a fit per vertex; names, missing runs and bad data."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import preprocess_run as program
from fmri_runs import CROP, SMALL, VERTICES, fake_bold, recording, recordings_of, slow_clean, write_run
from neurocine.errors import InputError
from neurocine.fmri.preprocess import (
    PreprocessRunSettings,
    clean_run,
    detrend,
    parse_excluded,
    preprocess_run,
    runs_by_movie,
    vertices_digest,
    volumes_kept,
)
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import read_arrays, write_arrays
from neurocine.settings import parse_settings

PUBLISHED = PreprocessRunSettings()


def test_published_settings() -> None:
    assert PUBLISHED.crop == {245: (1, 4), 246: (2, 4)}
    assert (PUBLISHED.extra_lag_tr, PUBLISHED.detrend_order, PUBLISHED.ddof) == (0, 4, 1)


@pytest.mark.parametrize(("n_volumes", "first"), [(245, 1), (246, 2)])
def test_crop_keeps_the_240_volumes_of_the_official_code(n_volumes: int, first: int) -> None:
    kept = volumes_kept(n_volumes, recording(n_clips=240), PUBLISHED, "run")
    np.testing.assert_array_equal(kept, np.arange(first, first + 240))
    with pytest.raises(InputError, match="240 samples after the crop; expected 200 clips"):
        volumes_kept(n_volumes, recording(n_clips=200), PUBLISHED, "run")


@pytest.mark.parametrize("n_volumes", [0, 238, 240, 244, 247])
def test_other_lengths_are_refused(n_volumes: int) -> None:
    with pytest.raises(InputError) as raised:
        volumes_kept(n_volumes, recording(n_clips=240), PUBLISHED, "subject3/test2_9")
    assert raised.value.where == "subject3/test2_9"
    assert raised.value.found == f"{n_volumes} volumes"
    assert raised.value.expected == "245 or 246"
    assert "exclude_runs" in raised.value.todo


@pytest.mark.parametrize("lag", [-3, -1, 0, 1, 3, 6])
def test_lag_reaches_into_dropped_volumes_and_repeats_at_the_ends(lag: int) -> None:
    settings = PreprocessRunSettings(extra_lag_tr=lag)
    expected = [min(max(1 + sample + lag, 0), 244) for sample in range(240)]
    assert volumes_kept(245, recording(n_clips=240), settings, "run").tolist() == expected
    if lag == 6:
        assert expected[-3:] == [244, 244, 244]


@pytest.mark.parametrize("order", [0, 1, 4, 7])
def test_detrend_equals_polyfit(order: int) -> None:
    bold = fake_bold(60, seed=2)
    time = np.linspace(0, 1, 60)
    for vertex, rest in enumerate(detrend(bold, order).T):
        series = bold[:, vertex].astype(np.float64)
        expected = series - np.polyval(np.polyfit(time, series, order), time)
        np.testing.assert_allclose(rest, expected, atol=1e-7)


@pytest.mark.parametrize("n_volumes", [245, 246])
@pytest.mark.parametrize("ddof", [0, 1])
def test_clean_run_equals_the_slow_reference(n_volumes: int, ddof: int) -> None:
    bold = fake_bold(n_volumes, seed=3)
    before = bold.copy()
    cleaned = clean_run(bold, recording(n_clips=240), PreprocessRunSettings(ddof=ddof), "run")
    first = n_volumes - 244
    expected = slow_clean(bold, list(range(first, first + 240)), 4, ddof)
    assert (cleaned.shape, cleaned.dtype) == ((240, 5), np.float32)
    np.testing.assert_allclose(cleaned, expected, atol=2e-6)
    np.testing.assert_array_equal(bold, before)


def test_lagged_run_equals_the_slow_reference() -> None:
    bold = fake_bold(13, seed=4)
    settings = PreprocessRunSettings(crop=CROP, detrend_order=2, extra_lag_tr=3)
    expected = slow_clean(bold, [4, 5, 6, 7, 8, 9, 10, 11, 12, 12], 2, 1)
    np.testing.assert_allclose(clean_run(bold, recording(), settings, "run"), expected, atol=2e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    bold = fake_bold(13, seed=5)
    bold[4, 1] = bold[7, 1] = bold[5, 3] = value
    with pytest.raises(InputError, match="seg1_1: found NaN or infinite values in 2 of 5 vertices"):
        clean_run(bold, recording(), SMALL, "seg1_1")
    bold = fake_bold(13, seed=5)
    bold[0] = bold[12] = value  # volumes that the crop drops do no harm
    assert np.isfinite(clean_run(bold, recording(), SMALL, "seg1_1")).all()


def test_constant_vertices_become_zeros_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    bold = fake_bold(13, seed=6)
    bold[:, 0] = 0
    bold[:, 2] = 1e4
    bold[:, 3] = 9e3 + np.arange(13)  # a straight line is drift and nothing else
    with caplog.at_level(logging.WARNING):
        cleaned = clean_run(bold, recording(), SMALL, "seg1_1")
    assert not cleaned[:, [0, 2, 3]].any()
    np.testing.assert_allclose(cleaned[:, [1, 4]].std(0, ddof=1), 1, rtol=1e-5)
    assert "seg1_1: 3 constant vertices of 5" in caplog.text


def test_too_few_samples_for_the_polynomial_are_refused() -> None:
    settings = PreprocessRunSettings(crop={13: (4, 4)}, detrend_order=4)
    with pytest.raises(InputError, match="more than detrend_order"):
        clean_run(fake_bold(13, 1), recording(n_clips=5), settings, "run")
    with pytest.raises(ValueError, match="fits 5 samples exactly"):
        detrend(fake_bold(5, 1), 5)


def test_excluded_entries() -> None:
    assert parse_excluded(["test2:9", "seg1:1"]) == {("test2", 9), ("seg1", 1)}
    for bad in ("test2", "test2:", ":9", "test2:x", "test2:0", "seg1:\u00b2", "seg1:99999999"):
        with pytest.raises(InputError, match="movie:repeat"):
            parse_excluded([bad])


def test_runs_are_sorted_by_what_they_are_recordings_of() -> None:
    rows = [recording(name) for name in ("seg10_2", "seg10_1", "seg2_1", "test1_3")]
    paths = [Path(f"{number}.nii") for number in range(4)]  # whatever they are called
    left_out = {("seg2", 3), ("test1", 1), ("seg10", 2), ("seg99", 1)}
    files, count = runs_by_movie(paths, rows, left_out)
    assert list(files) == ["seg10", "seg2", "test1"]
    assert files["seg10"] == {1: (paths[1], rows[1])}
    assert files["seg2"] == {1: (paths[2], rows[2])}
    assert files["test1"] == {3: (paths[3], rows[3])}
    assert count == {"seg10": 2, "seg2": 3, "test1": 3}
    with pytest.raises(InputError, match="one file for seg2 repeat 1"):
        runs_by_movie([*paths, Path("b.nii")], [*rows, rows[2]], ())
    with pytest.raises(InputError, match="seg2: found every run excluded"):
        runs_by_movie(paths, rows, {("seg2", 1)})
    with pytest.raises(InputError, match="no file"):
        runs_by_movie([], [], ())
    with pytest.raises(InputError, match="4 files; expected 3"):
        runs_by_movie(paths, rows[:3], ())


def test_a_recording_says_where_its_movie_begins() -> None:
    row = recording(n_clips=20, first=4, lag=3)
    settings = PreprocessRunSettings(extra_lag_tr=1)
    assert volumes_kept(60, row, PUBLISHED, "run").tolist() == list(range(7, 27))
    assert volumes_kept(27, row, settings, "run").tolist() == [*range(8, 27), 26]
    with pytest.raises(InputError, match="26 volumes; expected at least 27: 4 before the movie, a lag of 3"):
        volumes_kept(26, row, PUBLISHED, "run")


def test_a_header_that_can_be_trusted_must_agree(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a.dtseries.nii", fake_bold(13, 1), tr=1.5)
    with pytest.raises(InputError, match=r"a TR of 1.5 s in its header; expected 2 s.*wrong_header_tr"):
        preprocess_run([path], [recording(first=1, header_tr=True)], VERTICES, SMALL)
    cleaned = preprocess_run([path], [recording(first=1)], VERTICES, SMALL)
    np.testing.assert_allclose(
        cleaned["seg1"][0], slow_clean(fake_bold(13, 1), list(range(1, 11)), 2, 1), atol=2e-6
    )


def test_confounds_are_removed_with_the_drift_in_one_fit(tmp_path: Path) -> None:
    """Against least squares on all regressors at once, vertex by vertex."""
    generator = np.random.default_rng(0)
    nuisance = generator.normal(size=(40, 3))
    nuisance[0, 1] = np.nan  # as fMRIPrep's derivatives begin
    mixing = generator.normal(0, 300, (3, 5))
    bold = (fake_bold(40, 2) + np.nan_to_num(nuisance) @ mixing).astype(np.float32)
    names = ["rot_x", "trans_x", "global"]
    table = pd.DataFrame(nuisance, columns=names).assign(constant=1.0, other="text")
    table.to_csv(tmp_path / "confounds.tsv", sep="\t", index=False, na_rep="n/a")
    row = recording(n_clips=30, first=2, lag=1, confounds=str(tmp_path / "confounds.tsv"))
    settings = PreprocessRunSettings(detrend_order=2)
    cleaned = clean_run(bold, row, settings, "run", [*names, "constant"])
    kept = slice(3, 33)
    time = np.linspace(0, 1, 30)
    regressors = np.column_stack([np.ones(30), time, time**2, nuisance[kept]])
    for vertex in range(5):
        values = bold[kept, vertex].astype(np.float64)
        rest = values - regressors @ np.linalg.lstsq(regressors, values, rcond=None)[0]
        np.testing.assert_allclose(cleaned[:, vertex], (rest - rest.mean()) / rest.std(ddof=1), atol=2e-5)
    # Without them the noise stays.
    assert np.abs(clean_run(bold, row, settings, "run") - cleaned).max() > 0.5
    with pytest.raises(InputError, match="gaps in trans_x"):
        clean_run(bold, recording(n_clips=30, first=0, confounds=row.confounds), settings, "run", ["trans_x"])
    with pytest.raises(InputError, match="found 40 rows; expected 39"):
        clean_run(bold[:39], row, settings, "run", names)
    with pytest.raises(InputError, match="csf"):
        clean_run(bold, row, settings, "run", ["csf"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """seg1 twice, test2 (14 volumes) with repeats 1, 3 and 4; repeat 2 was never recorded."""
    folder = tmp_path_factory.mktemp("runs")
    made = {("seg1", 1): 13, ("seg1", 2): 13, ("test2", 1): 14, ("test2", 3): 14, ("test2", 4): 14}
    return {
        run: write_run(folder / f"{run[0]}_{run[1]}_Atlas.dtseries.nii", fake_bold(count, seed))
        for seed, (run, count) in enumerate(made.items())
    }


def test_movies_hold_their_repeats_in_their_rows(
    runs: dict[tuple[str, int], Path], caplog: pytest.LogCaptureFixture
) -> None:
    paths = list(runs.values())[::-1]
    with caplog.at_level(logging.WARNING):
        cleaned = preprocess_run(paths, recordings_of(paths), VERTICES, SMALL, {("test2", 3)})
    assert list(cleaned) == ["test2", "seg1"]
    assert cleaned["seg1"].shape == (2, 10, 5)
    assert cleaned["test2"].shape == (4, 10, 5)
    assert cleaned["test2"].dtype == np.float32
    assert "test2: no data for repeat 2, 3" in caplog.text
    assert np.isnan(cleaned["test2"][[1, 2]]).all()
    for seed, (movie, repeat) in enumerate(runs):
        if (movie, repeat) != ("test2", 3):
            first = 1 if movie == "seg1" else 2
            bold = fake_bold(12 + first, seed)
            expected = slow_clean(bold, list(range(first, first + 10)), 2, 1)
            np.testing.assert_allclose(cleaned[movie][repeat - 1], expected, atol=2e-6)


def test_repeats_of_different_length_are_refused(runs: dict[tuple[str, int], Path]) -> None:
    settings = PreprocessRunSettings(crop={13: (1, 2)}, detrend_order=2)
    with pytest.raises(InputError, match=r"test2_1_Atlas.*found 14 volumes; expected 13"):
        preprocess_run(list(runs.values()), recordings_of(runs.values()), VERTICES, settings)
    rows = [recording("seg1_1"), recording("seg1_2", n_clips=8, first=1)]
    with pytest.raises(InputError, match="8 samples after the crop; expected 10, as in the other repeats"):
        preprocess_run([runs["seg1", 1], runs["seg1", 2]], rows, VERTICES, settings)


def test_bad_values_name_the_file(tmp_path: Path) -> None:
    bold = fake_bold(13, 1)
    bold[5, 0] = np.nan
    path = write_run(tmp_path / "seg1_1_Atlas.dtseries.nii", bold)
    with pytest.raises(InputError, match="1 of 5 vertices") as raised:
        preprocess_run([path], [recording()], VERTICES, SMALL)
    assert raised.value.where == str(path)
    # The same file is good where that vertex is not asked for.
    assert np.isfinite(preprocess_run([path], [recording()], VERTICES[1:], SMALL)["seg1"]).all()


def test_settings_from_json() -> None:
    given = parse_settings(PreprocessRunSettings, '{"crop": {"13": [1, 2]}, "detrend_order": 2}', "settings")
    assert given.crop == {13: (1, 2)}
    for bad in (
        {"crop": {}},
        {"crop": {"13": [7, 6]}},
        {"crop": {"13": [-1, 2]}},
        {"crop": {"13": 4}},
        {"crop": {"many": [1, 4]}},
        {"extra_lag_tr": 11},
        {"detrend_order": -1},
        {"ddof": 2},
        {"detrend": 4},
    ):
        with pytest.raises(InputError):
            parse_settings(PreprocessRunSettings, json.dumps(bad), "preprocess_run")


def test_program(runs: dict[tuple[str, int], Path], tmp_path: Path) -> None:
    selection = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=200))
    vertices = tmp_path / "vertices.safetensors"
    write_arrays(vertices, selection.arrays(), selection.meta() | {"computed_from": []})
    path = write_run(
        tmp_path / "seg1_2_Atlas.dtseries.nii", fake_bold(13, 7, len(selection.vertex)), 2, selection.vertex
    )
    out = tmp_path / "out" / "seg1.safetensors"
    program.main(
        runs=[path],
        recordings=[recording("seg1_2").text()],
        vertices=vertices,
        settings=SMALL,
        out=out,
        excluded=["seg1:1"],
    )
    arrays, meta = read_arrays(out)
    assert arrays["seg1"].shape == (2, 10, len(selection.vertex))
    assert np.isnan(arrays["seg1"][0]).all()
    assert np.isfinite(arrays["seg1"][1]).all()
    assert (meta["step"], meta["movies"], meta["excluded"]) == ("preprocess_run", ["seg1"], ["seg1:1"])
    assert meta["settings"]["crop"] == {"13": [1, 2], "14": [2, 2]}
    assert meta["vertices"] == vertices_digest(selection.vertex) != vertices_digest(selection.vertex[::-1])
