"""Noise ceiling of fMRI from repeats of the same movie: how well its mean could be predicted at best.

With z-scored runs, the correlation of two repeats estimates the share of a single run's variance that the
movie explains. Spearman-Brown's formula brings it to the mean of k repeats, and the square root of that
reliability is the correlation which a perfect prediction reaches with the mean.
"""

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.fmri.assemble import existing_repeats
from neurocine.fmri.vertices import VertexSelection, list_parts
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings, Unit

log = logging.getLogger(__name__)


class MeasureNoiseCeilingSettings(Settings):
    """How the noise ceiling is estimated."""

    splits: Annotated[Count, Unit("splits")] = 100
    """Repeats are split into halves this many times, or in all ways where there are fewer."""


def spearman_brown(reliability: np.ndarray, factor: float) -> np.ndarray:
    """Reliability of a mean over ``factor`` times as many repeats; factors below 1 go back. Of any shape."""
    return np.asarray(factor * reliability / (1 + (factor - 1) * reliability))


def split_in_halves(
    n: int, splits: int, generator: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split n repeats into two halves of n // 2; of an odd number one stays out.

    Returns
    -------
    pairs of (n // 2,) i64, all different splits, or ``splits`` drawn ones if there are more
    """
    half = n // 2
    if n > 12:  # far too many to list them
        orders = [generator.permutation(n) for _ in range(splits)]
        return [(order[:half], order[half : 2 * half]) for order in orders]
    every = []
    for subset in itertools.combinations(range(n), 2 * half):
        for rest in itertools.combinations(subset[1:], half - 1):
            first = (subset[0], *rest)
            every.append((np.array(first), np.array([place for place in subset if place not in first])))
    if len(every) <= splits:
        return every
    return [every[row] for row in generator.choice(len(every), size=splits, replace=False)]


def split_half_share(repeats: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Estimate the share of a single run's variance that repeats have in common.

    Parameters
    ----------
    repeats : (n, T, V), all with data
    splits : from `split_in_halves`

    Returns
    -------
    (V,) float64: the mean correlation of the halves' means, brought back to one repeat; about 0, also below,
    where there is no signal, and for a constant vertex
    """
    half = len(splits[0][0])
    total = np.zeros(repeats.shape[2])
    for first, second in splits:
        a = repeats[first].mean(0, dtype=np.float64)
        b = repeats[second].mean(0, dtype=np.float64)
        a -= a.mean(0)
        b -= b.mean(0)
        size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        total += np.where(size > 0, (a * b).sum(0) / np.where(size > 0, size, 1), 0)
    correlation = total / len(splits)
    # The way back has a pole at -1 / (half - 1) at most; no noise gets near it without being cut here.
    return spearman_brown(np.maximum(correlation, -0.5), 1 / half)


@dataclass(frozen=True)
class MovieReliability:
    """How reliable the fMRI of one movie is.

    Parameters
    ----------
    share : (V,) of the variance of a single run that is signal
    reliability : (V,) that share for the mean over its repeats
    length : T
    n_repeats : those with data
    """

    share: np.ndarray
    reliability: np.ndarray
    length: int
    n_repeats: int


def measure_movie(
    movie: str, runs: np.ndarray, n_vertices: int, n_splits: int, seed: int
) -> MovieReliability | None:
    """Measure the reliability of one movie from its repeats, or say that one repeat tells nothing of it.

    Parameters
    ----------
    movie : its name
    runs : (n_repeats, T, V), NaN where a run is missing
    n_vertices : V that is expected
    n_splits : ways to split the repeats
    seed : of the drawn splits

    Raises
    ------
    InputError : a movie without data, or with another number of vertices
    """
    present = existing_repeats(runs, movie)
    if runs.shape[2] != n_vertices:
        todo = "Make it again."
        raise InputError(movie, f"{runs.shape[2]} vertices", f"{n_vertices} as in select_vertices", todo)
    if len(present) < 2:
        log.warning("%s has one repeat: it says nothing about the noise and is left out", movie)
        return None
    generator = numpy_generator(seed, "measure_noise_ceiling", movie)
    share = split_half_share(runs[present], split_in_halves(len(present), n_splits, generator))
    floor = -0.5 / (len(present) - 1)
    reliability = spearman_brown(np.maximum(share, floor), len(present))
    return MovieReliability(share, reliability, runs.shape[1], len(present))


def measure_noise_ceiling(
    repeats: Mapping[str, np.ndarray],
    selection: VertexSelection,
    settings: MeasureNoiseCeilingSettings,
    seed: int,
) -> pd.DataFrame:
    """Estimate the noise ceiling of each area, each group of areas and all vertices.

    Parameters
    ----------
    repeats : movie -> (n_repeats, T, V) of preprocess_run, each run z-scored; NaN where a run is missing
    selection : the vertices
    settings : section measure_noise_ceiling of the config
    seed : of the drawn splits

    Returns
    -------
    group, area ("all" where not distinguished, which is the only row for vertices at unknown places),
    n_vertices, movies, fewest_repeats, most_repeats;
    signal_share: of a single run's variance; reliability: of the mean over repeats, that share for the mean;
    ceiling_single, ceiling_mean: their square roots. Shares are means over vertices and, weighted with their
    lengths, over movies with two repeats or more, each with the repeats it has; NaN if there is none.

    Raises
    ------
    InputError : a movie without data, or with another number of vertices
    """
    n_vertices = len(selection.vertex)
    each = [measure_movie(movie, runs, n_vertices, settings.splits, seed) for movie, runs in repeats.items()]
    movies = [movie for movie in each if movie is not None]
    unknown = MovieReliability(np.full(n_vertices, np.nan), np.full(n_vertices, np.nan), 1, 1)
    used = movies or [unknown]  # one repeat of everything: the table says so
    lengths = [movie.length for movie in used]
    share = np.average([movie.share for movie in used], axis=0, weights=lengths)
    reliability = np.average([movie.reliability for movie in used], axis=0, weights=lengths)
    rows = [
        {
            "group": part.group,
            "area": part.area,
            "n_vertices": len(part.members),
            "movies": len(movies),
            "fewest_repeats": min(movie.n_repeats for movie in used),
            "most_repeats": max(movie.n_repeats for movie in used),
            "signal_share": share[part.members].mean(),
            "reliability": reliability[part.members].mean(),
            "ceiling_single": np.sqrt(np.maximum(0.0, share[part.members].mean())),
            "ceiling_mean": np.sqrt(np.maximum(0.0, reliability[part.members].mean())),
        }
        for part in list_parts(selection)
    ]
    return pd.DataFrame(rows)
