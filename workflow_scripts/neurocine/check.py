"""Look at every raw file before anything is computed: cheap checks, and all problems in one message."""

import hashlib
import logging
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import pandas as pd

from neurocine.datasets.base import Movie, Recording, movie_files
from neurocine.errors import InputError, InputErrors
from neurocine.fmri.cifti import check_dtseries, read_dtseries
from neurocine.fmri.coverage import MOST, count_by_area, settle_samples
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.package import Package, check_package, part_values
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import PreprocessRunSettings, kept_samples, refuse_other_tr, volumes_kept
from neurocine.fmri.rest import LEAVE_OUT, parse_rest
from neurocine.fmri.stated import stated_tr
from neurocine.fmri.volumes import check_volumes, look_at_volumes, volumes_tr
from neurocine.io import file_sha256
from neurocine.models.catalogue import PUBLISHED, model_files
from neurocine.models.weights import MODEL_FILES, check_model
from neurocine.settings import Count, NotNegative, Settings, Unit
from neurocine.stimuli.prepare import PrepareStimuliSettings, clip_times
from neurocine.stimuli.repeated import refuse_other_clip
from neurocine.stimuli.video import video_info

GIGABYTE = 1e9
TR_SLACK = 0.01  # fraction by which the TR of a header may differ from the study's
# Every so many vertices: those of a rest run that are looked at, and those by which runs are told apart.
SAMPLE = np.arange(0, CORTEX, 116)
SAMPLED_ROWS = 20  # of a package: movies, or samples, by which those of other subjects are told apart

log = logging.getLogger(__name__)
Item = TypeVar("Item")


class CheckDataSettings(Settings):
    """What is demanded of the machine and of rest runs; other files must suit the steps that read them."""

    min_free_gb: Annotated[NotNegative, Unit("GB")] = 100.0
    """The disk that results are written to must have this much free space."""
    min_rest_volumes: Annotated[Count, Unit("volumes")] = 100
    """Each rest run must have at least this many volumes."""


@dataclass(frozen=True)
class Finding:
    """One file that passed.

    Attributes
    ----------
    found, expected : what was found and what was asked
    warning : what should be looked at though it is no reason to stop
    digest : hash of recorded values, by which copies are told
    """

    found: str
    expected: str
    warning: str = ""
    digest: str = ""


def check_stimulus(path: Path, movie: Movie, settings: PrepareStimuliSettings) -> Finding:
    """Check that a movie can be read and holds the last frame of its last clip; it may go on after that.

    Where every clip has a file of its own, each of them; where the movie is shown again, its frames there.
    """
    seconds = float(clip_times(movie, settings).max())
    expected = f"more than {seconds:.2f} s"
    for file in movie_files(path, movie):
        info = video_info(file)
        if info.duration <= seconds:
            todo = "Copy or download the movie again, or correct its number of clips (docs/data.md)."
            raise InputError(file, f"a movie of {info.duration:.2f} s", expected, todo)
    if movie.also:
        refuse_other_clip(path, movie)
    files = f"{len(movie.files)} files, the last of " if movie.files else ""
    found = f"{files}{info.duration:.2f} s, {info.fps:g} fps, {info.width}x{info.height}"
    return Finding(found, expected)


def _tr_warning(tr: float, where: str, study: float) -> str:
    if math.isfinite(tr) and abs(tr / study - 1) <= TR_SLACK:
        return ""
    return f"a TR of {tr:g} s in its {where} where the study has {study:g} s, which is used"


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def check_run(path: Path, recording: Recording, settings: PreprocessRunSettings) -> Finding:
    """Check grid, size, number of volumes, TR and values of an fMRI run, as preprocess_run reads it.

    Parameters
    ----------
    path : the run
    recording : what it is a recording of; where headers cannot be trusted, another TR is a warning only
    settings : section preprocess_run of the config

    Raises
    ------
    InputError : what preprocess_run would refuse whichever vertices it was asked for
    """
    surface = "dtseries" in path.name
    grid: object = "91k grid"
    if surface:
        volumes, header_tr = check_dtseries(path)
    else:
        volumes, grid = check_volumes(path)
        header_tr = volumes_tr(path)
    kept = volumes_kept(volumes, recording, settings, path)
    tr, place = stated_tr(path, header_tr)
    refuse_other_tr(tr, recording, path, place)
    warnings = [_tr_warning(tr, place, recording.tr)]
    if surface:
        samples = kept_samples(read_dtseries(path, np.arange(CORTEX))[0], recording, settings, path, MOST)
        warnings.append(count_by_area(samples.constant, area_vertices()))
        digest = _digest(samples.bold[:, SAMPLE])
    else:
        digest = _check_values(path, kept.tolist())
    told = "; ".join(filter(None, warnings))
    expected = f"at least {len(kept)} volumes, {grid}"
    return Finding(f"{volumes} volumes, {grid}", expected, told, digest)


def _check_values(path: Path, kept: Sequence[int]) -> str:
    """Return the hash of the values of the volumes that are kept.

    Voxels outside the brain are constant, but not all of them.

    Raises
    ------
    InputError : NaN in some volumes, infinite values, or nothing but constants
    """
    facts = look_at_volumes(path, kept)
    if facts.n_unfinished:
        found = f"NaN in some volumes, or infinite values, in {facts.n_unfinished} of {facts.n_voxels} voxels"
        raise InputError(path, found, "finite values", "Copy the run again, or list it in exclude_runs.")
    if facts.n_constant == facts.n_voxels:
        found, expected = "the same values in every volume", "a recording"
        raise InputError(path, found, expected, "Copy the run again, or list it in exclude_runs.")
    return facts.digest


def check_fmri_package(package: Package) -> Finding:
    """Check that the files of one subject's package are readable, belong together and fit the config."""
    n_vertices, layout = check_package(package), package.layout
    places = "at unknown places" if package.vertex is None else f"placed by {package.vertex.name}"
    movies = f"{len(layout.train_movies)} and {len(layout.test_movies)} movies"
    found = f"{movies} of {layout.clips_per_movie} clips, {n_vertices} vertices {places}"
    expected = f"{layout.kind}: {movies} of {layout.clips_per_movie} clips"
    return Finding(
        found, expected, digest=_digest(part_values(package, next(iter(package.files)))[:SAMPLED_ROWS])
    )


def check_rest(path: Path, settings: CheckDataSettings) -> Finding:
    """Check name, grid, size and length of a rest run, and the values of some vertices.

    Compressed runs are read by no check: that takes seconds each, and there may be a thousand.
    """
    parse_rest(path)
    volumes, tr = check_dtseries(path)
    expected = f"at least {settings.min_rest_volumes} volumes, 91k grid"
    if volumes < settings.min_rest_volumes:
        raise InputError(path, f"{volumes} volumes", expected, f"Copy the run again, or {LEAVE_OUT}.")
    digest = ""
    if path.suffix != ".gz":
        samples = settle_samples(read_dtseries(path, SAMPLE)[0], path, LEAVE_OUT, MOST)
        digest = _digest(samples.bold)
    return Finding(f"{volumes} volumes, TR {tr:g} s, 91k grid", expected, digest=digest)


def check_model_folder(folder: Path, name: str = "") -> Finding:
    """Check a model folder without loading it; ``name`` is its key in the config section models.

    What is found names the content: the hash of all files on which results depend, wherever they lie.
    """
    types = PUBLISHED[name].types if name else ()
    weights = check_model(folder, types)
    digest = hashlib.sha256()
    for file in model_files(folder):
        digest.update(f"{Path(file).relative_to(folder)} {file_sha256(Path(file))}\n".encode())
    return Finding(f"{len(weights)} files of weights, sha256 {digest.hexdigest()}", MODEL_FILES)


def check_disk(folder: Path, settings: CheckDataSettings) -> Finding:
    """Check that there is room for results."""
    free = shutil.disk_usage(folder).free / GIGABYTE
    expected = f"at least {settings.min_free_gb:g} GB free"
    if free < settings.min_free_gb:
        todo = "Free some space, link results/ to a larger disk, or lower check_data.min_free_gb."
        raise InputError(folder, f"{free:.1f} GB free", expected, todo)
    return Finding(expected, expected)


def _each(
    kind: str, pairs: Iterable[tuple[Path, Item]], look: Callable[[Path, Item], Finding]
) -> Iterator[dict[str, object]]:
    """Look at each file with what is known of it; yield a row, with the problem under ``error``."""
    seen: dict[str, Path] = {}
    for path, item in pairs:
        row: dict[str, object] = {"file": str(path), "kind": kind, "ok": True, "error": None}
        try:
            finding = look(path, item)
            # One file may hold several recordings.
            first = seen.setdefault(finding.digest, path) if finding.digest else path
            if first != path:
                todo = "Copy the right file, or leave one of the two out (exclude_runs, rest.exclude)."
                raise InputError(path, f"the same values as in {first}", "a recording of its own", todo)
        except Exception as error:  # whatever is wrong with one file must not hide the others
            problem = error if isinstance(error, InputError) else _unforeseen(path, error)
            yield {**row, "found": problem.found, "expected": problem.expected, "ok": False, "error": problem}
        else:
            if finding.warning:
                log.warning("%s: %s", path, finding.warning)
            found = "; WARNING: ".join(filter(None, (finding.found, finding.warning)))
            yield {**row, "found": found, "expected": finding.expected}


def _unforeseen(path: Path, error: Exception) -> InputError:
    """Say that a file made its reader fail in a way that the reader does not know."""
    first_line = (str(error).strip() or repr(error)).splitlines()[0]
    found = f"a file that cannot be read ({type(error).__name__}: {first_line})"
    return InputError(path, found, "a complete file of its kind", "Copy or download it again.")


def check_data(
    stimuli: Sequence[tuple[Path, Movie]],
    runs: Sequence[tuple[Path, Recording]],
    rest: Iterable[Path],
    models: Iterable[Path],
    disk: Path,
    settings: CheckDataSettings,
    prepare: PrepareStimuliSettings,
    preprocess: PreprocessRunSettings,
    packages: Iterable[Package] = (),
    model_names: Iterable[str] = (),
    stops: str = "nothing was computed",
) -> pd.DataFrame:
    """Check all raw files of a study: movies from their ends, runs as they are read, the rest from samples.

    Parameters
    ----------
    stimuli : files of movies, and how they are cut into clips
    runs : fMRI runs, and what they are recordings of
    rest : rest runs
    models : folders of networks
    disk : folder on the disk that gets the results
    settings : section check_data of the config
    prepare : section prepare_stimuli of the config, for the length of movies
    preprocess : section preprocess_run of the config, for the number of volumes
    packages : preprocessed fMRI in place of runs, one per subject
    model_names : keys of the networks in the config section models, in the order of ``models``
    stops : what is not computed where a file is bad, for the message

    Returns
    -------
    one row per file: file, kind, found, expected, ok

    Raises
    ------
    InputErrors : all problems found
    """
    named = zip_longest(models, model_names, fillvalue="")
    rows = [
        *_each("stimulus", stimuli, lambda path, movie: check_stimulus(path, movie, prepare)),
        *_each("run", runs, lambda path, recording: check_run(path, recording, preprocess)),
        *_each(
            "package",
            ((next(iter(its.files.values())), its) for its in packages),
            lambda _, its: check_fmri_package(its),
        ),
        *_each("rest", ((path, None) for path in rest), lambda path, _: check_rest(path, settings)),
        *_each("model", ((Path(path), name) for path, name in named), check_model_folder),
        *_each("disk", [(disk, None)], lambda path, _: check_disk(path, settings)),
    ]
    problems = [row["error"] for row in rows if isinstance(row["error"], InputError)]
    if problems:
        title = f"{len(problems)} of {len(rows)} checks failed; {stops}"
        raise InputErrors(title, problems)
    log.info("%d files checked", len(rows))
    return pd.DataFrame(rows)[["file", "kind", "found", "expected", "ok"]]
