"""The reliability mask against scipy, on values and on files, and that test movies have no part in it."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import select_vertices as program
from fmri_runs import SMALL, recordings_of, slow_clean, write_run
from neurocine.errors import InputError
from neurocine.fmri.reliability import (
    reliable,
    repeat_correlation,
    select_reliable,
    t_over_movies,
)
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.io import read_arrays

SETTINGS = SelectVerticesSettings(roi_set="v1v4", every=150, reliable_count=6)
MOVIES = ("seg1", "seg2", "seg10")


def test_correlation_of_repeats_equals_numpy() -> None:
    draw = np.random.default_rng(0)
    repeats = [draw.normal(size=(20, 4)) * 3 + 1 for _ in range(3)]
    expected = [
        np.mean([
            np.arctanh(np.corrcoef(repeats[i][:, v], repeats[j][:, v])[0, 1])
            for i, j in ((0, 1), (0, 2), (1, 2))
        ])
        for v in range(4)
    ]  # fmt: skip
    np.testing.assert_allclose(repeat_correlation(repeats), expected)


def test_extreme_vertices_stay_finite() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    values[:, 1] = 5
    other = values.copy()
    other[:, 2] *= -1
    z = repeat_correlation([values, other])
    assert np.isfinite(z).all()
    assert z[0] > 5
    assert z[1] == 0
    assert z[2] < -5
    t = t_over_movies(np.array([z, z]))
    assert np.isfinite(t).all()
    assert t[1] == 0


def test_t_and_level_equal_scipy() -> None:
    z = np.random.default_rng(1).normal(0.4, 0.3, (6, 200))
    expected = stats.ttest_1samp(z, 0, alternative="greater")
    t = t_over_movies(z)
    np.testing.assert_allclose(t, expected.statistic)
    kept = reliable(t, 6, SelectVerticesSettings(reliable_p=0.05))
    np.testing.assert_array_equal(kept, expected.pvalue * 200 < 0.05)
    assert 0 < kept.sum() < 200
    best = reliable(t, 6, SelectVerticesSettings(reliable_count=7))
    assert set(np.flatnonzero(best)) == set(np.argsort(expected.pvalue)[:7])
    with pytest.raises(InputError, match=f"{kept.sum()} reliable vertices of 200; expected at least 190"):
        reliable(t, 6, SelectVerticesSettings(reliable_p=0.05, reliable_count=190))


def write_movies(folder: Path, movies: tuple[str, ...], signal: np.ndarray, vertex: np.ndarray) -> list[Path]:
    """Two repeats per movie; vertices with a signal share it between repeats."""
    runs = []
    for number, movie in enumerate(movies):
        shared = np.random.default_rng(number).normal(size=(13, len(vertex)))
        for repeat in (1, 2):
            noise = np.random.default_rng([number, repeat]).normal(size=(13, len(vertex)))
            bold = 1e4 + 100 * (signal * shared + (1 - signal) * noise)
            runs.append(write_run(folder / f"{movie}_{repeat}_Atlas.dtseries.nii", bold, 2.0, vertex))
    return runs


def test_program_keeps_the_vertices_that_repeat_in_hierarchy_order(tmp_path: Path) -> None:
    every = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=150))
    signal = np.zeros(len(every.vertex))
    chosen = np.random.default_rng(0).permutation(len(signal))[:6]
    signal[chosen] = 0.9
    runs = write_movies(tmp_path, MOVIES, signal, every.vertex)
    out = tmp_path / "vertices.safetensors"
    program.main(
        settings=SETTINGS,
        preprocess_run=SMALL,
        out=out,
        table=tmp_path / "vertices.tsv",
        runs=runs[::-1],
        recordings=[row.text() for row in recordings_of(runs[::-1])],
    )
    found = VertexSelection.read(out)
    np.testing.assert_array_equal(found.vertex, every.vertex[np.sort(chosen)])
    names = np.array(every.areas)[every.area]
    np.testing.assert_array_equal(np.array(found.areas)[found.area], names[np.sort(chosen)])
    assert len(found.groups) == len(found.areas) == len(set(found.area.tolist()))
    assert read_arrays(out)[1]["runs"] == [path.name for path in runs[::-1]]


def test_cleaning_is_that_of_the_training_data(tmp_path: Path) -> None:
    """Drift is common to repeats, so without detrending all vertices would look reliable."""
    every = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=150))
    runs = write_movies(tmp_path, MOVIES, np.linspace(0, 0.9, len(every.vertex)), every.vertex)
    z = []
    for movie in range(3):
        pair = []
        for repeat in (1, 2):
            shared = np.random.default_rng(movie).normal(size=(13, len(every.vertex)))
            noise = np.random.default_rng([movie, repeat]).normal(size=(13, len(every.vertex)))
            signal = np.linspace(0, 0.9, len(every.vertex))
            bold = (1e4 + 100 * (signal * shared + (1 - signal) * noise)).astype(np.float32)
            pair.append(slow_clean(bold, list(range(1, 11)), SMALL.detrend_order, SMALL.ddof))
        z.append(repeat_correlation(pair))
    expected = np.sort(np.argsort(-t_over_movies(np.array(z)))[:6])
    found = select_reliable(every, runs, recordings_of(runs), SETTINGS, SMALL)
    np.testing.assert_array_equal(found.vertex, every.vertex[expected])


def test_too_little_to_tell_is_refused(tmp_path: Path) -> None:
    every = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=150))
    runs = write_movies(tmp_path, MOVIES, np.full(len(every.vertex), 0.5), every.vertex)
    with pytest.raises(InputError, match="1 training movies with repeats; expected at least 2"):
        select_reliable(every, runs[:3], recordings_of(runs[:3]), SETTINGS, SMALL)
    given = {"preprocess_run": SMALL, "out": tmp_path / "v.safetensors", "table": tmp_path / "v.tsv"}
    with pytest.raises(InputError, match="0 runs; expected the runs of the training movies"):
        program.main(settings=SETTINGS, **given)
    with pytest.raises(InputError, match="none, for vertices chosen by area"):
        program.main(settings=SelectVerticesSettings(), runs=runs, **given)
    assert not (tmp_path / "v.safetensors").exists()
