"""Block bootstrap against a slow loop, intervals, Holm's correction, baselines."""

import numpy as np
import pytest

from neurocine.metrics.baselines import constant_video, mean_frame_video
from neurocine.metrics.statistics import block_bootstrap, block_length, holm, interval


def slow_bootstrap(
    values: list[np.ndarray], lengths: list[int], draws: int, generator: np.random.Generator
) -> np.ndarray:
    means = np.empty(draws)
    starts = [
        generator.integers(len(v), size=(draws, -(-len(v) // k)))
        for v, k in zip(values, lengths, strict=True)
    ]
    for draw in range(draws):
        picked = []
        for movie, (scores, length) in enumerate(zip(values, lengths, strict=True)):
            ring = [scores[(start + i) % len(scores)] for start in starts[movie][draw] for i in range(length)]
            picked += ring[: len(scores)]
        means[draw] = np.mean(picked)
    return means


def test_bootstrap_equals_a_slow_loop() -> None:
    generator = np.random.default_rng(0)
    values = [generator.normal(size=13), generator.normal(size=8)]
    fast = block_bootstrap(values, [5, 4], 50, np.random.default_rng(1))
    np.testing.assert_allclose(fast, slow_bootstrap(values, [5, 4], 50, np.random.default_rng(1)))


def test_metrics_share_their_draws() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2))
    both = block_bootstrap(
        [np.concatenate([values, values[:, :1] + 1], axis=1)], [5], 100, np.random.default_rng(1)
    )
    np.testing.assert_allclose(both[:, 2] - both[:, 0], 1)
    assert np.abs(both[:, 1] - both[:, 0]).max() > 0.1


def test_blocks_widen_the_interval_of_slow_scores() -> None:
    slow = np.repeat(np.random.default_rng(0).normal(size=20), 10)
    widths = []
    for length in (1, 10):
        low, high = interval(block_bootstrap([slow], [length], 2000, np.random.default_rng(1)))
        assert low < slow.mean() < high
        widths.append(high - low)
    assert widths[1] > 2 * widths[0]


def test_interval_of_independent_scores_covers_the_mean() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        values = generator.normal(size=60)
        low, high = interval(block_bootstrap([values], [3], 500, generator))
        covered += low < 0 < high
    assert 0.87 < covered / 200 < 0.99


def test_a_block_longer_than_the_movie_is_the_movie() -> None:
    means = block_bootstrap([np.arange(4.0)], [15], 10, np.random.default_rng(0))
    np.testing.assert_allclose(means, 1.5)


def test_block_length_counts_decoded_clips() -> None:
    assert block_length(np.arange(40), 15) == 15
    assert block_length(np.arange(0, 240, 3), 15) == 5
    assert block_length(np.arange(0, 240, 40), 15) == 1
    assert block_length(np.array([7]), 15) == 15


def test_holm_against_hand_worked_values() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, np.nan])), [0.03, 0.06, 0.06, np.nan])
    assert holm(np.array([0.8, 0.9])).tolist() == [1, 1]


def test_mean_frame_is_the_mean_over_all_movies() -> None:
    generator = np.random.default_rng(0)
    movies = [generator.integers(0, 256, (n, 2, 4, 5, 3), dtype=np.uint8) for n in (3, 1)]
    expected = np.rint(np.concatenate(movies).astype(float).mean(axis=(0, 1)))
    video = mean_frame_video(iter(movies))
    assert video.dtype == np.uint8
    np.testing.assert_array_equal(video, np.broadcast_to(expected, (1, 2, 4, 5, 3)))


def test_constant_video() -> None:
    video = constant_video((2, 4, 5, 3))
    assert video.shape == (1, 2, 4, 5, 3)
    assert (video == 110).all()
    with pytest.raises(OverflowError):
        constant_video((2, 4, 5, 3), 300)
