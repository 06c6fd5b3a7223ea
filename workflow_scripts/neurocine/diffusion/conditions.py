"""fMRI that a decoder is given in place of the recorded one, and which clips are decoded."""

from collections.abc import Mapping, Sequence

import numpy as np

from neurocine.errors import InputError
from neurocine.fmri.assemble import training_statistics
from neurocine.naming import Clip
from neurocine.seeds import numpy_generator

FAR_TR = 15  # TR, least distance of a shuffled window from its clip; a quarter of a shorter movie


def shift_within_movies(bold: Mapping[str, np.ndarray], shift: int) -> dict[str, np.ndarray]:
    """Rotate each movie's fMRI in time, so that it keeps its statistics but belongs to other clips.

    Parameters
    ----------
    bold : movies, each (T, V)
    shift : TR; sample t moves to t + shift, and past the end to the start

    Raises
    ------
    InputError : the shift is a whole number of a movie's lengths and would change nothing
    """
    for movie, samples in bold.items():
        if shift % len(samples) == 0:
            raise InputError(
                "shift_tr",
                f"{shift}, which moves the {len(samples)} TR of {movie} onto themselves",
                "a shift that is no multiple of a movie's length",
                "Change shift_tr of decode.",
            )
    return {movie: np.roll(samples, shift, axis=0) for movie, samples in bold.items()}


def far_permutation(n: int, distance: int, generator: np.random.Generator) -> np.ndarray:
    """Draw an order of n things in which each is at least ``distance`` from its place, (n,) i64.

    Raises
    ------
    InputError : there is none, or none was found in many draws
    """
    order = generator.permutation(n)
    places = np.arange(n)
    for _ in range(1000):
        near = np.flatnonzero(np.abs(order - places) < distance)
        if not len(near):
            return order
        for place in near:
            other = generator.integers(n)
            order[[place, other]] = order[[other, place]]
    raise InputError(
        "a movie", f"{n} clips", f"an order that moves each by {distance}", "Take shuffled out of conditions."
    )


def shuffled_rows(clips: Sequence[Clip], seed: int) -> np.ndarray:
    """Give every clip the row of another one of its movie, far away in time: (n_clips,) i64.

    Whole windows are exchanged, so each is a possible piece of fMRI, and each is used once.
    """
    rows = np.arange(len(clips))
    for movie in dict.fromkeys(name for name, _ in clips):
        here = np.flatnonzero([name == movie for name, _ in clips])
        generator = numpy_generator(seed, "decode", "shuffled", movie)
        rows[here] = here[far_permutation(len(here), max(1, min(FAR_TR, len(here) // 4)), generator)]
    return rows


def source_clips(condition: str, clips: Sequence[Clip], shift: int, seed: int) -> dict[str, np.ndarray]:
    """Tell at the time of which clips the fMRI was recorded that a control decodes.

    Parameters
    ----------
    condition : one of `CONDITIONS`
    clips : all clips of the movies, in order
    shift : TR, of "shifted"
    seed : of "shuffled"

    Returns
    -------
    per movie (n,) i64, of each of its clips; empty where it is the clip itself or no clip
    """
    if condition not in ("shifted", "shuffled"):
        return {}
    movies = np.array([movie for movie, _ in clips])
    index = np.array([number for _, number in clips])
    if condition == "shuffled":
        index = index[shuffled_rows(clips, seed)]
    found = {str(movie): index[movies == movie] for movie in dict.fromkeys(movies.tolist())}
    if condition == "shifted":
        found = {movie: np.roll(part, shift) for movie, part in found.items()}
    return found


def control_fmri(
    condition: str, test: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray], shift: int, seed: int
) -> dict[str, np.ndarray]:
    """Make the samples that a condition decodes.

    Parameters
    ----------
    condition : one that decode makes; "shuffled" exchanges windows, not samples (`shuffled_rows`)
    test, training : movies, each (T, V) float32
    shift : TR, of "shifted"
    seed : of "noise"

    Returns
    -------
    test movies, each (T, V) float32
    """
    if condition == "shifted":
        return shift_within_movies(test, shift)
    if condition not in ("mean", "noise"):
        return dict(test)
    mean, std = training_statistics(list(training.values()))
    made = {}
    for movie, samples in test.items():
        made[movie] = np.repeat(mean[None], len(samples), axis=0)
        if condition == "noise":
            generator = numpy_generator(seed, "decode", "noise", movie)
            made[movie] += std * generator.standard_normal(samples.shape, dtype=np.float32)
    return made


def clips_to_decode(clips: Sequence[Clip], every: int) -> list[int]:
    """Return the rows of each k-th clip of a movie: those whose index is a multiple of ``every``."""
    return [row for row, (_, index) in enumerate(clips) if index % every == 0]
