"""Sparsification of fMRI against plain loops, and the fading L1 penalty."""

import pytest
import torch

from neurocine.seeds import torch_generator
from neurocine.train.sparsify import LossInPlace, l1_factor, sparsify


def test_a_copy_loses_its_share_and_the_input_stays() -> None:
    bold = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    before = bold.clone()
    made = sparsify(bold, 0.2, torch.Generator().manual_seed(1))
    assert torch.equal(bold, before)
    zeros = made == 0
    assert abs(float(zeros.float().mean()) - 0.2) < 0.005
    assert torch.equal(made[~zeros], bold[~zeros])


@pytest.mark.parametrize(("share", "left"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ends_of_the_range(share: float, left: float) -> None:
    assert float((sparsify(torch.ones(9, 9), share, torch.Generator()) != 0).float().mean()) == left


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        sparsify(torch.ones(2, 2), share, torch.Generator())
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        LossInPlace((2, 2), share, 0)


def overwritten(bold: torch.Tensor, share: float, seed: int, calls: int, epochs: int) -> list[torch.Tensor]:
    """What the released loop does: overwrite the one array, call after call, value by value."""
    bold, seen = bold.clone(), []
    for call in range(epochs + calls - 1):
        draws = torch.rand(bold.shape, generator=torch_generator(seed, "sparsify in place", call))
        for row in range(bold.shape[0]):
            for column in range(bold.shape[1]):
                if draws[row, column] < share:
                    bold[row, column] = 0.0
        if call >= calls - 1:
            seen.append(bold.clone())
    return seen


@pytest.mark.parametrize("calls", [1, 2])
def test_what_is_left_equals_the_array_overwritten_in_place(calls: int) -> None:
    bold = torch.randn(6, 11, generator=torch.Generator().manual_seed(0))
    expected = overwritten(bold, 0.3, 5, calls, 6)
    unbroken = LossInPlace((6, 11), 0.3, 5, calls)
    for epoch in range(6):
        assert torch.equal(bold * unbroken.after(epoch), expected[epoch])
    for start in range(6):  # resumed in this epoch
        resumed = LossInPlace((6, 11), 0.3, 5, calls)
        for epoch in range(start, 6):
            assert torch.equal(bold * resumed.after(epoch), expected[epoch])


def test_hardly_anything_is_left_at_the_published_epochs() -> None:
    semantic = LossInPlace((400, 500), 0.1, 0).after(30).float().mean()
    structure = LossInPlace((400, 500), 0.2, 0, calls=2).after(29).float().mean()
    assert abs(float(semantic) - 0.9**31) < 0.002
    assert abs(float(structure) - 0.8**31) < 0.0005


def test_epochs_do_not_go_back() -> None:
    left = LossInPlace((2, 2), 0.1, 0)
    left.after(3)
    with pytest.raises(ValueError, match="came later"):
        left.after(1)


@pytest.mark.parametrize(("rate", "epoch", "published"), [(5e-5, 75, 0.87), (1e-3, 70, 0.09)])
def test_the_penalty_fades_as_published(rate: float, epoch: int, published: float) -> None:
    factor = 1.0
    for earlier in range(epoch):
        factor *= float(torch.exp(torch.tensor(-rate * earlier, dtype=torch.float64)))
    assert l1_factor(epoch, rate) == pytest.approx(factor)
    assert l1_factor(epoch, rate) == pytest.approx(published, abs=0.005)
    assert l1_factor(0, rate) == l1_factor(1, rate) == 1
