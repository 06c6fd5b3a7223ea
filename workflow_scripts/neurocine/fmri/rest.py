"""Resting runs of HCP 3T as unlabelled samples to pretrain the fMRI encoder on.

As in DC-MAE: z-score each vertex over the run, average windows of 10 volumes (7.2 s, about the length of a
haemodynamic response), then one z-score over all values.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from neurocine.datasets.hcp_rest import REST_NAME
from neurocine.errors import InputError
from neurocine.fmri.cifti import read_dtseries
from neurocine.fmri.coverage import settle_samples
from neurocine.fmri.preprocess import zscore
from neurocine.settings import Count, Settings, Unit

log = logging.getLogger(__name__)
LEAVE_OUT = "name the subject in rest.exclude"


class PreprocessHcpSettings(Settings):
    """How resting runs become samples (DC-MAE's values)."""

    frames_per_sample: Annotated[Count, Unit("volumes")] = 10
    """This many volumes are averaged into one sample; DC-MAE takes 10 of 0.72 s in HCP 3T."""


def parse_rest(path: Path) -> str:
    """Name of a resting run, such as REST1_LR.

    Raises
    ------
    InputError : another file name
    """
    match = REST_NAME.fullmatch(Path(path).name)
    if match is None:
        raise InputError(
            path,
            "a name of another form",
            "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii or another cleaned file of an HCP release",
            "Give the cleaned dense time series of a resting run, of the 91k grid (not ..._1.6mm_...).",
        )
    return match["run"].removeprefix("rfMRI_")


def average_windows(bold: np.ndarray, length: int) -> np.ndarray:
    """Average consecutive windows of volumes; an incomplete last window is dropped.

    Parameters
    ----------
    bold : (T, V)
    length : volumes per window

    Returns
    -------
    (T // length, V)
    """
    count = len(bold) // length
    return np.asarray(bold[: count * length].reshape(count, length, bold.shape[1]).mean(1))


def preprocess_hcp(runs: Sequence[Path], vertices: np.ndarray, settings: PreprocessHcpSettings) -> np.ndarray:
    """Turn the resting runs of one subject into samples.

    Parameters
    ----------
    runs : cleaned dense time series; taken in the order of their run names
    vertices : (V,) cortical grayordinates
    settings : section preprocess_hcp of the config

    Returns
    -------
    (n_samples, V) float32, mean 0 and variance 1 over all values together

    Raises
    ------
    InputError : no run, bad file or name, a run twice or too short, bad values as in `settle_samples`
    """
    named: dict[str, Path] = {}
    for path in runs:
        run = parse_rest(path)
        if run in named:
            raise InputError(path, f"also {named[run]}", f"one file for {run}", "Give one of them.")
        named[run] = Path(path)
    if not named:
        raise InputError("rest", "no file", "at least one resting run", "Give the runs of the subject.")
    samples = []
    for _, path in sorted(named.items()):
        bold, tr = read_dtseries(path, vertices)
        if len(bold) < settings.frames_per_sample:
            raise InputError(
                path,
                f"{len(bold)} volumes",
                f"at least frames_per_sample = {settings.frames_per_sample}",
                f"Lower preprocess_hcp.frames_per_sample, or {LEAVE_OUT}.",
            )
        bold = settle_samples(bold, path, LEAVE_OUT).bold
        scaled = zscore(bold, 0, np.abs(bold).max(0).astype(np.float64), path)
        samples.append(average_windows(scaled, settings.frames_per_sample))
        log.info("%s: %d samples of %.2f s", path.name, len(samples[-1]), tr * settings.frames_per_sample)
    joined = np.concatenate(samples)
    spread = joined.std(dtype=np.float64)
    return ((joined - joined.mean(dtype=np.float64)) / spread).astype(np.float32)
