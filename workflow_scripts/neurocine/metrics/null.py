"""Permutation null: predictions re-paired with other true clips of the same movie.

Re-pairing keeps what the decoder produces and how slowly movies change; only the match is broken. It answers
what the same reconstructions would score if they told nothing about the clip on screen.

Clips of a movie that follow each other in time are shifted around the ring of its clips. p counts *all*
shifts of every movie, near ones too: they form a group, and only then does the unshifted pairing reach each
rank equally often where nothing was decoded (Hemerik and Goeman 2018). What the null shows (its mean, what
99 % of it do not reach) comes from far shifts alone, because near ones hold a part of what was decoded.
Clips that have nothing to do with each other are paired at random instead.

On the ring the end of a movie meets its start. Where both sides change so slowly that they hardly come round
in a movie, the unshifted pairing differs from the others in that alone, and p is too small; ``Null`` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurocine.errors import InputError
from neurocine.metrics.statistics import autocorrelation_time, clip_spacing

# Means of equal scores differ by this much at most, although products are of single precision.
TIE = 4e-6
# Share of a movie over which shifted pairings may resemble each other. In simulation p <= .01 has a true rate
# of .005 to .016 below it (scenes of 2 to 6 TR, chapters of 30 to 60), .02 to .04 above (random walks).
LONGEST_MEMORY = 0.1


@dataclass(frozen=True)
class NullSummary:
    """What a value is compared with.

    Parameters
    ----------
    mean, p99 : of far pairings: their mean, and what 99 % of them do not reach (1st percentile where smaller
        is better)
    p_value : (1 + #{pairings as good or better}) / (1 + draws)
    draws : number of pairings that p counts
    memory_tr : TR over which shifted pairings resemble each other; 0 for random pairings
    holds : whether that is short enough against the movies for p to be right
    """

    mean: float
    p99: float
    p_value: float
    draws: int
    memory_tr: float
    holds: bool


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


def shifted_orders(n: int) -> np.ndarray:
    """All circular shifts of n places: (n, n), row s pairs prediction i with truth (i + s) mod n."""
    places = np.arange(n)
    return (places[None] + places[:, None]) % n


def draw_shifts(allowed: Sequence[np.ndarray], draws: int, generator: np.random.Generator) -> np.ndarray:
    """Draw one allowed shift per movie, independently; each combination once if there are few.

    The combination that shifts no movie is left out where all are listed.

    Parameters
    ----------
    allowed : per movie, its allowed shifts
    draws : number of draws
    generator : draws the shifts where there are more combinations than draws

    Returns
    -------
    (draws or fewer, n_movies) int64
    """
    combinations = 1
    for shifts in allowed:
        combinations *= len(shifts)
    if combinations <= draws:
        every = np.stack(np.meshgrid(*allowed, indexing="ij"), axis=-1).reshape(combinations, len(allowed))
        return every[every.any(axis=1)]
    return np.stack([generator.choice(shifts, size=draws) for shifts in allowed], axis=1)


def pairing_means(pairs: np.ndarray, orders: np.ndarray, allowed: np.ndarray | None = None) -> np.ndarray:
    """Mean score of each pairing of a movie.

    Parameters
    ----------
    pairs : (n, n) score of prediction i with truth j
    orders : (k, n), row r pairs prediction i with truth ``orders[r, i]``
    allowed : bool (n, n), pairs that count; None for all

    Returns
    -------
    (k,) float64; NaN where less than half of the pairs count
    """
    places = np.arange(len(pairs))
    picked = pairs[places, orders]
    if allowed is None:
        return np.asarray(picked.mean(axis=1))
    counted = allowed[places, orders]
    number = counted.sum(axis=1)
    means = np.where(counted, picked, 0).sum(axis=1) / np.maximum(number, 1)
    return np.where(2 * number >= len(pairs), means, np.nan)


@dataclass(frozen=True)
class Null:
    """The pairings that scores of some movies are compared with; all metrics share them.

    Parameters
    ----------
    clips : per movie, (n,) increasing clip indices, TR
    orders : per movie, (k, n) pairings (``pairing_means``)
    counted : (draws, n_movies) rows of ``orders`` that p counts
    shown : (draws, n_movies) rows of ``orders`` for mean and 99 %
    known : per movie, bool (n, n): pairs that may be shown; empty for all
    """

    clips: list[np.ndarray]
    orders: list[np.ndarray]
    counted: np.ndarray
    shown: np.ndarray
    known: list[np.ndarray]

    @cached_property
    def _far(self) -> list[np.ndarray]:
        return [np.unique(self.shown[:, movie]) for movie in range(len(self.clips))]

    def _total(self, means: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
        """Mean over the clips of all movies for each combination of pairings."""
        sizes = np.array([len(index) for index in self.clips])
        chosen = np.stack([part[rows[:, movie]] for movie, part in enumerate(means)], axis=1)
        return np.asarray(chosen @ (sizes / sizes.sum()))

    def counted_means(self, pairs: Sequence[np.ndarray]) -> np.ndarray:
        """Mean score of every pairing that p counts, (draws,), from (n, n) pairs of each movie."""
        means = [pairing_means(part, order) for part, order in zip(pairs, self.orders, strict=True)]
        return self._total(means, self.counted)

    def memory(self, means: Sequence[np.ndarray]) -> float:
        """Share of a movie over which the means of its far shifts (k,) resemble each other."""
        far = [part[rows][:, None] for part, rows in zip(means, self._far, strict=True)]
        sizes = [len(index) for index in self.clips]
        return float(autocorrelation_time([part - part.mean() for part in far])[0] / np.mean(sizes))

    def summarise(self, value: float, pairs: Sequence[np.ndarray], lower: bool = False) -> NullSummary:
        """Compare a mean over clips with its null, one-sided: larger is better, or smaller if ``lower``.

        Parameters
        ----------
        value : mean over the clips of all movies
        pairs : per movie, (n, n) score of prediction i with truth j
        lower : whether smaller is better
        """
        means = [pairing_means(part, order) for part, order in zip(pairs, self.orders, strict=True)]
        sign = -1 if lower else 1
        null = self._total(means, self.counted)
        # Equal values reached by sums in another order must count as reached.
        reached = np.count_nonzero(sign * null >= sign * value - TIE * max(1.0, abs(value)))
        if self.known:
            parts = zip(pairs, self.orders, self.known, strict=True)
            shown = self._total([pairing_means(*part) for part in parts], self.shown)
        else:
            shown = self._total(means, self.shown)
        shown = shown[~np.isnan(shown)]
        extreme = float(np.quantile(shown, 0.01 if lower else 0.99)) if len(shown) else np.nan
        mean = float(shown.mean()) if len(shown) else np.nan
        p_value = (1 + reached) / (1 + len(null))
        if self.counted is self.shown:  # random pairings
            return NullSummary(mean, extreme, p_value, len(null), 0.0, True)
        share = self.memory(means)
        length = np.mean([len(index) * clip_spacing(index) for index in self.clips])
        return NullSummary(mean, extreme, p_value, len(null), share * float(length), share <= LONGEST_MEMORY)


def shift_null(
    clips: list[np.ndarray],
    min_shift_tr: int,
    draws: int,
    generator: np.random.Generator,
    sources: list[np.ndarray] | None = None,
) -> Null:
    """Shift predictions around the clips of their movie.

    Parameters
    ----------
    clips : per movie, (n,) increasing clip indices, TR
    min_shift_tr : smallest distance in TR of the pairings that are shown
    draws : combinations of the movies' shifts; all of them where there are no more
    generator : draws the combinations of shifts
    sources : of a control: per movie, (n,) the clips at whose time the brain was recorded that was decoded.
        Pairs nearer to those than ``min_shift_tr`` are not shown: they undo what the control does

    Raises
    ------
    InputError : a movie that cannot be shifted far enough
    """
    far = [allowed_shifts(index, min_shift_tr) for index in clips]
    shown = draw_shifts(far, draws, generator)
    counted = draw_shifts([np.arange(len(index)) for index in clips], draws, generator)
    orders = [shifted_orders(len(index)) for index in clips]
    known = []
    if sources is not None:
        known = [
            np.abs(source[:, None] - index) >= min_shift_tr
            for source, index in zip(sources, clips, strict=True)
        ]
    return Null(clips, orders, counted, shown, known)


def random_null(clips: list[np.ndarray], draws: int, generator: np.random.Generator) -> Null:
    """Pair predictions at random with the clips of their movie, for clips that are unrelated in time.

    Parameters
    ----------
    clips : per movie, (n,) clip indices
    draws : random pairings
    generator : draws the pairings
    """
    orders = [
        generator.permuted(np.tile(np.arange(len(index)), (draws, 1)), axis=1).astype(np.int32)
        for index in clips
    ]
    rows = np.repeat(np.arange(draws)[:, None], len(clips), axis=1)
    return Null(clips, orders, rows, rows, [])
