"""Scores of decoded features against plain loops, and what truth and chance score."""

import numpy as np
import pytest

from neurocine.animator.features import Features
from neurocine.errors import InputError
from neurocine.metrics.feature_scores import (
    ScoreFeaturesSettings,
    TrainingMeans,
    motion_of,
    pair_correlations,
    pair_errors,
    pair_hits,
    score_features,
)

N = 80


def some(seed: int, n: int = N) -> Features:
    random = np.random.default_rng(seed)
    clips = tuple((f"test{1 + index // 40}", index % 40) for index in range(n))
    shapes = (6,), (3, 4), (3, 2, 2, 2)
    return Features(clips, *(random.normal(size=(n, *shape)).astype(np.float32) for shape in shapes))


MEANS = TrainingMeans(np.zeros((3, 4), np.float32), np.zeros((3, 2, 2, 2), np.float32))
SETTINGS = ScoreFeaturesSettings(min_shift_tr=5, null_draws=500)


def test_pairs_equal_numpy_one_by_one() -> None:
    one, two = some(0).latents[:6], some(1).latents[:6]
    correlations, errors = pair_correlations(one, two), pair_errors(one, two)
    for i in range(6):
        for j in range(6):
            assert correlations[i, j] == pytest.approx(np.corrcoef(one[i].ravel(), two[j].ravel())[0, 1])
            assert errors[i, j] == pytest.approx(np.mean((one[i] - two[j]) ** 2), rel=1e-5)


def test_hits_equal_a_loop_with_ties_shared_out() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=(12, 4))
    target[5] = target[9] = 2 * target[2]  # the same caption
    predicted = target + random.normal(size=(12, 4))
    made = pair_hits(predicted, target, 3)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (predicted, target)]
    similar = np.round(unit[0] @ unit[1].T, 6)
    for i in range(12):
        for j in range(12):
            better = sum(similar[i, k] > similar[i, j] for k in range(12))
            equal = sum(similar[i, k] == similar[i, j] for k in range(12))
            assert made[i, j] == pytest.approx(min(max((3 - better) / equal, 0), 1))
    assert pair_hits(random.normal(size=(400, 3)), random.normal(size=(400, 3)), 10).mean() == pytest.approx(
        10 / 400
    )


def test_motion_is_the_difference_to_the_first_frame() -> None:
    latents = some(0).latents
    assert np.array_equal(motion_of(latents)[:, 1], latents[:, 2] - latents[:, 0])


def scores(predicted: Features, truth: Features) -> dict[str, dict]:
    image = truth.embedding[::-1].copy()
    table = score_features(predicted, truth, image, MEANS, SETTINGS, seed=0)
    return table.set_index("score").to_dict("index")


def test_the_truth_scores_perfectly_and_far_above_its_null() -> None:
    made = scores(some(0), some(0))
    assert made["text_top10"]["value"] == 1
    assert made["text_top10"]["chance"] == 10 / N
    assert made["structure_correlation"]["value"] == pytest.approx(1)
    assert made["motion_correlation"]["value"] == pytest.approx(1)
    for name in ("state_error", "structure_error", "motion_error"):
        assert made[name]["value"] == pytest.approx(0, abs=1e-6)
        assert made[name]["better"] == "lower"
        assert made[name]["p_value"] == 1 / 501
    latents = some(0).latents
    assert made["structure_error"]["reference"] == pytest.approx(np.mean(latents[:, 0] ** 2), rel=1e-5)
    held = np.mean((latents[:, :1] - latents[:, 1:]) ** 2)
    assert made["motion_error_held"]["reference"] == pytest.approx(held, rel=1e-5)
    assert made["latent_spread"]["value"] == made["latent_spread"]["reference"]
    assert np.isnan(made["latent_spread"]["p_value"])


def test_features_of_nothing_lie_within_their_null() -> None:
    made = scores(some(1), some(0))
    assert made["text_top10"]["value"] == pytest.approx(10 / N, abs=0.1)
    for name in ("text_top10", "state_error", "structure_correlation", "motion_error", "motion_correlation"):
        assert made[name]["p_value"] > 0.01
        assert made[name]["null_mean"] == pytest.approx(made[name]["value"], abs=0.15)


def test_features_of_other_clips_are_refused() -> None:
    with pytest.raises(InputError, match="40 clips"):
        score_features(some(0, 40), some(0), some(0).embedding, MEANS, SETTINGS, 0)
