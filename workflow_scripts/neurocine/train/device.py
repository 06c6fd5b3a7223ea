"""What a training does for its device: copies that wait for nothing, smaller weights, equal bits."""

import contextlib
import logging
import os
from collections.abc import Iterator

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)
CUBLAS_WORKSPACE = ":4096:8"  # with which products of matrices are reproducible (NVIDIA, cuBLAS)
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy values of any shape to a device; on a GPU without waiting for the work that it still has to do."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def cast_by_autocast(model: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the frozen float32 weights that autocast would cast at every use."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            for weight in layer.parameters(recurse=False):
                if not weight.requires_grad and weight.dtype == torch.float32:
                    yield weight


class FrozenWeights:
    """Frozen weights of a training in half precision, kept as they are trained with.

    Autocast casts the weights of linear and convolutional layers each time they are used. Those that do not
    change are cast once here, which gives the same numbers in half the memory; what a normalisation uses in
    float32 stays so.

    Parameters
    ----------
    model : changed in place, on its device
    precision : of the training: no, bf16 or fp16
    """

    def __init__(self, model: nn.Module, precision: str) -> None:
        self.originals: list[tuple[nn.Parameter, Tensor]] = []
        if precision in HALF:
            for weight in cast_by_autocast(model):
                self.originals.append((weight, weight.data.cpu()))
                weight.data = weight.data.to(HALF[precision])

    def restore(self) -> None:
        """Give the weights their own precision and values back."""
        for weight, original in self.originals:
            weight.data = original.to(weight.device)
        self.originals = []


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Use only operations that give the same bits each time, for the time of the block.

    On a GPU this holds for one kind of card and one set of versions. The backward passes of attention that
    are fastest add up in the order in which blocks of threads end; PyTorch replaces them when it is told to
    and not only asked to warn. What has no such replacement stops the training with its name.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)  # read when the first product is made
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
