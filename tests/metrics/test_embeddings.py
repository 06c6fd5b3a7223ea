"""Scores from embeddings against loops over frames, and retrieval against sorting."""

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.metrics.embeddings import (
    clip_pcc_adjacent,
    clip_pcc_allpairs,
    identification_pairs,
    image_score_pairs,
    retrieval_candidates,
    retrieval_pairs,
    thresholded_pairs,
    unit,
    video_embedding,
    video_score_pairs,
)


def random_embeddings(n: int, seed: int, frames: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, frames, 8)).astype(np.float32) + 0.5


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_image_and_video_scores_equal_the_loop() -> None:
    first, second = random_embeddings(3, 0), random_embeddings(2, 1)
    images, videos = image_score_pairs(first, second), video_score_pairs(first, second)
    for i, j in np.ndindex(3, 2):
        frames = [cosine(a, b) for a, b in zip(first[i], second[j], strict=True)]
        assert images[i, j] == pytest.approx(np.mean(frames), abs=1e-6)
        assert videos[i, j] == pytest.approx(cosine(first[i].mean(0), second[j].mean(0)), abs=1e-6)


def test_identification_equals_the_loop() -> None:
    predicted, truth = random_embeddings(4, 3), random_embeddings(6, 4)
    truth[5] = truth[1]  # a clip that is shown twice
    pairs, cosines = identification_pairs(predicted, truth), video_score_pairs(predicted, truth)
    for i, j in np.ndindex(4, 6):
        others = [cosines[i, k] for k in range(6) if k != j]
        wins = [
            1.0 if cosines[i, j] > o + 1e-9 else 0.5 if abs(cosines[i, j] - o) < 1e-9 else 0.0 for o in others
        ]
        assert pairs[i, j] == pytest.approx(np.mean(wins))
    assert (np.diagonal(identification_pairs(truth[:5], truth[:5])) == 1).all()


def test_the_three_definitions_of_clip_pcc() -> None:
    clips = random_embeddings(3, 2)
    for clip, adjacent, every in zip(clips, clip_pcc_adjacent(clips), clip_pcc_allpairs(clips), strict=True):
        pairs = {(i, j): cosine(clip[i], clip[j]) for i in range(4) for j in range(i + 1, 4)}
        assert adjacent == pytest.approx(np.mean([pairs[i, i + 1] for i in range(3)]), abs=1e-6)
        assert every == pytest.approx(np.mean(list(pairs.values())), abs=1e-6)
    similarity = np.array([[0.7, 0.6], [0.2, 0.9], [0.61, 0.1]])
    values = clip_pcc_adjacent(clips)
    expected = [[values[0], 0], [0, values[1]], [values[2], 0]]
    np.testing.assert_array_equal(thresholded_pairs(values, similarity), expected)


def test_a_frozen_video_is_perfectly_consistent() -> None:
    frozen = random_embeddings(2, 3, 1).repeat(5, axis=1)
    np.testing.assert_allclose(clip_pcc_adjacent(frozen), 1)
    np.testing.assert_allclose(clip_pcc_allpairs(frozen), 1)
    with pytest.raises(InputError, match="two frames"):
        clip_pcc_adjacent(frozen[:, :1])


def test_neighbours_do_not_compete() -> None:
    clips = [np.array([0, 2, 9]), np.array([1, 3])]
    kept = retrieval_candidates(clips, 2)
    np.testing.assert_array_equal(kept[0][0], [True, False, True, True, True])
    np.testing.assert_array_equal(kept[1][1], [True, True, True, False, True])
    assert all(part.all() for part in retrieval_candidates(clips, -1))


def test_retrieval_equals_sorting() -> None:
    predicted, truth = (video_embedding(random_embeddings(n, n)) for n in (3, 9))
    allowed = retrieval_candidates([np.arange(4), np.arange(5)], 1)[1]
    found = retrieval_pairs(predicted, truth, allowed, 4, 5, 2)
    for i, j in np.ndindex(3, 5):
        candidates = np.flatnonzero(allowed[j])
        order = candidates[np.argsort(-(truth[candidates] @ predicted[i]))]
        assert found[i, j] == float(4 + j in order[:2])


def test_retrieval_of_identity_is_perfect_and_of_one_prediction_for_all_at_chance() -> None:
    truth = unit(np.random.default_rng(5).normal(size=(8, 6)))
    every = np.ones((8, 8), dtype=bool)
    assert (np.diagonal(retrieval_pairs(truth, truth, every, 0, 8, 1)) == 1).all()
    constant = retrieval_pairs(truth[:1], truth, every, 0, 8, 3)
    assert constant.sum() == 3
    # Equal candidates come in order, so that an uninformative prediction finds no more than k.
    assert retrieval_pairs(np.zeros((1, 6)), truth, every, 0, 8, 3).sum() == 3
