"""Clips from features that a regression predicted: the nearest training clip, or what the VAE decodes."""

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch

from neurocine.diffusion.conditions import clips_to_decode
from neurocine.diffusion.decode import Decoded
from neurocine.metrics.retrieval import nearest
from neurocine.settings import Count, Settings, Unit
from neurocine.stimuli.cached import Clip


class PredictClipsSettings(Settings):
    """How clips are made of predicted features."""

    batch_size: Annotated[Count, Unit("frames")] = 16
    """The VAE decodes this many frames together."""


def nearest_clips(predicted: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Find for each prediction the candidate whose direction from their mean is most alike, (n,) i64.

    A regression shrinks towards the mean of what it was fitted to, which therefore is taken off both.

    Parameters
    ----------
    predicted : (n, E)
    candidates : (m, E), of the training clips
    """
    mean = candidates.mean(0, dtype=np.float64).astype(np.float32)
    return nearest(torch.from_numpy(predicted - mean), torch.from_numpy(candidates - mean))


def predict_clips(
    clips: Sequence[Clip], every: int, make: Callable[[np.ndarray], np.ndarray]
) -> dict[str, Decoded]:
    """Make each k-th clip of the movies.

    Parameters
    ----------
    clips : movie and index of every clip whose features were predicted
    every : make clips 0, k, 2k ... of each movie
    make : rows (n,) i64 of ``clips`` to frames (n, F, H, W, 3) uint8
    """
    rows = clips_to_decode(clips, every)
    decoded = {}
    for movie in dict.fromkeys(clips[row][0] for row in rows):
        here = np.array([row for row in rows if clips[row][0] == movie], np.int64)
        decoded[movie] = Decoded(make(here), np.array([clips[row][1] for row in here], np.int64))
    return decoded
