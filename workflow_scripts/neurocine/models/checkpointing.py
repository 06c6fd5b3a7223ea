"""What of a network is computed a second time in the backward pass, so that less of it is kept in memory."""

from typing import Literal, Protocol, get_args, runtime_checkable

from torch import nn

Checkpointing = Literal["none", "blocks", "all"]
CHECKPOINTINGS: tuple[Checkpointing, ...] = get_args(Checkpointing)  # from the fastest to the smallest


@runtime_checkable
class Checkpointed(Protocol):
    """A network that can compute parts of itself twice."""

    def set_checkpointing(self, which: Checkpointing) -> None:
        """Choose these parts."""


def set_checkpointing(model: nn.Module, which: Checkpointing) -> None:
    """Choose what a network computes twice; results are the same.

    Parameters
    ----------
    model : a network with encoders, masked autoencoders and video UNets inside; others are left as they are
    which : none; blocks = transformer blocks; all = convolutional blocks of the UNet and the masked
        autoencoder's decoder as well
    """
    for part in model.modules():
        if isinstance(part, Checkpointed):
            part.set_checkpointing(which)
