"""Preprocessed fMRI that others published, read in place of runs and brought into the form of preprocess_run.

The layouts (n movies of T clips, k repeats, V vertices), with `kind` as the config has it:

mind_video : Mind-Video, ``fmri_{train,test}_subject{s}.npy`` (n, T, V), means over the repeats
neuroclips : NeuroClips, ``subj0{s}_{train,test}_fmri.pt`` (n T, k, V), every movie's clips in a row; axis 1
    holds the repeats: its length is their number (2 and 10 in Wen 2018), and the authors average over it
arrays : plain arrays, ``fmri_{train,test}.npy`` (n, T, V), or ``fmri_{train,test}_rep.npy`` (n, k, T, V) with
    NaN for a repeat that is missing, and ``vertex_index.npy`` (V,)
algonauts_2021 : a folder with a pickle per area, ``{area}.pkl``, whose key train is (n T, k, voxels):
    responses to all videos in the order of their names, those to test on last

None of them names its movies: they are taken in the order of their numbers. Sample j of a movie is taken to
belong to clip j, which is so if the runs were cropped as in `neurocine.fmri.preprocess`.
"""

import contextlib
import logging
import pickle
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from neurocine.errors import InputError
from neurocine.fmri.coverage import refuse_nonfinite
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.parcellation import LABEL
from neurocine.fmri.pickled import read_area_pickles
from neurocine.fmri.preprocess import zscore
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.io import file_sha256
from neurocine.settings import Settings

log = logging.getLogger(__name__)
PackageKind = Literal["runs", "mind_video", "neuroclips", "arrays", "algonauts_2021"]  # runs: no package
IN_A_ROW = ("neuroclips", "algonauts_2021")  # packages with the clips of all movies in a row, then repeats
CENTRED = 0.01  # largest mean over a movie of a vertex that counts as z-scored; rounding leaves less
FETCH_AGAIN = "Fetch the file again, or correct package in the config (docs/data.md)."
NUMPY = b"\x93NUMPY"  # what .npy files begin with
ZIP = b"PK\x03\x04"  # .pt files are zip files since PyTorch 1.6
SHOWN_BYTES = 24  # of a file in another format
FLOATS = "float16, float32 or float64"


class ImportFmriSettings(Settings):
    """What is done to a package beyond reading it."""

    zscore_runs: bool = False
    """True z-scores each vertex in each repeat of a movie, as preprocess_run does, for packages that did not.
    """


class PackageLayout(Settings):
    """What a package must hold by the config."""

    kind: PackageKind
    """The package is one that mind_video or neuroclips share, or arrays; runs is none."""
    train_movies: tuple[str, ...]
    """Name the training movies in the order in which the package holds them."""
    test_movies: tuple[str, ...]
    """Name the test movies in the order in which the package holds them."""
    train_repeats: int
    """Each training movie has this many repeats, where the package holds single repeats."""
    test_repeats: int
    """Each test movie has this many repeats, where the package holds single repeats."""
    clips_per_movie: int
    """Each movie has this many clips, T."""
    areas: tuple[str, ...] = ()
    """Name the areas of which responses are read, where the package has a file of each."""

    def movies(self, part: str) -> tuple[str, ...]:
        """Movies of the part train or test."""
        return self.train_movies if part == "train" else self.test_movies

    def repeats(self, part: str) -> int:
        """Repeats of each movie of the part."""
        return self.train_repeats if part == "train" else self.test_repeats


@dataclass(frozen=True)
class Package:
    """The files of one subject.

    Attributes
    ----------
    files : train and test, or the one of them that is asked for -> fMRI
    layout : what they must hold
    vertex : where the columns lie, for `read_vertices`; None where it is unknown
    """

    files: Mapping[str, Path]
    layout: PackageLayout
    vertex: Path | None = None


@contextlib.contextmanager
def _reading(path: Path, start: bytes, expected: str, todo: str) -> Iterator[None]:
    """Raise InputError where a file does not begin with ``start``, or where the block cannot read it."""
    try:
        with open(path, "rb") as handle:
            head = handle.read(SHOWN_BYTES)
        # What NumPy and PyTorch say of a login page or a Git LFS pointer speaks of unsafe loading instead.
        if not head.startswith(start):
            raise InputError(path, f"a file that begins with {head!r}", expected, todo)
        yield
    except FileNotFoundError:
        raise InputError(path, "no such file", expected, todo) from None
    except (OSError, EOFError, RuntimeError, ValueError, TypeError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(path, f"a file that cannot be read ({reason})", expected, todo) from None


def read_values(path: Path, kind: str) -> np.ndarray:
    """Open an array of floats, of any shape, memory-mapped; nothing that is pickled in it is run.

    Parameters
    ----------
    path : .npy file, or the .pt file of one tensor
    kind : a PackageKind

    Raises
    ------
    InputError : no such file, another format, not one array of floats, truncated, or pickled objects
    """
    if kind == "neuroclips":
        import torch  # takes seconds: only when wanted

        expected = f"one tensor of {FLOATS}, as PyTorch saves it since 1.6"
        with _reading(path, ZIP, expected, FETCH_AGAIN):
            tensor = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            if not isinstance(tensor, torch.Tensor):
                raise InputError(path, f"an object of type {type(tensor).__name__}", expected, FETCH_AGAIN)
            values = tensor.detach().numpy()
    else:
        expected = f"an array of {FLOATS}, as NumPy saves it"
        with _reading(path, NUMPY, expected, FETCH_AGAIN):
            values = np.load(path, mmap_mode="r", allow_pickle=False)
    if values.dtype.kind != "f":
        raise InputError(path, str(values.dtype), expected, FETCH_AGAIN)
    return values


def _in_a_row(package: Package, part: str) -> np.ndarray:
    """Return the responses to the videos of a part, (n T, k, V), areas one after the other.

    Raises
    ------
    InputError : as `read_area_pickles`; too few videos
    """
    layout, folder = package.layout, package.files[part]
    values = np.concatenate(list(read_area_pickles(folder, layout.areas).values()), 2)
    n_train, n_test = (len(layout.movies(name)) * layout.clips_per_movie for name in ("train", "test"))
    if len(values) < n_train + n_test:
        todo = "Correct algonauts_2021.videos, or fetch the files again."
        raise InputError(folder, f"responses to {len(values)} videos", f"{n_train + n_test}", todo)
    return values[:n_train] if part == "train" else values[n_train : n_train + n_test]


def part_values(package: Package, part: str) -> np.ndarray:
    """Open the values of the part train or test, of any shape that packages have.

    Raises
    ------
    InputError : as `read_values` and `read_area_pickles`
    """
    if package.layout.kind == "algonauts_2021":
        return _in_a_row(package, part)
    return read_values(package.files[part], package.layout.kind)


def check_shape(shape: tuple[int, ...], layout: PackageLayout, part: str, path: Path) -> int:
    """Check the shape of one part and return its number of vertices.

    Raises
    ------
    InputError : other axes, or another number of movies, clips or repeats
    """
    n, clips, repeats = len(layout.movies(part)), layout.clips_per_movie, layout.repeats(part)
    wanted: tuple[int, ...] = (n, clips)
    meaning = f"{n} movies, {clips} clips, vertices"
    if layout.kind in IN_A_ROW:
        wanted, meaning = (n * clips, repeats), f"{clips} clips of {n} movies, {repeats} repeats, vertices"
    elif layout.kind == "arrays" and len(shape) == 4:
        wanted, meaning = (n, repeats, clips), f"{n} movies, {repeats} repeats, {clips} clips, vertices"
    if shape[:-1] != wanted or shape[-1] < 1:
        expected = f"shape ({', '.join(map(str, wanted))}, V): {meaning}"
        todo = "Correct movies, repeats or prepare_stimuli.clips_per_movie, or fetch the file again."
        raise InputError(path, f"shape {shape}", expected, todo)
    return shape[-1]


def read_vertices(path: Path) -> np.ndarray:
    """Read which cortical grayordinates the columns of a package are.

    Parameters
    ----------
    path : .npy file: a mask (59412,), bool or 0 and 1, whose set vertices are the columns in ascending order
        (Mind-Animator's ``mask_correct.npy``), or one index per column (V,)

    Returns
    -------
    (V,) int64, 0...59411, each once

    Raises
    ------
    InputError : no such file, neither a mask nor indices
    """
    expected = f"a mask ({CORTEX},), or different indices 0...{CORTEX - 1}"
    todo = "Give the file that belongs to the package (docs/data.md)."
    with _reading(path, NUMPY, expected, todo):
        values = np.load(path, allow_pickle=False)
    found = f"{values.dtype} of shape {values.shape}"
    if values.shape == (CORTEX,) and values.dtype.kind in "buif" and np.isin(values, (0, 1)).all():
        return np.flatnonzero(values)
    if values.ndim != 1 or values.dtype.kind not in "ui" or not values.size:
        raise InputError(path, found, expected, todo)
    if values.min() < 0 or values.max() >= CORTEX or len(np.unique(values)) < len(values):
        found = f"{len(np.unique(values))} different of {len(values)} numbers {values.min()}...{values.max()}"
        raise InputError(path, found, expected, todo)
    return values.astype(np.int64)


def check_package(package: Package) -> int:
    """Check the files of one subject by their headers and return V.

    Raises
    ------
    InputError : a file that cannot be read, of another shape, or with another number of vertices than the
        first one
    """
    layout = package.layout
    counts = {
        path: check_shape(part_values(package, part).shape, layout, part, path)
        for part, path in package.files.items()
    }
    if package.vertex is not None:
        counts[package.vertex] = len(read_vertices(package.vertex))
    first = next(iter(package.files.values()))
    n_vertices = counts[first]
    for path, count in counts.items():
        if count != n_vertices:
            expected = f"{n_vertices}, as in {first}"
            todo = "Give files that belong together: of one subject and one package."
            raise InputError(path, f"{count} vertices", expected, todo)
    return n_vertices


def _check_areas(path: Path, selection: VertexSelection, columns: np.ndarray) -> None:
    """Compare the area names of the columns (V,) in a file with those of the atlas."""
    expected = f"{len(columns)} texts, the name of each column's area in the atlas"
    with _reading(path, NUMPY, expected, FETCH_AGAIN):
        names = np.load(path, allow_pickle=False)
    if names.dtype.kind != "U" or names.shape != columns.shape:
        raise InputError(path, f"{names.dtype} of shape {names.shape}", expected, FETCH_AGAIN)
    for column, vertex, area in zip(columns, selection.vertex, selection.area, strict=True):
        label = LABEL.fullmatch(names[column])
        name = label["area"] if label else names[column]
        if name != selection.areas[area]:
            raise InputError(
                path,
                f"{names[column]} at column {column}",
                f"{selection.areas[area]}, where vertex {vertex} lies in the atlas",
                "Correct vertex_index.npy, name the atlas in the config, or remove roi.npy.",
            )


def area_sizes(package: Package) -> dict[str, int]:
    """Return the number of columns of each area, of packages with a file per area; else nothing.

    Raises
    ------
    InputError : as `read_area_pickles`
    """
    if package.layout.kind != "algonauts_2021":
        return {}
    values = read_area_pickles(next(iter(package.files.values())), package.layout.areas)
    return {area: array.shape[2] for area, array in values.items()}


def package_hashes(path: Path, layout: PackageLayout) -> dict[str, str]:
    """Hash a file of a package, or those of the areas in a folder, by name."""
    files = [path / f"{area}.pkl" for area in layout.areas] if path.is_dir() else [path]
    return {file.name: file_sha256(file) for file in files}


def place_columns(
    n_vertices: int,
    vertex: Path | None,
    roi: Path | None = None,
    atlas: Path | None = None,
    areas: Mapping[str, int] | None = None,
) -> tuple[VertexSelection, np.ndarray]:
    """Find where the columns of a package lie, and put them in the order of the visual hierarchy.

    Parameters
    ----------
    n_vertices : V, columns of the package
    vertex : file for `read_vertices`, of V vertices; None: the columns keep their order, in an area "unknown"
    roi : names of the columns' areas (V,), only compared with the atlas
    atlas : HCP-MMP 1.0 label file; by default the installed table
    areas : area -> number of columns, in order, where areas are known though places are not

    Returns
    -------
    selection : the vertices
    columns : (V,) int64, the column of each of them

    Raises
    ------
    InputError : a bad file, vertices outside the areas of the atlas, or names of other areas
    """
    if vertex is None:
        log.warning("it is unknown where the %d vertices lie: there will be no brain maps", n_vertices)
        return VertexSelection.unplaced(n_vertices, areas), np.arange(n_vertices)
    places = read_vertices(vertex)
    cortex = select_vertices(SelectVerticesSettings(roi_set="all"), atlas)
    selection = cortex.keep(np.isin(cortex.vertex, places))
    if len(selection.vertex) != n_vertices:
        found = f"{len(selection.vertex)} of {n_vertices} vertices within areas of the atlas"
        raise InputError(vertex, found, "all of them", "Give the atlas that the package was made with.")
    column_of = np.zeros(CORTEX, np.int64)
    column_of[places] = np.arange(n_vertices)
    columns = column_of[selection.vertex]
    if roi is not None:
        _check_areas(roi, selection, columns)
    return selection, columns


def missing_repeats(runs: np.ndarray) -> list[int]:
    """Which repeats (from 1) of one movie (n_repeats, T, V) are NaN."""
    return [int(index) + 1 for index in np.flatnonzero(np.isnan(runs).all((1, 2)))]


def _read_movies(
    path: Path, package: Package, part: str, columns: np.ndarray
) -> tuple[dict[str, np.ndarray], bool]:
    """Read movie -> (n_repeats, T, V) float32, and whether these are means over repeats."""
    layout, values = package.layout, part_values(package, part)
    movies = layout.movies(part)
    check_shape(values.shape, layout, part, path)
    means = values.ndim == 3 and layout.kind not in IN_A_ROW
    if layout.kind in IN_A_ROW:
        values = values.reshape(len(movies), layout.clips_per_movie, *values.shape[1:]).swapaxes(1, 2)
    elif means:
        values = values[:, None]
    pairs = zip(movies, values, strict=True)
    return {movie: repeats[..., columns].astype(np.float32) for movie, repeats in pairs}, means


def _warn_of_limits(
    path: Path, runs: Mapping[str, np.ndarray], means: bool, excluded: Collection[tuple[str, int]]
) -> None:
    """Warn of repeats that cannot be left out of means, and of movies that are not z-scored."""
    lost = sorted(f"{movie} repeat {number}" for movie, number in excluded if means and movie in runs)
    if lost:
        log.warning("%s holds means over repeats: %s cannot be left out of them", path, ", ".join(lost))
    present = [run for repeats in runs.values() for run in repeats if not np.isnan(run).all()]
    largest = max(float(np.abs(run.mean(0, dtype=np.float64)).max()) for run in present)
    if largest > CENTRED:
        log.warning(
            "%s is not z-scored per movie (a vertex's mean is up to %.3g): averages of repeats and noise "
            "ceilings expect it, see import_fmri.zscore_runs",
            path,
            largest,
        )


def _refuse_twins(runs: np.ndarray, where: str) -> None:
    """Raise InputError where two repeats of a movie (n_repeats, T, V) hold the same values."""
    for second in range(1, len(runs)):
        for first in range(second):
            if np.array_equal(runs[first], runs[second]):
                found = f"the same values in repeats {first + 1} and {second + 1}"
                todo = "Fetch the file again, or list one of the two in exclude_runs."
                raise InputError(where, found, "recordings of their own", todo)


def read_part(
    package: Package,
    part: str,
    columns: np.ndarray,
    excluded: Collection[tuple[str, int]],
    settings: ImportFmriSettings,
) -> dict[str, np.ndarray]:
    """Read the training or the test movies of one subject.

    Parameters
    ----------
    package : its files, that `check_package` accepts
    part : train or test
    columns : (V,), which columns to take, in this order
    excluded : (movie, repeat from 1) that must not be used; only of packages that hold single repeats
    settings : section import_fmri of the config

    Returns
    -------
    movie -> (n_repeats, T, V) float32, NaN in an excluded or missing repeat; means are one repeat

    Raises
    ------
    InputError : a bad file or shape, NaN or infinity in a repeat that is not missing as a whole, two
        repeats alike, a movie of which no repeat is left
    """
    layout, path = package.layout, package.files[part]
    runs, means = _read_movies(path, package, part, columns)
    todo = "Fetch the file again" + ("." if means else ", or list the repeat in exclude_runs.")
    for movie, repeats in runs.items():
        for number, run in enumerate(repeats, 1):
            where = f"{path}: {movie}" if means else f"{path}: {movie} repeat {number}"
            if (movie, number) in excluded and not means:
                log.info("%s left out, as the config says", where)
                run[:] = np.nan
            elif means or layout.kind in IN_A_ROW or not np.isnan(run).all():
                refuse_nonfinite(run, where, todo)
                if settings.zscore_runs:
                    run[:] = zscore(run, 1, np.abs(run).max(0), where)
        _refuse_twins(repeats, f"{path}: {movie}")
        if len(missing_repeats(repeats)) == len(repeats):
            found = f"no repeat of {movie} with data that exclude_runs leaves"
            raise InputError(path, found, "at least one", "Correct exclude_runs, or fetch the file again.")
    _warn_of_limits(path, runs, means, excluded)
    return runs


class ImportedFmri(NamedTuple):
    """A part of a subject's fMRI from a package: the vertices, and movie -> (n_repeats, T, V) float32."""

    selection: VertexSelection
    runs: dict[str, np.ndarray]


def import_fmri(
    package: Package,
    part: str,
    excluded: Collection[tuple[str, int]],
    settings: ImportFmriSettings,
    roi: Path | None = None,
    atlas: Path | None = None,
) -> ImportedFmri:
    """Bring a part of a package into the form in which preprocess_run and select_vertices write a subject.

    Parameters
    ----------
    package : its files, or that of the part alone
    part : train or test
    excluded : (movie, repeat from 1) that must not be used
    settings : section import_fmri of the config
    roi, atlas : see `place_columns`

    Raises
    ------
    InputError : see `check_package`, `place_columns` and `read_part`
    """
    selection, columns = place_columns(
        check_package(package), package.vertex, roi, atlas, area_sizes(package)
    )
    return ImportedFmri(selection, read_part(package, part, columns, excluded, settings))
