"""Test samples of a subject: standardised with the statistics of training, never with their own."""

import numpy as np
import pytest

from neurocine.fmri.assemble import (
    AssembleTestSettings,
    AssembleTrainSettings,
    assemble_test,
    assemble_train,
)

T, V = 12, 4


def runs(n_repeats: int, seed: int) -> np.ndarray:
    """Repeats (n_repeats, T, V) with a mean and a spread of their own for each vertex."""
    noise = np.random.default_rng(seed).normal(size=(n_repeats, T, V))
    return (noise * [1, 2, 0.5, 3] + [0, 1, -2, 0.3]).astype(np.float32)


@pytest.fixture
def train() -> dict[str, np.ndarray]:
    return {"seg2": runs(2, 0), "seg1": runs(2, 1)}


@pytest.fixture
def shown() -> dict[str, np.ndarray]:
    return {"test1": runs(5, 2)}


def test_no_statistic_of_the_test_movies_is_used(
    train: dict[str, np.ndarray], shown: dict[str, np.ndarray]
) -> None:
    training = assemble_train(train, AssembleTrainSettings())
    tested = assemble_test(shown, training, AssembleTestSettings())
    shifted = assemble_test({"test1": shown["test1"] * 7 + 3}, training, AssembleTestSettings())
    # A vertex that is larger in the test stays larger: it is not fitted away.
    assert shifted.bold["test1"].std() > 5 * tested.bold["test1"].std()


@pytest.mark.parametrize("n_repeats", [1, 3])
def test_samples_are_the_mean_of_the_first_repeats_against_a_slow_loop(
    train: dict[str, np.ndarray], shown: dict[str, np.ndarray], n_repeats: int
) -> None:
    shown["test1"][1] = np.nan  # a run that is missing: the first three are repeats 1, 3 and 4
    training = assemble_train(train, AssembleTrainSettings())
    tested = assemble_test(shown, training, AssembleTestSettings(repeats=n_repeats))
    samples = [[values[row] for values in (train["seg2"].mean(0), train["seg1"].mean(0))] for row in range(T)]
    for vertex in range(V):
        learned = [float(movie[vertex]) for row in samples for movie in row]
        mean = sum(learned) / len(learned)
        std = (sum((value - mean) ** 2 for value in learned) / len(learned)) ** 0.5
        for row in range(T):
            used = [float(shown["test1"][repeat, row, vertex]) for repeat in (0, 2, 3)[:n_repeats]]
            expected = (sum(used) / len(used) - mean) / std
            assert tested.bold["test1"][row, vertex] == pytest.approx(expected, abs=1e-4)
    assert tested.repeats["test1"].shape == (5, T, V)
