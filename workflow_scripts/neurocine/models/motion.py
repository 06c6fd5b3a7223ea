"""Mind-Animator's motion generator: from the first frame's latent and fMRI to the latents of all frames."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.models.saved import SavedNetwork, xavier_
from neurocine.models.semantic import fmri_trunk

CODE_BASE = 10_000.0  # of the sinusoidal position code (Vaswani et al. 2017)


@dataclass(frozen=True)
class MotionConfig:
    """Sizes of the network; published values as defaults."""

    n_vertices: int
    n_frames: int  # F
    latent_shape: tuple[int, int, int]  # (C, h, w) of a frame; a frame is one token of C h w features
    memory_tokens: int = 1  # K, tokens that the fMRI becomes
    from_fmri: bool = True  # False: the fMRI is replaced by its mean (zeros), so motion comes from the frame
    encoder_width: int = 768  # hidden width of the fMRI encoder
    feedforward_width: int = 768
    layers: int = 2
    heads: int = 4
    attention_width: int = 0  # inner width of attention; 0 = a sixteenth of a token, at least 16 per head
    dropout: float = 0.2  # of positions and sub-layers
    attention_dropout: float = 0.15
    encoder_dropout: float = 0.3
    block_dropout: float = 0.15
    variant: str = "paper"  # that it was trained as

    def token_width(self) -> int:
        """Return the features of a frame."""
        return math.prod(self.latent_shape)

    def inner_width(self) -> int:
        """Return the width of attention over all heads: 1024 for the published 16 384 features."""
        return self.attention_width or self.heads * max(16, self.token_width() // 16 // self.heads)


def causal_mask(n: int) -> Tensor:
    """Return which positions see which, (n, n) bool: row i sees columns up to i."""
    return torch.ones(n, n, dtype=torch.bool).tril()


def sparse_causal_mask(n: int, hide: float, generator: torch.Generator) -> Tensor:
    """Draw the mask of a training batch as the paper describes it, (n, n) bool, True where a row sees.

    Parameters
    ----------
    n : frames, rows of the mask
    hide : probability that an earlier frame is hidden; frame 0 and the row's own frame never are
    generator : draws which frames are hidden
    """
    hidden = torch.rand(n, n, generator=generator) < hide
    hidden[:, 0] = False
    hidden.fill_diagonal_(False)
    return causal_mask(n) & ~hidden


def released_mask(n: int, keep: float, generator: torch.Generator) -> Tensor:
    """Draw the mask as the released code does, (n, n) bool, True where a row sees.

    Rows 0 and 1 are causal. In later rows every column but the first, the row's own too, is seen with
    probability ``keep`` only; at inference ``keep`` is 0, so they see nothing but frame 0.
    """
    seen = torch.rand(n, n, generator=generator) < keep
    seen[:, 0] = True
    seen[:2] = True
    return causal_mask(n) & seen


def position_code(n: int, width: int) -> Tensor:
    """Return the sinusoidal code of positions, (n, width) f32, sines and cosines taking turns."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(CODE_BASE) / width))
    angles = torch.arange(n)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


class Attention(nn.Module):
    """Multi-head attention with an inner width of its own.

    Parameters
    ----------
    width : of queries, keys and result
    inner : over all heads
    heads : a divisor of ``inner``
    dropout : share of attention weights dropped in training
    """

    def __init__(self, width: int, inner: int, heads: int, dropout: float) -> None:
        super().__init__()
        if inner % heads:
            raise ValueError(f"attention_width is {inner}, must be a multiple of heads, {heads}")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.out = nn.Linear(inner, width)

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor | None = None) -> Tensor:
        """Attend from x (B, n, d) to memory (B, m, d), where ``seen`` (n, m) bool allows it."""
        query, key, value = (
            layer(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x), (self.key, memory), (self.value, memory))
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=dropout)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Branch(nn.Module):
    """x plus the normed result of a sub-layer: the norm is on the branch, not on the sum."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Add (B, n, d) to (B, n, d)."""
        return x + self.norm(self.dropout(output))


class MotionLayer(nn.Module):
    """Self-attention over frames, attention to the fMRI, and a feed-forward layer."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__()
        width, inner = config.token_width(), config.inner_width()
        self.self_attention = Attention(width, inner, config.heads, config.attention_dropout)
        self.cross_attention = Attention(width, inner, config.heads, config.attention_dropout)
        self.feedforward = nn.Sequential(
            nn.Linear(width, config.feedforward_width), nn.ReLU(), nn.Linear(config.feedforward_width, width)
        )
        self.branches = nn.ModuleList(Branch(width, config.dropout) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
        """(B, n, d) to (B, n, d); ``seen`` (n, n) bool is the mask between frames."""
        x = self.branches[0](x, self.self_attention(x, x, seen))
        x = self.branches[1](x, self.cross_attention(x, memory))
        return self.branches[2](x, self.feedforward(x))


class MotionGenerator(SavedNetwork):
    """Predict each next frame from the frames before it and from the fMRI of one TR.

    With one memory token the attention to the fMRI has a single key, so it adds the same vector to every
    frame: what differs between frames comes from positions and from the frames themselves.

    Parameters
    ----------
    config : sizes; weights are drawn from torch's global generator

    Source: Mind-Animator (arXiv 2405.03280) section 3.3 and its released ``models/Decoder.py``.
    """

    Config = MotionConfig
    config: MotionConfig
    positions: Tensor

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        width = config.token_width()
        self.encoder = fmri_trunk(
            config.n_vertices, config.encoder_width, 1, config.encoder_dropout, config.block_dropout
        )
        self.to_memory = nn.Linear(config.encoder_width, config.memory_tokens * width)
        self.register_buffer("positions", position_code(config.n_frames, width), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(MotionLayer(config) for _ in range(config.layers))
        # Fixes mean and spread of every predicted frame, up to a gain and an offset per feature.
        self.norm = nn.LayerNorm(width)
        xavier_(self)

    def memory(self, bold: Tensor) -> Tensor:
        """Encode fMRI (B, V) as tokens (B, K, d)."""
        source = bold if self.config.from_fmri else torch.zeros_like(bold)
        return self.to_memory(self.encoder(source)).unflatten(1, (self.config.memory_tokens, -1))

    def forward(self, bold: Tensor, frames: Tensor, seen: Tensor) -> Tensor:
        """Predict the frame after each given one.

        Parameters
        ----------
        bold : (B, V)
        frames : (B, n, C, h, w) scaled latents of frames 0 to n - 1
        seen : (n, n) bool, which frames each sees

        Returns
        -------
        (B, n, C, h, w) scaled latents of frames 1 to n
        """
        return self._predict(self.memory(bold), frames, seen)

    def _predict(self, memory: Tensor, frames: Tensor, seen: Tensor) -> Tensor:
        x = self.dropout(frames.flatten(2) + self.positions[: frames.shape[1]])
        for layer in self.layers:
            x = layer(x, memory, seen)
        return self.norm(x).unflatten(2, self.config.latent_shape)

    def roll_out(self, bold: Tensor, first: Tensor) -> Tensor:
        """Predict all frames from the first, each from those predicted before it.

        Parameters
        ----------
        bold : (B, V)
        first : (B, C, h, w) scaled latent of frame 0

        Returns
        -------
        (B, F, C, h, w), frame 0 as given
        """
        memory, frames = self.memory(bold), first[:, None]
        steps = self.config.n_frames - 1
        # The released inference mask draws nothing: with keep = 0 no number decides.
        seen = causal_mask(steps)
        if self.config.variant == "code":
            seen = released_mask(steps, 0.0, torch.Generator())
        seen = seen.to(first.device)
        for n in range(1, steps + 1):
            after = self._predict(memory, frames, seen[:n, :n])[:, -1:]
            frames = torch.cat([frames, after], dim=1)
        return frames
