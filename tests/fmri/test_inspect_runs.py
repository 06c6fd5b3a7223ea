"""Recorded runs looked at: what is measured, against slow loops, and what is marked."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import inspect_runs as program
from fmri_runs import recordings_of, write_run
from neurocine.fmri.coverage import Samples
from neurocine.fmri.inspect import (
    InspectRunsSettings,
    agree_with_repeats,
    inspect_runs,
    lagged_correlations,
    low_outliers,
    mark_unusual,
    on_their_side,
    temporal_snr,
)
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.io import write_arrays

T, V = 30, 12
SETTINGS = InspectRunsSettings(max_lag_tr=6)
PREPROCESS = PreprocessRunSettings(crop={T + 2: (1, 1)}, detrend_order=1)


def signal(length: int, n_vertices: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((length, n_vertices))


def test_temporal_snr_is_mean_over_deviation_without_trend() -> None:
    bold = 1000 + 10 * signal(200, 5) + np.linspace(0, 500, 200)[:, None]
    bold[:, 4] = 7
    constant = np.array([False] * 4 + [True])
    found = temporal_snr(Samples(bold.astype(np.float32), constant), 1)
    slow = []
    for vertex in range(4):
        line = np.polyval(np.polyfit(np.arange(200), bold[:, vertex], 1), np.arange(200))
        slow.append(bold[:, vertex].mean() / np.sqrt(((bold[:, vertex] - line) ** 2).sum() / 198))
    assert found == pytest.approx(np.median(slow), rel=1e-4)
    assert np.isnan(temporal_snr(Samples(bold.astype(np.float32), np.ones(5, bool)), 1))


@pytest.mark.parametrize("delay", [-3, 0, 5])
def test_the_lag_of_a_late_run_is_found(delay: int) -> None:
    whole = signal(T + 20, V)
    others, run = whole[10 : 10 + T], whole[10 - delay : 10 - delay + T]
    run = np.hstack([run, np.zeros((T, 1))])  # a vertex without signal does not count
    curve = lagged_correlations(run, np.hstack([others, others[:, :1]]), 6)
    assert np.argmax(curve) - 6 == delay
    slow = [np.corrcoef(run[6:, v], others[: T - 6, v])[0, 1] for v in range(V)]
    assert curve[12] == pytest.approx(np.mean(slow))


def test_repeats_are_compared_with_the_mean_of_the_others() -> None:
    shared = signal(T, V)
    runs = np.stack([shared + 0.5 * signal(T, V, seed) for seed in (1, 2, 3)])
    runs -= runs.mean(1, keepdims=True)
    runs /= runs.std(1, keepdims=True)
    found = agree_with_repeats(runs, 4)
    for number, (correlation, lag) in enumerate(found):
        others = np.delete(runs, number, 0).mean(0)
        slow = [np.corrcoef(runs[number, :, v], others[:, v])[0, 1] for v in range(V)]
        assert correlation == pytest.approx(np.mean(slow))
        assert lag == 0
    ((correlation, lag),) = agree_with_repeats(runs[:1], 4)
    assert np.isnan([correlation, lag]).all()


def test_low_outliers_are_those_far_below_the_median() -> None:
    values = np.array([50.0, 51, 49, 52, 48, 20, 90, np.nan])
    np.testing.assert_array_equal(np.flatnonzero(low_outliers(values, 3.5)), [5])
    assert not low_outliers(np.array([1.0, 50, 50]), 3.5).any()


def test_areas_lie_on_the_side_of_their_names() -> None:
    selection = select_vertices(SelectVerticesSettings(areas=("V1",)))
    assert on_their_side(selection) == 1
    turned = VertexSelection(
        selection.vertex, selection.area, 1 - selection.hemisphere, selection.areas, selection.groups
    )
    assert on_their_side(turned) == 0
    assert np.isnan(on_their_side(VertexSelection.unplaced(4)))


def test_what_is_unusual_is_marked_and_nothing_else() -> None:
    usual = {"movie": "seg1", "volumes": 245, "tr_stated": 2.0, "tr_study": 2.0, "constant": 10, "tsnr": 50.0}
    usual |= {"repeat_correlation": 0.2, "best_lag_tr": 0.0, "right_side": 1.0}
    changes = [
        *({"tsnr": 50.0 + k, "repeat_correlation": 0.2 + 0.01 * k, "movie": f"seg{k}"} for k in range(6)),
        {"tr_stated": 1.0, "constant": 9000},
        {"tsnr": 10.0, "repeat_correlation": -0.3, "best_lag_tr": 5.0},
        {"best_lag_tr": -1.0},
        {"volumes": 200, "best_lag_tr": np.nan, "right_side": np.nan},
        {"right_side": 0.5, "tr_stated": np.nan},
    ]
    table = pd.DataFrame([usual | change for change in changes])
    assert mark_unusual(table, SETTINGS, 59412) == [
        *[""] * 6,
        "another TR; vertices without signal",
        "low temporal SNR; unlike its repeats; early or late",
        "",
        "another number of volumes",
        "another TR; areas on the other side",
    ]


def test_runs_of_a_subject_are_described(tmp_path: Path) -> None:
    selection = select_vertices(SelectVerticesSettings(areas=("V1", "MT"), every=20))
    shared = signal(T + 12, len(selection.vertex))
    paths = []
    for repeat, delay in ((1, 0), (2, 0), (3, 5)):
        noisy = 1000 + 20 * shared[6 - delay : 6 - delay + T + 2] + 4 * signal(T + 2, len(shared[0]), repeat)
        path = tmp_path / f"seg1_{repeat}_Atlas.dtseries.nii"
        paths.append(write_run(path, noisy.astype(np.float32), 1.0 if repeat == 2 else 2.0, selection.vertex))
    write_arrays(
        tmp_path / "vertices.safetensors", selection.arrays(), selection.meta() | {"computed_from": []}
    )
    rows = recordings_of(paths, T)
    # Other vertices are zero in these files, as in a broken download; here that is not the question.
    table = _written(tmp_path, paths, [row.text() for row in rows])
    assert list(table["repeat"]) == [1, 2, 3]
    assert list(table["volumes"]) == [T + 2] * 3
    assert list(table["tr_stated"]) == [2.0, 1.0, 2.0]
    assert list(table["best_lag_tr"][:2]) == [0, 0]
    assert table["best_lag_tr"][2] == 5
    assert (table["constant"] == 59412 - len(selection.vertex)).all()
    assert table["tsnr"].between(40, 60).all()
    assert list(table["marked"].str.contains("another TR")) == [False, True, False]
    assert list(table["marked"].str.contains("early or late")) == [False, False, True]
    again = inspect_runs(paths, rows, selection, PREPROCESS, SETTINGS)
    np.testing.assert_allclose(again["tsnr"], table["tsnr"], atol=1e-5)


def _written(folder: Path, paths: list[Path], recordings: list[str]) -> pd.DataFrame:
    program.main(
        runs=paths,
        recordings=recordings,
        vertices=folder / "vertices.safetensors",
        settings=SETTINGS,
        preprocess_run=PREPROCESS,
        out=folder / "runs.tsv",
    )
    table = pd.read_csv(folder / "runs.tsv", sep="\t", keep_default_na=False)
    assert set(table.columns) < set(json.loads((folder / "runs.json").read_text()))
    return table
