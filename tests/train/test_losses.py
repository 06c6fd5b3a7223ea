"""Losses against loops written from their definitions."""

import math

import pytest
import torch
from torch import Tensor

from neurocine.train.losses import (
    double_contrast,
    info_nce,
    masked_error,
    near_in_time,
    retrieval_accuracy,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_info_nce(queries: Tensor, keys: Tensor, scale: float, ignored: Tensor | None = None) -> float:
    total = 0.0
    for i in range(len(queries)):
        similar = [float(queries[i] @ key / queries[i].norm() / key.norm()) * scale for key in keys]
        others = [s for j, s in enumerate(similar) if j == i or ignored is None or not ignored[i, j]]
        total -= math.log(math.exp(similar[i]) / sum(map(math.exp, others)))
    return total / len(queries)


@pytest.mark.parametrize("with_ignored", [False, True])
def test_info_nce_equals_its_definition(with_ignored: bool) -> None:
    queries, keys = random(5, 3), random(5, 3, seed=1)
    ignored = random(5, 5, seed=2) > 0.5 if with_ignored else None
    one = slow_info_nce(queries, keys, 10.0, ignored)
    other = slow_info_nce(keys, queries, 10.0, None if ignored is None else ignored.T)
    assert float(info_nce(queries, keys, 10.0, symmetric=False, ignored=ignored)) == pytest.approx(
        one, rel=1e-5
    )
    assert float(info_nce(queries, keys, 10.0, ignored=ignored)) == pytest.approx((one + other) / 2, rel=1e-5)


def test_info_nce_at_chance_and_when_all_negatives_are_ignored() -> None:
    same = torch.ones(6, 2)
    assert float(info_nce(same, same, 5.0)) == pytest.approx(math.log(6))
    everything = torch.ones(6, 6, dtype=torch.bool)
    assert float(info_nce(random(6, 2), random(6, 2, seed=1), 5.0, ignored=everything)) == pytest.approx(0.0)


def test_info_nce_stays_precise_under_autocast() -> None:
    queries, keys = random(64, 32), random(64, 32, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = info_nce(queries, keys, 100.0)
    assert float(under) == pytest.approx(float(info_nce(queries, keys, 100.0)), rel=1e-6)


def test_near_in_time_equals_loops() -> None:
    movie, clip = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 5, 11, 5, 4])
    near = near_in_time(movie, clip, 5)
    for i in range(5):
        for j in range(5):
            assert bool(near[i, j]) == (movie[i] == movie[j] and abs(int(clip[i] - clip[j])) <= 5)


def test_masked_error_counts_hidden_patches_only() -> None:
    predicted, target = random(2, 4, 3), random(2, 4, 3, seed=1)
    visible = torch.tensor([[1], [3]])
    hidden = [(0, 0), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)]
    expected = sum(float((predicted[i, j] - target[i, j]).square().mean()) for i, j in hidden) / len(hidden)
    assert float(masked_error(predicted, target, visible)) == pytest.approx(expected, rel=1e-6)


def test_double_contrast_equals_its_definition() -> None:
    first, second, target = (random(4, 2, 3, seed=seed) for seed in range(3))
    own, cross = double_contrast(first, second, target, 0.5)
    flat = [part.flatten(1) for part in (first, second, target)]
    slow_own = (slow_info_nce(flat[0], flat[2], 2.0) + slow_info_nce(flat[1], flat[2], 2.0)) / 2
    assert float(own) == pytest.approx(slow_own, rel=1e-5)
    assert float(cross) == pytest.approx(slow_info_nce(flat[0], flat[1], 2.0), rel=1e-5)


@pytest.mark.parametrize("top", [1, 3])
def test_retrieval_equals_sorting(top: int) -> None:
    keys = random(12, 4)
    queries = keys + 1.2 * random(12, 4, seed=1)
    hits = 0
    for i in range(12):
        similar = torch.nn.functional.cosine_similarity(queries[i][None], keys)
        hits += i in similar.argsort(descending=True)[:top].tolist()
    assert 0 < hits < 12
    assert retrieval_accuracy(queries, keys, top) == pytest.approx(hits / 12)


def test_retrieval_among_equal_keys_is_chance() -> None:
    assert retrieval_accuracy(random(8, 4), torch.ones(8, 4), 1) == pytest.approx(1 / 8)
    assert retrieval_accuracy(random(8, 4), torch.ones(8, 4), 10) == 1.0
