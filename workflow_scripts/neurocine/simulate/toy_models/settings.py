"""Settings of the toy models, one section of the toy study's config per training."""

import dataclasses

from neurocine.train.task import LoopSettings


@dataclasses.dataclass(frozen=True)
class ToyModelSettings:
    """How much of the toy world a toy model sees, and how it is trained."""

    size: int = 64  # height and width of the frames, px
    n_clips: int = 3000  # rendered clips to learn from
    n_held_out: int = 300  # clips of held-out combinations, for validation
    turned_share: float = 0.0  # clips whose thing does not point where it goes
    latent_channels: int = 4  # channels of the latents; the VAE only
    loop: LoopSettings = dataclasses.field(default_factory=LoopSettings)

    def __post_init__(self) -> None:
        if self.size % 8:
            raise ValueError(f"size is {self.size}, must be a multiple of 8")
        if not 0 <= self.turned_share <= 1:
            raise ValueError(f"turned_share is {self.turned_share}, must be in [0, 1]")
