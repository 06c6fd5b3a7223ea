"""Score reconstructed clips: each metric with chance, permutation null, trivial baselines, interval."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.metrics.baselines import GREY
from neurocine.metrics.classifiers import Clips, label_words
from neurocine.metrics.n_way import chance_n_way, n_way_pairs, success_table, target_classes
from neurocine.metrics.null import allowed_shifts, draw_shifts, null_distribution, summarise_null
from neurocine.metrics.psnr import psnr_pairs
from neurocine.metrics.ssim import ssim_pairs
from neurocine.metrics.statistics import block_bootstrap, block_length, interval
from neurocine.seeds import numpy_generator

TARGETS = {"single": 1, "any3": 3}  # classes of the true clip that count as correct
BASELINES = ("constant", "mean_frame")
RESULT_COLUMNS = [
    *("metric", "value", "chance", "null_mean", "null_p99", "p_value"),
    *("baseline_constant", "baseline_mean_frame", "ci_low", "ci_high", "n_clips"),
]


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of ``score``."""

    n_ways: tuple[int, ...] = (2, 50)  # N of the N-way identification
    top_k: int = 1  # a true class among the k best counts as found
    min_shift_tr: int = 15  # TR, smallest distance in the permutation null
    null_draws: int = 10_000  # draws of the null; all combinations of shifts if there are fewer
    block_tr: int = 15  # TR, block of the bootstrap
    bootstrap_draws: int = 10_000  # draws of the bootstrap
    grey: int = GREY  # 0..255, value of the constant baseline
    label_factors: tuple[str, ...] = ()  # meaning of the words of compound class names; empty: none
    batch_size: int = 32  # frames or clips per forward pass of a classifier
    device: str = "auto"  # auto, cpu or cuda

    def __post_init__(self) -> None:
        if not self.n_ways or min(self.n_ways) < 2 or not 1 <= self.top_k < min(self.n_ways):
            raise ValueError(f"n_ways {self.n_ways} must be 2 or more and above top_k {self.top_k}")
        if self.min_shift_tr < 1 or self.block_tr < 1 or self.batch_size < 1:
            raise ValueError("min_shift_tr, block_tr and batch_size must be 1 or more")
        if self.null_draws < 1000 or self.bootstrap_draws < 1000:
            raise ValueError("null_draws and bootstrap_draws must be 1000 or more")
        if not 0 <= self.grey <= 255:
            raise ValueError(f"grey {self.grey} must lie in 0..255")


@dataclass(frozen=True)
class ClassNames:
    """Class names of the two classifiers in logit order."""

    image: list[str]
    video: list[str]


@dataclass(frozen=True)
class MovieScores:
    """Scores of one movie.

    Parameters
    ----------
    movie : its name
    clips : (n,) increasing clip indices, TR
    pairs : per metric, (n, n) score of prediction i with the true clip j
    baselines : per baseline and metric, (n,) score of the baseline with each true clip
    """

    movie: str
    clips: np.ndarray
    pairs: dict[str, np.ndarray]
    baselines: dict[str, dict[str, np.ndarray]]

    @property
    def matched(self) -> dict[str, np.ndarray]:
        """Per metric, (n,) score of each prediction with its own clip."""
        return {metric: np.diagonal(scores) for metric, scores in self.pairs.items()}


def n_way_name(kind: str, n_way: int, top_k: int, rule: str) -> str:
    """Name of a metric, which says kind of classifier, N, k unless 1, and the rule for correct classes."""
    return f"acc_{kind}_{n_way}_{rule}" if top_k == 1 else f"acc_{kind}_{n_way}_top{top_k}_{rule}"


def metric_chances(names: ClassNames, settings: ScoreSettings) -> dict[str, float]:
    """Metrics in the order of the result, each with its analytic chance (NaN where there is none).

    Raises
    ------
    InputError : too few classes for an N; class names that do not fit ``label_factors``
    """
    chances = {"ssim_mv": math.nan, "psnr255": math.nan}
    for kind, labels in (("image", names.image), ("video", names.video)):
        for n_way in settings.n_ways:
            for rule, n_targets in TARGETS.items():
                success_table(len(labels), n_targets, n_way, settings.top_k)
                name = n_way_name(kind, n_way, settings.top_k, rule)
                chances[name] = chance_n_way(n_way, n_targets, settings.top_k)
        if settings.label_factors:
            words = label_words(labels, settings.label_factors, f"{kind} classifier")
            for factor, column in zip(settings.label_factors, words.T, strict=True):
                chances[f"acc_{kind}_{factor}"] = 1 / (int(column.max()) + 1)
    return chances


def _classifier_pairs(
    kind: str, predicted: np.ndarray, truth: np.ndarray, labels: list[str], settings: ScoreSettings
) -> dict[str, np.ndarray]:
    """Accuracies of all pairs from the logits of one classifier, (n, C) and (m, C)."""
    pairs = {}
    for n_way in settings.n_ways:
        for rule, n_targets in TARGETS.items():
            name = n_way_name(kind, n_way, settings.top_k, rule)
            pairs[name] = n_way_pairs(predicted, target_classes(truth, n_targets), n_way, settings.top_k)
    if settings.label_factors:
        words = label_words(labels, settings.label_factors, f"{kind} classifier")
        guessed, right = words[predicted.argmax(-1)], words[truth.argmax(-1)]
        for column, factor in enumerate(settings.label_factors):
            pairs[f"acc_{kind}_{factor}"] = (guessed[:, None, column] == right[None, :, column]).astype(
                np.float64
            )
    return pairs


def pair_scores(
    predicted: Clips, truth: Clips, names: ClassNames, settings: ScoreSettings, device: str
) -> dict[str, np.ndarray]:
    """Score every predicted with every true clip in all metrics; image metrics are means over frames.

    Parameters
    ----------
    predicted, truth : n and m clips with equal frame counts and sizes

    Returns
    -------
    per metric, (n, m) float64
    """
    pairs = {
        "ssim_mv": ssim_pairs(predicted.videos, truth.videos, device),
        "psnr255": psnr_pairs(predicted.videos, truth.videos),
    }
    frames = truth.videos.shape[1]
    for frame in range(frames):
        first, second = predicted.image_logits[:, frame], truth.image_logits[:, frame]
        for name, scores in _classifier_pairs("image", first, second, names.image, settings).items():
            pairs[name] = pairs.get(name, 0.0) + scores / frames
    pairs |= _classifier_pairs("video", predicted.video_logits, truth.video_logits, names.video, settings)
    return pairs


def score_movie(
    movie: str,
    clips: np.ndarray,
    predicted: Clips,
    truth: Clips,
    baselines: dict[str, Clips],
    names: ClassNames,
    settings: ScoreSettings,
    device: str = "cpu",
) -> MovieScores:
    """Score one movie's predictions and the baselines against its true clips.

    Parameters
    ----------
    movie : its name
    clips : (n,) increasing clip indices, TR
    predicted, truth : n clips each, in this order
    baselines : ``constant`` and ``mean_frame``, one clip each

    Raises
    ------
    InputError : frame counts, sizes or class counts that do not fit
    """
    if np.any(np.diff(clips) <= 0):
        raise InputError(
            f"clips of {movie}", "indices out of order or twice", "increasing indices", "Decode again."
        )
    pairs = pair_scores(predicted, truth, names, settings, device)
    trivial = {
        name: {
            metric: scores[0] for metric, scores in pair_scores(clip, truth, names, settings, device).items()
        }
        for name, clip in baselines.items()
    }
    return MovieScores(movie, clips, pairs, trivial)


def summarise_scores(
    movies: list[MovieScores], chances: dict[str, float], settings: ScoreSettings, seed: int
) -> pd.DataFrame:
    """Bring the movies together: one row per metric, columns ``RESULT_COLUMNS``.

    Parameters
    ----------
    movies : scores of all movies of one condition
    chances : metrics in order with their analytic chance
    seed : of the permutation null and the bootstrap; all metrics share their draws

    Raises
    ------
    InputError : a movie that cannot be shifted far enough
    """
    allowed = [allowed_shifts(movie.clips, settings.min_shift_tr) for movie in movies]
    shifts = draw_shifts(allowed, settings.null_draws, numpy_generator(seed, "score", "null"))
    values = [np.stack([movie.matched[metric] for metric in chances], axis=1) for movie in movies]
    blocks = [block_length(movie.clips, settings.block_tr) for movie in movies]
    generator = numpy_generator(seed, "score", "bootstrap")
    low, high = interval(block_bootstrap(values, blocks, settings.bootstrap_draws, generator))
    means = np.concatenate(values).mean(axis=0)
    rows = []
    for column, (metric, chance) in enumerate(chances.items()):
        distribution = null_distribution([movie.pairs[metric] for movie in movies], shifts)
        null = summarise_null(means[column], distribution)
        trivial = [
            np.concatenate([movie.baselines[name][metric] for movie in movies]).mean() for name in BASELINES
        ]
        row = [metric, means[column], chance, null.mean, null.p99, null.p_value, *trivial]
        rows.append([*row, low[column], high[column], sum(len(movie.clips) for movie in movies)])
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def clip_table(movies: list[MovieScores], metrics: list[str]) -> pd.DataFrame:
    """Scores of single clips: columns movie, clip and one per metric."""
    tables = []
    for movie in movies:
        columns = {name: movie.matched[name] for name in metrics}
        tables.append(pd.DataFrame({"movie": movie.movie, "clip": movie.clips} | columns))
    return pd.concat(tables, ignore_index=True)
