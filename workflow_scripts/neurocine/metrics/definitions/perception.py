"""Distances of frames to a network whose weights were fitted to what people find alike."""

import math

import numpy as np

from neurocine.metrics.features import Clips, Extractor, network_fingerprint
from neurocine.metrics.metric import Feature, Judge, Metric, Origin, single


def _lpips(origin: Origin) -> Extractor:
    """Compare videos at once: the activations of all clips would be too large to keep."""
    from neurocine.metrics.lpips import load_lpips, lpips_pairs

    network = load_lpips(origin.folder, origin.device)

    def compare(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return lpips_pairs(network, predicted, truth, origin.device, origin.batch_size)

    return Extractor(network_fingerprint(origin.folder), compare=compare)


def _pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    return judge.compare["lpips"](predicted.videos, truth.videos)


METRICS = (
    Metric(
        "lpips",
        "LPIPS 0.1 of frames in the same place with the authors' AlexNet or VGG-16 (the given weights), "
        "frames in their own size",
        "none; 0 for equal frames",
        "the same network and frame size only",
        "embeddings",
        *single("lpips", _pairs),
        needs=("lpips",),
        min_side=32,  # smaller frames leave nothing after the last stage
        value_range=(0.0, math.inf),
        lower_is_better=True,
    ),
)
FEATURES = (Feature("lpips", _lpips, network="lpips"),)
