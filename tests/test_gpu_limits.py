"""Whether the published study has sizes that GPUs refuse and no CPU test reaches, found without a GPU.

One step of each training and of decoding at the published size runs on PyTorch's meta device, which has
shapes and no numbers. Each operation's sizes, forward and backward, are held against what CUDA takes.
"""

import contextlib
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neurocine.diffusion.decode import LARGEST_BATCH
from neurocine.seeds import torch_generator
from test_bench import BENCH

GRID = 65_535  # CUDA's largest grid in y and z
ELEMENTS = 2**31  # of one tensor: most kernels count in 32 bits
VERTICES = 8153  # of the published region
# How many first sizes GPU kernels lay out in y or z: sequences and heads, the pictures of a convolution.
IN_GRID = {
    "_scaled_dot_product_flash_attention": 2,
    "_scaled_dot_product_flash_attention_backward": 2,
    "convolution": 1,
    "convolution_backward": 1,
}
NORMS = ("native_layer_norm", "native_group_norm")


class Calls(TorchDispatchMode):
    """Notes how often each operation ran, and each size that a GPU would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.refused: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        result = function(*arguments, **(keywords or {}))
        name = function.overloadpacket.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        tensors = [leaf for leaf in tree_leaves((arguments, result)) if isinstance(leaf, Tensor)]
        dimensions = tensors[0].shape[: IN_GRID.get(name, 0)] if tensors else ()
        if any(size > GRID for size in dimensions) or any(tensor.numel() >= ELEMENTS for tensor in tensors):
            self.refused.append(f"{name} {[tuple(tensor.shape) for tensor in tensors]}")
        return result


@pytest.fixture(autouse=True)
def gpu_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attend by the kernel that GPUs run; on the meta device PyTorch would take it apart."""

    def attend(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]

    monkeypatch.setattr(F, "scaled_dot_product_attention", attend)


@pytest.fixture(autouse=True)
def no_precision_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device knows no autocast; sizes are the same in all precisions."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("published_size")


def recorded(run: Callable[[], Any]) -> Calls:
    with Calls() as calls:
        run()
    return calls


@pytest.mark.parametrize("phase", ["0", "1", "2a", "2b"])
def test_a_published_step_fits_the_grids_of_a_gpu(published: Any, phase: str) -> None:
    make, settings = published.PHASES[phase]
    task = make(settings, VERTICES, settings.batch_size, "meta")
    task.model.train()

    def step() -> None:
        loss, _ = task.loss(task.model, torch.arange(settings.batch_size), torch_generator(0, "step"))
        loss.backward()

    calls = recorded(step)
    assert calls.refused == []
    trained = [value for value in task.model.parameters() if value.requires_grad]
    assert all(value.grad is not None for value in trained), "the backward pass was recorded as well"
    for name in NORMS[: 1 + ("2" in phase)]:  # what is before the first trained weight has no backward pass
        assert 0.9 * calls.counts[name] < calls.counts[f"{name}_backward"] <= calls.counts[name]
    attention = "_scaled_dot_product_flash_attention"
    assert calls.counts[attention] == calls.counts[f"{attention}_backward"] > 0
    assert calls.counts["convolution"] > 0


def test_decoding_with_guidance_fits_the_grids_of_a_gpu(published: Any) -> None:
    with torch.device("meta"):
        unet, vae = published.published_unet("all"), published.published_vae()
        size = published.LATENT
        latents = torch.empty(2 * LARGEST_BATCH, 4, published.FRAMES, size, size)
        states = torch.empty(2 * LARGEST_BATCH, *published.STATES)

    def decode() -> None:
        with torch.no_grad():
            unet(latents, 500, states, return_dict=False)
            vae.decode(torch.empty(16, 4, size, size, device="meta"))

    calls = recorded(decode)
    assert calls.refused == []
    assert calls.counts["_scaled_dot_product_flash_attention"] > 0


def test_a_size_beyond_the_grid_is_found() -> None:
    def attend() -> Tensor:
        few = torch.empty(GRID + 1, 1, 2, 8, device="meta")
        return F.scaled_dot_product_attention(few, few, few)

    assert len(recorded(attend).refused) == 1
    assert len(recorded(lambda: torch.empty(2**16, 2**15, device="meta") + 1).refused) == 2
