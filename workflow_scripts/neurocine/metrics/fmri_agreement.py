"""Agreement of reconstructions with the measured brain.

A linear encoding model, trained on what subjects saw and the fMRI it evoked, predicts the fMRI of a test
clip from the features of *a reconstruction* of it. The correlation with the fMRI that was measured tells how
much of what the brain responded to is in the reconstruction. A video that is fluent but wrong predicts the
wrong fMRI, and a constant one predicts none, so the prior of a generator gains nothing here.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.errors import InputError
from neurocine.fmri.vertices import Part, VertexSelection, list_parts
from neurocine.metrics.null import shift_null
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import Intervals, mean_intervals
from neurocine.regression import TINY, LinearModel, RidgeSettings
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, OneOf, Unique, Unit

log = logging.getLogger(__name__)
FEATURE_SETS = ("clip", "motion_energy")
FROM_FMRI = "fmri"  # condition that the others are compared with
VALUE_COLUMNS = [
    *("group", "area", "n_vertices", "value", "null_mean", "null_p99", "p_value", "draws", "memory_tr"),
    *("p_holds", "ci_low", "ci_high", "block_tr", "fmri_minus", "fmri_minus_low", "fmri_minus_high"),
    *("noise_ceiling", "n_clips"),
]


class AgreeFmriSettings(RidgeSettings):
    """How fMRI is predicted from the features of clips. Null and intervals are those of ``score``."""

    features: Annotated[tuple[Annotated[str, OneOf(FEATURE_SETS)], ...], Field(min_length=1), Unique()] = (
        "clip",
    )
    """The fMRI is predicted from these features of a clip: its CLIP embedding (mean over frames: clip), and
    what moves where (motion_energy), without which a frozen frame may agree as well as the clip.
    """
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
    sources : of a control decoded from fMRI of other times: movie -> (n,) the clips on screen then
    """

    condition: str
    seed: int
    clips: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]
    sources: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def n_clips(self) -> int:
        """Number of clips of all movies."""
        return sum(map(len, self.clips.values()))


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


Shares = list[np.ndarray]  # of each movie (n, parts): n_clips times what clips add to the correlation


def _intervals(
    shares: Shares, clips: Mapping[str, np.ndarray], settings: ScoreSettings, seed: int
) -> Intervals:
    generator = numpy_generator(seed, "score", "bootstrap")
    given = (list(clips.values()), settings.block_tr, settings.bootstrap_draws, generator)
    return mean_intervals(shares, *given)


def _agreement_rows(
    condition: ClipFeatures,
    predicted: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray],
    parts: list[Part],
    settings: ScoreSettings,
    seed: int,
) -> tuple[list[dict[str, Any]], Shares]:
    """Return value, null and interval of each part, from standardised arrays (n, V) of each movie.

    The mean correlation of a part's vertices is a sum over clips, so null and interval are those of scores:
    each clip's share times the number of clips takes the place of its score.
    """
    clips = condition.clips
    pairs = {movie: _pairs(predicted[movie], measured[movie], parts) * condition.n_clips for movie in clips}
    generator = numpy_generator(seed, "score", "null")
    sources = [condition.sources[movie] for movie in clips if movie in condition.sources]
    times = list(clips.values())
    null = shift_null(times, settings.min_shift_tr, settings.null_draws, generator, sources or None)
    shares = [np.diagonal(scores, axis1=1, axis2=2).T for scores in pairs.values()]
    ends = _intervals(shares, clips, settings, seed)
    values = np.concatenate(shares).mean(0)
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        beside = null.summarise(values[number], [scores[number] for scores in pairs.values()])
        rows.append(
            {
                "condition": condition.condition,
                "seed": condition.seed,
                "group": part.group,
                "area": part.area,
                "n_vertices": len(part.members),
                "value": values[number],
                "null_mean": beside.mean,
                "null_p99": beside.p99,
                "p_value": beside.p_value,
                "draws": beside.draws,
                "memory_tr": beside.memory_tr,
                "p_holds": "yes" if beside.holds else "no",
                "ci_low": ends.low[number],
                "ci_high": ends.high[number],
                "block_tr": ends.block_tr[number],
                "n_clips": condition.n_clips,
            }
        )
    return rows, shares


def _differences(
    of_fmri: Shares, others: Shares, clips: Mapping[str, np.ndarray], settings: ScoreSettings, seed: int
) -> dict[str, np.ndarray]:
    """Subtract a condition from clips decoded from fMRI, clip by clip: mean and interval of each part."""
    shares = [first - second for first, second in zip(of_fmri, others, strict=True)]
    ends = _intervals(shares, clips, settings, seed)
    mean = np.concatenate(shares).mean(0)
    return {"fmri_minus": mean, "fmri_minus_low": ends.low, "fmri_minus_high": ends.high}


def _same_clips(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    return list(first) == list(second) and all(np.array_equal(first[movie], second[movie]) for movie in first)


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
    vertices of correlations over the clips of all movies, each movie centred, and fmri_minus that of the
    first clips from fMRI minus this one, clip by clip, with its 95 % interval; and the correlation of each
    vertex, ``{condition}`` (V,) float32, of the first seed of each condition

    Raises
    ------
    InputError : a clip beyond the fMRI; movies too short for the null
    """
    parts = list_parts(selection)
    tables: list[pd.DataFrame] = []
    maps: dict[str, np.ndarray] = {}
    found: list[tuple[ClipFeatures, Shares]] = []
    for condition in conditions:
        for movie, index in condition.clips.items():
            if movie not in bold or index.max() >= len(bold[movie]):
                wrong = f"clip {index.max()} of {movie}"
                expected = f"clips of {', '.join(f'{name} ({len(part)})' for name, part in bold.items())}"
                raise InputError(condition.condition, wrong, expected, "Decode with the same fMRI.")
        predicted = standardise({m: model.predict(values) for m, values in condition.features.items()})
        measured = standardise({movie: bold[movie][index] for movie, index in condition.clips.items()})
        each = np.sum([(predicted[movie] * measured[movie]).sum(0) for movie in predicted], axis=0)
        maps.setdefault(condition.condition, each.astype(np.float32))
        rows, shares = _agreement_rows(condition, predicted, measured, parts, settings, seed)
        found.append((condition, shares))
        tables.append(pd.DataFrame(rows))
        log.info("%s: %.3f over %d clips", condition.condition, rows[0]["value"], condition.n_clips)
    decoded = next(((one, shares) for one, shares in found if one.condition == FROM_FMRI), None)
    for table, (condition, shares) in zip(tables, found, strict=True):
        if decoded and condition.condition != FROM_FMRI and _same_clips(decoded[0].clips, condition.clips):
            beside = _differences(decoded[1], shares, condition.clips, settings, seed)
            table[list(beside)] = np.stack(list(beside.values()), axis=1)
        table["noise_ceiling"] = [ceilings.get((part.group, part.area), np.nan) for part in parts]
    joined = pd.concat(tables, ignore_index=True)
    return joined.reindex(columns=["condition", "seed", *VALUE_COLUMNS]), maps
