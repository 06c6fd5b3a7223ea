"""Exact N-way accuracy against the published loop of 100 random trials per clip, at published size.

Prints seconds of both, their ratio, and the largest difference of a mean in standard errors of the trials;
ends with an error if they disagree.
"""

import argparse
import time

import numpy as np

from neurocine.metrics.n_way import exact_n_way, target_classes


def trial_loop(
    scores: np.ndarray, targets: np.ndarray, n_way: int, repeats: int, generator: np.random.Generator
) -> np.ndarray:
    """Top-1 success of each clip: draw distractors, compare each target with them, one trial at a time."""
    result = np.empty(len(scores))
    for clip, (score, target) in enumerate(zip(scores, targets, strict=True)):
        others = np.array([number for number in range(len(score)) if number not in target])
        wins = 0
        for _ in range(repeats):
            drawn = generator.choice(others, n_way - 1, replace=False)
            wins += any(score[one] > score[drawn].max() for one in target)
        result[clip] = wins / repeats
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=100)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(arguments.clips, arguments.classes))
    scores = truth + 2 * generator.normal(size=truth.shape)
    seconds = {"loop": 0.0, "exact": 0.0}
    worst = 0.0
    for n_way in (2, 50):
        for n_targets in (1, 3):
            targets = target_classes(truth, n_targets)
            started = time.perf_counter()
            estimate = trial_loop(scores, targets, n_way, arguments.repeats, generator)
            seconds["loop"] += time.perf_counter() - started
            started = time.perf_counter()
            exact = exact_n_way(scores, targets, n_way)
            seconds["exact"] += time.perf_counter() - started
            error = np.sqrt(np.sum(exact * (1 - exact)) / arguments.repeats) / len(exact)
            worst = max(worst, abs(estimate.mean() - exact.mean()) / error)
            print(
                f"{n_way:2d}-way, {n_targets} correct: loop {estimate.mean():.4f}, exact {exact.mean():.4f}"
            )
    ratio = seconds["loop"] / seconds["exact"]
    print(f"loop {seconds['loop']:.2f} s, exact {seconds['exact']:.3f} s, ratio {ratio:.0f}")
    print(f"largest difference {worst:.1f} standard errors")
    if worst > 4:
        raise SystemExit("exact value and random trials disagree")


if __name__ == "__main__":
    main()
