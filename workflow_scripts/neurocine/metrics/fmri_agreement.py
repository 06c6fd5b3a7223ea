"""Agreement of reconstructions with the measured brain.

A linear encoding model, trained on what subjects saw and the fMRI it evoked, predicts the fMRI of a test
clip from the features of *a reconstruction* of it. The correlation with the fMRI that was measured tells how
much of what the brain responded to is in the reconstruction. A video that is fluent but wrong predicts the
wrong fMRI, and a constant one predicts none, so the prior of a generator gains nothing here.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.fmri.vertices import Part, VertexSelection, list_parts
from neurocine.metrics.null import shift_null
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import mean_intervals
from neurocine.regression import TINY, LinearModel, RidgeSettings
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Unit

log = logging.getLogger(__name__)
VALUE_COLUMNS = [
    *("group", "area", "n_vertices", "value", "null_mean", "null_p99", "p_value", "ci_low", "ci_high"),
    *("noise_ceiling", "n_clips"),
]


class AgreeFmriSettings(RidgeSettings):
    """How fMRI is predicted from the features of clips. Null and intervals are those of ``score``."""

    batch_size: Annotated[Count, Unit("frames")] = 64
    """CLIP sees this many frames per forward pass."""


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
    model: LinearModel,
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
    model : from features of clips to fMRI, of training movies only
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
