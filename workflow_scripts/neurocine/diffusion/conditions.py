"""The fMRI that a decoder is given under a condition, and which clips are decoded."""

from collections.abc import Mapping, Sequence

import numpy as np

from neurocine.conditions import CONDITIONS
from neurocine.naming import Clip


def control_fmri(
    condition: str, test: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray], shift: int, seed: int
) -> dict[str, np.ndarray]:
    """Make the samples that a condition decodes.

    Parameters
    ----------
    condition : one that decode makes; some exchange windows, not samples (`exchanged_rows`)
    test, training : movies, each (T, V) float32
    shift : TR, of "shifted"
    seed : of what a control draws

    Returns
    -------
    test movies, each (T, V) float32
    """
    make = CONDITIONS[condition].fmri
    return dict(test) if make is None else make(test, training, shift, seed)


def exchanged_rows(condition: str, clips: Sequence[Clip], seed: int) -> np.ndarray:
    """Return the row of the clip whose window each clip gets under a condition, (n_clips,) i64."""
    exchange = CONDITIONS[condition].exchanged
    return np.arange(len(clips)) if exchange is None else exchange(clips, seed)


def source_clips(condition: str, clips: Sequence[Clip], shift: int, seed: int) -> dict[str, np.ndarray]:
    """Tell at the time of which clips the fMRI was recorded that a control decodes.

    Parameters
    ----------
    condition : one that decode makes
    clips : all clips of the movies, in order
    shift : TR, of "shifted"
    seed : of what a control draws

    Returns
    -------
    per movie (n,) i64, of each of its clips; empty where it is the clip itself or no clip
    """
    about = CONDITIONS[condition]
    if not about.recorded or (about.fmri is None and about.exchanged is None):
        return {}
    movies = np.array([movie for movie, _ in clips])
    index = np.array([number for _, number in clips])[exchanged_rows(condition, clips, seed)]
    # What a control does to samples, done to samples that are the numbers of their clips.
    numbers = {str(movie): index[movies == movie][:, None] for movie in dict.fromkeys(movies.tolist())}
    moved = control_fmri(condition, numbers, {}, shift, seed)
    return {movie: samples[:, 0] for movie, samples in moved.items()}


def clips_to_decode(clips: Sequence[Clip], every: int) -> list[int]:
    """Return the rows of each k-th clip of a movie: those whose index is a multiple of ``every``."""
    return [row for row, (_, index) in enumerate(clips) if index % every == 0]
