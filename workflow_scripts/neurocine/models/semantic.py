"""Mind-Animator's semantic decoder: what a clip means, as a CLIP embedding and as text states."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neurocine.models.saved import SavedNetwork, xavier_


@dataclass(frozen=True)
class SemanticConfig:
    """Sizes of the network; published values as defaults."""

    n_vertices: int
    width: int  # of the trunk, E: its last hidden state is the CLIP embedding, so it is as wide as CLIP's
    n_tokens: (
        int  # L, text states that steer the diffusion model; the first of them is the same for all texts
    )
    text_width: int  # D, features per text state
    head_widths: tuple[int, ...] = (2048, 4096)  # hidden layers from the embedding to the text states
    blocks: int = 3  # residual blocks of the trunk
    dropout: float = 0.3  # after the first layer
    block_dropout: float = 0.15  # in the residual blocks
    variant: str = "paper"  # that it was trained as


class ResidualBlock(nn.Module):
    """x plus a layer of x, as wide as x."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        return x + self.layer(x)


def fmri_trunk(
    n_vertices: int, width: int, blocks: int, dropout: float, block_dropout: float
) -> nn.Sequential:
    """Make the first layers of a decoder: (B, V) to (B, width)."""
    return nn.Sequential(
        nn.Linear(n_vertices, width),
        nn.LayerNorm(width),
        nn.GELU(),
        nn.Dropout(dropout),
        *(ResidualBlock(width, block_dropout) for _ in range(blocks)),
    )


class SemanticDecoder(SavedNetwork):
    """Decode fMRI of one TR to a CLIP embedding and to the text states of the diffusion model.

    Parameters
    ----------
    config : sizes; weights are drawn from torch's global generator

    Source: Mind-Animator (arXiv 2405.03280) section 3.2 and its released ``models/Decoder.py``.
    """

    Config = SemanticConfig
    first_state: Tensor
    config: SemanticConfig

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__(config)
        self.trunk = fmri_trunk(
            config.n_vertices, config.width, config.blocks, config.dropout, config.block_dropout
        )
        widths = [config.width, *config.head_widths, (config.n_tokens - 1) * config.text_width]
        layers = [
            part
            for before, after in itertools.pairwise(widths)
            for part in (nn.LayerNorm(before), nn.GELU(), nn.Linear(before, after))
        ]
        self.head = nn.Sequential(*layers)
        # The text encoder attends causally, so the state of its first token is the same for every text.
        self.register_buffer("first_state", torch.zeros(config.text_width))
        xavier_(self)

    def forward(self, bold: Tensor) -> tuple[Tensor, Tensor]:
        """Decode (B, V) to an embedding (B, E) of any length, and all states but the first (B, L - 1, D)."""
        embedding = self.trunk(bold)
        return embedding, self.head(embedding).unflatten(1, (-1, self.config.text_width))

    def with_first_state(self, states: Tensor) -> Tensor:
        """Put the state that all texts share before decoded ones: (B, L - 1, D) to (B, L, D)."""
        first = self.first_state.to(states).expand(len(states), 1, -1)
        return torch.cat([first, states], dim=1)
