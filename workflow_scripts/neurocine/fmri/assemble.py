"""Join the cleaned runs of a subject into samples per movie.

Repeats are averaged after each was z-scored; then every vertex is standardised again, with the mean and the
standard deviation of the training samples only, for training and test alike.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neurocine.errors import InputError
from neurocine.io import open_arrays, read_meta
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings

log = logging.getLogger(__name__)

REPEATS = "repeats"  # arrays named {movie}/repeats
CLEANED_BY = ("preprocess_run", "import_fmri")  # steps that write cleaned runs


class AssembleTrainSettings(Settings):
    """How repeats of a training movie become samples."""

    repeats: Literal["mean", "random"] = "mean"
    """Repeats of training movies are averaged (mean), or trainings draw one per sample and step (random)."""


class AssembleTestSettings(Settings):
    """How repeats of a test movie become samples."""

    repeats: Literal["mean"] | Count = "mean"
    """All test repeats are averaged (mean), or the first k that exist, given as a number."""


@dataclass(frozen=True)
class SubjectFmri:
    """Samples of one subject, one file of assemble_train or assemble_test.

    Attributes
    ----------
    bold : movie -> (T, V) float32, mean over repeats, standardised with training statistics
    repeats : movie -> (n_repeats, T, V) float32, likewise standardised, NaN where a run is missing; empty for
        training samples that are means
    mean, std : (V,) float32, the training statistics; only in the training file
    meta : header of the file
    """

    bold: dict[str, np.ndarray]
    repeats: dict[str, np.ndarray] = field(default_factory=dict)
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def movies(self) -> list[str]:
        """Movies in order."""
        return list(self.bold)

    @property
    def n_vertices(self) -> int:
        """V."""
        return int(next(iter(self.bold.values())).shape[1])

    def samples(self, movie: str) -> np.ndarray:
        """Give what a training may use of a movie: (1, T, V) the mean, or (n, T, V) the existing repeats."""
        if movie not in self.repeats:
            return self.bold[movie][None]
        return self.repeats[movie][existing_repeats(self.repeats[movie], movie)]

    def at_other_times(self, seed: int, number: int) -> "SubjectFmri":
        """Rotate each movie's samples (T, V) in time by a quarter to three quarters of it.

        What was measured then belongs to other clips, and keeps its structure in time and space.

        Parameters
        ----------
        seed : that the rotations are drawn from
        number : of this set of rotations
        """
        generator = numpy_generator(seed, "other times", number)
        shifts = {m: int(generator.integers(len(x) // 4, 3 * len(x) // 4 + 1)) for m, x in self.bold.items()}
        return replace(
            self,
            bold={movie: np.roll(values, shifts[movie], axis=0) for movie, values in self.bold.items()},
            repeats={movie: np.roll(values, shifts[movie], axis=1) for movie, values in self.repeats.items()},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays as stored, float32: per movie (T, V), repeats (n_repeats, T, V); mean and std (V,)."""
        stored = dict(self.bold)
        stored |= {f"{movie}/{REPEATS}": array for movie, array in self.repeats.items()}
        if self.mean is not None and self.std is not None:
            stored |= {"mean": self.mean, "std": self.std}
        return stored

    @classmethod
    def read(
        cls, path: Path, movies: Sequence[str] | None = None, with_repeats: bool = True
    ) -> "SubjectFmri":
        """Read a file of assemble_train or assemble_test.

        Parameters
        ----------
        path : train or test file
        movies : which to read, in this order; all by default
        with_repeats : also read the single repeats (for ten test repeats they are most of the file)

        Raises
        ------
        InputError : no such file, another kind of file, or a movie that is not in it
        """
        with open_arrays(path) as handle:
            meta, names = read_meta(handle), set(handle.keys())
            if "movies" not in meta or not set(meta["movies"]) <= names:
                raise InputError(
                    path, "no list of movies", "a file of assemble_train or assemble_test", "Make it again."
                )
            chosen = list(meta["movies"] if movies is None else movies)
            absent = [movie for movie in chosen if movie not in meta["movies"]]
            if absent:
                raise InputError(
                    path,
                    f"movies {', '.join(meta['movies'])}",
                    f"also {', '.join(absent)}",
                    "Correct the movies in the config, or make the file again.",
                )
            stored = {name: f"{name}/{REPEATS}" for name in chosen if with_repeats}
            return cls(
                bold={movie: handle.get_tensor(movie) for movie in chosen},
                repeats={m: handle.get_tensor(name) for m, name in stored.items() if name in names},
                mean=handle.get_tensor("mean") if "mean" in names else None,
                std=handle.get_tensor("std") if "std" in names else None,
                meta=meta,
            )


def read_cleaned(paths: Sequence[Path]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read files of preprocess_run or of import_fmri that belong to one subject.

    Parameters
    ----------
    paths : files; their movies are taken in the order of the files and within a file as it says

    Returns
    -------
    movies : movie -> (n_repeats, T, V) float32
    source : name of their step -> settings and vertices that all the files share, and the excluded runs

    Raises
    ------
    InputError : no or a bad file, a movie in two files, files made by different steps, settings or vertices
    """
    source: dict[str, Any] = {}
    excluded: list[str] = []
    movies: dict[str, np.ndarray] = {}
    for path in paths:
        with open_arrays(path) as handle:
            meta = read_meta(handle)
            if meta.get("step") not in CLEANED_BY:
                expected = f"a file of {' or '.join(CLEANED_BY)}"
                raise InputError(path, str(meta.get("step")), expected, "Correct the name.")
            origin = {key: meta[key] for key in ("step", "settings", "vertices")}
            if source and origin != source:
                raise _other_source(path, origin, source)
            source = origin
            excluded += [entry for entry in meta["excluded"] if entry not in excluded]
            for movie in meta["movies"]:
                if movie in movies:
                    raise InputError(path, f"{movie} once more", "each movie in one file", "Give it once.")
                movies[movie] = handle.get_tensor(movie)
    if not movies:
        raise InputError("movies", "no movie", "at least one", "Name some in the config.")
    step = source.pop("step")
    return movies, {step: source | {"excluded": sorted(excluded)}}


def _other_source(path: Path, origin: Mapping[str, Any], source: Mapping[str, Any]) -> InputError:
    step = origin.get("step", CLEANED_BY[0])
    return InputError(path, str(origin), f"{source}, as in the others", f"Run {step} again.")


def refuse_other_source(path: Path, source: Mapping[str, Any], train: SubjectFmri) -> None:
    """Raise InputError where cleaned runs differ in step, settings or vertices from those of the training."""
    for step, facts in source.items():
        origin = {"step": step} | {key: facts[key] for key in ("settings", "vertices")}
        there = train.meta.get(step, {})
        expected = {"step": step} | {key: there.get(key) for key in ("settings", "vertices")}
        if origin != expected:
            raise _other_source(path, origin, expected)


def existing_repeats(repeats: np.ndarray, movie: str) -> np.ndarray:
    """Which repeats (n_repeats, T, V) hold data: (n_existing,) int64 indices.

    Raises
    ------
    InputError : no repeat, or a repeat that is NaN in part
    """
    missing = np.isnan(repeats)
    absent = missing.all((1, 2))
    if absent.all():
        raise InputError(movie, "no repeat with data", "at least one", "Take the movie out of the config.")
    if missing[~absent].any():
        raise InputError(movie, "NaN within a repeat", "whole repeats", "Run preprocess_run again.")
    return np.flatnonzero(~absent)


def mean_of_repeats(repeats: np.ndarray, movie: str, first: int | None = None) -> np.ndarray:
    """Average the existing repeats of a movie, with a warning where some are missing.

    Parameters
    ----------
    repeats : (n_repeats, T, V), NaN where a run is missing
    movie : for messages
    first : how many of the existing ones to use, the first ones; all by default

    Returns
    -------
    (T, V) float32
    """
    there = existing_repeats(repeats, movie)
    wanted = len(repeats) if first is None else first
    used = there[:first]
    if len(used) < wanted:
        log.warning("%s: mean of %d repeats, not %d", movie, len(used), wanted)
    return repeats[used].mean(0, dtype=np.float64).astype(np.float32)


def training_statistics(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (N) of each vertex over all training samples.

    Parameters
    ----------
    samples : arrays (..., V) without NaN

    Returns
    -------
    mean, std : (V,) float32; std is 1 for a constant vertex, so that it stays 0 and divides nothing by zero
    """
    flat = [array.reshape(-1, array.shape[-1]) for array in samples]
    count = sum(map(len, flat))
    mean = np.sum([array.sum(0, dtype=np.float64) for array in flat], axis=0) / count
    std = np.sqrt(np.sum([((array - mean) ** 2).sum(0) for array in flat], axis=0) / count)
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1).astype(np.float32)


def _one_size(movies: Mapping[str, np.ndarray]) -> int:
    """Return the number of vertices; InputError where runs differ."""
    sizes = {array.shape[-1] for array in movies.values()}
    if len(sizes) > 1:
        found = f"runs with {sorted(sizes)} vertices"
        raise InputError("preprocess_run", found, "the same vertices", "Make them again.")
    return sizes.pop()


def _standardise(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return np.asarray((values - mean) / std, np.float32)


def assemble_train(train: Mapping[str, np.ndarray], settings: AssembleTrainSettings) -> SubjectFmri:
    """Average the repeats of training movies and standardise each vertex.

    Parameters
    ----------
    train : movie -> (n_repeats, T, V) float32 as `preprocess_run` made them, NaN in repeats that are missing
    settings : section assemble_train of the config

    Returns
    -------
    training samples, (T, V) float32 per movie, with the statistics by which they were standardised

    Raises
    ------
    InputError : runs with different numbers of vertices, a movie without data
    """
    _one_size(train)
    single = settings.repeats != "mean"
    means = {movie: mean_of_repeats(repeats, movie) for movie, repeats in train.items()}
    existing = [repeats[existing_repeats(repeats, movie)] for movie, repeats in train.items()]
    mean, std = training_statistics(existing if single else list(means.values()))
    return SubjectFmri(
        bold={movie: _standardise(values, mean, std) for movie, values in means.items()},
        repeats={movie: _standardise(values, mean, std) for movie, values in train.items()} if single else {},
        mean=mean,
        std=std,
    )


def assemble_test(
    test: Mapping[str, np.ndarray], train: SubjectFmri, settings: AssembleTestSettings
) -> SubjectFmri:
    """Average the repeats of test movies and standardise each vertex with training statistics.

    Parameters
    ----------
    test : movie -> (n_repeats, T, V) float32 as `preprocess_run` made them, NaN in repeats that are missing
    train : of `assemble_train`, the same subject
    settings : section assemble_test of the config

    Returns
    -------
    test samples, (T, V) float32 per movie, with single repeats

    Raises
    ------
    InputError : a training movie, another number of vertices, a movie without data
    """
    shared = sorted(set(train.movies) & set(test))
    if shared:
        found = f"{', '.join(shared)} in train and test"
        raise InputError("movies", found, "different movies", "Correct the config.")
    if train.mean is None or train.std is None:
        raise InputError("train", "no mean and std", "a file of assemble_train", "Correct the name.")
    _one_size({**test, "train": train.mean})
    mean, std = train.mean, train.std
    first = None if settings.repeats == "mean" else int(settings.repeats)
    return SubjectFmri(
        bold={m: _standardise(mean_of_repeats(values, m, first), mean, std) for m, values in test.items()},
        repeats={movie: _standardise(values, mean, std) for movie, values in test.items()},
    )
