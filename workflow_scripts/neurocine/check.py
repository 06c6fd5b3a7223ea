"""Look at every raw file before anything is computed: cheap checks, and all problems in one message."""

import json
import logging
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurocine.errors import InputError, InputErrors
from neurocine.fmri.cifti import check_dtseries
from neurocine.fmri.package import Package, check_package
from neurocine.fmri.preprocess import PreprocessRunSettings, parse_run
from neurocine.fmri.volumes import check_volumes
from neurocine.models.catalogue import (
    BESIDE_WEIGHTS,
    CLIP_TOKENIZER,
    LFS_POINTER,
    SCHEDULE_FILE,
    absent_files,
    weight_files,
)
from neurocine.stimuli.prepare import PrepareStimuliSettings, clip_times
from neurocine.stimuli.video import video_info

GIGABYTE = 1e9
DOWNLOAD_AGAIN = "Download the model again, or correct its folder in the config section models."
MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors format
PIPELINE_PARTS = ("unet", "vae", "text_encoder")
PIPELINE_FILES = {"tokenizer": CLIP_TOKENIZER, "scheduler": SCHEDULE_FILE}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckDataSettings:
    """What is asked of the machine and of rest runs; the other files are held to the steps that read them."""

    min_free_gb: float = 100.0  # GB of free disk where results are written
    min_rest_volumes: int = 100  # fewest volumes of a rest run

    def __post_init__(self) -> None:
        if self.min_free_gb < 0:
            raise ValueError(f"min_free_gb is {self.min_free_gb}, must not be negative")
        if self.min_rest_volumes < 1:
            raise ValueError(f"min_rest_volumes is {self.min_rest_volumes}, must be at least 1")


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


def safetensors_size(path: Path) -> int:
    """Return how many bytes a safetensors file must have, from its header alone.

    Raises
    ------
    InputError : the header is not one, as in a file that was cut short
    """
    with open(path, "rb") as handle:
        start = handle.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = handle.read(length) if length <= MAX_HEADER else b""
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        found = "a file without a safetensors header"
        raise InputError(path, found, "a safetensors file", DOWNLOAD_AGAIN) from None
    return 8 + length + max(ends, default=0)


def _check_weights(path: Path) -> None:
    """Check one file of weights, or the index of several, without loading it."""
    with open(path, "rb") as handle:
        start = handle.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise InputError(path, "a Git LFS pointer", "weights", "Fetch the weights with: git lfs pull")
    if path.suffix == ".json":
        try:
            named = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(path, "no weight_map", "an index of files of weights", DOWNLOAD_AGAIN) from None
        absent = sorted(name for name in named if not (path.parent / name).is_file())
        if absent:
            raise InputError(
                path.parent, f"no {', '.join(absent)}", f"all files that {path.name} names", DOWNLOAD_AGAIN
            )
    elif path.suffix == ".safetensors":
        wanted, size = safetensors_size(path), path.stat().st_size
        if size != wanted:
            raise InputError(path, f"{size} bytes", f"{wanted} bytes, as its header says", DOWNLOAD_AGAIN)
    elif start.startswith(b"PK") and not zipfile.is_zipfile(path):  # its table of contents is at the end
        raise InputError(path, "a file that is cut short", "a PyTorch file", DOWNLOAD_AGAIN)


def check_model(folder: Path) -> Finding:
    """Check a model folder without loading it: configs, complete weights, and what belongs beside them."""
    expected = "config.json and complete weights"
    if not folder.is_dir():
        raise InputError(folder, "no such folder", expected, DOWNLOAD_AGAIN)
    parts = [folder / name for name in PIPELINE_PARTS]
    pipeline = (folder / "model_index.json").is_file() or any(part.is_dir() for part in parts)
    files = []
    for part in parts if pipeline else [folder]:
        if not (part / "config.json").is_file():
            raise InputError(
                part, "no config.json" if part.is_dir() else "no such folder", expected, DOWNLOAD_AGAIN
            )
        weights = weight_files(part)
        if not weights:
            raise InputError(part, "no weights (*.safetensors)", expected, DOWNLOAD_AGAIN)
        files += weights
    if pipeline:
        beside = [(folder / name, sets) for name, sets in PIPELINE_FILES.items()]
    else:
        beside = [(folder, sets) for sets in BESIDE_WEIGHTS.get(_model_type(folder / "config.json"), ())]
    for place, sets in beside:
        absent = absent_files(place, sets)
        if absent:
            raise InputError(place, f"no {absent}", "all files of the published network", DOWNLOAD_AGAIN)
    for path in files:
        _check_weights(path)
    return Finding(f"{len(files)} files of weights", expected)


def _model_type(config: Path) -> str:
    """Return what a config.json says of its network's architecture; empty where it says nothing.

    Raises
    ------
    InputError : not a JSON object
    """
    try:
        return str(json.loads(config.read_text(encoding="utf-8")).get("model_type", ""))
    except (ValueError, AttributeError):
        raise InputError(
            config, "a file that is no JSON object", "the config of a network", DOWNLOAD_AGAIN
        ) from None


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
        ("model", models, check_model),
        ("disk", [disk], lambda path: check_disk(path, settings)),
    ]
    rows = [row for kind, paths, look in looks for row in _each(kind, paths, look)]
    problems = [row["error"] for row in rows if isinstance(row["error"], InputError)]
    if problems:
        title = f"{len(problems)} of {len(rows)} checks failed; nothing was computed"
        raise InputErrors(title, problems)
    log.info("%d files checked", len(rows))
    return pd.DataFrame(rows)[["file", "kind", "found", "expected", "ok"]]
