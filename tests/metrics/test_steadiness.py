"""How much frames change, against loops, and on clips that flicker or stand still."""

import numpy as np
import pytest

from neurocine.metrics.definitions.steadiness import change_error_pairs, neighbour_similarity
from neurocine.metrics.registry import DEFAULT_METRICS, lower_is_better, value_range


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_error_equals_a_loop_over_frames() -> None:
    draw = np.random.default_rng(0)
    predicted, truth = draw.normal(size=(3, 6, 5)), draw.normal(size=(2, 6, 5))
    expected = np.zeros((3, 2))
    for i, clip in enumerate(predicted):
        for j, original in enumerate(truth):
            gaps = [
                abs(cosine(clip[f], clip[f + 1]) - cosine(original[f], original[f + 1])) for f in range(5)
            ]
            expected[i, j] = np.mean(gaps)
    assert change_error_pairs(predicted, truth) == pytest.approx(expected)
    assert np.allclose(np.diagonal(change_error_pairs(truth, truth)), 0)


def test_things_that_become_others_cost_more_than_a_still_clip_of_a_slow_original() -> None:
    draw = np.random.default_rng(1)
    start, direction = draw.normal(size=(1, 1, 8)), draw.normal(size=(1, 1, 8))
    slow = start + 0.05 * np.arange(6)[None, :, None] * direction
    still = np.repeat(start, 6, axis=1)
    flicker = np.where(np.arange(6)[None, :, None] % 2 == 0, start, direction)
    errors = [float(change_error_pairs(clip, slow)[0, 0]) for clip in (slow, still, flicker)]
    assert errors[0] == pytest.approx(0, abs=1e-12)
    assert errors[0] < errors[1] < 0.1 < errors[2]
    assert neighbour_similarity(still) == pytest.approx(np.ones((1, 5)))


def test_it_is_a_default_metric_of_which_less_is_better() -> None:
    assert "clip_change_error" in DEFAULT_METRICS
    assert lower_is_better("clip_change_error")
    assert value_range("clip_change_error") == (0.0, 2.0)
