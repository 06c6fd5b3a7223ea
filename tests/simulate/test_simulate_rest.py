"""Simulated rest: moments, structure worth learning, and the program's file."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.fmri.cifti import check_dtseries, read_dtseries
from neurocine.fmri.parcellation import area_vertices
from neurocine.settings import parse_settings
from neurocine.simulate.rest import SimulateRestSettings, simulate_rest

AREAS = area_vertices()


def zscored(bold: np.ndarray) -> np.ndarray:
    return (bold - bold.mean(0)) / bold.std(0)


def test_level_and_autocorrelation_follow_the_settings() -> None:
    rows = AREAS[0, "V1"][::3]
    settings = SimulateRestSettings(volumes=1500, drift=0.0)
    bold = simulate_rest("100206", settings, 1, rows)
    assert bold.shape == (1500, len(rows))
    assert (bold.std(0) / bold.mean(0)).mean() == pytest.approx(0.015, rel=0.05)
    z = zscored(bold)
    assert (z[1:] * z[:-1]).mean() == pytest.approx((0.9 + 0.3) / 2, abs=0.04)


def test_vertices_of_an_area_predict_each_other() -> None:
    rows = np.sort(np.concatenate([AREAS[0, "V1"], AREAS[0, "4"]]))
    z = zscored(simulate_rest("100206", SimulateRestSettings(volumes=2000), 1, rows))
    correlation = np.abs(z.T @ z / len(z))
    seen = np.isin(rows, AREAS[0, "V1"])
    neighbours = np.diag(correlation, 1)[np.diff(rows) == 1].mean()
    within = correlation[np.ix_(seen, seen)]
    same = within[~np.eye(len(within), dtype=bool)].mean()
    other = correlation[np.ix_(seen, ~seen)].mean()
    assert neighbours > 1.2 * same
    assert same > 2 * other


def test_same_tuning_means_same_signal_across_hemispheres() -> None:
    rows = np.sort(np.concatenate([AREAS[0, "MT"], AREAS[1, "MT"], AREAS[1, "1"]]))
    z = zscored(simulate_rest("100206", SimulateRestSettings(volumes=3000, structured_share=0.9), 1, rows))
    left, right = np.isin(rows, AREAS[0, "MT"]), np.isin(rows, AREAS[1, "MT"])
    correlation = z.T @ z / len(z)
    tuned = (correlation[np.ix_(left, right)] ** 2).mean()
    untuned = (correlation[np.ix_(left, ~left & ~right)] ** 2).mean()
    # The two hemispheres share no area and no neighbours, only features.
    assert tuned > 1.5 * untuned


def test_rows_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        simulate_rest("100206", SimulateRestSettings(volumes=12), 1, np.array([5, 4]))


def test_seed_and_subject_decide() -> None:
    rows = AREAS[1, "V2"]
    settings = SimulateRestSettings(volumes=20)
    run = simulate_rest("a", settings, 1, rows)
    np.testing.assert_array_equal(run, simulate_rest("a", settings, 1, rows))
    assert (run != simulate_rest("b", settings, 1, rows)).any()
    assert (run != simulate_rest("a", settings, 2, rows)).any()


def test_runs_of_a_subject_share_structure_and_not_activity() -> None:
    rows = AREAS[1, "V2"]
    settings = SimulateRestSettings(volumes=3000, structured_share=0.9)
    first, second = (
        zscored(simulate_rest("a", settings, 1, rows, name)) for name in ("REST1_LR", "REST1_RL")
    )
    assert abs((first * second).mean()) < 0.05
    patterns = [np.corrcoef(run.T)[np.triu_indices(len(rows), 1)] for run in (first, second)]
    assert np.corrcoef(patterns)[0, 1] > 0.6


@pytest.mark.parametrize(
    "wrong", [{"volumes": 3}, {"structured_share": 2.0}, {"tr": 0.0}, {"noise_autocorrelation": 1.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        parse_settings(SimulateRestSettings, json.dumps(wrong), "simulate_rest")


def test_program_writes_a_rest_run(tmp_path: Path) -> None:
    program = importlib.import_module("simulate_rest")
    out = tmp_path / "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii"
    program.main(subjects=["100206"], seed=1, settings=SimulateRestSettings(volumes=12), out=[out])
    assert check_dtseries(out) == (12, pytest.approx(0.72))
    rows = AREAS[0, "V1"]
    # The file holds what the library makes, at the right grayordinates.
    bold, _ = read_dtseries(out, rows)
    expected = simulate_rest("100206", SimulateRestSettings(volumes=12), 1, run=out.name)
    np.testing.assert_array_equal(bold, expected[:, rows])
