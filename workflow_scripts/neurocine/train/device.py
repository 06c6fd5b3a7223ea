"""What a training does for its device: choice, copies that wait for nothing, small weights, equal bits."""

import contextlib
import logging
import os
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.train.task import LoopSettings

log = logging.getLogger(__name__)
CUBLAS_WORKSPACE = ":4096:8"  # with which products of matrices are reproducible (NVIDIA, cuBLAS)
HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def make_accelerator(settings: LoopSettings, device: str, n_parts: int) -> Accelerator:
    """Make the accelerator: device, precision and accumulation over ``n_parts`` of this training.

    Raises
    ------
    InputError : a GPU is asked for and there is none, or the batch cannot be shared out
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError("--device", device, "auto, cpu or cuda", "Choose one of them.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device", "no usable GPU", "a CUDA device", "Give --device cpu, or ask for a GPU node."
        )
    if settings.precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise InputError("precision", "fp16 without a GPU", "no or bf16 on a CPU", "Change precision.")
    accelerator = Accelerator(
        mixed_precision=settings.precision,
        gradient_accumulation_steps=n_parts,
        cpu=device == "cpu",
    )
    parts = settings.gradient_accumulation * accelerator.num_processes
    if settings.batch_size % parts:
        raise InputError(
            "batch_size",
            str(settings.batch_size),
            f"a multiple of {parts} (processes x accumulation)",
            "Change it.",
        )
    return accelerator


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
