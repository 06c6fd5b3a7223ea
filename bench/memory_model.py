"""The most memory that a step takes on a GPU, followed on PyTorch's meta device: no GPU, no numbers.

Every tensor's birth and death is followed through forward and backward pass, in the precisions that autocast
gives them. Left out: what CUDA, cuDNN and cuBLAS take for themselves, and the gaps between tensors.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neurocine.models import attention
from neurocine.models.checkpointing import Checkpointing, set_checkpointing
from neurocine.seeds import torch_generator
from neurocine.train.device import cast_by_autocast
from neurocine.train.task import LoopSettings, Task

# What autocast computes in half and in full precision, of the functions that the networks' layers call.
PRECISIONS = {
    "linear": torch.bfloat16,
    "conv1d": torch.bfloat16,
    "conv2d": torch.bfloat16,
    "scaled_dot_product_attention": torch.bfloat16,
    "layer_norm": torch.float32,
    "group_norm": torch.float32,
    "mse_loss": torch.float32,
}


def fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    """Attend by the kernel that GPUs run, whose memory does not grow with the square of the tokens."""
    return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]


@contextmanager
def gpu_attention() -> Iterator[None]:
    """Let the networks attend as on a GPU; on the meta device PyTorch would take attention apart."""
    before = F.scaled_dot_product_attention, attention.attend_to_few
    F.scaled_dot_product_attention = attention.attend_to_few = fused_attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention, attention.attend_to_few = before


@contextmanager
def autocast() -> Iterator[dict[int, Tensor]]:
    """Do what autocast to bf16 does, on the meta device, which has none.

    Yields
    ------
    Trained weights in bf16, which autocast casts once for all uses and keeps until it ends, with the forward
    pass; frozen ones it casts at each use. Whoever ends the forward pass clears them.
    """
    before, plain = {name: getattr(F, name) for name in PRECISIONS}, torch.autocast
    weights: dict[int, Tensor] = {}

    def cast(value: Any, dtype: torch.dtype) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == dtype:
            return value
        if not (isinstance(value, nn.Parameter) and value.requires_grad and dtype == torch.bfloat16):
            return value.to(dtype)
        if id(value) not in weights:
            weights[id(value)] = value.to(dtype)
        return weights[id(value)]

    def casting(function: Callable[..., Any], dtype: torch.dtype) -> Callable[..., Any]:
        return lambda *given, **named: function(
            *(cast(value, dtype) for value in given),
            **{name: cast(value, dtype) for name, value in named.items()},
        )

    torch.autocast = lambda *_, **__: nullcontext()  # type: ignore[assignment,misc]
    for name, dtype in PRECISIONS.items():
        setattr(F, name, casting(before[name], dtype))
    try:
        yield weights
    finally:
        torch.autocast = plain  # type: ignore[misc]
        for name, function in before.items():
            setattr(F, name, function)


class Memory(TorchDispatchMode):
    """Follows how many bytes of tensors are alive."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0
        for value in [*model.parameters(), *model.buffers()]:
            self.see(value)

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        result = function(*arguments, **(keywords or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.device.type == "meta":
                self.see(leaf)
        return result

    def see(self, value: Tensor) -> None:
        """Count a tensor's storage, once, until it is freed."""
        storage = value.untyped_storage()
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += self.sizes[key]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.free, key)

    def free(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


def meta_step(task: Task, settings: LoopSettings) -> None:
    """Do forward and backward pass of a step on the meta device, in as many parts as the training does."""
    n_parts = 1 if getattr(task, "contrasts", False) else settings.gradient_accumulation
    for rows in torch.arange(settings.batch_size).chunk(n_parts):
        with autocast() as weights:
            loss, _ = task.loss(task.model, rows, torch_generator(0, "step"))
            weights.clear()
            loss.backward()  # computes some of it again
        del loss
    task.model.zero_grad(set_to_none=True)


def step_memory(
    task: Task, settings: LoopSettings, which: Checkpointing, frozen: torch.dtype = torch.bfloat16
) -> int:
    """Bytes that a training step takes at most, with AdamW's moments.

    Parameters
    ----------
    task : made on the meta device, with as many items as a batch; its frozen weights become ``frozen``
    which : what is computed twice
    frozen : float32 as trainings did before they kept frozen weights in half precision
    """
    model = task.model.train()
    set_checkpointing(model, which)
    for weight in cast_by_autocast(model):
        weight.data = weight.data.to(frozen)
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    with gpu_attention(), Memory(model) as memory:
        meta_step(task, settings)
    return memory.peak + 2 * 4 * trained
