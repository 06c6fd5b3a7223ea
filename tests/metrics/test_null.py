"""The permutation null: shifts, random pairings, ties, and the size of its p in simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from neurocine.errors import InputError
from neurocine.metrics.null import (
    Null,
    allowed_shifts,
    draw_shifts,
    pairing_means,
    random_null,
    shift_null,
    shifted_orders,
)
from neurocine.simulate.courses import unmatched_pairs


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def one_movie(n: int, min_shift: int = 1) -> Null:
    return shift_null([np.arange(n)], min_shift, 10_000, generator())


def test_shifts_keep_the_distance_on_both_sides_of_the_seam() -> None:
    np.testing.assert_array_equal(allowed_shifts(np.arange(8), 3), [3, 4, 5])
    np.testing.assert_array_equal(allowed_shifts(np.arange(0, 24, 3), 9), [3, 4, 5])
    np.testing.assert_array_equal(allowed_shifts(np.array([0, 1, 2, 10, 11, 12]), 5), [3])


def test_a_movie_too_short_to_shift_is_refused() -> None:
    with pytest.raises(InputError, match="min_shift_tr"):
        allowed_shifts(np.arange(29), 15)
    assert allowed_shifts(np.arange(30), 15).tolist() == [15]


def test_means_equal_a_loop() -> None:
    pairs = generator().normal(size=(5, 5))
    expected = [np.mean([pairs[i, (i + s) % 5] for i in range(5)]) for s in range(5)]
    np.testing.assert_allclose(pairing_means(pairs, shifted_orders(5)), expected)
    known = np.abs(np.arange(5)[:, None] - np.arange(5)) != 1  # shifts by 1 and 4 keep one pair of five
    some = pairing_means(pairs, shifted_orders(5), known)
    assert np.isnan(some).tolist() == [False, True, False, False, True]
    np.testing.assert_allclose(some[[0, 2, 3]], np.array(expected)[[0, 2, 3]])
    known[0, 2] = False
    rest = np.mean([pairs[i, (i + 2) % 5] for i in range(1, 5)])
    assert pairing_means(pairs, shifted_orders(5), known)[2] == pytest.approx(rest)


def test_few_combinations_are_all_used_once_without_the_unshifted_one() -> None:
    allowed = [np.array([2, 3]), np.array([1, 4, 5])]
    drawn = draw_shifts(allowed, 1000, generator())
    assert sorted(map(tuple, drawn.tolist())) == sorted(itertools.product([2, 3], [1, 4, 5]))
    every = draw_shifts([np.arange(3), np.arange(4)], 1000, generator())
    assert len(every) == 3 * 4 - 1
    assert [0, 0] not in every.tolist()
    assert [0, 2] in every.tolist()


def test_many_combinations_are_drawn_independently() -> None:
    allowed = [np.arange(10, 60), np.arange(20, 80)]
    drawn = draw_shifts(allowed, 1000, generator())
    assert drawn.shape == (1000, 2)
    assert set(drawn[:, 0]) == set(allowed[0])
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(drawn, draw_shifts(allowed, 1000, generator()))


def test_null_weighs_movies_by_their_clips() -> None:
    null = shift_null([np.arange(4), np.arange(12)], 2, 1000, generator())
    found = null.summarise(4.0, [np.full((4, 4), 1.0), np.full((12, 12), 5.0)])
    assert (found.mean, found.p99, found.p_value) == (4, 4, 1)


def test_p_counts_all_shifts_and_the_null_shows_far_ones() -> None:
    # Prediction i scores (i - j) mod 10 with truth j: shift s has the mean -s mod 10.
    pairs = (np.arange(10)[:, None] - np.arange(10)) % 10 * 1.0
    null = one_movie(10, 4)
    far = (10 - allowed_shifts(np.arange(10), 4)) % 10
    found = null.summarise(0.0, [pairs])
    assert (found.p_value, found.draws) == (1, 9)
    assert found.mean == far.mean()
    assert null.summarise(0.0, [pairs], lower=True).p_value == pytest.approx(1 / 10)
    assert null.summarise(7.0, [pairs]).p_value == pytest.approx((1 + 3) / 10)
    assert found.p99 == pytest.approx(np.quantile(far, 0.99))


def test_equal_values_of_single_precision_count_as_reached() -> None:
    rounding = generator().normal(0, 1e-7, (30, 30))
    found = one_movie(30).summarise(0.3, [0.3 + rounding])
    assert found.p_value == 1


def test_the_null_of_a_shifted_control_leaves_out_what_undoes_the_shift() -> None:
    clips = np.arange(60)
    pairs = generator().uniform(0, 1, (60, 60))
    source = (clips - 20) % 60
    pairs[clips, source] = 9.0  # what the shifted prediction shows was on screen 20 TR before
    plain = shift_null([clips], 15, 1000, generator())
    control = shift_null([clips], 15, 1000, generator(), [source])
    value = np.diagonal(pairs).mean()
    assert plain.summarise(value, [pairs]).p99 > 5
    assert control.summarise(value, [pairs]).p99 < 0.7
    assert control.summarise(value, [pairs]).mean == pytest.approx(0.5, abs=0.03)
    assert control.summarise(value, [pairs]).p_value == plain.summarise(value, [pairs]).p_value


def test_unrelated_clips_are_paired_at_random() -> None:
    pairs = generator().normal(size=(16, 16))
    clips = [np.arange(16)]
    null = random_null(clips, 5000, generator(1))
    found = null.summarise(np.diagonal(pairs).mean(), [pairs])
    slow = [pairs[np.arange(16), generator(seed).permutation(16)].mean() for seed in range(4000)]
    assert found.p_value == pytest.approx(np.mean(slow >= np.diagonal(pairs).mean()), abs=0.03)
    assert found.mean == pytest.approx(pairs.mean(), abs=0.01)
    assert (found.draws, found.holds, found.memory_tr) == (5000, True, 0)
    # Sixteen shifts cannot tell a perfect match from chance at .01, random pairings can.
    perfect = np.eye(16)
    assert null.summarise(1.0, [perfect]).p_value < 0.001
    assert one_movie(16, 5).summarise(1.0, [perfect]).p_value == 1 / 16


def simulated_p(kind: str, n_studies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return p and whether its assumption holds, of studies whose decoding knows nothing: (n,) each."""
    random = generator(seed)
    clips = [np.arange(0, 240, 4)] * 2
    null = shift_null(clips, 15, 3600, random)
    found = []
    for _ in range(n_studies):
        pairs = [unmatched_pairs(random, 240, kind)[::4, ::4] for _ in clips]
        value = np.mean([np.diagonal(part).mean() for part in pairs])
        found.append(null.summarise(value, pairs))
    return np.array([one.p_value for one in found]), np.array([one.holds for one in found])


def test_p_has_its_size_for_scenes_of_seconds() -> None:
    """Two movies of 60 clips every 4 TR, scenes of 2 to 6 TR, decoding smoothed over 3 TR."""
    p, holds = simulated_p("scenes", 1200, 0)
    assert 0.035 < (p <= 0.05).mean() < 0.065
    assert (p <= 0.01).mean() < 0.016  # .010 expected, standard error .003
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert holds.mean() > 0.98


def test_slow_scores_are_told() -> None:
    """Random walks come round too seldom in a movie: p is too small there, and the table says so."""
    _, holds = simulated_p("walk", 100, 1)
    assert holds.mean() < 0.25


def test_a_match_is_found() -> None:
    random = generator(3)
    clips = [np.arange(0, 240, 4)] * 2
    null = shift_null(clips, 15, 3600, random)
    pairs = [unmatched_pairs(random, 240, "scenes", match=0.5)[::4, ::4] for _ in clips]
    value = np.mean([np.diagonal(part).mean() for part in pairs])
    found = null.summarise(value, pairs)
    assert found.p_value == 1 / 3600
    assert found.mean < found.p99 < value
