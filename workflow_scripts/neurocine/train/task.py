"""What the loop needs to know: its settings, what a task is, and the report it gives back."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How to train. The task says what is trained."""

    SCHEDULES: ClassVar[tuple[str, ...]] = ("constant", "cosine")
    steps: int = 1000  # optimiser steps
    batch_size: int = 64  # items per optimiser step, over all processes and accumulation parts
    learning_rate: float = 1e-4  # peak; a parameter group may scale it
    betas: tuple[float, float] = (0.9, 0.999)  # AdamW
    weight_decay: float = 0.01  # AdamW, decoupled
    warmup_steps: int = 0  # linear rise of the learning rate
    schedule: str = "cosine"  # "constant", or "cosine" down to zero at the last step
    gradient_clip: float = 1.0  # largest global gradient norm; 0 = no clipping
    precision: str = "no"  # "no" (fp32), "bf16" or "fp16" autocast; weights stay fp32
    compile: bool = False  # torch.compile the network: minutes at the start, then faster steps on a GPU
    gradient_accumulation: int = 1  # parts a batch is computed in, to save memory
    validate_every: int = 0  # steps between validations; 0 = never
    patience: int = 0  # validations without improvement before stopping; 0 = never stop early
    keep_best: bool = True  # end with the weights of the best validation (when there are validations)
    checkpoint_minutes: float = 10.0  # minutes between saved states
    ema_decay: float = 0.0  # moving average of the weights, which replaces them at the end; 0 = none
    log_every: int = 10  # steps per line of the log
    tensorboard: bool = True  # write TensorBoard events beside the log
    divergence_factor: float = 100.0  # stop when the logged loss is so many times the first one; 0 = never

    def __post_init__(self) -> None:
        if self.schedule not in self.SCHEDULES:
            raise ValueError(f"schedule is {self.schedule!r}, not {' or '.join(self.SCHEDULES)}")
        if self.precision not in ("no", "bf16", "fp16"):
            raise ValueError(f"precision is {self.precision!r}, not no, bf16 or fp16")
        for name in ("steps", "batch_size", "gradient_accumulation", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in (
            "weight_decay",
            "warmup_steps",
            "gradient_clip",
            "validate_every",
            "patience",
            "checkpoint_minutes",
            "divergence_factor",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, must be positive")
        if not (len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)):
            raise ValueError(f"betas are {self.betas}, must be two numbers in [0, 1)")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}, must be in [0, 1)")
        if self.patience and not self.validate_every:
            raise ValueError("patience needs validate_every")
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into {self.gradient_accumulation} equal parts"
            )


@dataclasses.dataclass(frozen=True)
class EpochSettings(LoopSettings):
    """How to train with a learning rate that falls with epochs or with the root of steps."""

    SCHEDULES: ClassVar[tuple[str, ...]] = (*LoopSettings.SCHEDULES, "exponential", "inverse_sqrt")
    schedule: str = "exponential"  # also "constant", "cosine", or "inverse_sqrt" of the step (Noam)
    epoch_decay: float = 0.999  # factor of the learning rate per epoch (schedule: exponential)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.epoch_decay <= 1:
            raise ValueError(f"epoch_decay is {self.epoch_decay}, must be in (0, 1]")
        if self.schedule == "inverse_sqrt" and not self.warmup_steps:
            raise ValueError("schedule inverse_sqrt needs warmup_steps, at whose end the rate is highest")


class Task(Protocol):
    """What is trained.

    A task may also have ``batches(step, generator) -> rows``, (batch_size,) i64, to choose its own batches;
    otherwise every epoch runs through a fresh permutation of the items, whole batches only. Settings with
    ``sample_every`` ask for ``picture(model) -> (height, width, 3) u8 or None`` after so many steps.

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
        """Name the items, for messages."""


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
