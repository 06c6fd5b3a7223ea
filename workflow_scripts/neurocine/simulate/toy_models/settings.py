"""Settings of the toy models, one section of the toy study's config per training."""

from typing import Annotated

from pydantic import Field

from neurocine.settings import Count, Share, Unit
from neurocine.train.task import LoopSettings


class ToyModelSettings(
    LoopSettings,
    defaults={
        "learning_rate": 1e-3,
        "betas": (0.9, 0.99),
        "warmup_steps": 50,
        "validate_every": 250,
        "keep_best": False,  # validation shows combinations the models must not be chosen by
        "log_every": 50,
        "tensorboard": False,
    },
):
    """How much of the toy world a toy model sees, and how it is trained."""

    size: Annotated[int, Field(ge=8, multiple_of=8), Unit("px")] = 64
    """Frames have this height and width."""
    n_clips: Annotated[Count, Unit("clips")] = 4000
    """Training renders this many clips."""
    n_held_out: Annotated[Count, Unit("clips")] = 100
    """Validation renders this many clips, of combinations that training never shows."""
    turned_share: Share = 0.0
    """This fraction of the clips shows an object that is oriented independently of its motion."""
    latent_channels: Annotated[Count, Unit("channels")] = 4
    """The latents have this many channels; read by the VAE only."""
