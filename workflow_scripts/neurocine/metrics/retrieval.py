"""Find the training clip whose embedding is nearest to a predicted one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neurocine.fmri.windows import window_index
from neurocine.metrics.agreement import embed, mean_direction
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.naming import Clip
from neurocine.settings import Count, Settings, Unit
from neurocine.stimuli.cached import CachedClips


class RetrieveClipsSettings(Settings):
    """How clips are retrieved."""

    batch_size: Annotated[Count, Unit("windows")] = 64
    """The encoder sees this many windows of fMRI per pass."""


def nearest(predicted: Tensor, candidates: Tensor) -> np.ndarray:
    """Return the candidate with the highest cosine for each prediction.

    Parameters
    ----------
    predicted : (n, E)
    candidates : (m, E)

    Returns
    -------
    (n,) i64; the first of equal ones
    """
    unit = F.normalize(predicted.float(), dim=-1)
    return (unit @ F.normalize(candidates.float(), dim=-1).T).argmax(dim=1).numpy()


def retrieve_clips(
    encoder: FmriEncoder,
    bold: Mapping[str, np.ndarray],
    candidates: CachedClips,
    read: Callable[[Sequence[Clip]], np.ndarray],
    every: int,
    settings: RetrieveClipsSettings,
) -> dict[str, np.ndarray]:
    """Show for each window of test fMRI the training clip with the nearest embedding.

    Parameters
    ----------
    encoder : of train_encoder, on its device
    bold : movie -> (T, V) standardised test fMRI
    candidates : image embeddings (n_clips, F, E) of the training clips
    read : clips to their frames (n, F, H, W, 3) uint8
    every : k; clips 0, k, 2k ... of each movie
    settings : section retrieve_clips of the config

    Returns
    -------
    per movie frames (n, F, H, W, 3) uint8 and ``{movie}/clip`` (n,) i64, as decode writes them
    """
    directions = mean_direction(candidates.rows)
    arrays: dict[str, np.ndarray] = {}
    for movie, samples in bold.items():
        index = np.arange(0, len(samples), every)
        windows = samples[window_index(len(samples), encoder.config.window)[index]]
        with torch.no_grad():
            rows = nearest(embed(encoder, windows, None, settings.batch_size), directions)
        arrays[movie] = read([candidates.clips[row] for row in rows])
        arrays[f"{movie}/clip"] = index
    return arrays
