"""What the loop needs to know: its settings, what a task is, and the report it gives back."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from neurocine.section_checks import (
    compiled_is_not_deterministic,
    equal_parts,
    exponential_needs_epochs,
    patience_needs_validation,
    root_needs_warmup,
)
from neurocine.settings import (
    Check,
    Cosmetic,
    Count,
    CountOrZero,
    NotNegative,
    Positive,
    Precision,
    Settings,
    ShareBelowOne,
    Unit,
)

# What of a network is computed twice in a step to save memory; true is all of it, false nothing.
GradientCheckpointing = bool | Literal["none", "blocks", "all", "auto"]


class LoopSettings(Settings):
    """How to train. The task says what is trained."""

    checks: ClassVar[tuple[Check, ...]] = (
        patience_needs_validation,
        equal_parts,
        compiled_is_not_deterministic,
        root_needs_warmup,
        exponential_needs_epochs,
    )

    steps: Annotated[Count, Unit("steps")] = 1000
    """Training ends after this many optimiser steps, unless patience ends it earlier."""
    batch_size: Annotated[Count, Unit("items")] = 64
    """Each optimiser step sees this many items, over all processes and accumulation parts together."""
    learning_rate: Positive = 1e-4
    """The learning rate reaches this peak after the warm-up; parts of a network may have a rate of their own.
    """
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.999)
    """AdamW averages gradients with the first of these decay rates and squared gradients with the second."""
    weight_decay: NotNegative = 0.01
    """AdamW shrinks weights at this rate times the learning rate, independently of the gradient."""
    warmup_steps: Annotated[CountOrZero, Unit("steps")] = 0
    """The learning rate rises linearly from zero over this many steps."""
    schedule: Literal["constant", "cosine", "inverse_sqrt", "exponential"] = "cosine"
    """After the warm-up the learning rate stays constant, or it decays.

    It follows a cosine to zero (cosine), the inverse square root of the step (inverse_sqrt), or a factor per
    epoch (exponential), which only the trainings of Mind-Animator use.
    """
    gradient_clip: NotNegative = 1.0
    """Gradients are scaled down where their global norm exceeds this value; 0 does not clip."""
    precision: Precision = "no"
    """The network computes in full precision (no) or in bf16 or fp16 autocast; weights stay in fp32."""
    compile: bool | Literal["blocks"] = False
    """The repeated blocks of large networks (blocks) or whole networks (true) are compiled by torch.compile.

    Steps on a GPU then take less time. Blocks compile in about a minute, the whole network in many.
    """
    deterministic: bool = False
    """True makes a training on one kind of GPU end with the same bits after any interruption, but slows it
    down.

    On CPUs this holds without it. Operations without a deterministic implementation stop the training and are
    named.
    """
    gradient_accumulation: Annotated[Count, Unit("parts")] = 1
    """Each batch is computed in this many equal parts, which saves memory and costs time."""
    validate_every: Annotated[CountOrZero, Unit("steps")] = 0
    """Validation runs whenever this many steps have passed, and at the last step; 0 never validates."""
    patience: Annotated[CountOrZero, Unit("validations")] = 0
    """Training stops early after this many validations in a row without improvement; 0 never stops early."""
    keep_best: bool = True
    """True ends with the weights of the best validation, false with the last ones (or their moving average).
    """
    checkpoint_minutes: Annotated[NotNegative, Unit("min"), Cosmetic()] = 10.0
    """A state from which training can resume is saved at these intervals."""
    ema_decay: ShareBelowOne = 0.0
    """The moving average of the weights decays at this rate and replaces them at the end; 0 keeps no average.
    """
    log_every: Annotated[Count, Unit("steps"), Cosmetic()] = 10
    """Losses are checked and written to the log whenever this many steps have passed."""
    tensorboard: Annotated[bool, Cosmetic()] = True
    """True writes TensorBoard events beside the log."""
    divergence_factor: Annotated[NotNegative, Cosmetic()] = 100.0
    """Training aborts if the logged loss exceeds this multiple of its first logged value; 0 never aborts."""


class EpochSettings(LoopSettings, defaults={"schedule": "exponential"}):
    """How to train with a learning rate that falls with epochs or with the root of steps."""

    epoch_decay: Annotated[float, Field(gt=0, le=1)] = 0.999
    """The learning rate is multiplied by this factor after each epoch, where schedule is exponential."""


class Task(Protocol):
    """What is trained.

    A task may also have ``batches(step, generator) -> rows``, (batch_size,) i64, to choose its own batches;
    otherwise every epoch runs through a fresh permutation of the items, whole batches only. A task with
    ``picture_every``, a number of steps, has ``picture(model) -> (height, width, 3) u8 or None``.

    A task with a true ``contrasts`` compares the items of a batch with each other. It is given all items of
    its process at once and runs its network in ``gradient_accumulation`` parts itself.
    """

    @property
    def model(self) -> nn.Module:
        """The network, whose parameters with requires_grad are trained."""

    @property
    def n_items(self) -> int:
        """Number of items to draw batches from."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return AdamW groups: ``params``; optional ``lr_scale`` (times learning_rate), ``weight_decay``."""

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the mean loss of these items and its parts (floats, or tensors to spare a synchronisation).

        ``model`` is ``self.model`` made ready for its device; call it once, through its ``forward``, or
        gradients are not shared between processes. ``rows`` (n,) i64 and ``generator`` are on the CPU.
        """

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return numbers over held-out items, among them ``loss``, which is to become small."""

    def describe(self, rows: Tensor) -> list[str]:
        """Name the items (n,) i64, for messages."""


@dataclasses.dataclass(frozen=True)
class TrainingReport:
    """How a training went; ``best_step`` and ``best`` are of the best validation, if any was made."""

    steps: int
    loss: float
    seconds: float
    resumed_from: int
    stopped_early: bool
    best_step: int | None
    best: dict[str, float] | None
