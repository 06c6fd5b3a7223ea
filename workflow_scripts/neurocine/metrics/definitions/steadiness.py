"""Whether a clip's frames change as much as the original's: things become others, or stand still."""

import numpy as np

from neurocine.metrics.features import Clips
from neurocine.metrics.metric import Judge, Metric, single


def neighbour_similarity(frames: np.ndarray) -> np.ndarray:
    """Cosine of each frame's embedding with the next one's, (n, F - 1) of embeddings (n, F, E)."""
    unit = frames / np.linalg.norm(frames, axis=-1, keepdims=True)
    return (unit[:, :-1] * unit[:, 1:]).sum(axis=-1)


def change_error_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean over neighbouring frames of the difference of their similarities, prediction against original.

    Parameters
    ----------
    predicted, truth : embeddings of frames (n, F, E) and (m, F, E)

    Returns
    -------
    (n, m) float64, 0 where all frames change as much as the original's
    """
    one, other = neighbour_similarity(predicted), neighbour_similarity(truth)
    return np.abs(one[:, None] - other[None]).mean(axis=-1)


def _pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    return change_error_pairs(predicted.features["clip"], truth.features["clip"])


METRICS = (
    Metric(
        "clip_change_error",
        "mean difference of the cosines of neighbouring frames (CLIP image embeddings) from the original's: "
        "0 where frames change as much, larger where things turn into others or stand still",
        "none; frozen video: the original's own change",
        "nothing published",
        "embeddings",
        *single("clip_change_error", _pairs),
        needs=("clip",),
        min_frames=2,
        value_range=(0.0, 2.0),
        lower_is_better=True,
        default=True,
    ),
)
