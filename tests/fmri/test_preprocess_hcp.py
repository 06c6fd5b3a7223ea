"""Resting runs: z-score, windows of volumes, one global z-score, both namings, bad files."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

import preprocess_hcp as program
from fmri_runs import VERTICES, fake_bold, write_run
from neurocine.errors import InputError
from neurocine.fmri.preprocess import vertices_digest
from neurocine.fmri.rest import PreprocessHcpSettings, average_windows, parse_rest, preprocess_hcp
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import read_arrays, write_arrays
from neurocine.settings import parse_settings

OLD = "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii"
NEW = "rfMRI_REST1_RL_Atlas_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii"
SETTINGS = PreprocessHcpSettings(frames_per_sample=4)


def slow_samples(runs: list[np.ndarray], length: int) -> np.ndarray:
    rows = []
    for bold in runs:
        values = bold.astype(np.float64)
        scaled = (values - values.mean(0)) / values.std(0)
        for first in range(0, len(bold) - length + 1, length):
            rows.append(sum(scaled[first + frame] for frame in range(length)) / length)
    joined = np.array(rows)
    return (joined - joined.mean()) / joined.std()


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("rest")
    return [write_run(folder / name, fake_bold(14, seed), 0.72) for seed, name in enumerate((OLD, NEW))]


def test_equals_the_slow_reference(rest: list[Path]) -> None:
    expected = slow_samples([fake_bold(14, 0), fake_bold(14, 1)], 4)
    samples = preprocess_hcp(rest, VERTICES, SETTINGS)
    assert (samples.shape, samples.dtype) == ((6, 5), np.float32)  # 14 volumes give 3 windows of 4
    np.testing.assert_allclose(samples, expected, atol=1e-5)
    np.testing.assert_array_equal(preprocess_hcp(rest[::-1], VERTICES, SETTINGS), samples)
    assert PreprocessHcpSettings().frames_per_sample == 10


def test_windows_of_the_published_length() -> None:
    bold = np.arange(1200.0)[:, None] * np.ones(3)
    averaged = average_windows(bold, 10)
    assert averaged.shape == (120, 3)
    np.testing.assert_allclose(averaged[:, 0], np.arange(120) * 10 + 4.5)


@pytest.mark.parametrize(
    ("name", "run"),
    [
        (OLD, "REST1_LR"),
        (NEW, "REST1_RL"),
        ("rfMRI_REST2_LR_Atlas_hp2000_clean.dtseries.nii.gz", "REST2_LR"),
        ("rfMRI_REST3_7T_PA_Atlas_MSMAll_hp2000_clean.dtseries.nii", "REST3_7T_PA"),
    ],
)
def test_names(name: str, run: str) -> None:
    assert parse_rest(Path(name)) == run


@pytest.mark.parametrize(
    "name", ["rfMRI_REST1_LR_Atlas_MSMAll.dtseries.nii", "tfMRI_WM_LR_Atlas.dtseries.nii"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="a name of another form"):
        parse_rest(Path(name))


def test_constant_vertices_become_equal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bold = fake_bold(14, 0)
    bold[:, 1] = 5000
    path = write_run(tmp_path / OLD, bold, 0.72)
    with caplog.at_level(logging.WARNING):
        samples = preprocess_hcp([path], VERTICES, SETTINGS)
    assert "1 constant vertices of 5" in caplog.text
    assert np.ptp(samples[:, 1]) == 0
    assert np.isfinite(samples).all()


def test_bad_runs_are_refused(rest: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        preprocess_hcp([], VERTICES, SETTINGS)
    twin = rest[0].with_name(OLD.replace("_clean", "_clean_rclean_tclean"))
    with pytest.raises(InputError, match="one file for REST1_LR"):
        preprocess_hcp([rest[0], twin], VERTICES, SETTINGS)
    with pytest.raises(InputError, match="14 volumes; expected at least frames_per_sample = 15"):
        preprocess_hcp(rest, VERTICES, PreprocessHcpSettings(frames_per_sample=15))
    bold = fake_bold(14, 0)
    bold[3, 2] = np.inf
    with pytest.raises(InputError, match=r"1 of 5 vertices.*rest\.exclude"):
        preprocess_hcp([write_run(tmp_path / OLD, bold)], VERTICES, SETTINGS)
    with pytest.raises(InputError, match="5 of 5 vertices constant"):
        preprocess_hcp([write_run(tmp_path / OLD, np.ones((14, 5), np.float32))], VERTICES, SETTINGS)
    for bad in (0, -1, True):
        with pytest.raises(InputError):
            parse_settings(PreprocessHcpSettings, json.dumps({"frames_per_sample": bad}), "preprocess_hcp")


def test_vertices_that_were_not_recorded_count_as_constant(tmp_path: Path) -> None:
    bold = fake_bold(14, 0)
    bold[:, 1] = np.nan
    samples = preprocess_hcp([write_run(tmp_path / OLD, bold)], VERTICES, SETTINGS)
    bold[:, 1] = 7
    np.testing.assert_array_equal(
        preprocess_hcp([write_run(tmp_path / OLD, bold)], VERTICES, SETTINGS), samples
    )


def test_program(tmp_path: Path) -> None:
    selection = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=200))
    vertices, out = tmp_path / "vertices.safetensors", tmp_path / "100307.safetensors"
    write_arrays(vertices, selection.arrays(), selection.meta() | {"computed_from": []})
    bold = fake_bold(14, 3, len(selection.vertex))
    run = write_run(tmp_path / OLD, bold, 0.72, selection.vertex)
    program.main(rest=[run], subjects=["100307"], vertices=vertices, settings=SETTINGS, out=out)
    arrays, meta = read_arrays(out, ["100307"])
    np.testing.assert_allclose(arrays["100307"], slow_samples([bold], 4), atol=1e-5)
    assert (meta["step"], meta["runs"]) == ("preprocess_hcp", {"100307": [OLD]})
    assert meta["vertices"] == vertices_digest(selection.vertex)
