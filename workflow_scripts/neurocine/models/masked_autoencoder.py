"""Masked autoencoder of phase 0: an encoder that sees a quarter of the tokens, a decoder that fills in."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocine.models.checkpointing import Checkpointing
from neurocine.models.fmri_encoder import Block, FmriEncoder, FmriEncoderConfig, initialise_, position_table
from neurocine.models.in_parts import in_parts
from neurocine.section_checks import heads_divide_width
from neurocine.settings import Check, Count, Settings


class DecoderConfig(Settings):
    """Architecture of the decoder, which is discarded after pretraining."""

    checks: ClassVar[tuple[Check, ...]] = (heads_divide_width,)

    width: Count = 512
    """Each token has this many features, an even number."""
    depth: Count = 8
    """The decoder has this many transformer blocks."""
    heads: Count = 16
    """Each block has this many attention heads, a divisor of width."""


class MaskedAutoencoder(nn.Module):
    """Predict all patches of single frames from a few of them.

    Parameters
    ----------
    config : the encoder; window 1, no temporal attention, no projection head
    decoder : the decoder

    Attributes
    ----------
    n_parts : parts that a batch is trained in, see `in_parts`
    gradient_checkpointing : compute the decoder's blocks twice to save memory
    """

    decoder_pos_embed: Tensor

    def __init__(self, config: FmriEncoderConfig, decoder: DecoderConfig) -> None:
        super().__init__()
        if config.window != 1 or config.temporal or config.tokens:
            raise ValueError(
                "the masked autoencoder takes an encoder of single frames without a projection head"
            )
        self.n_parts = 1
        self.gradient_checkpointing = False
        self.decoder_embed = nn.Linear(config.width, decoder.width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder.width))
        self.register_buffer("decoder_pos_embed", position_table(config.n_patches, decoder.width)[None])
        self.decoder_blocks = nn.ModuleList(
            Block(decoder.width, decoder.heads, config.mlp_ratio, temporal=False)
            for _ in range(decoder.depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder.width)
        self.decoder_pred = nn.Linear(decoder.width, config.patch)
        initialise_(self)
        nn.init.normal_(self.mask_token, std=0.02)
        self.encoder = FmriEncoder(config)

    def set_checkpointing(self, which: Checkpointing) -> None:
        """Choose whether the decoder's blocks are computed twice to save memory: only with all."""
        self.gradient_checkpointing = which == "all"

    def patches(self, bold: Tensor) -> Tensor:
        """Cut frames into patches: (B, V) to (B, p, patch), wrap-padded."""
        return self.encoder.pad(bold).unflatten(-1, (-1, self.encoder.config.patch))

    def forward(self, bold: Tensor, visible: Tensor) -> Tensor:
        """Reconstruct frames.

        Parameters
        ----------
        bold : (B, V), z-scored BOLD
        visible : (B, k) i64, indices of the tokens that the encoder sees

        Returns
        -------
        (B, p, patch), all patches, seen or not
        """
        return in_parts(self._reconstruct, self.n_parts, bold, visible)[0]

    def _reconstruct(self, bold: Tensor, visible: Tensor) -> tuple[Tensor]:
        encoder = self.encoder
        tokens = encoder.tokenize(bold[:, None])[:, 0] + encoder.pos_embed  # (B, p, d)
        seen = tokens.gather(1, visible[..., None].expand(-1, -1, tokens.shape[-1]))
        embedded = self.decoder_embed(encoder.encode(seen[:, None])[:, 0])
        full = self.mask_token.to(embedded.dtype).expand(len(bold), tokens.shape[1], -1)
        full = (
            full.scatter(1, visible[..., None].expand(-1, -1, full.shape[-1]), embedded)
            + self.decoder_pos_embed
        )
        full = full[:, None]
        for block in self.decoder_blocks:
            if self.gradient_checkpointing and self.training:
                full = checkpoint(block, full, use_reentrant=False)
            else:
                full = block(full)
        return (self.decoder_pred(self.decoder_norm(full[:, 0])),)
