"""Small runs in real files, and the slow obvious cleaning to compare with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import assemble_test
import assemble_train
from neurocine.datasets.base import Recording
from neurocine.fmri.assemble import AssembleTestSettings, AssembleTrainSettings
from neurocine.fmri.cifti import write_dtseries
from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.io import write_arrays

VERTICES = np.array([59_411, 5, 29_696, 120, 40_000])
CROP = {13: (1, 2), 14: (2, 2)}  # leaves 10 samples, as 245 and 246 leave 240
SMALL = PreprocessRunSettings(crop=CROP, detrend_order=2)


def fake_bold(n_volumes: int, seed: int, n_vertices: int = len(VERTICES)) -> np.ndarray:
    """(T, V) float32 like scanner units: a large mean, drift and noise."""
    generator = np.random.default_rng(seed)
    drift = np.linspace(0, 1, n_volumes)[:, None] ** 2 * generator.normal(0, 300, n_vertices)
    return (1e4 + drift + generator.normal(0, 100, (n_volumes, n_vertices))).astype(np.float32)


def write_run(path: Path, bold: np.ndarray, tr: float = 2.0, vertices: np.ndarray = VERTICES) -> Path:
    """Write a 91k file with these time courses at the vertices and zeros elsewhere."""
    data = np.zeros((len(bold), GRAYORDINATES), np.float32)
    data[:, vertices] = bold
    write_dtseries(path, data, tr)
    return path


def recording(name: str = "seg1_1", n_clips: int = 10, **more: Any) -> Recording:
    """A recording called movie_repeat, as in the names of the files here."""
    movie, repeat = name.split("_")[:2]
    return Recording(movie, int(repeat), n_clips, 2.0, **more)


def recordings_of(paths: Iterable[Path], n_clips: int = 10) -> list[Recording]:
    """What files named movie_repeat_... are recordings of."""
    return [recording(path.name, n_clips) for path in paths]


def slow_clean(bold: np.ndarray, volumes: list[int], order: int, ddof: int) -> np.ndarray:
    """Crop, fit a polynomial on t in [0, 1] and z-score, one vertex after another."""
    samples = bold[volumes].astype(np.float64)
    time = np.linspace(0, 1, len(samples))
    cleaned = np.empty_like(samples)
    for vertex in range(samples.shape[1]):
        fit = np.polyval(np.polyfit(time, samples[:, vertex], order), time)
        rest = samples[:, vertex] - fit
        cleaned[:, vertex] = (rest - rest.mean()) / rest.std(ddof=ddof)
    return cleaned


def write_cleaned(path: Path, arrays: dict[str, np.ndarray], **changes: object) -> Path:
    """Write what preprocess_run makes: movie -> (n_repeats, T, V)."""
    meta = {
        "step": "preprocess_run",
        "settings": {"ddof": 1},
        "vertices": "abc",
        "movies": list(arrays),
        "computed_from": list(arrays),
        "excluded": [],
    }
    write_arrays(path, arrays, meta | changes)
    return path


def run_assemble(folder: Path, train: list[Path], test: list[Path]) -> tuple[Path, Path]:
    """Run both programs; return the training and the test file."""
    outs = folder / "train.safetensors", folder / "test.safetensors"
    assemble_train.main(train=train, settings=AssembleTrainSettings(), out=outs[0])
    assemble_test.main(test=test, train=outs[0], settings=AssembleTestSettings(), out=outs[1])
    return outs
