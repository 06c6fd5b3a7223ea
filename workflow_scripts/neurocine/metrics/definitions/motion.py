"""Metrics of motion, from Farnebäck's optical flow between the frames of a clip."""

import math
from collections.abc import Callable

import numpy as np

from neurocine.metrics.features import Clips, Extractor
from neurocine.metrics.metric import Feature, Judge, Metric, Origin, PairScores, single

EDGE_PIXELS = 5  # shortest side of frames: the flow gives less weight to this many pixels from each edge


def flow_extractor(device: str, size: int = 0, exchanged: bool = False) -> Extractor:
    """Optical flow between neighbouring frames, as they are or resized to ``size`` (``flow.clip_flows``)."""
    from neurocine.metrics import flow

    settings = [flow.PYRAMID_SCALE, flow.LEVELS, flow.WINDOW, flow.ITERATIONS, flow.TAPS, flow.SIGMA]
    fingerprint = f"farneback {settings} grid {flow.GRID} size {size}" + " exchanged" * exchanged
    return Extractor(fingerprint, lambda videos: flow.clip_flows(videos, device, size, exchanged))


def _epe(feature: str) -> PairScores:
    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        from neurocine.metrics.flow import epe_pairs

        return epe_pairs(predicted.features[feature], truth.features[feature], judge.device)

    return pairs


def _of_flow(name: str, **options: bool) -> PairScores:
    """Score pairs by a function of `neurocine.metrics.flow`."""

    def pairs(predicted: Clips, truth: Clips, _: Judge) -> np.ndarray:
        from neurocine.metrics import flow

        function: Callable[..., np.ndarray] = getattr(flow, name)
        return function(predicted.features["flow"], truth.features["flow"], **options)

    return pairs


def _motion_energy(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    from neurocine.metrics.flow import mean_speeds, motion_energy_pairs
    from neurocine.metrics.statistics import rank_contributions

    first, second = predicted.features["flow"], truth.features["flow"]
    pairs = motion_energy_pairs(first, second)
    if judge.matched:
        # The same mean as the products', and the spread over clips that the correlation has.
        np.fill_diagonal(pairs, rank_contributions(mean_speeds(first), mean_speeds(second)))
    return pairs


def _extract(size: int, exchanged: bool = False) -> Callable[[Origin], Extractor]:
    return lambda origin: flow_extractor(origin.device, size, exchanged)


METRICS = (
    Metric(
        "epe_farneback",
        "end-point error in pixels between Farnebäck flows (OpenCV's algorithm; scale .5, 3 levels, window "
        "15, 3 iterations, 5, 1.2) at the clips' own size",
        "none; frozen video: mean speed of the original",
        "own size only",
        "motion",
        *single("epe_farneback", _epe("flow")),
        needs=("flow",),
        min_frames=2,
        min_side=EDGE_PIXELS,
        value_range=(0.0, math.inf),
        lower_is_better=True,
        default=True,
        short_table={"epe": 80},
    ),
    Metric(
        "epe_farneback_512",
        "the same with grey frames enlarged to 512² first",
        "as above",
        "nothing",
        "motion",
        *single("epe_farneback_512", _epe("flow_512")),
        needs=("flow_512",),
        min_frames=2,
        value_range=(0.0, math.inf),
        lower_is_better=True,
    ),
    Metric(
        "epe_farneback_ma",
        "the same with the grey weights of red and blue exchanged, as Mind-Animator's code has them",
        "as above",
        "Mind-Animator at 8 frames; its originals came from GIFs of 256 colours, which can shift single "
        "clips",
        "motion",
        *single("epe_farneback_ma", _epe("flow_ma")),
        needs=("flow_ma",),
        min_frames=2,
        value_range=(0.0, math.inf),
        lower_is_better=True,
    ),
    Metric(
        "flow_cos",
        "cosine of the two flow fields of a clip; 0 if the prediction is frozen",
        "none",
        "nothing published",
        "motion",
        *single("flow_cos", _of_flow("flow_cosine_pairs")),
        needs=("flow",),
        min_frames=2,
        min_side=EDGE_PIXELS,
        default=True,
    ),
    Metric(
        "flow_corr",
        "the same after each clip's mean flow is subtracted",
        "0",
        "nothing published",
        "motion",
        *single("flow_corr", _of_flow("flow_cosine_pairs", centred=True), chance=0.0),
        needs=("flow",),
        min_frames=2,
        min_side=EDGE_PIXELS,
    ),
    Metric(
        "motion_energy_rho",
        "Spearman correlation over the clips of a movie between mean speeds, predicted and true",
        "0",
        "nothing published",
        "motion",
        *single("motion_energy_rho", _motion_energy, chance=0.0),
        needs=("flow",),
        min_frames=2,
        min_side=EDGE_PIXELS,
        default=True,
    ),
    Metric(
        "motion_id_2way",
        "share of the movie's other clips whose flow agrees less with the prediction than the true clip's "
        "own, ties half",
        ".5",
        "nothing published",
        "motion",
        *single("motion_id_2way", _of_flow("motion_identification_pairs"), chance=0.5),
        value_range=(0.0, 1.0),
        needs=("flow",),
        min_frames=2,
        min_side=EDGE_PIXELS,
        default=True,
    ),
)
FEATURES = (
    Feature("flow", _extract(0)),
    Feature("flow_512", _extract(512)),
    Feature("flow_ma", _extract(512, exchanged=True)),
)
