"""Clean the runs of one subject: crop to the movie, remove drift, z-score each vertex.

The data set's own processing (Wen 2018): scans have 245 volumes where they started one volume after the
movie and 246 where they started with it, so dropping the first 1 or 2 and the last 4 leaves 240 samples, and
sample j was measured at movie time 2j+4...2j+6 s. That is a haemodynamic shift of 4 s already; more is an
error except in a lag sweep.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.datasets.base import Recording, pair
from neurocine.errors import InputError
from neurocine.fmri.cifti import read_dtseries
from neurocine.fmri.coverage import Samples, settle_samples
from neurocine.fmri.volumes import VoxelGrid, read_volumes
from neurocine.io import read_table
from neurocine.section_checks import crop_leaves_samples
from neurocine.settings import Check, Count, CountOrZero, KeyPattern, Settings, Unit

log = logging.getLogger(__name__)

MAX_LAG = 10  # TR
TR_SLACK = 0.01  # fraction by which the TR of a header may differ
RANK_SLACK = 1e-8  # of a confound's size: what is left of it beside the polynomial counts as none below this
# Below this share of a vertex's largest value, what detrending leaves is rounding of float32, not signal.
ROUNDING = 1e-6


def _wen2018_crop() -> dict[int, tuple[int, int]]:
    return {245: (1, 4), 246: (2, 4)}


class PreprocessRunSettings(Settings):
    """How one run becomes samples that belong to the movie's clips (published values of Wen 2018)."""

    checks: ClassVar[tuple[Check, ...]] = (crop_leaves_samples,)

    crop: Annotated[
        Mapping[Count, tuple[CountOrZero, CountOrZero]],
        Field(min_length=1),
        KeyPattern("^[1-9][0-9]*$"),
        Unit("volumes"),
    ] = {
        245: (1, 4),
        246: (2, 4),
    }
    """Map the volumes in a file to those to drop at the start and at the end; other lengths are refused."""
    extra_lag_tr: Annotated[int, Field(ge=-MAX_LAG, le=MAX_LAG), Unit("TR")] = 0
    """Samples are taken this much later than the crop says; 0 is right, other values are for a lag sweep."""
    detrend_order: Annotated[int, Field(ge=0, le=10)] = 4
    """A polynomial of this degree is removed from each vertex; 0 removes the mean only."""
    ddof: Literal[0, 1] = 1
    """Z-scores divide by the standard deviation with N - ddof (1 in the official code, 0 in Mind-Animator's).
    """


def parse_excluded(entries: Iterable[str]) -> set[tuple[str, int]]:
    """Read ``movie:repeat`` entries.

    Raises
    ------
    InputError : another form
    """
    pairs = set()
    for entry in entries:
        movie, _, repeat = entry.partition(":")
        if not movie or not re.fullmatch(r"[0-9]{1,4}", repeat) or int(repeat) < 1:
            raise InputError("excluded", repr(entry), "movie:repeat such as test2:9", "Correct exclude_runs.")
        pairs.add((movie, int(repeat)))
    return pairs


def volumes_kept(
    n_volumes: int, recording: Recording, settings: PreprocessRunSettings, where: str | Path
) -> np.ndarray:
    """Volume that each sample takes.

    Sample j takes volume ``first + j + extra_lag_tr``, where ``first`` is that of the crop table, or where
    the recording's movie begins, and its lag. With an extra lag it reaches into the volumes that are dropped;
    beyond the recording its first or last volume is repeated.

    Returns
    -------
    (n_samples,) int64, indices into the file's volumes

    Raises
    ------
    InputError : the crop table has no entry for this number of volumes or leaves another number of samples
        than the movie has clips, or the recording ends before the movie
    """
    if recording.first is None:
        if n_volumes not in settings.crop:
            raise InputError(
                where,
                f"{n_volumes} volumes",
                f"{' or '.join(map(str, sorted(settings.crop)))}",
                "Add the length to preprocess_run.crop in the config, or list the run in exclude_runs.",
            )
        first, last = settings.crop[n_volumes]
        if n_volumes - first - last != recording.n_clips:
            found, expected = (
                f"{n_volumes - first - last} samples after the crop",
                f"{recording.n_clips} clips",
            )
            raise InputError(where, found, expected, "Correct preprocess_run.crop or the movie's clips.")
    else:
        first = recording.first + recording.lag
        if first + recording.n_clips > n_volumes:
            expected = (
                f"at least {first + recording.n_clips}: {recording.first} before the movie, a lag of "
                f"{recording.lag} and {recording.n_clips} clips"
            )
            raise InputError(
                where,
                f"{n_volumes} volumes",
                expected,
                "Copy the run again, or correct where the movie begins and ends in it.",
            )
    wanted = np.arange(first, first + recording.n_clips) + settings.extra_lag_tr
    return np.clip(wanted, 0, n_volumes - 1)


def refuse_other_tr(tr: float, recording: Recording, where: str | Path, place: str = "header") -> None:
    """Raise InputError where the TR (s) that a file states can be trusted and is not the recording's."""
    if recording.header_tr and not abs(tr - recording.tr) <= TR_SLACK * recording.tr:
        todo = (
            "Give the run as recorded. In a sample sheet, correct the column tr, or set "
            "sheet.wrong_header_tr if the headers of these files are wrong."
        )
        raise InputError(where, f"a TR of {tr:g} s in its {place}", f"{recording.tr:g} s", todo)


def read_confounds(path: Path, columns: Sequence[str], n_volumes: int) -> np.ndarray:
    """Read nuisance time courses, such as fMRIPrep's table of confounds.

    Parameters
    ----------
    path : TSV with a row per volume
    columns : to read
    n_volumes : of the run

    Returns
    -------
    (n_volumes, n_columns) float64, NaN where the table has no number

    Raises
    ------
    InputError : an absent column, or another number of rows
    """
    table = read_table(path, list(columns))
    if len(table) != n_volumes:
        todo = "Give the table of this run."
        raise InputError(path, f"{len(table)} rows", f"{n_volumes}, one per volume", todo)
    return table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)


def detrend(bold: np.ndarray, order: int, confounds: np.ndarray | None = None) -> np.ndarray:
    """Remove the least-squares polynomial of time (t in [0, 1]) from each vertex, with confounds in one fit.

    Parameters
    ----------
    bold : (T, V)
    order : degree, below T
    confounds : (T, K) nuisance time courses, of any scale; a constant one changes nothing

    Returns
    -------
    (T, V) float64
    """
    if order >= len(bold):
        raise ValueError(f"a polynomial of degree {order} fits {len(bold)} samples exactly")
    # Legendre polynomials span the same space as 1, t, t^2... and are better conditioned.
    basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, len(bold)), order))
    values = np.asarray(bold, np.float64)
    if confounds is not None:
        basis = np.hstack([basis, _beside(basis, np.asarray(confounds, np.float64))])
    return np.asarray(values - basis @ (basis.T @ values))


def _beside(basis: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Orthonormal directions of columns (T, K) that a basis (T, B) does not span: (T, at most K)."""
    scale = np.abs(columns).max(0)
    unit = columns / np.where(scale > 0, scale, 1)
    left = unit - basis @ (basis.T @ unit)
    directions, sizes, _ = np.linalg.svd(left, full_matrices=False)
    return np.asarray(directions[:, sizes > RANK_SLACK * np.sqrt(len(columns))])


def zscore(values: np.ndarray, ddof: int, scale: np.ndarray, where: str | Path) -> np.ndarray:
    """Standardise each vertex over time; a constant vertex becomes zeros, with a warning.

    Parameters
    ----------
    values : (T, V)
    ddof : the standard deviation divides by T - ddof
    scale : (V,), size of the recorded values; variation below `ROUNDING` of it counts as none
    where : run, for the warning

    Returns
    -------
    (T, V) float32
    """
    centred = values - values.mean(0, dtype=np.float64)
    deviation = centred.std(0, ddof=ddof)
    constant = ~(deviation > ROUNDING * scale)
    if constant.any():
        log.warning("%s: %d constant vertices of %d set to 0", where, constant.sum(), len(constant))
    return np.where(constant, 0, centred / np.where(constant, 1, deviation)).astype(np.float32)


def kept_samples(
    bold: np.ndarray,
    recording: Recording,
    settings: PreprocessRunSettings,
    where: str | Path,
    refused: float = 1.0,
) -> Samples:
    """Crop a run to the movie and check its values; what is not recorded of it counts as constant.

    Parameters
    ----------
    bold : (T, V) float32, scanner units
    recording : what the run is a recording of
    settings : section preprocess_run of the config
    where : file or run, for messages
    refused : see `settle_samples`

    Raises
    ------
    InputError : as `volumes_kept`; NaN or infinity in some samples of a vertex, hardly any
        vertex with signal
    """
    samples = bold[volumes_kept(len(bold), recording, settings, where)]
    return settle_samples(samples, where, "list it in exclude_runs", refused)


def clean_run(
    bold: np.ndarray,
    recording: Recording,
    settings: PreprocessRunSettings,
    where: str | Path,
    confounds: Sequence[str] = (),
) -> np.ndarray:
    """Crop, detrend and z-score one run.

    Parameters
    ----------
    bold : (T, V) float32, scanner units
    recording : what the run is a recording of
    settings : section preprocess_run of the config
    where : file or run, for messages
    confounds : columns of the recording's table that are removed with the polynomial

    Returns
    -------
    (n_samples, V) float32, unit variance over time per vertex

    Raises
    ------
    InputError : as `kept_samples` and `read_confounds`; too few samples
    """
    samples = kept_samples(bold, recording, settings, where).bold
    nuisance = None
    if confounds and recording.confounds:
        volumes = volumes_kept(len(bold), recording, settings, where)
        nuisance = read_confounds(Path(recording.confounds), confounds, len(bold))[volumes]
        if not np.isfinite(nuisance).all():
            bad = [
                name for name, good in zip(confounds, np.isfinite(nuisance).all(0), strict=True) if not good
            ]
            todo = "Choose columns that have a number for every volume of the movie."
            raise InputError(recording.confounds, f"gaps in {', '.join(bad)}", "finite values", todo)
    fitted = settings.detrend_order + 1 + (0 if nuisance is None else nuisance.shape[1])
    if len(samples) <= fitted:
        raise InputError(
            where,
            f"{len(samples)} samples after the crop",
            f"more than detrend_order + 1 and the confounds, {fitted}",
            "Correct the crop, detrend_order or the confounds.",
        )
    scale = np.abs(samples).max(0).astype(np.float64)
    return zscore(detrend(samples, settings.detrend_order, nuisance), settings.ddof, scale, where)


def runs_by_movie(
    runs: Iterable[Path], recordings: Iterable[Recording], excluded: Iterable[tuple[str, int]]
) -> tuple[dict[str, dict[int, tuple[Path, Recording]]], dict[str, int]]:
    """Sort runs by movie and repeat, and leave out the excluded ones.

    Parameters
    ----------
    runs : files
    recordings : what they are recordings of, in the same order
    excluded : (movie, repeat)

    Returns
    -------
    files : movie -> repeat -> file and recording, movies in the order in which they first appear
    n_repeats : movie -> highest repeat among its files and exclusions

    Raises
    ------
    InputError : other numbers of files and recordings, two files of one repeat, or a movie of which no run is
        left
    """
    left_out = set(excluded)
    files: dict[str, dict[int, tuple[Path, Recording]]] = {}
    n_repeats: dict[str, int] = {}
    seen: dict[tuple[str, int], Path] = {}
    for path, recording in pair(runs, recordings):
        run = movie, repeat = recording.movie, recording.repeat
        if run in seen:
            raise InputError(
                path, f"also {seen[run]}", f"one file for {movie} repeat {repeat}", "Remove one."
            )
        seen[run] = path
        n_repeats[movie] = max(repeat, n_repeats.get(movie, 0))
        files.setdefault(movie, {})
        if run in left_out:
            log.info("%s repeat %d left out, as the config says", movie, repeat)
        else:
            files[movie][repeat] = path, recording
    for movie, repeat in left_out:
        if movie in n_repeats:
            n_repeats[movie] = max(repeat, n_repeats[movie])
    for movie, repeats in files.items():
        if not repeats:
            raise InputError(movie, "every run excluded", "at least one", "Take the movie out of the config.")
    if not files:
        raise InputError("runs", "no file", "at least one run", "Give the runs of a movie.")
    return files, n_repeats


def read_run(
    path: Path, recording: Recording, vertices: np.ndarray, grid: VoxelGrid | None = None
) -> np.ndarray:
    """Read the time courses (T, V) of vertices or voxels; InputError where a header's TR is another."""
    if grid is not None:
        return read_volumes(path, vertices, grid)
    bold, tr = read_dtseries(path, vertices)
    refuse_other_tr(tr, recording, path)
    return bold


def preprocess_run(
    runs: Sequence[Path],
    recordings: Sequence[Recording],
    vertices: np.ndarray,
    settings: PreprocessRunSettings,
    excluded: Iterable[tuple[str, int]] = (),
    grid: VoxelGrid | None = None,
    confounds: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Clean the runs of one or more movies of one subject.

    Parameters
    ----------
    runs : dense time series, or volumes
    recordings : what they are recordings of, in the same order
    vertices : (V,) cortical grayordinates, or voxels of the grid
    settings : section preprocess_run of the config
    excluded : (movie, repeat) that must not be used
    grid : of the volumes
    confounds : columns of the recordings' tables that are removed

    Returns
    -------
    movie -> (n_repeats, n_samples, V) float32; an excluded or missing repeat is NaN

    Raises
    ------
    InputError : bad file, number of volumes or values; repeats of one movie that differ in length
    """
    files, n_repeats = runs_by_movie(runs, recordings, excluded)
    cleaned: dict[str, np.ndarray] = {}
    for movie, repeats in files.items():
        for repeat, (path, recording) in sorted(repeats.items()):
            bold = read_run(path, recording, vertices, grid)
            samples = clean_run(bold, recording, settings, path, confounds)
            if movie not in cleaned:
                shape = (n_repeats[movie], *samples.shape)
                cleaned[movie] = np.full(shape, np.nan, np.float32)
            elif samples.shape != cleaned[movie].shape[1:]:
                raise InputError(
                    path,
                    f"{len(samples)} samples after the crop",
                    f"{cleaned[movie].shape[1]}, as in the other repeats of {movie}",
                    "Correct preprocess_run.crop, or list the run in exclude_runs.",
                )
            twins = [
                other + 1
                for other, earlier_samples in enumerate(cleaned[movie])
                if np.array_equal(earlier_samples, samples)
            ]
            if twins:
                found = f"the same values as repeat {twins[0]} of {movie}"
                todo = "Copy the right run, or list one of the two in exclude_runs."
                raise InputError(path, found, "a recording of its own", todo)
            cleaned[movie][repeat - 1] = samples
        missing = sorted(set(range(1, n_repeats[movie] + 1)) - set(repeats))
        if missing:
            log.warning("%s: no data for repeat %s", movie, ", ".join(map(str, missing)))
    return cleaned


def vertices_digest(vertices: np.ndarray) -> str:
    """Short hash of a vertex list (V,) i64: arrays belong together only where it agrees."""
    return hashlib.sha256(np.ascontiguousarray(vertices, dtype="<i8").tobytes()).hexdigest()[:16]
