"""Intervals and paired tests of means over clips that are not independent in time; Holm's correction."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

BLOCK_TIMES = 4  # length of a block, in integrated autocorrelation times of the scores
FEWEST_BLOCKS = 4  # blocks that a movie is cut into at least


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of means: ``low`` and ``high`` (n_metrics,), and ``block_tr`` (n_metrics,), TR."""

    low: np.ndarray
    high: np.ndarray
    block_tr: np.ndarray


def block_bootstrap(
    values: list[np.ndarray], block_clips: list[int], draws: int, generator: np.random.Generator
) -> np.ndarray:
    """Means over clips under a circular block bootstrap inside each movie.

    Neighbouring clips show the same scene: single clips must not be drawn. Each draw fills a movie with
    blocks of consecutive clips that begin anywhere (the last one cut to length, the movie closed to a ring,
    so that every clip is drawn equally often). All columns share the drawn blocks: differences between
    columns are paired.

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics) or (n_clips,)
    block_clips : per movie, clips in a block
    draws : bootstrap draws
    generator : draws where blocks begin

    Returns
    -------
    (draws, n_metrics) or (draws,) float64
    """
    total: np.ndarray | float = 0.0
    for scores, length in zip(values, block_clips, strict=True):
        n = len(scores)
        length = min(length, n)
        full, rest = divmod(n, length)
        starts = generator.integers(n, size=(draws, full + (rest > 0)))
        sums = _ring_sums(scores, length)[starts[:, :full]].sum(axis=1)
        if rest:
            sums = sums + _ring_sums(scores, rest)[starts[:, full]]
        total = total + sums
    return np.asarray(total) / sum(len(scores) for scores in values)


def _ring_sums(values: np.ndarray, length: int) -> np.ndarray:
    """Sum of ``length`` consecutive rows from each start on the ring: (n, ...) -> (n, ...)."""
    ring = np.concatenate([np.zeros_like(values[:1], dtype=np.float64), values, values[: length - 1]])
    sums = np.cumsum(ring, axis=0)
    return sums[length:] - sums[: len(values)]


def clip_spacing(clips: np.ndarray) -> float:
    """Median distance in TR of clips (n,) that may be every k-th TR; 1 for a single clip."""
    return float(np.median(np.diff(clips))) if len(clips) > 1 else 1.0


def block_length(clips: np.ndarray, block_tr: float) -> int:
    """Clips in a block of ``block_tr`` TR, for clips (n,) that may be every k-th TR (median distance)."""
    return max(1, round(block_tr / clip_spacing(clips)))


def autocorrelation_time(values: Sequence[np.ndarray]) -> np.ndarray:
    """Estimate how many clips count as one: 1 + 2 sum r(k), the integrated autocorrelation time.

    The sum ends at the first lag of three times its own value (Sokal 1997 with a window of 3), because
    later lags add noise only. Deviations are from the mean of all movies, so that movies that differ
    count as slow.

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics)

    Returns
    -------
    (n_metrics,) float64, clips, 1 or more; 1 where nothing varies
    """
    mean = np.concatenate(values).mean(axis=0)
    lags = max(2, max(map(len, values)) // 2)
    sums = np.zeros((lags, len(mean)))
    for scores in values:
        size = 1 << (2 * len(scores) - 1).bit_length()
        spectrum = np.abs(np.fft.rfft(scores - mean, size, axis=0)) ** 2
        correlations = np.fft.irfft(spectrum, size, axis=0)[: min(lags, len(scores))]
        sums[: len(correlations)] += correlations
    varying = sums[0] > 1e-18
    times = 1 + 2 * np.cumsum(sums[1:] / np.where(varying, sums[0], 1), axis=0)
    ended = np.arange(1, lags)[:, None] >= 3 * times
    ended[-1] = True
    chosen = np.take_along_axis(times, ended.argmax(axis=0)[None], axis=0)[0]
    return np.where(varying, np.maximum(chosen, 1), 1.0)


def fitting_blocks(
    values: Sequence[np.ndarray], clips: Sequence[np.ndarray], block_tr: float
) -> tuple[np.ndarray, np.ndarray]:
    """Choose blocks that hold what belongs together in time, for each metric.

    Four autocorrelation times, at least ``block_tr`` and at most a quarter of each movie.

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics)
    clips : per movie, (n_clips,) clip indices, TR
    block_tr : TR, the shortest block

    Returns
    -------
    (n_movies, n_metrics) int64 clips in a block, and the autocorrelation times (n_metrics,), clips
    """
    times = autocorrelation_time(values)
    spacing = float(np.median([clip_spacing(index) for index in clips]))
    wanted = np.maximum(block_tr, BLOCK_TIMES * times * spacing)
    lengths = []
    for index in clips:
        longest = max(1, len(index) // FEWEST_BLOCKS)
        lengths.append(np.clip(np.rint(wanted / clip_spacing(index)), 1, longest))
    return np.array(lengths, dtype=np.int64), times


def mean_intervals(
    values: list[np.ndarray],
    clips: list[np.ndarray],
    block_tr: float,
    draws: int,
    generator: np.random.Generator,
    level: float = 0.95,
) -> Intervals:
    """Intervals of means over clips: block bootstrap with the block of each metric, of corrected width.

    Blocks inside movies whose means are kept spread less than means of new movies would. Three factors
    correct it: sqrt(n / (n - l)) for a block of l out of n clips, because a movie's own mean lies nearer to
    its blocks than the true one; 1 / sqrt(1 - (a - 1/a) / 2l) for an autocorrelation time a, because blocks
    cut apart what belongs together (exact for scores whose correlation falls exponentially); and Student's t
    over the normal quantile for as many degrees of freedom as there are blocks less movies.

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics)
    clips : per movie, (n_clips,) clip indices, TR
    block_tr : TR, the shortest block (``fitting_blocks``)
    draws : bootstrap draws
    generator : each metric's draws begin at its state, so that no metric's interval depends on the others
    level : nominal coverage
    """
    lengths, times = fitting_blocks(values, clips, block_tr)
    counts = np.array([len(scores) for scores in values])
    mean = np.concatenate(values).mean(axis=0)
    low, high = np.empty_like(mean), np.empty_like(mean)
    for blocks in np.unique(lengths, axis=1).T:
        columns = np.flatnonzero((lengths == blocks[:, None]).all(axis=0))
        parts = [scores[:, columns] for scores in values]
        means = block_bootstrap(parts, blocks.tolist(), draws, copy.deepcopy(generator))
        edges = interval(means, level)
        factor = _width_factor(counts, blocks, times[columns], level)
        low[columns], high[columns] = (mean[columns] + factor * (edge - mean[columns]) for edge in edges)
    spacing = np.array([clip_spacing(index) for index in clips])
    return Intervals(low, high, (lengths * spacing[:, None]).max(axis=0))


def _variance_factor(counts: np.ndarray, blocks: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How much larger variances are than the bootstrap's: movies (m,), their blocks (m,), (k,) -> (k,)."""
    blocks_ratio = counts.sum() / np.maximum(counts - blocks, 1).sum()
    length = np.average(blocks, weights=counts)
    cut = np.minimum((times - 1 / times) / (2 * length), 0.5)
    return np.asarray(blocks_ratio / (1 - cut))


def _freedom(counts: np.ndarray, blocks: np.ndarray) -> float:
    """Degrees of freedom: as many as there are blocks less movies."""
    return max(1.0, float((counts / blocks - 1).sum()))


def _width_factor(counts: np.ndarray, blocks: np.ndarray, times: np.ndarray, level: float) -> np.ndarray:
    """How much wider intervals must be than the bootstrap's: movies (m,), their blocks (m,), (k,) -> (k,)."""
    tail = (1 + level) / 2
    width = np.sqrt(_variance_factor(counts, blocks, times))
    return width * t.ppf(tail, _freedom(counts, blocks)) / norm.ppf(tail)


@dataclass(frozen=True)
class MeanVariances:
    """Variances of means over clips (n_metrics,), their degrees of freedom, and the blocks, TR."""

    variance: np.ndarray
    freedom: np.ndarray
    block_tr: np.ndarray


def mean_variances(
    values: Sequence[np.ndarray],
    clips: Sequence[np.ndarray],
    block_tr: float,
    like: Sequence[np.ndarray] | None = None,
) -> MeanVariances:
    """Variances of means over clips, as ``mean_intervals`` has them, without random draws.

    A movie of the block bootstrap is a sum of blocks that begin anywhere with the same probability, so its
    variance is that of one block times their number.

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics)
    clips : per movie, (n_clips,) clip indices, TR
    block_tr : TR, the shortest block (``fitting_blocks``)
    like : values whose blocks are taken; these if None
    """
    lengths, times = fitting_blocks(values if like is None else like, clips, block_tr)
    counts = np.array([len(scores) for scores in values])
    variance, freedom = np.empty(len(times)), np.empty(len(times))
    for blocks in np.unique(lengths, axis=1).T:
        columns = np.flatnonzero((lengths == blocks[:, None]).all(axis=0))
        total = np.zeros(len(columns))
        for scores, length in zip(values, blocks, strict=True):
            full, rest = divmod(len(scores), int(length))
            total += full * _ring_sums(scores[:, columns], int(length)).var(axis=0)
            total += _ring_sums(scores[:, columns], rest).var(axis=0) if rest else 0
        drawn = total / counts.sum() ** 2
        variance[columns] = drawn * _variance_factor(counts, blocks, times[columns])
        freedom[columns] = _freedom(counts, blocks)
    spacing = np.array([clip_spacing(index) for index in clips])
    return MeanVariances(variance, freedom, (lengths * spacing[:, None]).max(axis=0))


def interval(means: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of bootstrap means: (draws, ...) -> low and high, each (...)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def rank_contributions(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Contributions of single clips to Spearman's correlation: their mean is it, their spread is its error.

    The product of a clip's standardised ranks has the right mean, but its spread grows with the correlation
    while that of the correlation shrinks. The contribution is the correlation plus the clip's influence on
    it (Hampel 1974), through its own ranks, through the ranks of all others, and through both variances; the
    bootstrap of these means follows that of clips that are drawn and ranked again.

    Parameters
    ----------
    first, second : (n,) values of each clip

    Returns
    -------
    (n,) float64; 0 where all values of a side are equal
    """
    sides = []
    for values in (first, second):
        below = (values[None] < values[:, None]) + 0.5 * (values[None] == values[:, None])
        rank = below.mean(axis=1)
        centred = rank - rank.mean()
        if not np.any(values != values[0]):
            return np.zeros(len(first))
        # What one more clip of each value would add to the ranks: (ranked clip, added clip).
        sides.append((centred, below - rank[:, None]))
    (x, x_moved), (y, y_moved) = sides
    covariance, spread_x, spread_y = (x * y).mean(), (x * x).mean(), (y * y).mean()
    rho = covariance / np.sqrt(spread_x * spread_y)
    by_covariance = x * y - covariance + (y @ x_moved + x @ y_moved) / len(x)
    by_spread = (x * x + 2 / len(x) * (x @ x_moved)) / spread_x - 1
    by_spread += (y * y + 2 / len(y) * (y @ y_moved)) / spread_y - 1
    return rho + by_covariance / np.sqrt(spread_x * spread_y) - rho / 2 * by_spread


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction: (n,) -> (n,); NaN stays NaN and does not count."""
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


@dataclass(frozen=True)
class PairedDifferences:
    """Differences of two results on the same clips.

    Parameters
    ----------
    movies : their names
    values : per movie, (n_clips, n_metrics) differences
    clips : per movie, (n_clips,) clip indices, TR
    """

    movies: Sequence[str]
    values: list[np.ndarray]
    clips: list[np.ndarray]

    def block_sums(self, column: int, block_tr: int) -> tuple[list[tuple[str, int]], np.ndarray]:
        """Sum a metric over blocks at multiples of ``block_tr`` TR: first TR of each with its movie, (n,)."""
        where, sums = [], []
        for movie, scores, index in zip(self.movies, self.values, self.clips, strict=True):
            block = index // block_tr
            for number in np.unique(block):
                where.append((movie, int(number) * block_tr))
                sums.append(scores[block == number, column].sum())
        return where, np.array(sums)


def doubled_blocks(differences: PairedDifferences, block_tr: int) -> np.ndarray:
    """Choose blocks whose signs are flipped together, so that those of all metrics lie inside each other.

    As ``fitting_blocks``, but ``block_tr`` times the smallest power of two that is long enough: (n_metrics,),
    TR.
    """
    times = autocorrelation_time(differences.values)
    spacing = float(np.median([clip_spacing(index) for index in differences.clips]))
    span = min(float(np.ptp(index)) + spacing for index in differences.clips)
    most = max(0, int(np.log2(max(1.0, span / FEWEST_BLOCKS / block_tr))))
    doublings = np.ceil(np.log2(np.maximum(1, BLOCK_TIMES * times * spacing / block_tr)))
    return np.asarray(block_tr * 2 ** np.minimum(doublings, most).astype(np.int64))


def family_p(
    tests: Sequence[PairedDifferences],
    blocks: Sequence[np.ndarray],
    block_tr: int,
    draws: int,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """P-values corrected over a family of paired comparisons: step-down maxima under common sign flips.

    Westfall and Young (1993), algorithm 4.1, with flipped signs for the resampling: what the largest of all
    standardised differences, |sum| over the root of the sum of squares of the blocks, reaches where no
    result is better than another. Tests on the same clips are flipped together, which keeps how they depend
    on each other: metrics that say the same cost nothing.

    Parameters
    ----------
    tests : m comparisons, of different subjects, pairs and metrics
    blocks : per comparison, (n_metrics,) TR: ``block_tr`` times powers of two
    block_tr : TR, the shortest block
    draws : flips
    generator : draws the signs

    Returns
    -------
    per comparison (n_metrics,) float64; NaN where a difference is NaN
    """
    ends: dict[str, int] = {}
    for test in tests:
        for movie, index in zip(test.movies, test.clips, strict=True):
            ends[movie] = max(ends.get(movie, 0), int(index[-1]) // block_tr + 1)
    columns = {
        (movie, number * block_tr): place
        for place, (movie, number) in enumerate(
            (movie, number) for movie, end in ends.items() for number in range(end)
        )
    }
    signs = generator.integers(2, size=(draws, len(columns))).astype(np.float64) * 2 - 1
    entries = []
    for number, (test, lengths) in enumerate(zip(tests, blocks, strict=True)):
        for column, length in enumerate(lengths):
            where, sums = test.block_sums(column, int(length))
            scale = np.sqrt(np.square(sums).sum())
            if np.isfinite(scale):
                unit = sums / scale if scale > 0 else sums
                entries.append((abs(unit.sum()), number, column, [columns[key] for key in where], unit))
    adjusted = [np.full(len(lengths), np.nan) for lengths in blocks]
    most = np.zeros(draws)
    found = []
    for observed, number, column, places, unit in sorted(entries, key=lambda entry: entry[:3]):
        np.maximum(most, np.abs(signs[:, places] @ unit), out=most)
        reached = np.count_nonzero(most >= observed * (1 - 1e-12) - 1e-15)
        found.append(((1 + reached) / (1 + draws), number, column))
    largest = 0.0
    for p_value, number, column in reversed(found):
        largest = max(largest, p_value)
        adjusted[number][column] = largest
    return adjusted


def sign_flip_p(
    values: list[np.ndarray],
    clips: list[np.ndarray],
    block_tr: int,
    draws: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Two-sided p-values of mean paired differences, from flipping the signs of whole blocks of time.

    If two results were as good as each other, each difference could as well have the other sign; neighbours
    show the same scene and are flipped together. p = (1 + #{|flipped| >= |observed|}) / (1 + draws).

    Parameters
    ----------
    values : per movie, (n_clips, n_metrics) differences
    clips : per movie, (n_clips,) clip indices, TR
    block_tr : TR, block; blocks lie at multiples of it in each movie
    draws : flips; all of them where there are no more
    generator : draws the signs where there are more than ``draws`` flips

    Returns
    -------
    (n_metrics,) float64; NaN where a difference is NaN
    """
    sums = []
    for scores, index in zip(values, clips, strict=True):
        block = index // block_tr
        sums += [scores[block == number].sum(axis=0) for number in np.unique(block)]
    blocks = np.stack(sums)
    n = len(blocks)
    if 2**n <= draws:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)[1:]  # without the unflipped one
    else:
        signs = generator.integers(2, size=(draws, n)) * 2 - 1
    observed = np.abs(blocks.sum(axis=0))
    flipped = np.abs(signs @ blocks)
    # Equal sums reached in another order must count as reached.
    reached = (flipped >= observed * (1 - 1e-12) - 1e-15).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + len(signs)))
