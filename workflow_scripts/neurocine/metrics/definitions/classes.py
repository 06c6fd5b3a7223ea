"""Accuracies of frozen classifiers: does the prediction show what the original shows?"""

from typing import TYPE_CHECKING

import numpy as np

from neurocine.metrics.features import Clips, Extractor, network_fingerprint
from neurocine.metrics.metric import Feature, Judge, Labels, Metric, Origin
from neurocine.metrics.n_way import (
    chance_n_way,
    monte_carlo_n_way,
    rank_pairs,
    success_table,
    target_classes,
)
from neurocine.seeds import numpy_generator

if TYPE_CHECKING:
    from neurocine.metrics.settings import ScoreSettings

TARGETS = {"single": 1, "any3": 3}  # classes of the true clip that count as correct


def n_way_name(kind: str, n_way: int, top_k: int, rule: str) -> str:
    """Name of a metric, which says kind of classifier, N, k unless 1, and the rule for correct classes."""
    return f"acc_{kind}_{n_way}_{rule}" if top_k == 1 else f"acc_{kind}_{n_way}_top{top_k}_{rule}"


def _n_way_settings(kind: str, settings: "ScoreSettings") -> list[tuple[str, int, int, int]]:
    """Name, N, k and number of correct classes of each accuracy; k must stay below N."""
    return [
        (n_way_name(kind, n_way, top_k, rule), n_way, top_k, n_targets)
        for n_way in settings.n_ways
        for top_k in settings.top_ks
        if top_k < n_way
        for rule, n_targets in TARGETS.items()
    ]


def _label_words(kind: str, labels: Labels, settings: "ScoreSettings") -> np.ndarray:
    from neurocine.metrics.classifiers import label_words

    return label_words(labels[f"{kind}_logits"], settings.label_factors, f"{kind} classifier")


def _chances(kind: str, labels: Labels, settings: "ScoreSettings") -> dict[str, float]:
    chances = {}
    for name, n_way, top_k, n_targets in _n_way_settings(kind, settings):
        success_table(len(labels[f"{kind}_logits"]), n_targets, n_way, top_k)  # refuses too few classes
        chances[name] = chance_n_way(n_way, n_targets, top_k)
        if settings.n_way_trials:
            chances[f"{name}_mc{settings.n_way_trials}"] = chances[name]
    if settings.label_factors:
        words = _label_words(kind, labels, settings)
        for factor, column in zip(settings.label_factors, words.T, strict=True):
            chances[f"acc_{kind}_{factor}"] = 1 / (int(column.max()) + 1)
    return chances


def _pairs_of_logits(
    kind: str, predicted: np.ndarray, truth: np.ndarray, judge: Judge, part: int
) -> dict[str, np.ndarray]:
    """Score logits (n, C) with true ones (m, C); ``part`` tells frames apart where trials are drawn."""
    settings = judge.settings
    ranks = {m: rank_pairs(predicted, target_classes(truth, m)) for m in TARGETS.values()}
    pairs = {}
    for name, n_way, top_k, n_targets in _n_way_settings(kind, settings):
        pairs[name] = success_table(predicted.shape[-1], n_targets, n_way, top_k)[ranks[n_targets]]
        if settings.n_way_trials:
            trials = pairs[name].copy()
            if judge.matched:
                generator = numpy_generator(judge.seed, "n_way_trials", name, part)
                targets = target_classes(truth, n_targets)
                drawn = monte_carlo_n_way(predicted, targets, n_way, top_k, settings.n_way_trials, generator)
                np.fill_diagonal(trials, drawn)
            pairs[f"{name}_mc{settings.n_way_trials}"] = trials
    if settings.label_factors:
        words = _label_words(kind, judge.labels, settings)
        guessed, right = words[predicted.argmax(-1)], words[truth.argmax(-1)]
        for column, factor in enumerate(settings.label_factors):
            same = guessed[:, None, column] == right[None, :, column]
            pairs[f"acc_{kind}_{factor}"] = same.astype(np.float64)
    return pairs


def _pairs(kind: str, predicted: Clips, truth: Clips, judge: Judge) -> dict[str, np.ndarray]:
    """Score clips, or the mean over their frames."""
    first, second = predicted.features[f"{kind}_logits"], truth.features[f"{kind}_logits"]
    if kind == "video":
        return _pairs_of_logits(kind, first, second, judge, 0)
    total: dict[str, np.ndarray] = {}
    frames = second.shape[1]
    for frame in range(frames):
        scores = _pairs_of_logits(kind, first[:, frame], second[:, frame], judge, frame)
        for name, values in scores.items():
            total[name] = total.get(name, 0.0) + values / frames
    return total


def _accuracy(kind: str, place: int) -> Metric:
    return Metric(
        f"acc_{kind}",
        "N-way top-k accuracy, exact (below)",
        "per name",
        "same N, k and rule",
        "classes",
        lambda *clips: _pairs(kind, *clips),
        lambda *asked: _chances(kind, *asked),
        needs=(f"{kind}_logits",),
        value_range=(0.0, 1.0),
        default=True,
        short_table={f"acc_{kind}_2_": place, f"acc_{kind}_50_": place + 1},
    )


def _image_logits(origin: Origin) -> Extractor:
    from neurocine.metrics.classifiers import Classifier, image_logits
    from neurocine.models.pretrained import load_image_classifier

    network = Classifier(*load_image_classifier(origin.folder, origin.device))
    return Extractor(
        network_fingerprint(origin.folder),
        lambda videos: image_logits(network, videos, origin.batch_size),
        network.labels,
    )


def _video_logits(origin: Origin) -> Extractor:
    from neurocine.metrics.classifiers import Classifier, video_logits
    from neurocine.models.pretrained import load_video_classifier

    network = Classifier(*load_video_classifier(origin.folder, origin.n_frames, origin.device))
    return Extractor(
        network_fingerprint(origin.folder),
        lambda videos: video_logits(network, videos, origin.batch_size),
        network.labels,
    )


METRICS = (_accuracy("image", 30), _accuracy("video", 40))
FEATURES = (
    Feature("image_logits", _image_logits, network="image_classifier"),
    Feature("video_logits", _video_logits, network="video_classifier"),
)
