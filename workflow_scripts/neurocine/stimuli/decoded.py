"""Read clips from the files of the workflow: whole movies of prepare_stimuli, and decoded clips."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurocine.errors import InputError
from neurocine.io import open_arrays, read_arrays
from neurocine.naming import natural


class MovieFiles:
    """Movies in files, one array per movie with a row per clip, read when asked for.

    Parameters
    ----------
    files : safetensors files
    where : argument or key that names them, for messages

    Attributes
    ----------
    movies : movie -> its file, in natural order
    """

    def __init__(self, files: Sequence[Path], where: str) -> None:
        self.where = where
        sources: dict[str, Path] = {}
        for path in files:
            with open_arrays(path) as handle:
                sources |= dict.fromkeys(handle.keys(), path)
        self.movies = {name: sources[name] for name in sorted(sources, key=natural)}

    def clip_shape(self) -> tuple[int, ...]:
        """Return the shape of a clip of the first movie.

        Raises
        ------
        InputError : no movies
        """
        if not self.movies:
            todo = "Give the test movies' files."
            raise InputError(self.where, "no movies", "files of prepare_stimuli", todo)
        movie = next(iter(self.movies))
        with open_arrays(self.movies[movie]) as handle:
            return tuple(handle.get_slice(movie).get_shape()[1:])

    def read(self, movie: str) -> np.ndarray:
        """Read all clips of a movie, (n_clips, ...).

        Raises
        ------
        InputError : no such movie
        """
        if movie not in self.movies:
            found = f"movies {', '.join(self.movies) or 'none'}"
            todo = "Give the files of all decoded movies."
            raise InputError(self.where, found, f"the decoded movie {movie}", todo)
        return read_arrays(self.movies[movie], [movie])[0][movie]

    def rows(self, movie: str, clips: np.ndarray) -> np.ndarray:
        """Read the clips (n,) of a movie, (n, ...).

        Raises
        ------
        InputError : no such movie, or an index beyond it
        """
        every = self.read(movie)
        if clips.min() < 0 or clips.max() >= len(every):
            found = f"decoded clips {clips.min()} to {clips.max()}"
            expected = f"indices below {len(every)}"
            raise InputError(f"{self.where} {movie}", found, expected, "Decode with the same stimuli.")
        return every[clips]
