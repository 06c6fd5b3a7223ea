"""Vertices without signal: where a run has no data, and runs that cannot be used at all.

Recordings that do not cover all of cortex have vertices that are NaN (fMRIPrep, XCP-D) or a constant in
every volume. They are no fault of the file and count as constant. NaN in some volumes only, infinite
values, or a run that is constant nearly everywhere are.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.parcellation import AreaVertices

MOST = 0.5  # fraction of the cortex without signal from which on a run is refused, whatever is asked of it
LISTED_AREAS = 12  # with most vertices without signal


@dataclass(frozen=True, eq=False)
class Samples:
    """Time courses that are finite, and where they hold no signal.

    Attributes
    ----------
    bold : (T, V) float32; vertices that were NaN in every volume are 0
    constant : (V,) bool, vertices without signal
    """

    bold: np.ndarray
    constant: np.ndarray


def refuse_nonfinite(bold: np.ndarray, where: str | Path, todo: str) -> None:
    """Raise InputError where samples (T, V) hold NaN or infinity, naming the number of vertices."""
    bad = int((~np.isfinite(bold)).any(0).sum())
    if bad:
        found = f"NaN or infinite values in {bad} of {bold.shape[1]} vertices"
        raise InputError(where, found, "finite values", todo)


def settle_samples(bold: np.ndarray, where: str | Path, leave_out: str, refused: float = 1.0) -> Samples:
    """Set vertices that are NaN in every volume to 0; refuse what is no recording.

    Parameters
    ----------
    bold : (T, V) float32
    where : run, for messages
    leave_out : how to go on without the run, for messages
    refused : fraction of vertices without signal from which on the run is refused; all of them by default

    Raises
    ------
    InputError : NaN in some volumes of a vertex, infinite values, or too few vertices with signal
    """
    absent = np.isnan(bold).all(0)
    bad = int((~np.isfinite(bold)).any(0).sum() - absent.sum())
    todo = f"Copy the run again, or {leave_out}."
    if bad:
        found = f"NaN or infinite values in {bad} of {bold.shape[1]} vertices"
        expected = "finite values, or NaN in every volume of a vertex that was not recorded"
        raise InputError(where, found, expected, todo)
    finite = np.where(absent, np.float32(0), bold) if absent.any() else bold
    constant = (finite == finite[0]).all(0)
    if constant.sum() >= refused * len(constant):
        found = f"{constant.sum()} of {len(constant)} vertices constant or NaN in all volumes"
        wanted = "most of them" if refused < 1 else "some of them"
        expected = f"signal in {wanted} (a download that was broken off can leave zeros)"
        raise InputError(where, found, expected, todo)
    return Samples(finite, constant)


def count_by_area(constant: np.ndarray, areas: AreaVertices) -> str:
    """Say how many vertices of the cortex have no signal, and in which areas; empty where all have one.

    Parameters
    ----------
    constant : (59 412,) bool
    areas : vertices of each area
    """
    if not constant.any():
        return ""
    counts: dict[str, int] = {}
    for (_, area), vertices in areas.items():
        counts[area] = counts.get(area, 0) + int(constant[vertices].sum())
    most = sorted((area for area in counts if counts[area]), key=lambda area: (-counts[area], area))
    named = [f"{area} {counts[area]}" for area in most[:LISTED_AREAS]]
    more = [f"{len(most) - LISTED_AREAS} more areas"] if len(most) > LISTED_AREAS else []
    text = f"{constant.sum()} of {CORTEX} vertices without signal (constant or NaN in all volumes)"
    return ": ".join([text, *([", ".join([*named, *more])] if named else [])])
