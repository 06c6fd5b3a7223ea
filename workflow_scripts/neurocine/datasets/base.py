"""A data set as a table: its movies, and a row for every recording of one of them.

Rules import this for every job, so only the standard library is used and folders are listed, never read.
"""

import contextlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from neurocine.datasets.packages import package_files
from neurocine.errors import InputError

SHOWN_FILES = 5  # missing files listed in one message
Part = Literal["train", "validation", "test"]
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Movie:
    """A movie, and how it is cut into clips.

    Attributes
    ----------
    name : by which arrays, results and messages call it
    n_clips : clips of one TR
    tr : s, of the fMRI recorded during it, and so the length of a clip
    start : s, when its first clip begins in its file
    files : file of each clip, where its file is a folder of them
    also : (file, s) where the same clips are shown once more, for a comparison of their frames
    """

    name: str
    n_clips: int
    tr: float
    start: float = 0.0
    files: tuple[str, ...] = ()
    also: tuple[tuple[str, float], ...] = ()

    def text(self) -> str:
        """Write it as JSON, for the command line of a program; what is as usual is left out."""
        return _as_text(self, Movie("", 0, 0.0))

    @classmethod
    def read(cls, text: str) -> "Movie":
        """Read what ``text`` wrote.

        Raises
        ------
        InputError : another form
        """
        expected = """{"name": "seg1", "n_clips": 240, "tr": 2.0}"""
        with _argument("--movies", text, expected):
            value = _object(text, MOVIE_VALUES)
            files = tuple(value.pop("files", ()))
            also = tuple((str(name), float(start)) for name, start in value.pop("also", ()))
            return cls(**value, files=files, also=also)


@dataclass(frozen=True)
class Recording:
    """The recording of one movie, once.

    Attributes
    ----------
    movie : name of the movie
    repeat : how often the subject has seen it by then, from 1
    n_clips : samples that belong to the movie
    tr : s between volumes
    first : volumes before the movie; None takes preprocess_run.crop by the number of volumes
    lag : volumes by which the sample of a clip comes after its start; part of the crop where that is taken
    header_tr : whether the TR in the file's header can be trusted and must be the same
    confounds : table of nuisance time courses, a row per volume, in a column each; empty for none
    """

    movie: str
    repeat: int
    n_clips: int
    tr: float
    first: int | None = None
    lag: int = 0
    header_tr: bool = False
    confounds: str = ""

    def text(self) -> str:
        """Write it as JSON, for the command line of a program; what is as usual is left out."""
        return _as_text(self, Recording("", 0, 0, 0.0))

    @classmethod
    def read(cls, text: str) -> "Recording":
        """Read what ``text`` wrote.

        Raises
        ------
        InputError : another form
        """
        expected = """{"movie": "seg1", "repeat": 1, "n_clips": 240, "tr": 2.0}"""
        with _argument("--recordings", text, expected):
            return cls(**_object(text, RECORDING_VALUES))


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _places(value: Any) -> bool:
    pairs = isinstance(value, list) and all(isinstance(item, list) and len(item) == 2 for item in value)
    return pairs and all(isinstance(name, str) and _number(start) and start >= 0 for name, start in value)


Values = Mapping[str, tuple[Callable[[Any], bool], str]]
SECONDS = (lambda value: _number(value) and value > 0, "seconds above 0")
NAME = (lambda value: isinstance(value, str) and bool(value), "a text")
# Key -> whether a value will do, and what would.
MOVIE_VALUES: Values = {
    "name": NAME,
    "n_clips": (_whole(1), "a number from 1"),
    "tr": SECONDS,
    "start": (lambda value: _number(value) and value >= 0, "seconds from 0"),
    "files": (_texts, "a list of files"),
    "also": (_places, "a list of files, each with seconds"),
}
RECORDING_VALUES: Values = {
    "movie": NAME,
    "repeat": (_whole(1), "a number from 1"),
    "n_clips": (_whole(1), "a number from 1"),
    "tr": SECONDS,
    "first": (lambda value: value is None or _whole(0)(value), "a number from 0, or null"),
    "lag": (_whole(0), "a number from 0"),
    "header_tr": (lambda value: isinstance(value, bool), "true or false"),
    "confounds": (lambda value: isinstance(value, str), "a text"),
}


def _as_text(item: "Movie | Recording", usual: "Movie | Recording") -> str:
    return json.dumps({key: value for key, value in vars(item).items() if value != getattr(usual, key)})


@contextlib.contextmanager
def _argument(name: str, text: str, expected: str) -> Iterator[None]:
    """Tell as bad input what reading an argument raises."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(name, f"{text} ({error})", expected, "Correct the argument.") from None


def _object(text: str, values: Values) -> dict[str, Any]:
    """Read a JSON object whose values are of their kinds.

    Raises
    ------
    TypeError, ValueError : another form, an unknown key, or a value of another kind
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise TypeError("no object")
    for key, value in content.items():
        if key in values and not values[key][0](value):
            raise TypeError(f"{key} must be {values[key][1]}")
    return content


@dataclass(frozen=True)
class Run:
    """A row of the table of recordings.

    Attributes
    ----------
    subject, part, path : whose recording it is, what it is used for, and where it lies
    recording : what the steps that read it must know
    excluded : whether the config leaves it out
    """

    subject: str
    part: Part
    path: Path
    recording: Recording
    excluded: bool = False


@dataclass(frozen=True)
class Found:
    """What there is of a data set.

    Attributes
    ----------
    movies : name -> movie
    stimuli : name -> its file
    runs : a row per recording, in the order of subjects, movies and repeats
    missing : files that were expected and not found
    looked_in : where
    todo : what to do about missing files
    """

    movies: dict[str, Movie] = field(default_factory=dict)
    stimuli: dict[str, Path] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    looked_in: list[Path] = field(default_factory=list)
    todo: str = ""


class DataSet(ABC):
    """A data set: what it is, and where the recordings of a study lie in it.

    Attributes
    ----------
    layout : the value of the config key ``layout`` that chooses it
    title, licence, doi, bibtex : what it is and how to cite it; empty where nobody knows
    published : whether the published values of CC2017 were measured on it
    """

    layout: ClassVar[str]
    title: ClassVar[str]
    licence: ClassVar[str] = ""
    doi: ClassVar[str] = ""
    bibtex: ClassVar[str] = ""
    published: ClassVar[bool] = False

    @classmethod
    def citation(cls) -> str:
        """Return the key of its reference, empty where it has none."""
        return cls.bibtex.partition("{")[2].partition(",")[0]

    @classmethod
    def own_keys(cls, config: Config) -> dict[str, Any]:
        """Return the config keys that the data set decides, not the config."""
        return {}

    def may_have(self, key: Literal["subject", "movie"], name: str) -> bool:
        """Whether it may have a subject or a movie that a study does not use.

        Where nothing is known of either, any subject will do, and no movie.
        """
        return key == "subject"

    def package_files(self, config: Config, subject: str) -> dict[str, Path]:
        """Name the files of a subject's preprocessed package; see `neurocine.datasets.packages`."""
        package = config["package"]
        mask = package["vertex_masks"].get(subject)
        return package_files(package["dir"], config["fmri_from"], subject, mask)

    @abstractmethod
    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find movies and recordings of a study; ``with_runs`` false leaves recordings out.

        Raises
        ------
        InputErrors : a table of recordings that contradicts itself
        """


def movie_files(path: Path, movie: Movie) -> list[Path]:
    """List the files of a movie: its own, or those of its clips in its folder."""
    return [path / name for name in movie.files] or [path]


Item = TypeVar("Item")


def pair(files: Iterable[Path], items: Iterable[Item]) -> list[tuple[Path, Item]]:
    """Put each file beside what is known of it.

    Raises
    ------
    InputError : more of one than of the other
    """
    paths, rows = list(map(Path, files)), list(items)
    if len(paths) != len(rows):
        raise InputError("files", f"{len(paths)} files", f"{len(rows)}, one per row", "Give one for each.")
    return list(zip(paths, rows, strict=True))


def part_of(movie: str, config: Config) -> Part:
    """Say what a movie is used for."""
    movies = config["movies"]
    if movie in movies["test"]:
        return "test"
    return "validation" if movie in movies["validation"] else "train"


ARCHIVE_DEPTH = 3  # levels of folders that unzipping an archive of archives may put around what is looked for


def subfolders(folder: Path) -> list[Path]:
    """List the folders in a folder, sorted, without hidden ones; none where it cannot be read."""
    # A Mac puts a twin of each folder, with notes on its files, into the archives that it packs.
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
        return [path for path in paths if path.is_dir()]
    except OSError:
        return []


def folders_below(root: Path, names: Collection[str], skipped: Callable[[str], bool]) -> list[Path]:
    """Find folders of these names at the root and below it, as deep as unzipping may put them.

    Parameters
    ----------
    root : where to look
    names : of the folders
    skipped : says of a folder's name whether there is no use in looking into it

    Returns
    -------
    those found, the nearest to the root first, then by name
    """
    folders, level = [], [Path(root)]
    for _ in range(ARCHIVE_DEPTH + 1):
        folders += [folder / name for folder in level for name in names if (folder / name).is_dir()]
        level = [path for folder in level for path in subfolders(folder)]
        level = [path for path in level if path.name not in names and not skipped(path.name)]
    return folders


def excluded_runs(config: Config) -> set[tuple[str, str, int]]:
    """List (subject, movie, repeat) of the runs that the config leaves out."""
    return {(run["subject"], run["movie"], run["repeat"]) for run in config["exclude_runs"]}


def names_in(folder: Path) -> list[str]:
    """List the names in a folder, sorted; none where it cannot be read."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # no such folder, or one that may not be read
        return []


class MissingFiles(InputError):
    """All missing files of a study in one message: how many, the first few, where it looked, what to do."""

    def __init__(self, dataset: str, missing: Sequence[Path], looked_in: Sequence[Path], todo: str) -> None:
        super().__init__(dataset, f"{len(missing)} files missing", "every file of the study", todo)
        more = len(missing) - SHOWN_FILES
        lines = [f"{dataset}: {len(missing)} files are missing, for example"]
        lines += [f"  {path}" for path in missing[:SHOWN_FILES]]
        lines += [f"  ... and {more} more"] if more > 0 else []
        lines += ["Looked in", *(f"  {folder}" for folder in looked_in), todo]
        self.args = ("\n".join(lines),)
