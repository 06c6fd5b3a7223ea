"""Intervals and paired tests of means over clips that are not independent in time; Holm's correction."""

import numpy as np


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


def block_length(clips: np.ndarray, block_tr: int) -> int:
    """Clips in a block of ``block_tr`` TR, for clips that may be every k-th TR (median distance)."""
    spacing = float(np.median(np.diff(clips))) if len(clips) > 1 else 1.0
    return max(1, round(block_tr / spacing))


def interval(means: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of bootstrap means: (draws, ...) -> low and high, each (...)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction: (n,) -> (n,); NaN stays NaN and does not count."""
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
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
