"""Exact N-way identification against enumeration, random trials and the analytic chance."""

import itertools

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.metrics.n_way import (
    best_target_rank,
    chance_n_way,
    class_ranks,
    exact_n_way,
    monte_carlo_n_way,
    rank_pairs,
    success_table,
    target_classes,
)


def enumerate_trials(scores: np.ndarray, targets: np.ndarray, n_way: int, top_k: int) -> float:
    """Try every set of distractors; a trial succeeds if any target is among the k best with them."""
    others = [number for number in range(len(scores)) if number not in targets]
    trials = list(itertools.combinations(others, n_way - 1))
    wins = 0
    for drawn in trials:
        wins += any(sum(scores[other] > scores[target] for other in drawn) < top_k for target in targets)
    return wins / len(trials)


@pytest.mark.parametrize(("n_way", "top_k"), [(2, 1), (3, 1), (5, 1), (5, 2), (6, 5)])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_exact_equals_enumeration(n_targets: int, n_way: int, top_k: int) -> None:
    generator = np.random.default_rng(n_way)
    scores = generator.normal(size=(6, 9))
    targets = np.stack([generator.permutation(9)[:n_targets] for _ in range(6)])
    expected = [enumerate_trials(s, t, n_way, top_k) for s, t in zip(scores, targets, strict=True)]
    np.testing.assert_allclose(exact_n_way(scores, targets, n_way, top_k), expected, atol=1e-12)


@pytest.mark.parametrize(("n_way", "top_k", "n_targets"), [(2, 1, 3), (50, 1, 1), (50, 1, 3), (50, 5, 3)])
def test_exact_equals_random_trials(n_way: int, top_k: int, n_targets: int) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(8, 400))
    targets = target_classes(scores + generator.normal(size=scores.shape), n_targets)
    repeats = 4000
    estimate = monte_carlo_n_way(scores, targets, n_way, top_k, repeats, generator)
    exact = exact_n_way(scores, targets, n_way, top_k)
    error = np.sqrt(exact * (1 - exact) / repeats)
    assert (np.abs(estimate - exact) <= 4.5 * error + 1e-12).all()
    assert exact.std() > 0.001


@pytest.mark.parametrize(("n_way", "top_k", "n_targets"), [(2, 1, 1), (2, 1, 3), (50, 1, 3), (10, 3, 3)])
def test_exchangeable_scores_reach_the_analytic_chance(n_way: int, top_k: int, n_targets: int) -> None:
    scores = np.random.default_rng(1).normal(size=(20_000, 60))
    targets = np.tile(np.arange(n_targets), (20_000, 1))
    values = exact_n_way(scores, targets, n_way, top_k)
    assert abs(values.mean() - chance_n_way(n_way, n_targets, top_k)) < 4 * values.std() / np.sqrt(
        len(values)
    )


def test_chance_of_the_published_rules() -> None:
    assert chance_n_way(2, 1) == pytest.approx(0.5)
    assert chance_n_way(2, 3) == pytest.approx(0.75)
    assert chance_n_way(50, 3) == pytest.approx(3 / 52)
    assert chance_n_way(50, 1, 5) == pytest.approx(0.1)


def test_identity_is_perfect_with_single_and_any3() -> None:
    logits = np.random.default_rng(2).normal(size=(5, 60)).astype(np.float32)
    for n_targets in (1, 3):
        assert (exact_n_way(logits, target_classes(logits, n_targets), 50) == 1).all()


def test_table_holds_at_imagenet_size() -> None:
    table = success_table(1000, 3, 50)
    assert table[0] == 1
    assert table[-1] == 0
    assert table[1] == pytest.approx(1 - 49 / 997)
    assert (np.diff(table) <= 0).all()


def test_pairs_equal_single_scores() -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(4, 20))
    targets = target_classes(generator.normal(size=(5, 20)), 3)
    pairs = success_table(20, 3, 4, 2)[rank_pairs(scores, targets)]
    for j in range(5):
        np.testing.assert_array_equal(pairs[:, j], exact_n_way(scores, np.tile(targets[j], (4, 1)), 4, 2))


def test_fast_ranks_equal_sorting_also_among_equal_scores() -> None:
    scores = np.random.default_rng(4).integers(0, 6, (40, 15)).astype(np.float32)
    order = np.argsort(-scores, axis=-1, kind="stable")
    np.testing.assert_array_equal(target_classes(scores, 4), order[:, :4])
    targets = np.random.default_rng(5).permuted(np.tile(np.arange(15), (40, 1)), axis=1)[:, :3]
    expected = np.take_along_axis(class_ranks(scores), targets, axis=-1).min(-1)
    np.testing.assert_array_equal(best_target_rank(scores, targets), expected)


@pytest.mark.parametrize("n_way", [2, 40, 50, 100])
@pytest.mark.parametrize("top_k", [1, 5])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_hundred_trials_lie_within_their_error(n_way: int, top_k: int, n_targets: int) -> None:
    if top_k >= n_way:
        with pytest.raises(InputError, match="top_k"):
            success_table(400, n_targets, n_way, top_k)
        return
    generator = np.random.default_rng(6)
    scores = generator.normal(size=(60, 400))
    targets = target_classes(scores + 2 * generator.normal(size=scores.shape), n_targets)
    exact = exact_n_way(scores, targets, n_way, top_k)
    estimate = monte_carlo_n_way(scores, targets, n_way, top_k, 100, generator)
    error = np.sqrt(np.sum(exact * (1 - exact)) / 100) / len(exact)
    assert abs(estimate.mean() - exact.mean()) < 4 * error + 1e-12


def test_equal_scores_do_not_win() -> None:
    np.testing.assert_array_equal(class_ranks(np.zeros((1, 4))), [[0, 1, 2, 3]])
    targets = np.arange(20)[:, None]
    assert exact_n_way(np.zeros((20, 20)), targets, 2).mean() == pytest.approx(0.5)


def test_too_few_classes_are_refused() -> None:
    scores = np.zeros((2, 50))
    exact_n_way(scores, np.zeros((2, 1), dtype=int), 50)
    with pytest.raises(InputError, match="49 other classes"):
        exact_n_way(scores, np.tile([0, 1, 2], (2, 1)), 50)
    with pytest.raises(InputError, match="49 other classes"):
        monte_carlo_n_way(scores, np.tile([0, 1, 2], (2, 1)), 50, 1, 10, np.random.default_rng(0))
    with pytest.raises(InputError, match="top_k"):
        success_table(10, 1, 3, 3)
