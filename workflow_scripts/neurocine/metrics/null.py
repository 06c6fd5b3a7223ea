"""Circular-shift permutation null: predictions re-paired with true clips of the same movie, far away in time.

Re-pairing keeps what the decoder produces and how slowly movies change; only the match is broken. It answers
what the same reconstructions would score if they told nothing about the clip on screen.
"""

from dataclasses import dataclass

import numpy as np

from neurocine.errors import InputError


@dataclass(frozen=True)
class NullSummary:
    """Mean of a null, what 99 % of it do not reach, and p = (1 + #{null >= observed}) / (1 + draws).

    Where smaller is better, the second is the 1st percentile and p counts the null at or below.
    """

    mean: float
    p99: float
    p_value: float


def allowed_shifts(clips: np.ndarray, min_shift_tr: int) -> np.ndarray:
    """Circular shifts of a movie's decoded clips that move every clip by at least ``min_shift_tr``.

    Parameters
    ----------
    clips : (n,) increasing clip indices in TR; every k-th TR is enough
    min_shift_tr : smallest distance in TR between a prediction and the true clip it is re-paired with

    Returns
    -------
    (n_shifts,) int64, shifts in places of ``clips``

    Raises
    ------
    InputError : no shift moves every clip that far
    """
    n = len(clips)
    places = np.arange(n)
    far = [s for s in range(1, n) if np.abs(clips[(places + s) % n] - clips).min() >= min_shift_tr]
    if not far:
        found = f"{n} decoded clips over {np.ptp(clips) + 1 if n else 0} TR"
        todo = "Decode more clips of the movie or lower score.min_shift_tr."
        raise InputError(
            "score.min_shift_tr", found, f"a movie that can be shifted by {min_shift_tr} TR", todo
        )
    return np.array(far)


def shift_means(pairs: np.ndarray) -> np.ndarray:
    """Mean score after each circular shift: (n, n) of prediction i with truth j -> (n,), [0] unshifted."""
    n = len(pairs)
    places = np.arange(n)
    return np.array([pairs[places, (places + shift) % n].mean() for shift in range(n)])


def draw_shifts(allowed: list[np.ndarray], draws: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one allowed shift per movie, independently; each combination once if there are few.

    Parameters
    ----------
    allowed : per movie, its allowed shifts
    draws : number of draws

    Returns
    -------
    (draws or fewer, n_movies) int64
    """
    combinations = 1
    for shifts in allowed:
        combinations *= len(shifts)
    if combinations <= draws:
        return np.stack(np.meshgrid(*allowed, indexing="ij"), axis=-1).reshape(combinations, len(allowed))
    return np.stack([generator.choice(shifts, size=draws) for shifts in allowed], axis=1)


def null_distribution(pairs: list[np.ndarray], shifts: np.ndarray) -> np.ndarray:
    """Mean score over the clips of all movies for each drawn combination of shifts.

    Parameters
    ----------
    pairs : per movie, (n, n) score of prediction i with truth j
    shifts : (draws, n_movies)

    Returns
    -------
    (draws,) float64
    """
    total = np.zeros(len(shifts))
    for movie, scores in enumerate(pairs):
        total += shift_means(scores)[shifts[:, movie]] * len(scores)
    return total / sum(len(scores) for scores in pairs)


def summarise_null(observed: float, null: np.ndarray, lower: bool = False) -> NullSummary:
    """Compare an observed mean with its null, one-sided: larger is better, or smaller if ``lower``."""
    sign = -1 if lower else 1
    # Equal values reached by sums in another order must count as reached.
    reached = np.count_nonzero(sign * null >= sign * observed - 1e-12 * max(1.0, abs(observed)))
    extreme = float(np.quantile(null, 0.01 if lower else 0.99))
    return NullSummary(float(null.mean()), extreme, (1 + reached) / (1 + len(null)))
