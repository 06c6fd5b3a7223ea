"""Size of p-values and coverage of intervals where nothing is to be found, in many simulated studies.

Prints, for designs of the toy study (2 movies of 60 clips, every 4 TR) and of CC2017 (5 of 240) and for
processes from independent clips to random walks: how often the p of the permutation null and of paired
comparisons is at most .05, .01 and .001, for how many the table says that p holds, and how often 95 %
intervals hold the true mean. Beside p stands what far shifts alone would give, beside intervals and
comparisons what one block of 15 TR for all would. The tests hold the same for fewer studies.
"""

import argparse

import numpy as np

from neurocine.metrics.null import Null, shift_null
from neurocine.metrics.statistics import (
    PairedDifferences,
    block_bootstrap,
    block_length,
    doubled_blocks,
    interval,
    mean_intervals,
    sign_flip_p,
)
from neurocine.simulate.courses import COURSES, unmatched_pairs

DESIGNS = {"toy": (2, 240, 4), "cc2017": (5, 240, 1)}  # movies, TR of each, every k-th clip
BLOCK_TR = 15


def rates(p_values: np.ndarray) -> str:
    return " ".join(f"{(p_values <= level).mean():.4f}" for level in (0.05, 0.01, 0.001))


def permutation_sizes(kind: str, design: tuple[int, int, int], n: int, random: np.random.Generator) -> str:
    """Size of the permutation null's p with all shifts, and with far ones alone."""
    n_movies, n_tr, every = design
    clips = [np.arange(0, n_tr, every)] * n_movies
    null = shift_null(clips, BLOCK_TR, 10_000, random)
    far = Null(null.clips, null.orders, null.shown, null.shown, [])
    found, before = [], []
    for _ in range(n):
        pairs = [unmatched_pairs(random, n_tr, kind)[::every, ::every] for _ in range(n_movies)]
        value = float(np.mean([np.diagonal(part).mean() for part in pairs]))
        found.append(null.summarise(value, pairs))
        before.append(far.summarise(value, pairs).p_value)
    p_values = np.array([one.p_value for one in found])
    holds = np.array([one.holds for one in found])
    said = rates(p_values[holds]) if holds.any() else "-"
    return f"p {rates(p_values)} (far {rates(np.array(before))}); holds {holds.mean():.2f}: {said}"


def interval_coverage(kind: str, design: tuple[int, int, int], n: int, random: np.random.Generator) -> str:
    """Coverage of 95 % intervals, and of those by a plain bootstrap in blocks of 15 TR."""
    n_movies, n_tr, every = design
    clips = [np.arange(0, n_tr, every)] * n_movies
    values = [COURSES[kind](random, (n_tr, n))[::every] for _ in range(n_movies)]
    found = mean_intervals(values, clips, BLOCK_TR, 1000, random)
    blocks = [block_length(index, BLOCK_TR) for index in clips]
    low, high = interval(block_bootstrap(values, blocks, 1000, random))
    covered = ((found.low < 0) & (found.high > 0)).mean()
    return f"covered {covered:.3f} (plain {((low < 0) & (high > 0)).mean():.3f})"


def comparison_sizes(kind: str, design: tuple[int, int, int], n: int, random: np.random.Generator) -> str:
    """Size of the p of paired comparisons, and of that by flips in blocks of 15 TR."""
    n_movies, n_tr, every = design
    clips = [np.arange(0, n_tr, every)] * n_movies
    values = [COURSES[kind](random, (n_tr, n))[::every] for _ in range(n_movies)]
    blocks = doubled_blocks(PairedDifferences([str(m) for m in range(n_movies)], values, clips), BLOCK_TR)
    p_values = np.empty(n)
    for length in np.unique(blocks):
        chosen = blocks == length
        parts = [part[:, chosen] for part in values]
        p_values[chosen] = sign_flip_p(parts, clips, int(length), 5000, random)
    before = sign_flip_p(values, clips, BLOCK_TR, 5000, random)
    return f"flips {rates(p_values)} (plain {rates(before)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--kinds", nargs="+", default=list(COURSES), choices=list(COURSES))
    arguments = parser.parse_args()
    for name in arguments.designs:
        for kind in arguments.kinds:
            random = np.random.default_rng(0)
            known = kind, DESIGNS[name], arguments.studies, random
            parts = [permutation_sizes(*known)]
            if kind != "walk":  # a random walk has no mean
                parts += [interval_coverage(*known), comparison_sizes(*known)]
            print(f"{name:7s}{kind:20s} {'; '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
