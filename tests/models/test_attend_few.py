"""Attention over few tokens against float64, for many shapes and precisions; and which kernel takes what."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from neurocine.models import attention
from neurocine.models.attention import FEW, GRID, Attend, attend, attend_to_few, compile_attention, in_chunks

# Sequences, heads, queries, keys, width: of the encoder and the video UNet, longer, odd, one token.
SHAPES = [
    (7, 16, 2, 2, 64),
    (5, 8, 6, 6, 40),
    (3, 8, 8, 8, 160),
    (2, 1, 5, 3, 7),
    (4, 2, 1, 1, 8),
    (2, 2, 16, 16, 4),
]
ERRORS = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}


def draw(shape: tuple[int, int, int, int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Query, key, value and the output's gradient, in memory (N, n, heads, d) as the networks make them."""
    n_sequences, heads, n, m, width = shape
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(n_sequences, tokens, heads, width, generator=generator).to(dtype).transpose(1, 2)
        for tokens in (n, m, m, n)
    ]


def with_gradients(run: Attend, query: Tensor, key: Tensor, value: Tensor, gradient: Tensor) -> list[Tensor]:
    """Output, and the gradients of query, key and value."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (query, key, value)]
    output = run(*leaves)
    return [output.detach(), *torch.autograd.grad(output, leaves, gradient)]


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The formula, one sequence, head and query at a time."""
    rows = []
    for queries, keys, values in zip(*(each.flatten(0, 1) for each in (query, key, value)), strict=True):
        for one in queries:
            weights = torch.exp(keys @ one / len(one) ** 0.5)
            rows.append(weights @ values / weights.sum())
    return torch.stack(rows).reshape(query.shape)


@pytest.mark.parametrize("dtype", ERRORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_output_and_gradients_are_those_of_float64(
    shape: tuple[int, int, int, int, int], dtype: torch.dtype
) -> None:
    given = draw(shape, dtype)
    expected = with_gradients(by_hand, *(tensor.double() for tensor in given))
    for run in (attend_to_few, attend):
        found = with_gradients(run, *given)
        assert {tensor.dtype for tensor in found} == {dtype}
        for value, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(value.double(), reference, rtol=0, atol=ERRORS[dtype] * 4)


def test_more_sequences_than_a_grid_has_are_attended_to_in_parts() -> None:
    given = draw((GRID + 2, 1, 2, 2, 4))
    calls: list[int] = []

    def run(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        calls.append(len(query))
        return F.scaled_dot_product_attention(query, key, value)

    in_parts = with_gradients(lambda *parts: in_chunks(run, GRID, *parts), *given)
    assert calls == [GRID, 2]
    for found in (with_gradients(attend, *given), with_gradients(attend_to_few, *given)):
        for value, reference in zip(found, in_parts, strict=True):
            torch.testing.assert_close(value, reference, rtol=0, atol=1e-5)


def test_without_a_compiler_few_products_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device is none that PyTorch's attention is kept for, and has no compiler."""
    sizes: list[int] = []

    def note(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        sizes.append(query.numel() * key.shape[2])
        return attend_to_few(query, key, value)

    monkeypatch.setattr(attention, "attend_to_few", note)
    few = [torch.empty(97_920, 16, 2, 64, device="meta") for _ in range(3)]
    assert attend(*few).shape == few[0].shape
    assert len(sizes) > 1
    assert max(sizes) <= attention.PRODUCTS
    sizes.clear()
    attend(*(torch.empty(3, 1, FEW + 1, 8, device="meta") for _ in range(3)))
    assert not sizes, "long sequences have PyTorch's attention"


def test_one_program_serves_any_number_of_sequences() -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    run = compile_attention(counter)
    for n_sequences in (5, 9, 70_000):
        for size in ((2, 2, 2, 4), (2, 6, 6, 8)):
            given = draw((n_sequences, *size))
            for value, reference in zip(
                with_gradients(run, *given), with_gradients(attend_to_few, *given), strict=True
            ):
                torch.testing.assert_close(value, reference, rtol=0, atol=1e-6)
    assert counter.frame_count == 2
