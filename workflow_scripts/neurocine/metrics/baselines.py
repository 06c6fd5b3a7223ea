"""Predictions that know nothing of the brain: a grey frame and the mean frame of the training movies."""

from collections.abc import Iterable

import numpy as np

GREY = 110  # a typical mean of natural movie frames; the tables of published baselines use it


def constant_video(shape: tuple[int, int, int, int], grey: int = GREY) -> np.ndarray:
    """A clip of one grey value: shape (F, H, W, 3) -> uint8 (1, F, H, W, 3)."""
    return np.full((1, *shape), grey, dtype=np.uint8)


def mean_frame_video(movies: Iterable[np.ndarray]) -> np.ndarray:
    """A clip that shows the mean frame of the training movies throughout.

    Parameters
    ----------
    movies : uint8 (n_clips, F, H, W, 3) each; taken one after the other, so a generator keeps memory small

    Returns
    -------
    uint8 (1, F, H, W, 3)
    """
    total = np.zeros(())
    count = 0
    shape: tuple[int, ...] = ()
    for clips in movies:
        total = total + clips.sum(axis=(0, 1), dtype=np.float64)
        count += clips.shape[0] * clips.shape[1]
        shape = clips.shape[1:]
    frame = np.rint(total / count).astype(np.uint8)
    return np.broadcast_to(frame, (1, *shape)).copy()
