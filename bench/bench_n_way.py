"""Exact N-way accuracy against the published loop of 100 random trials per clip, at published size.

Scores 1,200 clips x 6 frames in 7 settings of N, k and rule. The loop is timed on every 20th frame unless
--full is given, and its seconds are then multiplied by 20. Prints CPU seconds of both (each runs on one
core), their ratio, and the largest difference of a mean in standard errors of the trials; ends with an error
if they disagree.
"""

import argparse
import time

import numpy as np

from neurocine.metrics.n_way import exact_n_way, target_classes

# N, k, correct classes
SETTINGS = [(2, 1, 1), (2, 1, 3), (40, 1, 3), (50, 1, 1), (50, 1, 3), (50, 5, 3), (100, 1, 3)]
SHARE = 20  # one frame in so many is given to the loop


def trial_loop(
    scores: np.ndarray,
    targets: np.ndarray,
    n_way: int,
    top_k: int,
    repeats: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Success of each clip: draw distractors, compare each target with them, one trial at a time."""
    result = np.empty(len(scores))
    for clip, (score, target) in enumerate(zip(scores, targets, strict=True)):
        others = np.array([number for number in range(len(score)) if number not in target])
        wins = 0
        for _ in range(repeats):
            drawn = score[generator.choice(others, n_way - 1, replace=False)]
            wins += any((drawn > score[one]).sum() < top_k for one in target)
        result[clip] = wins / repeats
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1200)
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--full", action="store_true", help="give all frames to the loop (about an hour)")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    n = arguments.clips * arguments.frames
    truth = generator.normal(size=(n, arguments.classes)).astype(np.float32)
    scores = truth + 2 * generator.normal(size=truth.shape).astype(np.float32)
    share = 1 if arguments.full else SHARE
    exact, loop_seconds, worst = [], 0.0, 0.0
    started = time.process_time()
    targets = {m: target_classes(truth, m) for m in (1, 3)}
    for n_way, top_k, m in SETTINGS:
        exact.append(exact_n_way(scores, targets[m], n_way, top_k))
    exact_seconds = time.process_time() - started
    for (n_way, top_k, m), values in zip(SETTINGS, exact, strict=True):
        started = time.process_time()
        estimate = trial_loop(
            scores[::share], targets[m][::share], n_way, top_k, arguments.repeats, generator
        )
        loop_seconds += share * (time.process_time() - started)
        values = values[::share]
        error = np.sqrt(np.sum(values * (1 - values)) / arguments.repeats) / len(values)
        worst = max(worst, abs(estimate.mean() - values.mean()) / error)
        print(
            f"{n_way:3d}-way top-{top_k}, {m} correct: loop {estimate.mean():.4f}, exact {values.mean():.4f}"
        )
    how = "" if share == 1 else f" (measured on 1 of {share} frames)"
    ratio = loop_seconds / exact_seconds
    print(f"{n} frames x {len(SETTINGS)} settings")
    print(f"loop {loop_seconds:.1f} s{how}, exact {exact_seconds:.2f} s")
    print(f"ratio {ratio:.0f}")
    print(f"largest difference {worst:.1f} standard errors")
    if worst > 4:
        raise SystemExit("exact value and random trials disagree")


if __name__ == "__main__":
    main()
