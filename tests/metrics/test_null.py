"""The circular-shift permutation null."""

import itertools

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.metrics.null import allowed_shifts, draw_shifts, null_distribution, shift_means, summarise_null


def test_shifts_keep_the_distance_on_both_sides_of_the_seam() -> None:
    np.testing.assert_array_equal(allowed_shifts(np.arange(8), 3), [3, 4, 5])
    np.testing.assert_array_equal(allowed_shifts(np.arange(0, 24, 3), 9), [3, 4, 5])
    np.testing.assert_array_equal(allowed_shifts(np.array([0, 1, 2, 10, 11, 12]), 5), [3])


def test_a_movie_too_short_to_shift_is_refused() -> None:
    with pytest.raises(InputError, match="min_shift_tr"):
        allowed_shifts(np.arange(29), 15)
    assert allowed_shifts(np.arange(30), 15).tolist() == [15]


def test_shift_means_equal_a_loop() -> None:
    pairs = np.random.default_rng(0).normal(size=(5, 5))
    expected = [np.mean([pairs[i, (i + s) % 5] for i in range(5)]) for s in range(5)]
    np.testing.assert_allclose(shift_means(pairs), expected)


def test_few_combinations_are_all_used_once() -> None:
    allowed = [np.array([2, 3]), np.array([1, 4, 5])]
    drawn = draw_shifts(allowed, 1000, np.random.default_rng(0))
    assert sorted(map(tuple, drawn.tolist())) == sorted(itertools.product([2, 3], [1, 4, 5]))


def test_many_combinations_are_drawn_independently() -> None:
    allowed = [np.arange(10, 60), np.arange(20, 80)]
    drawn = draw_shifts(allowed, 1000, np.random.default_rng(0))
    assert drawn.shape == (1000, 2)
    assert set(drawn[:, 0]) == set(allowed[0])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(drawn, draw_shifts(allowed, 1000, np.random.default_rng(0)))


def test_null_weighs_movies_by_their_clips() -> None:
    pairs = [np.full((4, 4), 1.0), np.full((12, 12), 5.0)]
    np.testing.assert_allclose(null_distribution(pairs, np.array([[2, 6], [1, 3]])), 4.0)


def test_p_value_counts_the_observed_pairing() -> None:
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert summarise_null(0.5, null).p_value == pytest.approx(1 / 5)
    assert summarise_null(0.3, null).p_value == pytest.approx(3 / 5)
    assert summarise_null(0.0, null).p_value == 1
    assert summarise_null(0.5, null).mean == pytest.approx(0.25)


def test_p_is_uniform_without_and_small_with_a_match() -> None:
    """Autocorrelated scores without any match: p <= alpha no more often than alpha."""
    generator = np.random.default_rng(4)
    shifts = allowed_shifts(np.arange(60), 5)[:, None]
    p_values = []
    for _ in range(300):
        first, second = generator.normal(size=(2, 60))
        for _ in range(3):
            first, second = first + np.roll(first, 1), second + np.roll(second, 1)
        pairs = -np.abs(first[:, None] - second[None, :])
        p_values.append(summarise_null(np.diagonal(pairs).mean(), null_distribution([pairs], shifts)).p_value)
    p_values = np.array(p_values)
    for level in (0.1, 0.25, 0.5, 0.75):
        assert abs(np.mean(p_values <= level) - level) < 0.09
    matched = -np.abs(first[:, None] - first[None, :])
    assert summarise_null(0.0, null_distribution([matched], shifts)).p_value == pytest.approx(
        1 / (1 + len(shifts))
    )
