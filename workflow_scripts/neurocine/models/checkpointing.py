"""What of a network is computed a second time in the backward pass, so that less of it is kept in memory."""

from typing import Literal, get_args

from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import nn

from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.masked_autoencoder import MaskedAutoencoder
from neurocine.models.video_unet import VideoUNet

Checkpointing = Literal["none", "blocks", "all"]
CHECKPOINTINGS: tuple[Checkpointing, ...] = get_args(Checkpointing)  # from the fastest to the smallest


def set_checkpointing(model: nn.Module, which: Checkpointing) -> None:
    """Choose what a network computes twice; results are the same.

    Parameters
    ----------
    model : a network with encoders, masked autoencoders and video UNets inside; others are left as they are
    which : none; blocks = transformer blocks; all = convolutional blocks of the UNet and the masked
        autoencoder's decoder as well
    """
    for part in model.modules():
        if isinstance(part, VideoUNet):
            part.enable_gradient_checkpointing()
            for inner in part.modules():
                if hasattr(inner, "gradient_checkpointing"):  # of diffusers' classes
                    transformer = isinstance(inner, Transformer2DModel)
                    twice = which == "all" or (which == "blocks" and transformer)
                    setattr(inner, "gradient_checkpointing", twice)  # noqa: B010  (untyped in diffusers)
        elif isinstance(part, FmriEncoder):
            part.gradient_checkpointing = which != "none"
        elif isinstance(part, MaskedAutoencoder):
            part.gradient_checkpointing = which == "all"
