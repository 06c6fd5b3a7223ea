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
from pydantic import Field

from neurocine.errors import InputError
from neurocine.fmri.cifti import read_dtseries
from neurocine.fmri.coverage import Samples, settle_samples
from neurocine.fmri.volumes import VoxelGrid, read_volumes
from neurocine.section_checks import crop_leaves_samples
from neurocine.settings import Check, Count, CountOrZero, KeyPattern, Settings, Unit

log = logging.getLogger(__name__)

# A movie is a word such as seg12; one published file has a dot for the second underscore.
RUN_NAME = re.compile(
    r"(?P<movie>[A-Za-z][A-Za-z0-9-]*)_(?P<repeat>\d{1,4})[_.](Atlas\.dtseries|mni)\.nii(\.gz)?", re.ASCII
)
# fMRIPrep's: the task is the movie, the run its repeat.
BIDS_NAME = re.compile(
    r"sub-[A-Za-z0-9]+_(ses-[A-Za-z0-9]+_)?task-(?P<movie>[A-Za-z][A-Za-z0-9]*)_([a-z]+-[A-Za-z0-9]+_)*?"
    r"run-0*(?P<repeat>\d{1,4})_([a-z]+-[A-Za-z0-9]+_)*bold(\.dtseries)?\.nii(\.gz)?",
    re.ASCII,
)
MAX_LAG = 10  # TR
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
    """Sample j takes the volume this much later; only for a lag sweep (see `volumes_kept`)."""
    detrend_order: Annotated[int, Field(ge=0, le=10)] = 4
    """A polynomial of this degree is removed from each vertex; 0 removes the mean only."""
    ddof: Literal[0, 1] = 1
    """Z-scores divide by the standard deviation with N - ddof (1 in the official code, 0 in Mind-Animator's).
    """


def parse_run(path: Path) -> tuple[str, int]:
    """Movie and repeat (from 1) of a run, from its file name.

    Raises
    ------
    InputError : another name
    """
    name = Path(path).name
    match = RUN_NAME.fullmatch(name) or BIDS_NAME.fullmatch(name)
    if match is None or int(match["repeat"]) < 1:
        raise InputError(
            path,
            "a name of another form",
            "a name like seg1_2_Atlas.dtseries.nii, seg1_2_mni.nii.gz or "
            "sub-1_task-seg1_run-2_space-fsLR_den-91k_bold.dtseries.nii",
            "Rename it or leave it out.",
        )
    return match["movie"], int(match["repeat"])


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


def volumes_kept(n_volumes: int, settings: PreprocessRunSettings, where: str | Path) -> np.ndarray:
    """Volume that each sample takes.

    Sample j of the crop (first, last) takes volume ``first + j + extra_lag_tr``. With a lag it reaches into
    the volumes that the crop drops; beyond the recording its first or last volume is repeated.

    Returns
    -------
    (n_volumes - first - last,) int64, indices into the file's volumes

    Raises
    ------
    InputError : the crop table has no entry for this number of volumes
    """
    if n_volumes not in settings.crop:
        raise InputError(
            where,
            f"{n_volumes} volumes",
            f"{' or '.join(map(str, sorted(settings.crop)))}",
            "Add the length to preprocess_run.crop in the config, or list the run in exclude_runs.",
        )
    first, last = settings.crop[n_volumes]
    wanted = np.arange(first, n_volumes - last) + settings.extra_lag_tr
    return np.clip(wanted, 0, n_volumes - 1)


def detrend(bold: np.ndarray, order: int) -> np.ndarray:
    """Remove the least-squares polynomial of time (t in [0, 1]) from each vertex.

    Parameters
    ----------
    bold : (T, V)
    order : degree, below T

    Returns
    -------
    (T, V) float64
    """
    if order >= len(bold):
        raise ValueError(f"a polynomial of degree {order} fits {len(bold)} samples exactly")
    # Legendre polynomials span the same space as 1, t, t^2... and are better conditioned.
    basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, len(bold)), order))
    values = np.asarray(bold, np.float64)
    return np.asarray(values - basis @ (basis.T @ values))


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
    bold: np.ndarray, settings: PreprocessRunSettings, where: str | Path, refused: float = 1.0
) -> Samples:
    """Crop a run to the movie and check its values; what is not recorded of it counts as constant.

    Parameters
    ----------
    bold : (T, V) float32, scanner units
    settings : section preprocess_run of the config
    where : file or run, for messages
    refused : see `settle_samples`

    Raises
    ------
    InputError : a number of volumes without a crop, NaN or infinity in some samples of a vertex, hardly any
        vertex with signal
    """
    samples = bold[volumes_kept(len(bold), settings, where)]
    return settle_samples(samples, where, "list it in exclude_runs", refused)


def clean_run(bold: np.ndarray, settings: PreprocessRunSettings, where: str | Path) -> np.ndarray:
    """Crop, detrend and z-score one run.

    Parameters
    ----------
    bold : (T, V) float32, scanner units
    settings : section preprocess_run of the config
    where : file or run, for messages

    Returns
    -------
    (n_samples, V) float32, unit variance over time per vertex

    Raises
    ------
    InputError : as `kept_samples`; too few samples
    """
    samples = kept_samples(bold, settings, where).bold
    if len(samples) <= settings.detrend_order + 1:
        raise InputError(
            where,
            f"{len(samples)} samples after the crop",
            f"more than detrend_order + 1 = {settings.detrend_order + 1}",
            "Correct preprocess_run.crop or detrend_order.",
        )
    scale = np.abs(samples).max(0).astype(np.float64)
    return zscore(detrend(samples, settings.detrend_order), settings.ddof, scale, where)


def runs_by_movie(
    runs: Iterable[Path], excluded: Iterable[tuple[str, int]]
) -> tuple[dict[str, dict[int, Path]], dict[str, int]]:
    """Tell runs apart by their names, never by their order, and leave out the excluded ones.

    Returns
    -------
    files : movie -> repeat -> file, movies in the order in which they first appear
    n_repeats : movie -> highest repeat among its files and exclusions

    Raises
    ------
    InputError : two files of one repeat, or a movie of which no run is left
    """
    left_out = set(excluded)
    files: dict[str, dict[int, Path]] = {}
    n_repeats: dict[str, int] = {}
    seen: dict[tuple[str, int], Path] = {}
    for path in map(Path, runs):
        run = movie, repeat = parse_run(path)
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
            files[movie][repeat] = path
    for movie, repeat in left_out:
        if movie in n_repeats:
            n_repeats[movie] = max(repeat, n_repeats[movie])
    for movie, repeats in files.items():
        if not repeats:
            raise InputError(movie, "every run excluded", "at least one", "Take the movie out of the config.")
    if not files:
        raise InputError("runs", "no file", "at least one run", "Give the runs of a movie.")
    return files, n_repeats


def read_run(path: Path, vertices: np.ndarray, grid: VoxelGrid | None = None) -> np.ndarray:
    """Read the time courses (T, V) of vertices, or voxels of a grid. The header's TR is not used."""
    return read_dtseries(path, vertices)[0] if grid is None else read_volumes(path, vertices, grid)


def preprocess_run(
    runs: Sequence[Path],
    vertices: np.ndarray,
    settings: PreprocessRunSettings,
    excluded: Iterable[tuple[str, int]] = (),
    grid: VoxelGrid | None = None,
) -> dict[str, np.ndarray]:
    """Clean the runs of one or more movies of one subject.

    Parameters
    ----------
    runs : dense time series named ``{movie}_{repeat}_Atlas.dtseries.nii``, or volumes ``..._mni.nii.gz``
    vertices : (V,) cortical grayordinates, or voxels of the grid
    settings : section preprocess_run of the config
    excluded : (movie, repeat) that must not be used
    grid : of the volumes

    Returns
    -------
    movie -> (n_repeats, n_samples, V) float32; an excluded or missing repeat is NaN

    Raises
    ------
    InputError : bad file, name, number of volumes or values; repeats of one movie that differ in length
    """
    files, n_repeats = runs_by_movie(runs, excluded)
    cleaned: dict[str, np.ndarray] = {}
    for movie, repeats in files.items():
        for repeat, path in sorted(repeats.items()):
            samples = clean_run(read_run(path, vertices, grid), settings, path)
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
                other + 1 for other, known in enumerate(cleaned[movie]) if np.array_equal(known, samples)
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
    """Short hash of a vertex list: arrays belong together only where it agrees."""
    return hashlib.sha256(np.ascontiguousarray(vertices, dtype="<i8").tobytes()).hexdigest()[:16]
