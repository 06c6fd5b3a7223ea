"""Look at every raw file before anything is computed: cheap checks, and all problems in one message."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd

from neurocine.errors import InputError, InputErrors
from neurocine.fmri.cifti import check_dtseries
from neurocine.fmri.package import Package, check_package
from neurocine.fmri.preprocess import PreprocessRunSettings, parse_run
from neurocine.fmri.volumes import check_volumes
from neurocine.models.weights import MODEL_FILES, check_model
from neurocine.settings import Count, NotNegative, Settings, Unit
from neurocine.stimuli.prepare import PrepareStimuliSettings, clip_times
from neurocine.stimuli.video import video_info

GIGABYTE = 1e9

log = logging.getLogger(__name__)


class CheckDataSettings(Settings):
    """What is demanded of the machine and of rest runs; other files must suit the steps that read them."""

    min_free_gb: Annotated[NotNegative, Unit("GB")] = 100.0
    """The disk that results are written to must have this much free space."""
    min_rest_volumes: Annotated[Count, Unit("volumes")] = 100
    """Each rest run must have at least this many volumes."""


@dataclass(frozen=True)
class Finding:
    """One file that passed: what was found and what was asked."""

    found: str
    expected: str


def check_stimulus(path: Path, settings: PrepareStimuliSettings) -> Finding:
    """Check that a movie can be read and holds the last frame of its last clip; it may go on after that."""
    info = video_info(path)
    seconds = float(clip_times(settings).max())
    expected = f"more than {seconds:.2f} s"
    if info.duration <= seconds:
        todo = "Copy or download the movie again, or correct prepare_stimuli.clips_per_movie in the config."
        raise InputError(path, f"a movie of {info.duration:.2f} s", expected, todo)
    return Finding(f"{info.duration:.2f} s, {info.fps:g} fps, {info.width}x{info.height}", expected)


def check_run(path: Path, settings: PreprocessRunSettings) -> Finding:
    """Check name, grid, size and number of volumes of an fMRI run."""
    parse_run(path)
    grid: object = "91k grid"
    if "dtseries" in path.name:
        volumes, _ = check_dtseries(path)
    else:
        volumes, grid = check_volumes(path)
    expected = f"{' or '.join(map(str, sorted(settings.crop)))} volumes, {grid}"
    if volumes not in settings.crop:
        todo = "Copy the run again, list it in exclude_runs, or add its length to preprocess_run.crop."
        raise InputError(path, f"{volumes} volumes", expected, todo)
    return Finding(f"{volumes} volumes, {grid}", expected)


def check_fmri_package(package: Package) -> Finding:
    """Check that the files of one subject's package are readable, belong together and fit the config."""
    n_vertices, layout = check_package(package), package.layout
    places = "at unknown places" if package.vertex is None else f"placed by {package.vertex.name}"
    movies = f"{len(layout.train_movies)} and {len(layout.test_movies)} movies"
    found = f"{movies} of {layout.clips_per_movie} clips, {n_vertices} vertices {places}"
    return Finding(found, f"{layout.kind}: {movies} of {layout.clips_per_movie} clips")


def check_rest(path: Path, settings: CheckDataSettings) -> Finding:
    """Check grid, size and length of a rest run."""
    volumes, tr = check_dtseries(path)
    expected = f"at least {settings.min_rest_volumes} volumes, 91k grid"
    if volumes < settings.min_rest_volumes:
        todo = "Copy the run again, or name the subject in rest.exclude."
        raise InputError(path, f"{volumes} volumes", expected, todo)
    return Finding(f"{volumes} volumes, TR {tr:g} s, 91k grid", expected)


def check_model_folder(folder: Path) -> Finding:
    """Check a model folder without loading it."""
    return Finding(f"{len(check_model(folder))} files of weights", MODEL_FILES)


def check_disk(folder: Path, settings: CheckDataSettings) -> Finding:
    """Check that there is room for results."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    expected = f"at least {settings.min_free_gb:g} GB free"
    if free < settings.min_free_gb:
        todo = "Free some space, link results/ to a larger disk, or lower check_data.min_free_gb."
        raise InputError(folder, f"{free:.1f} GB free", expected, todo)
    return Finding(expected, expected)


def _each(kind: str, paths: Iterable[Path], look: Callable[[Path], Finding]) -> Iterator[dict[str, object]]:
    """Look at each file; yield a row, with the problem under ``error``."""
    for path in map(Path, paths):
        row: dict[str, object] = {"file": str(path), "kind": kind, "ok": True, "error": None}
        try:
            finding = look(path)
        except InputError as error:
            yield {**row, "found": error.found, "expected": error.expected, "ok": False, "error": error}
        else:
            yield {**row, "found": finding.found, "expected": finding.expected}


def check_data(
    stimuli: Iterable[Path],
    runs: Iterable[Path],
    rest: Iterable[Path],
    models: Iterable[Path],
    disk: Path,
    settings: CheckDataSettings,
    prepare: PrepareStimuliSettings,
    preprocess: PreprocessRunSettings,
    packages: Iterable[Package] = (),
) -> pd.DataFrame:
    """Check all raw files of a study from their headers and sizes.

    Parameters
    ----------
    stimuli : movies
    runs : fMRI runs
    rest : rest runs
    models : folders of networks
    disk : folder on the disk that gets the results
    settings : section check_data of the config
    prepare : section prepare_stimuli of the config, for the length of movies
    preprocess : section preprocess_run of the config, for the number of volumes
    packages : preprocessed fMRI in place of runs, one per subject

    Returns
    -------
    one row per file: file, kind, found, expected, ok

    Raises
    ------
    InputErrors : all problems found
    """
    package_of = {package.train: package for package in packages}
    looks: list[tuple[str, Iterable[Path], Callable[[Path], Finding]]] = [
        ("stimulus", stimuli, lambda path: check_stimulus(path, prepare)),
        ("run", runs, lambda path: check_run(path, preprocess)),
        ("package", package_of, lambda path: check_fmri_package(package_of[path])),
        ("rest", rest, lambda path: check_rest(path, settings)),
        ("model", models, check_model_folder),
        ("disk", [disk], lambda path: check_disk(path, settings)),
    ]
    rows = [row for kind, paths, look in looks for row in _each(kind, paths, look)]
    problems = [row["error"] for row in rows if isinstance(row["error"], InputError)]
    if problems:
        title = f"{len(problems)} of {len(rows)} checks failed; nothing was computed"
        raise InputErrors(title, problems)
    log.info("%d files checked", len(rows))
    return pd.DataFrame(rows)[["file", "kind", "found", "expected", "ok"]]
