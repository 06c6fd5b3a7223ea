"""A data set as a table: its movies, and a row for every recording of one of them.

Rules import this for every job, so only the standard library is used and folders are listed, never read.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

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
    n_clips : clips of one TR, from its start
    tr : s, of the fMRI recorded during it, and so the length of a clip
    """

    name: str
    n_clips: int
    tr: float

    def text(self) -> str:
        """Write it as JSON, for the command line of a program."""
        return json.dumps({"name": self.name, "n_clips": self.n_clips, "tr": self.tr})

    @classmethod
    def read(cls, text: str) -> "Movie":
        """Read what ``text`` wrote.

        Raises
        ------
        InputError : another form
        """
        try:
            return cls(**_object(text))
        except (TypeError, ValueError) as error:
            expected = """{"name": "seg1", "n_clips": 240, "tr": 2.0}"""
            raise InputError("--movies", f"{text} ({error})", expected, "Correct the argument.") from None


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
        usual = Recording("", 0, 0, 0.0)
        return json.dumps({key: value for key, value in vars(self).items() if value != getattr(usual, key)})

    @classmethod
    def read(cls, text: str) -> "Recording":
        """Read what ``text`` wrote.

        Raises
        ------
        InputError : another form
        """
        try:
            return cls(**_object(text))
        except (TypeError, ValueError) as error:
            expected = """{"movie": "seg1", "repeat": 1, "n_clips": 240, "tr": 2.0}"""
            raise InputError("--recordings", f"{text} ({error})", expected, "Correct the argument.") from None


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


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
    def own_keys(cls, config: Config) -> dict[str, Any]:
        """Return the config keys that the data set decides, not the config."""
        return {}

    def may_have(self, key: Literal["subject", "movie"], name: str) -> bool:
        """Whether it may have a subject or a movie that a study does not use.

        Where nothing is known of either, any subject will do, and no movie.
        """
        return key == "subject"

    @abstractmethod
    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find movies and recordings of a study; ``with_runs`` false leaves recordings out.

        Raises
        ------
        InputErrors : a table of recordings that contradicts itself
        """


Item = TypeVar("Item", Movie, Recording)


def pair(files: Iterable[Path], items: Iterable[Item]) -> list[tuple[Path, Item]]:
    """Put each file beside what is known of it.

    Raises
    ------
    InputError : more of one than of the other
    """
    paths, known = list(map(Path, files)), list(items)
    if len(paths) != len(known):
        raise InputError("files", f"{len(paths)} files", f"{len(known)}, one per row", "Give one for each.")
    return list(zip(paths, known, strict=True))


def part_of(movie: str, config: Config) -> Part:
    """Say what a movie is used for."""
    movies = config["movies"]
    if movie in movies["test"]:
        return "test"
    return "validation" if movie in movies["validation"] else "train"


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
