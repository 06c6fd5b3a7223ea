"""Settings of the toy models, one section of the toy study's config per training."""

import dataclasses

from neurocine.train.task import LoopSettings


@dataclasses.dataclass(frozen=True)
class ToyModelSettings(LoopSettings):
    """How much of the toy world a toy model sees, and how it is trained."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    warmup_steps: int = 50
    validate_every: int = 250
    keep_best: bool = False  # validation shows combinations the models must not be chosen by
    log_every: int = 50
    tensorboard: bool = False
    size: int = 64  # height and width of the frames, px
    n_clips: int = 4000  # rendered clips to learn from
    n_held_out: int = 100  # clips of held-out combinations, for validation
    turned_share: float = 0.0  # clips whose thing neither points where it goes nor keeps right
    latent_channels: int = 4  # channels of the latents; the VAE only

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 8:
            raise ValueError(f"size is {self.size}, must be a multiple of 8")
        if not 0 <= self.turned_share <= 1:
            raise ValueError(f"turned_share is {self.turned_share}, must be in [0, 1]")
