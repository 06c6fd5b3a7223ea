"""What each step of a training is: its learning rate, and the items of its batch."""

import math

import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.seeds import torch_generator
from neurocine.train.task import EpochSettings, LoopSettings


def learning_rate_factor(step: int, settings: LoopSettings, epoch_steps: int = 1) -> float:
    """Return the rate of a step (from 0) as a share of its peak: linear warm-up, then the schedule.

    "inverse_sqrt" with the peak (width x warmup_steps) ** -0.5 is the schedule of Vaswani et al. 2017.

    Parameters
    ----------
    step : counted from 0
    settings : schedule, warm-up and number of steps
    epoch_steps : steps in which every item is seen once, for the schedule "exponential"
    """
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "inverse_sqrt":
        return math.sqrt(settings.warmup_steps / (step + 1))
    if isinstance(settings, EpochSettings) and settings.schedule == "exponential":
        return settings.epoch_decay ** (step // epoch_steps)
    done = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * done))


def epoch_rows(step: int, n_items: int, batch_size: int, seed: int) -> Tensor:
    """Return the rows of one step, (batch_size,) i64: epochs of whole batches, each a fresh permutation.

    Raises
    ------
    InputError : there are fewer items than one batch holds
    """
    if n_items < batch_size:
        raise InputError(
            "batch_size",
            str(batch_size),
            f"at most the number of training items, {n_items}",
            "Lower batch_size.",
        )
    epoch, batch = divmod(step, n_items // batch_size)
    order = torch.randperm(n_items, generator=torch_generator(seed, "epoch", epoch))
    return order[batch * batch_size : (batch + 1) * batch_size]
