"""Scores of decoded features before clips are generated, beside their mean, chance level and null."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from neurocine.animator.features import Features
from neurocine.errors import InputError
from neurocine.metrics.null import Null, shift_null
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings, Unit
from neurocine.stimuli.cached import CachedClips, TextStates

TOP = 10
COLUMNS = [
    "score",
    "better",
    "value",
    "chance",
    "reference",
    "reference_name",
    "null_mean",
    "null_p99",
    "p_value",
    "n",
]


class ScoreFeaturesSettings(Settings):
    """How decoded features are scored."""

    min_shift_tr: Annotated[Count, Unit("TR")] = 30
    """The null pairs features with clips at least this far away."""
    null_draws: Annotated[Count, Unit("draws")] = 2000
    """The null takes this many draws."""


@dataclasses.dataclass(frozen=True)
class TrainingMeans:
    """What a decoder that knows nothing of the clip would say.

    Parameters
    ----------
    states : (L, D)
    latents : (F, C, h, w)
    """

    states: np.ndarray
    latents: np.ndarray

    @classmethod
    def read(cls, embeddings: Sequence[Path], latents: Sequence[Path], tokens: int) -> "TrainingMeans":
        """Average over the clips of training movies, from files of embed_clips and encode_latents."""
        states = TextStates.read(embeddings)
        table = states.states[:, :tokens].astype(np.float64)
        counts = np.bincount(states.index.rows[:, 0], minlength=len(table))
        mean_states = np.einsum("n,nld->ld", counts / counts.sum(), table)
        rows = CachedClips.read(latents).rows
        return cls(mean_states.astype(np.float32), rows.mean(0, dtype=np.float64).astype(np.float32))


def pair_correlations(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Correlate every prediction with every truth, over all values of each: (n, ...) twice to (n, n)."""
    unit = []
    for x in (predicted, target):
        flat = x.reshape(len(x), -1).astype(np.float64)
        flat = flat - flat.mean(1, keepdims=True)
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        unit.append(flat / np.where(length > 0, length, 1.0))
    return unit[0] @ unit[1].T


def pair_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the mean squared error of every prediction with every truth: (n, ...) twice to (n, n)."""
    one, two = (x.reshape(len(x), -1).astype(np.float64) for x in (predicted, target))
    squares = (one**2).sum(1)[:, None] + (two**2).sum(1)[None] - 2 * one @ two.T
    return squares / one.shape[1]


def pair_hits(predicted: np.ndarray, target: np.ndarray, top: int) -> np.ndarray:
    """Return whether each truth is among the ``top`` most similar of all to each prediction: (n, n).

    Equal similarities (clips with the same caption) count as drawn in random order, exactly.

    Parameters
    ----------
    predicted, target : (n, E); similarity is the cosine
    top : a truth counts as found among this many
    """
    unit = [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for x in (predicted.astype(np.float64), target.astype(np.float64))
    ]
    # Equal texts give products that differ in the last bits.
    similar = np.round(unit[0] @ unit[1].T, 6)
    hits = np.empty_like(similar)
    for row, values in enumerate(similar):
        order = np.sort(values)
        better = len(values) - np.searchsorted(order, values, side="right")
        equal = np.searchsorted(order, values, side="right") - np.searchsorted(order, values, side="left")
        hits[row] = np.clip((top - better) / equal, 0, 1)
    return hits


def motion_of(latents: np.ndarray) -> np.ndarray:
    """Return how frames differ from the first, (n, F, ...) to (n, F - 1, ...)."""
    return latents[:, 1:] - latents[:, :1]


@dataclasses.dataclass(frozen=True)
class FeatureScore:
    """One number per pair of prediction and truth, and what it is compared with.

    Parameters
    ----------
    name : of the score
    pairs : (n, n)
    higher : whether more is better
    chance : of guessing, NaN where there is none
    reference : what a simpler answer scores, NaN where there is none
    reference_name : what the simpler answer is, empty where there is none
    """

    name: str
    pairs: np.ndarray
    higher: bool
    chance: float = np.nan
    reference: float = np.nan
    reference_name: str = ""


def feature_scores(
    predicted: Features, truth: Features, image: np.ndarray, means: TrainingMeans
) -> list[FeatureScore]:
    """Score features against the true ones of the same clips.

    Parameters
    ----------
    predicted, truth : of the same n clips
    image : (n, E), true image embeddings
    means : of the training movies
    """
    n, chance = len(truth.clips), min(1.0, TOP / len(truth.clips))
    first = predicted.latents[:, 0], truth.latents[:, 0]
    late = predicted.latents[:, 1:], truth.latents[:, 1:]
    mean, later_mean = means.latents[:1], means.latents[None, 1:]
    motion = [motion_of(x.latents) - motion_of(means.latents[None]) for x in (predicted, truth)]
    states = predicted.states[:, 1:], truth.states[:, 1:]
    held = predicted.latents[:, :1]
    spread = [float(x.latents.std(axis=(2, 3, 4)).mean()) for x in (predicted, truth)]
    hits = [pair_hits(predicted.embedding, target, TOP) for target in (truth.embedding, image)]
    nan = float("nan")
    return [
        FeatureScore("text_top10", hits[0], True, chance),
        FeatureScore("image_top10", hits[1], True, chance),
        FeatureScore(
            "state_error",
            pair_errors(*states),
            False,
            nan,
            _error(means.states[None, 1:], states[1]),
            "mean states",
        ),
        FeatureScore("structure_correlation", pair_correlations(first[0] - mean, first[1] - mean), True, 0.0),
        FeatureScore(
            "structure_error", pair_errors(*first), False, nan, _error(mean, first[1]), "mean latent"
        ),
        FeatureScore(
            "motion_error", pair_errors(*late), False, nan, _error(later_mean, late[1]), "mean video"
        ),
        FeatureScore(
            "motion_error_held", pair_errors(*late), False, nan, _error(held, late[1]), "first frame held"
        ),
        FeatureScore("motion_correlation", pair_correlations(*motion), True, 0.0),
        FeatureScore("latent_spread", np.full((n, n), spread[0]), True, nan, spread[1], "true latents"),
    ]


def _error(simple: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean((simple - truth) ** 2, dtype=np.float64))


def score_features(
    predicted: Features,
    truth: Features,
    image: np.ndarray,
    means: TrainingMeans,
    settings: ScoreFeaturesSettings,
    seed: int,
) -> pd.DataFrame:
    """Score decoded features, each score beside chance, a simpler answer and its shift null.

    Parameters
    ----------
    predicted, truth : of the same clips
    image : (n, E) true image embeddings
    means : of the training movies
    settings : section score_features
    seed : of the null's draws

    Returns
    -------
    table with the columns `COLUMNS`; ``better`` says which way is better

    Raises
    ------
    InputError : features of other clips, or of other sizes than the true ones
    """
    shapes = [[part.shape for part in (one.embedding, one.states, one.latents)] for one in (predicted, truth)]
    if predicted.clips != truth.clips or shapes[0] != shapes[1]:
        raise InputError(
            "features",
            f"{len(predicted.clips)} clips, {shapes[0]}",
            f"{len(truth.clips)} clips, {shapes[1]}",
            "Decode the features of the movies of these caches.",
        )  # fmt: skip
    movies = np.array([movie for movie, _ in truth.clips])
    rows = {movie: np.flatnonzero(movies == movie) for movie in dict.fromkeys(movies.tolist())}
    index = np.array([clip for _, clip in truth.clips])
    generator = numpy_generator(seed, "score_features", "null")
    clips = [index[here] for here in rows.values()]
    null = shift_null(clips, settings.min_shift_tr, settings.null_draws, generator)
    table = [_row(score, rows, null) for score in feature_scores(predicted, truth, image, means)]
    return pd.DataFrame(table, columns=COLUMNS)


def _row(score: FeatureScore, rows: Mapping[str, np.ndarray], null: Null) -> tuple[object, ...]:
    value, better = float(score.pairs.diagonal().mean()), "higher" if score.higher else "lower"
    shown = (score.name, better, value, score.chance, score.reference, score.reference_name)
    if np.ptp(score.pairs) == 0:  # a property of the features alone, which no re-pairing changes
        return (*shown, np.nan, np.nan, np.nan, len(score.pairs))
    pairs = [score.pairs[np.ix_(here, here)] for here in rows.values()]
    summary = null.summarise(value, pairs, lower=not score.higher)
    return (*shown, summary.mean, summary.p99, summary.p_value, len(score.pairs))
