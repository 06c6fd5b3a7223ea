"""Agreement of reconstructions with the measured brain.

A linear encoding model, trained on what subjects saw and the fMRI it evoked, predicts the fMRI of a test
clip from the features of *a reconstruction* of it. The correlation with the fMRI that was measured tells how
much of what the brain responded to is in the reconstruction. A video that is fluent but wrong predicts the
wrong fMRI, and a constant one predicts none, so the prior of a generator gains nothing here.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.errors import InputError
from neurocine.fmri.vertices import Part, VertexSelection, list_parts
from neurocine.metrics.null import shift_null
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import mean_intervals
from neurocine.section_checks import penalties_in_order
from neurocine.seeds import numpy_generator
from neurocine.settings import Check, Count, Settings, Unit

log = logging.getLogger(__name__)
TINY = 1e-12  # variance below which a prediction or a vertex is constant
VALUE_COLUMNS = [
    *("group", "area", "n_vertices", "value", "null_mean", "null_p99", "p_value", "ci_low", "ci_high"),
    *("noise_ceiling", "n_clips"),
]


class AgreeFmriSettings(Settings):
    """How fMRI is predicted from the features of clips. Null and intervals are those of ``score``."""

    checks: ClassVar[tuple[Check, ...]] = (penalties_in_order,)

    folds: Annotated[int, Field(ge=2), Unit("parts")] = 5
    """The training movies are cut into this many parts, each held out once to choose the penalties."""
    smallest_penalty: Annotated[float, Field(gt=0)] = 1.0
    """The ridge regression tries penalties from here on, for features of unit variance."""
    largest_penalty: Annotated[float, Field(gt=0)] = 1e6
    """The ridge regression tries penalties up to here."""
    n_penalties: Annotated[Count, Unit("penalties")] = 13
    """This many candidates, evenly spaced as logarithms, compete for the penalty of each vertex."""
    batch_size: Annotated[Count, Unit("frames")] = 64
    """CLIP sees this many frames per forward pass."""

    @property
    def penalties(self) -> np.ndarray:
        """Candidates, (n_penalties,)."""
        return np.geomspace(self.smallest_penalty, self.largest_penalty, self.n_penalties)


@dataclass(frozen=True)
class FmriFromClips:
    """A linear model of fMRI.

    Parameters
    ----------
    mean, std : (E,) of the features of the training clips
    weights : (E, V), of standardised features
    intercept : (V,)
    penalties : (V,), chosen for each vertex
    """

    mean: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalties: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predict fMRI (n, V) from features (n, E)."""
        return (features - self.mean) / self.std @ self.weights + self.intercept


@dataclass(frozen=True)
class ClipFeatures:
    """Features of the clips of one condition.

    Parameters
    ----------
    condition : what the clips were made from
    seed : they were made with
    clips : movie -> (n,) increasing indices of its clips, TR
    features : movie -> (n, E)
    """

    condition: str
    seed: int
    clips: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]


def split_movies(lengths: Mapping[str, int], folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Hold out whole movies in turn; of a single movie, stretches of time.

    Parameters
    ----------
    lengths : movie -> number of clips
    folds : most parts

    Returns
    -------
    pairs of rows (training, held out), i64, over the clips of all movies one after the other
    """
    n = sum(lengths.values())
    movie = np.repeat(np.arange(len(lengths)), list(lengths.values()))
    part = movie % folds if len(lengths) > 1 else np.arange(n) * folds // n
    return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in np.unique(part)]


def fit_fmri(
    features: Mapping[str, np.ndarray], bold: Mapping[str, np.ndarray], settings: AgreeFmriSettings
) -> FmriFromClips:
    """Fit a ridge regression from features to fMRI, with a penalty of its own for each vertex.

    Parameters
    ----------
    features : training movies, (T, E) each
    bold : the same movies, (T, V) each
    settings : section agree_fmri of the config

    Raises
    ------
    InputError : movies or clips of features and fMRI differ
    """
    from himalaya.ridge import RidgeCV

    for movie, samples in bold.items():
        found = len(features.get(movie, ()))
        if found != len(samples):
            expected = f"{len(samples)} clips, one per TR of the fMRI"
            todo = "Make embed_clips and assemble_subject of the same movies."
            raise InputError(f"features of {movie}", f"{found} clips", expected, todo)
    x = np.concatenate([features[movie] for movie in bold]).astype(np.float64)
    y = np.concatenate(list(bold.values())).astype(np.float64)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > np.sqrt(TINY), std, 1.0)
    splits = split_movies({movie: len(samples) for movie, samples in bold.items()}, settings.folds)
    model = RidgeCV(alphas=settings.penalties, fit_intercept=True, cv=splits)
    model.fit((x - mean) / std, y)
    return FmriFromClips(mean, std, model.coef_, model.intercept_, model.best_alphas_)


def standardise(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Centre each column within each movie and bring its length over all movies to 1.

    Products of two such arrays, summed over clips, are correlations over the clips of all movies.

    Parameters
    ----------
    values : movie -> (n, V)

    Returns
    -------
    movie -> (n, V) float64; a column that is constant within each movie becomes 0
    """
    centred = {movie: part - part.mean(0, dtype=np.float64) for movie, part in values.items()}
    n = sum(map(len, centred.values()))
    squares = np.sum([(part**2).sum(0) for part in centred.values()], axis=0)
    length = np.sqrt(squares)
    scale = np.where(squares > TINY * n, 1 / np.where(length > 0, length, 1), 0.0)
    return {movie: part * scale for movie, part in centred.items()}


def _pairs(predicted: np.ndarray, measured: np.ndarray, parts: list[Part]) -> np.ndarray:
    """Mean over the vertices of each part of products of all clips: (n, V) and (m, V) -> (parts, n, m)."""
    return np.stack([predicted[:, p.members] @ measured[:, p.members].T / len(p.members) for p in parts])


def _agreement_rows(
    predicted: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray],
    clips: Mapping[str, np.ndarray],
    parts: list[Part],
    settings: ScoreSettings,
    seed: int,
) -> list[list[float]]:
    """Return value, null and interval of each part, from standardised arrays (n, V) of each movie.

    The mean correlation of a part's vertices is a sum over clips, so null and interval are those of scores:
    each clip's share times the number of clips takes the place of its score.
    """
    n = sum(map(len, clips.values()))
    pairs = {movie: _pairs(predicted[movie], measured[movie], parts) * n for movie in clips}
    times = list(clips.values())
    generator = numpy_generator(seed, "score", "null")
    null = shift_null(times, settings.min_shift_tr, settings.null_draws, generator)
    own = [np.diagonal(scores, axis1=1, axis2=2).T for scores in pairs.values()]  # (n, parts) of each movie
    generator = numpy_generator(seed, "score", "bootstrap")
    ends = mean_intervals(own, times, settings.block_tr, settings.bootstrap_draws, generator)
    values = np.concatenate(own).mean(0)
    rows: list[list[float]] = []
    for number in range(len(parts)):
        beside = null.summarise(values[number], [scores[number] for scores in pairs.values()])
        row = [values[number], beside.mean, beside.p99, beside.p_value]
        rows.append([*row, ends.low[number], ends.high[number]])
    return rows


def agree_fmri(
    model: FmriFromClips,
    conditions: Iterable[ClipFeatures],
    bold: Mapping[str, np.ndarray],
    selection: VertexSelection,
    ceilings: Mapping[tuple[str, str], float],
    settings: ScoreSettings,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Correlate fMRI predicted from clips with the fMRI measured while the originals were shown.

    Parameters
    ----------
    model : from `fit_fmri`, of training movies only
    conditions : originals and reconstructions
    bold : test movies, (T, V) each
    selection : the vertices
    ceilings : (group, area) -> the correlation that a perfect prediction would reach
    settings : section score of the config, for the null and the intervals
    seed : of the study; the null is that of score

    Returns
    -------
    one row per condition, seed and part: condition, seed, ``VALUE_COLUMNS``, where value is the mean over
    vertices of correlations over the clips of all movies, each movie centred; and the correlation of each
    vertex, ``{condition}`` (V,) float32, of the first seed of each condition

    Raises
    ------
    InputError : a clip beyond the fMRI; movies too short for the null
    """
    parts = list_parts(selection)
    rows: list[list[Any]] = []
    maps: dict[str, np.ndarray] = {}
    for condition in conditions:
        for movie, index in condition.clips.items():
            if movie not in bold or index.max() >= len(bold[movie]):
                found = f"clip {index.max()} of {movie}"
                expected = f"clips of {', '.join(f'{name} ({len(part)})' for name, part in bold.items())}"
                raise InputError(condition.condition, found, expected, "Decode with the same fMRI.")
        predicted = standardise({m: model.predict(values) for m, values in condition.features.items()})
        measured = standardise({movie: bold[movie][index] for movie, index in condition.clips.items()})
        each = np.sum([(predicted[movie] * measured[movie]).sum(0) for movie in predicted], axis=0)
        maps.setdefault(condition.condition, each.astype(np.float32))
        found_rows = _agreement_rows(predicted, measured, condition.clips, parts, settings, seed)
        n_clips = sum(map(len, condition.clips.values()))
        for part, values in zip(parts, found_rows, strict=True):
            names = [condition.condition, condition.seed, part.group, part.area, len(part.members)]
            ceiling = ceilings.get((part.group, part.area), np.nan)
            rows.append([*names, *values, ceiling, n_clips])
        log.info("%s: %.3f over %d clips", condition.condition, rows[-len(parts)][5], n_clips)
    return pd.DataFrame(rows, columns=["condition", "seed", *VALUE_COLUMNS]), maps
