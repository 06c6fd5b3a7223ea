"""Clips from features that a regression predicted: the nearest training clip, or what the VAE decodes."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch

from neurocine.diffusion.conditions import clips_to_decode
from neurocine.diffusion.decode import Decoded
from neurocine.metrics.retrieval import nearest
from neurocine.models.vae import decode_latents
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


def by_movie(clips: Sequence[Clip], every: int) -> dict[str, np.ndarray]:
    """Return the rows (n,) i64 of each k-th clip, per movie."""
    rows = clips_to_decode(clips, every)
    movies = dict.fromkeys(clips[row][0] for row in rows)
    return {movie: np.array([row for row in rows if clips[row][0] == movie], np.int64) for movie in movies}


def decode_predicted(
    vae: Any, clips: Sequence[Clip], latents: np.ndarray, every: int, settings: PredictClipsSettings
) -> dict[str, Decoded]:
    """Decode the predicted latents of each k-th clip as they are.

    Parameters
    ----------
    vae : of the diffusion model
    clips : movie and index of each row
    latents : (n, F, C, h, w)
    every : decode clips 0, k, 2k ... of each movie
    settings : section predict_clips
    """
    return {
        movie: Decoded(
            decode_latents(vae, latents[rows], settings.batch_size),
            np.array([clips[row][1] for row in rows], np.int64),
        )
        for movie, rows in by_movie(clips, every).items()
    }
