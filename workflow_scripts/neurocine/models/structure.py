"""Mind-Animator's structure decoder: how a clip looks, as the VAE's latent of its first frame."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from neurocine.models.saved import SavedNetwork, xavier_


@dataclass(frozen=True)
class StructureConfig:
    """Sizes of the network; published values as defaults."""

    n_vertices: int
    latent_shape: tuple[int, int, int]  # (C, h, w) of a frame
    width: int = 1024  # hidden
    blocks: int = 2  # residual blocks
    dropout: float = 0.2
    variant: str = "paper"  # that it was trained as


class LinearBlock(nn.Module):
    """x plus a linear map of x: the published network has neither nonlinearity nor norm here."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        return x + self.layer(x)


class StructureDecoder(SavedNetwork):
    """Decode fMRI of one TR to the latent of the clip's first frame.

    Parameters
    ----------
    config : sizes; weights are drawn from torch's global generator

    Source: Mind-Animator (arXiv 2405.03280) section 3.2 and its released ``models/Decoder.py``.
    """

    Config = StructureConfig
    config: StructureConfig

    def __init__(self, config: StructureConfig) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(config.n_vertices, config.width),
            nn.Dropout(config.dropout),
            *(LinearBlock(config.width, config.dropout) for _ in range(config.blocks)),
            nn.LayerNorm(config.width),
            nn.ReLU(),
            nn.Linear(config.width, math.prod(config.latent_shape)),
        )
        xavier_(self)

    def forward(self, bold: Tensor) -> Tensor:
        """Decode (B, V) to scaled latents (B, C, h, w)."""
        return self.layers(bold).unflatten(1, self.config.latent_shape)
