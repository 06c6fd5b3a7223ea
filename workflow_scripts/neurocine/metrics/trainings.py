"""Results of several trainings: their mean and spread, and tests that hold for other trainings too.

Scores of clips say what other clips might have shown of one trained network. How much two trainings of the
same experiment differ only several trainings tell (`train_seeds` in the config).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from neurocine.errors import InputError
from neurocine.metrics.clip_scores import ClipScores, average_seeds, paired_differences
from neurocine.metrics.statistics import mean_variances
from neurocine.settings import Settings

FEWEST = 3  # trainings, for a test over them
Name = tuple[str, str, str, str]  # subject, method, experiment, condition


class TrainedRow(Settings):
    """What stands behind the scores of one experiment, or of one that is it trained again."""

    experiment: str
    """It is a training of this experiment."""
    train_seed: int | None = None
    """It was trained with this seed; null is the study's own."""
    trainings: tuple[str, ...] = ()
    """The experiment rests on these trainings; of what is solved and not trained there is none."""


class TrainedRows(Settings):
    """The experiments whose scores are compared."""

    rows: Mapping[str, TrainedRow] = {}
    """Each name in paths has its experiment and seed; a name that is not here is an experiment by itself."""

    def of(self, name: str) -> TrainedRow:
        """Return what stands behind a name; of one that is not known, a training of its own."""
        return self.rows.get(name) or TrainedRow(experiment=name, trainings=(name,))


@dataclass(frozen=True)
class Result:
    """The scores of one result, training by training.

    Parameters
    ----------
    scores : seed of training -> scores; None is the study's own seed
    trainings : that the experiment rests on
    """

    scores: Mapping[int | None, ClipScores]
    trainings: frozenset[str]

    @property
    def first(self) -> ClipScores:
        """Return the scores of the training with the study's own seed, else of the first that is there."""
        return self.scores.get(None) or next(iter(self.scores.values()))


def group_trainings(clips: Sequence[pd.DataFrame], trained: TrainedRows) -> dict[Name, Result]:
    """Average the scores of clips over generation seeds, and bring the trainings of each experiment together.

    Parameters
    ----------
    clips : columns subject, method, experiment, condition, seed, movie, clip and one per metric
    trained : which of these experiments are another one, trained again

    Raises
    ------
    InputError : a clip that is not there once per seed
    """
    scores: dict[Name, dict[int | None, ClipScores]] = {}
    behind: dict[Name, frozenset[str]] = {}
    for table in clips:
        for keys, part in table.groupby(["subject", "method", "experiment", "condition"], sort=False):
            subject, method, named, condition = map(str, keys)
            row = trained.of(named)
            name = (subject, method, row.experiment, condition)
            where = " ".join((subject, method, named, condition))
            of_name = scores.setdefault(name, {})
            of_name[row.train_seed] = average_seeds(part.dropna(axis=1, how="all"), where)
            behind[name] = frozenset(row.trainings)
    return {name: Result(of_name, behind[name]) for name, of_name in scores.items()}


def pair_trainings(first: Result, second: Result, where: str) -> list[ClipScores]:
    """Return first minus second, clip by clip, for each training: those of one seed belong together.

    What rests on no training is compared with every training of the other.

    Raises
    ------
    InputError : results of different clips, or no training of the same seed
    """
    if not second.trainings and first.trainings:
        pairs = [(scores, second.first) for scores in first.scores.values()]
    elif not first.trainings and second.trainings:
        pairs = [(first.first, scores) for scores in second.scores.values()]
    else:
        common = [seed for seed in first.scores if seed in second.scores]
        pairs = [(first.scores[seed], second.scores[seed]) for seed in common]
    if not pairs:
        todo = "Score both with the same train_seeds."
        raise InputError(where, "no training of one seed in both", "trainings of the same seeds", todo)
    return [paired_differences(one, other, where) for one, other in pairs]


def average_trainings(scores: Sequence[ClipScores]) -> ClipScores:
    """Average scores clip by clip over trainings.

    Parameters
    ----------
    scores : of the same clips

    Returns
    -------
    the mean, as one generation; of a single training its scores
    """
    if len(scores) == 1:
        return scores[0]
    values = pd.concat([one.values for one in scores], keys=range(len(scores)))
    return ClipScores(values.groupby(level=["movie", "clip"], observed=True).mean(), 1, np.empty(0))


@dataclass(frozen=True)
class Crossed:
    """A mean over trainings and clips, (n_metrics,) each: interval, two-sided p of 0, and block, TR."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray
    block_tr: np.ndarray


def crossed_mean(
    trainings: Sequence[Sequence[np.ndarray]],
    clips: Sequence[np.ndarray],
    block_tr: float,
    level: float = 0.95,
) -> Crossed:
    """Estimate a mean over trainings and clips, both drawn at random, and test whether it is 0.

    Every training is scored on the same clips: a layout of two crossed factors. The variance of the mean has
    two parts. One is the variance between trainings over their number K, which holds the noise that a
    training and a clip have together. The other is what clips share in all trainings: (K c - w) / (K - 1), or
    0 if that is less, where c is the variance over blocks of time of the mean over trainings, and w that of
    single trainings, on average. Quantiles are those of Cochran and Cox (1950), Student's t for either part
    weighted by the parts, which errs to the safe side where few trainings tell their variance badly.

    Parameters
    ----------
    trainings : per training and movie, (n_clips, n_metrics); two trainings or more
    clips : per movie, (n_clips,) clip indices, TR
    block_tr : TR, the shortest block
    level : nominal coverage
    """
    number = len(trainings)
    means = np.array([np.concatenate(list(values)).mean(axis=0) for values in trainings])
    between = means.var(axis=0, ddof=1) / number
    averaged = [np.mean(parts, axis=0) for parts in zip(*trainings, strict=True)]
    clip = mean_variances(averaged, clips, block_tr)
    single = [mean_variances(values, clips, block_tr, like=averaged).variance for values in trainings]
    shared = np.maximum(0, (number * clip.variance - np.mean(single, axis=0)) / (number - 1))
    mean, error = means.mean(axis=0), np.sqrt(between + shared)
    weights = np.divide(between, between + shared, out=np.ones_like(mean), where=error > 0)
    freedoms = number - 1, clip.freedom
    half = _weighted_quantile((1 - level) / 2, weights, freedoms) * error
    no_error = np.where(mean == 0, 0, np.inf)
    ratio = np.divide(np.abs(mean), error, out=no_error, where=error != 0)
    return Crossed(mean, mean - half, mean + half, _two_sided_p(ratio, weights, freedoms), clip.block_tr)


Freedoms = tuple[float, np.ndarray]  # degrees of freedom of trainings and of clips


def _weighted_quantile(tail: float | np.ndarray, weights: np.ndarray, freedoms: Freedoms) -> np.ndarray:
    """Upper quantile of Cochran and Cox at a tail's probability, (n,); weights (n,) of the first part."""
    first, second = (t.isf(tail, freedom) for freedom in freedoms)
    return np.asarray(weights * first + (1 - weights) * second)


def _two_sided_p(ratio: np.ndarray, weights: np.ndarray, freedoms: Freedoms) -> np.ndarray:
    """Find the p whose quantile a ratio of mean and error reaches, (n,), by halving the logarithm of p/2."""
    low, high = np.full_like(ratio, -60.0), np.full_like(ratio, np.log(0.5))
    for _ in range(60):
        middle = (low + high) / 2
        beyond = _weighted_quantile(np.exp(middle), weights, freedoms) > ratio
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    p_values = np.where(ratio == 0, 1, 2 * np.exp(high))
    return np.where(np.isnan(ratio), np.nan, p_values)
