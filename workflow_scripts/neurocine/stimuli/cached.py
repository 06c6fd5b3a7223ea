"""Read what was computed once per clip (latents, text states) from the files of several movies."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurocine.errors import InputError
from neurocine.io import open_arrays, read_meta
from neurocine.naming import Clip, natural


def movies_in(handle: Any, suffix: str = "") -> list[str]:
    """List the movies of an opened file with an array ``{movie}`` or ``{movie}/{suffix}``, in their order.

    The order is that of the header's ``movies``; files without it are read in natural order, because a
    safetensors file does not keep the order of its arrays.
    """
    ending = f"/{suffix}" if suffix else ""
    keys = list(handle.keys())
    names = [name.removesuffix(ending) for name in keys if name.endswith(ending)]
    names = [name for name in names if "/" not in name]
    order = read_meta(handle).get("movies")
    if isinstance(order, list) and set(names) <= set(order):
        return [name for name in order if name in names]
    return sorted(names, key=natural)


def clip_shapes(handle: Any, path: Path) -> dict[str, tuple[int, int]]:
    """Map the movies of an opened file of prepare_stimuli to their numbers of clips and frames.

    Raises
    ------
    InputError : a file of another kind
    """
    shapes = {}
    for movie in movies_in(handle):
        piece = handle.get_slice(movie)
        shape, dtype = tuple(piece.get_shape()), piece.get_dtype()
        if dtype != "U8" or len(shape) != 5 or shape[-1] != 3 or 0 in shape:
            expected = "uint8 (clips, frames, height, width, 3)"
            raise InputError(path, f"{movie}: {dtype} {shape}", expected, "Give a file of prepare_stimuli.")
        shapes[movie] = (shape[0], shape[1])
    if not shapes:
        raise InputError(path, "no movie", "clips of movies", "Give a file of prepare_stimuli.")
    return shapes


def listed_movies(files: Iterable[Path]) -> list[str]:
    """List the movies of files of prepare_stimuli, in their order."""
    movies = []
    for path in files:
        with open_arrays(path) as handle:
            movies += movies_in(handle)
    return movies


def every_kth_clip(files: Iterable[Path], every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the clips that are decoded, movie by movie.

    Parameters
    ----------
    files : of prepare_stimuli
    every : k; clips 0, k, 2k ... of each movie

    Yields
    ------
    movie, indices (n,) i64 of its clips, and these clips (n, F, H, W, 3) uint8
    """
    for path in files:
        with open_arrays(path) as handle:
            for movie in movies_in(handle):
                clips = handle.get_tensor(movie)
                index = np.arange(0, len(clips), every)
                yield movie, index, clips[index]


def random_frames(files: Iterable[Path], n: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield n random frames, uint8 (H, W, 3) each, without reading all that there are.

    Parameters
    ----------
    files : of prepare_stimuli
    n : how many; a frame may come twice
    generator : of the draws

    Raises
    ------
    InputError : no movie in any file
    """
    places: list[tuple[Path, str, int, int]] = []
    for path in files:
        with open_arrays(path) as handle:
            for movie in movies_in(handle):
                n_clips, n_frames = handle.get_slice(movie).get_shape()[:2]
                places += [(path, movie, clip, frame) for clip in range(n_clips) for frame in range(n_frames)]
    if not places:
        todo = "Give the training movies."
        raise InputError("--train-stimuli", "no movie", "files of prepare_stimuli", todo)
    for place in generator.integers(len(places), size=n):
        path, movie, clip, frame = places[place]
        with open_arrays(path) as handle:
            yield handle.get_slice(movie)[clip : clip + 1][0, frame]


def read_clips(files: Iterable[Path], clips: Sequence[Clip]) -> np.ndarray:
    """Read single clips of files of prepare_stimuli, (n, F, H, W, 3) uint8 in the order asked for."""
    frames: dict[Clip, np.ndarray] = {}
    for path in files:
        with open_arrays(path) as handle:
            names = set(handle.keys())
            for movie, clip in set(clips):
                if movie in names:
                    frames[movie, clip] = handle.get_slice(movie)[clip : clip + 1][0]
    return np.stack([frames[clip] for clip in clips])


@dataclass(frozen=True)
class CachedClips:
    """Rows of clips with the movie and index of each.

    Parameters
    ----------
    clips : id of every row
    rows : (n_clips, ...), in the dtype of the files
    """

    clips: tuple[Clip, ...]
    rows: np.ndarray

    @classmethod
    def read(
        cls, files: Sequence[Path], suffix: str = "", movies: Collection[str] | None = None
    ) -> "CachedClips":
        """Concatenate the arrays ``{movie}`` (or ``{movie}/{suffix}``) of the files in their order.

        Parameters
        ----------
        files : in the order of the config
        suffix : which array of a movie
        movies : read only these (default: all)

        Raises
        ------
        InputError : no files, a movie occurs twice or not at all, or clips of different shapes
        """
        clips: list[Clip] = []
        parts: list[np.ndarray] = []
        for _, movie, array in _movie_arrays(files, suffix, movies):
            if parts and array.shape[1:] != parts[0].shape[1:]:
                raise InputError(
                    movie,
                    f"clips of shape {array.shape[1:]}",
                    f"{parts[0].shape[1:]} as in {clips[0][0]}",
                    "Make all movies with the same settings.",
                )
            clips += [(movie, index) for index in range(len(array))]
            parts.append(array)
        return cls(tuple(clips), np.concatenate(parts))

    def of(self, movies: Sequence[str]) -> np.ndarray:
        """Return the rows (n_clips, ...) of movies, one movie after the other."""
        names = np.array([movie for movie, _ in self.clips])
        return np.concatenate([self.rows[names == movie] for movie in movies])

    def by_movie(self) -> dict[str, np.ndarray]:
        """Return movie -> its rows (n_clips, ...)."""
        return {movie: self.of([movie]) for movie in dict.fromkeys(movie for movie, _ in self.clips)}

    def rows_of(self, movies: Collection[str]) -> np.ndarray:
        """Return the row numbers (n,) i64 of these movies' clips, in order."""
        return np.array([row for row, (movie, _) in enumerate(self.clips) if movie in movies], np.int64)


def _movie_arrays(
    files: Sequence[Path], suffix: str, movies: Collection[str] | None
) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield (number of the file, movie, array) and check that each movie wanted occurs once."""
    seen: dict[str, Path] = {}
    for number, path in enumerate(files):
        with open_arrays(path) as handle:
            for movie in movies_in(handle, suffix):
                if movies is not None and movie not in movies:
                    continue
                if movie in seen:
                    raise InputError(
                        path, f"{movie}, also in {seen[movie]}", "each movie once", "Give each file once."
                    )
                seen[movie] = path
                yield number, movie, handle.get_tensor(f"{movie}/{suffix}" if suffix else movie)
    missing = [movie for movie in movies or [] if movie not in seen]
    if missing or not seen:
        raise InputError(
            ", ".join(map(str, files)) or "files",
            f"movies {', '.join(seen) or 'none'}",
            f"{', '.join(missing) or 'at least one'}",
            "Give the files of all movies.",
        )


@dataclass(frozen=True)
class TextStates:
    """Text encoder states of the captions; equal captions share a row of the table.

    Parameters
    ----------
    states : (n_unique, L, D)
    index : rows (n_clips, K) i64 into ``states``; K captions per clip
    null : (L, D), states of the empty caption
    """

    states: np.ndarray
    index: CachedClips
    null: np.ndarray

    @classmethod
    def read(cls, files: Sequence[Path], movies: Collection[str] | None = None) -> "TextStates":
        """Read the states of these movies' captions from files of embed_clips.

        Raises
        ------
        InputError : see `CachedClips.read`; the files' empty captions differ; an index beyond the table
        """
        tables: list[np.ndarray] = []
        nulls: list[np.ndarray] = []
        for path in files:
            with open_arrays(path) as handle:
                tables.append(handle.get_tensor("text_states"))
                nulls.append(handle.get_tensor("null_states"))
            if not np.array_equal(nulls[0], nulls[-1]):
                raise InputError(
                    path, "another empty caption", f"that of {files[0]}", "Embed all movies with one model."
                )
        starts = np.cumsum([0, *map(len, tables)])
        clips: list[Clip] = []
        parts: list[np.ndarray] = []
        for number, movie, index in _movie_arrays(files, "state_index", movies):
            if index.size and not 0 <= index.min() <= index.max() < len(tables[number]):
                raise InputError(
                    files[number], f"{movie}/state_index beyond the table", f"below {len(tables[number])}",
                    "Make the file again.",
                )  # fmt: skip
            clips += [(movie, row) for row in range(len(index))]
            parts.append(index + starts[number])
        return cls(np.concatenate(tables), CachedClips(tuple(clips), np.concatenate(parts)), nulls[0])
