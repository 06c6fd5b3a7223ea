"""Sparsification of fMRI, the augmentation of Mind-Animator's decoders, and the decay of their L1 penalty."""

import math

import torch
from torch import Tensor

from neurocine.seeds import torch_generator


def sparsify(bold: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set each value to zero with probability ``share`` in a copy; what is given stays as it is.

    Parameters
    ----------
    bold : (n, V)
    share : probability that a value is lost
    generator : draws which are, on the CPU
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, must be in [0, 1]")
    dropped = torch.rand(bold.shape, generator=generator) < share
    return bold.masked_fill(dropped.to(bold.device), 0.0)


class LossInPlace:
    """What is left of samples that an augmentation overwrites anew in every epoch, as the released code does.

    In epoch e a share (1 - share) ** (e + calls) is left. Nothing is overwritten here: it follows from the
    seed and the epoch alone, so a resumed training sees what an unbroken one does.

    Parameters
    ----------
    shape : (n, V) of the samples
    share : lost at each call
    seed : decides, with the number of the call, what is lost
    calls : calls before the first epoch, plus the one at its start
    """

    def __init__(self, shape: tuple[int, int], share: float, seed: int, calls: int = 1) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, must be in [0, 1]")
        self.share, self.seed, self.calls = share, seed, calls
        self.done = 0  # calls
        self.left = torch.ones(shape, dtype=torch.bool)

    def after(self, epoch: int) -> Tensor:
        """Return which values are left in an epoch, (n, V) bool; epochs are asked for in rising order."""
        if epoch + self.calls < self.done:
            raise ValueError(f"epoch {epoch} after one that came later")
        while self.done < epoch + self.calls:
            generator = torch_generator(self.seed, "sparsify in place", self.done)
            self.left &= torch.rand(self.left.shape, generator=generator) >= self.share
            self.done += 1
        return self.left


def l1_factor(epoch: int, rate: float) -> float:
    """Return the factor of the L1 penalty in an epoch E: exp(-rate e) multiplied up over e below E.

    Source: ``models/utils.py`` of the released code, exp(-rate E (E - 1) / 2).
    """
    return math.exp(-rate * epoch * (epoch - 1) / 2)
