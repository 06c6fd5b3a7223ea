"""The image UNet of Stable Diffusion made into a video UNet, on diffusers' public classes.

Frames are folded into the batch, so every 2-D convolution is the pseudo-3-D convolution (kernel 1 x 3 x 3)
with the image model's own weights. Spatial self-attention is made sparse-causal: a frame looks at earlier
frames. Each transformer block gains one temporal attention, which starts as the identity.
"""

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel, UNet2DConditionOutput
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.io import read_json
from neurocine.models.attention import attend
from neurocine.models.checkpointing import Checkpointing
from neurocine.models.pretrained import READ_ERRORS

SparseCausalFrames = Literal["prev2", "first_prev", "own"]
TemporalPosition = Literal["after_self", "block_end"]
TEMPORAL_NAMES = ("norm_temp", "attn_temp")
TRAINED_ATTENTIONS = ("attn1", "attn2", "attn_temp")  # self-, cross- and temporal (NeuroCine section 3.3)
CODE_BASE = 10.0  # periods of the frame code, from 6 to 60 frames: neighbours differ in many channels


def attended_frames(n_frames: int, kind: SparseCausalFrames, include_self: bool) -> list[list[int]]:
    """List, for each frame, the frames whose tokens are its keys and values; too early ones become frame 0.

    Parameters
    ----------
    n_frames : frames per clip
    kind : prev2 = the two previous frames (NeuroCine, MinD-Video), first_prev = frame 0 and the previous one
        (Tune-A-Video), own = the frame itself, as in the image model
    include_self : add the frame itself (``own`` has it anyway)
    """
    earlier = {
        "prev2": lambda frame: [max(frame - 2, 0), max(frame - 1, 0)],
        "first_prev": lambda frame: [0, max(frame - 1, 0)],
        "own": lambda frame: [frame],
    }[kind]
    own = include_self and kind != "own"
    return [earlier(frame) + ([frame] if own else []) for frame in range(n_frames)]


def frame_code(n_frames: int, width: int, like: Tensor) -> Tensor:
    """Sinusoidal code of the frame index, (n_frames, width), in the dtype and on the device of ``like``.

    Without it temporal attention is blind to the order of frames: left and right motion look the same.
    """
    rates = CODE_BASE ** -(torch.arange(width // 2, device=like.device) / (width // 2))
    angles = torch.arange(n_frames, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype)


def _heads(tokens: Tensor, n_heads: int) -> Tensor:
    return tokens.unflatten(-1, (n_heads, -1)).transpose(1, 2)


def _attend(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend with projected (N, n, c) queries over (N, m, c) keys and values; apply the output layer."""
    query, key, value = (_heads(tokens, attn.heads) for tokens in (query, key, value))
    mixed = attend(query, key, value)
    return attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))


class SparseCausalAttnProcessor:
    """Self-attention whose keys and values come from the frames of `attended_frames`."""

    def __init__(self, kind: SparseCausalFrames, include_self: bool) -> None:
        self.kind, self.include_self = kind, include_self

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        n_frames: int = 1,
    ) -> Tensor:
        """Attend; hidden_states is (B * F, n tokens, c)."""
        query, key, value = (layer(hidden_states) for layer in (attn.to_q, attn.to_k, attn.to_v))
        if n_frames > 1 and self.kind != "own":
            frames = attended_frames(n_frames, self.kind, self.include_self)
            key, value = (self._gather(tokens, frames) for tokens in (key, value))
        return _attend(attn, query, key, value)

    @staticmethod
    def _gather(tokens: Tensor, frames: Sequence[Sequence[int]]) -> Tensor:
        """(B * F, n, c) to (B * F, m * n, c), m the frames seen by each frame."""
        clips = tokens.unflatten(0, (-1, len(frames)))
        # Not indexed: the backward pass of an index adds row by row. One list of frames per column of
        # ``frames`` keeps the order in which gradients are added up, and so their bits.
        columns = [clips.unbind(1) for _ in frames[0]]
        seen = [column[frame] for row in frames for column, frame in zip(columns, row, strict=True)]
        return torch.cat(seen, dim=1).reshape(len(tokens), -1, tokens.shape[2])


class TemporalAttnProcessor:
    """Self-attention of a sequence of frames."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend; hidden_states is (B * n tokens, F, c)."""
        return _attend(attn, *(layer(hidden_states) for layer in (attn.to_q, attn.to_k, attn.to_v)))


class ClipCrossAttnProcessor:
    """Cross-attention of all frames of a clip to its one condition, whose keys are projected only once."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend; hidden_states is (B * F, n tokens, c), encoder_hidden_states (B, L, D)."""
        tokens = hidden_states.shape[1]
        query = attn.to_q(hidden_states).reshape(len(encoder_hidden_states), -1, attn.inner_dim)
        key, value = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        return _attend(attn, query, key, value).reshape(-1, tokens, hidden_states.shape[2])


class VideoTransformerBlock(nn.Module):
    """An image transformer block with temporal attention; the image block's layers keep their names.

    Parameters
    ----------
    block : block of the image UNet, with layer norms, self- and cross-attention
    temporal_position : after_self = after the spatial self-attention (NeuroCine), block_end = after the
        feed-forward layer (MinD-Video)
    sc_frames, sc_include_self : see `attended_frames`

    Raises
    ------
    ValueError : the block is of another kind than Stable Diffusion 1's
    """

    def __init__(
        self,
        block: BasicTransformerBlock,
        temporal_position: TemporalPosition,
        sc_frames: SparseCausalFrames,
        sc_include_self: bool,
    ) -> None:
        super().__init__()
        if (
            block.norm_type != "layer_norm"
            or block.attn2 is None
            or block.only_cross_attention
            or block.pos_embed
        ):
            raise ValueError("this UNet has transformer blocks of another kind than Stable Diffusion 1 and 2")
        self.temporal_position = temporal_position
        self.norm1, self.attn1 = block.norm1, block.attn1
        self.norm2, self.attn2 = block.norm2, block.attn2
        self.norm3, self.ff = block.norm3, block.ff
        # diffusers types processors as a closed list, but asks for no more than the call.
        self.attn1.set_processor(SparseCausalAttnProcessor(sc_frames, sc_include_self))  # type: ignore[arg-type]
        self.attn2.set_processor(ClipCrossAttnProcessor())  # type: ignore[arg-type]
        self.norm_temp = nn.LayerNorm(block.dim)
        self.attn_temp = Attention(
            block.dim, heads=block.num_attention_heads, dim_head=block.attention_head_dim
        )
        self.attn_temp.set_processor(TemporalAttnProcessor())  # type: ignore[arg-type]
        # Weight and bias are zero, so the first step starts exactly from the image model.
        for parameter in self.attn_temp.to_out[0].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        timestep: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        class_labels: Tensor | None = None,
    ) -> Tensor:
        """Apply the block; the arguments are those diffusers passes, of which it uses two.

        Parameters
        ----------
        hidden_states : (B * F, n tokens, c)
        attention_mask, encoder_attention_mask, timestep, cross_attention_kwargs, class_labels : unused
        encoder_hidden_states : (B, L, D), one condition per clip; F follows from the two batch sizes
        """
        assert encoder_hidden_states is not None
        n_frames = len(hidden_states) // len(encoder_hidden_states)
        hidden = hidden_states + self.attn1(self.norm1(hidden_states), n_frames=n_frames)
        if self.temporal_position == "after_self":
            hidden = self._temporal(hidden, n_frames)
        hidden = hidden + self.attn2(self.norm2(hidden), encoder_hidden_states=encoder_hidden_states)
        hidden = hidden + self.ff(self.norm3(hidden))
        return self._temporal(hidden, n_frames) if self.temporal_position == "block_end" else hidden

    def _temporal(self, hidden: Tensor, n_frames: int) -> Tensor:
        """Add full attention over the frames at each position; a single image has no time and stays as is."""
        if n_frames == 1:
            return hidden
        tokens = hidden.shape[1]
        by_frame = self.norm_temp(hidden).unflatten(0, (-1, n_frames))
        normed = by_frame.transpose(1, 2).flatten(0, 1)  # (B * n tokens, F, c)
        mixed = self.attn_temp(normed + frame_code(n_frames, normed.shape[2], normed))
        return hidden + mixed.unflatten(0, (-1, tokens)).transpose(1, 2).flatten(0, 1)


class VideoUNet(UNet2DConditionModel):
    """Video UNet: the image UNet's weights and names plus ``norm_temp`` and ``attn_temp`` in each block.

    Parameters
    ----------
    sc_frames : which frames spatial self-attention sees, see `attended_frames`
    sc_include_self : whether it also sees its own frame
    temporal_position : where temporal attention stands, see `VideoTransformerBlock`
    clip_shape : (F, h, w), frames and latent size of the clips it is trained on, which sampling then makes
    args, image_config : arguments of diffusers' UNet2DConditionModel

    Source: NeuroCine (arXiv 2402.01590) section 3.3; docs/method.md, "Phase 2: the video model".
    """

    _no_split_modules = ["VideoTransformerBlock", "ResnetBlock2D"]  # noqa: RUF012 (the parent's type)

    def __init__(
        self,
        *args: Any,
        sc_frames: SparseCausalFrames = "prev2",
        sc_include_self: bool = True,
        temporal_position: TemporalPosition = "after_self",
        clip_shape: tuple[int, int, int] | None = None,
        **image_config: Any,
    ) -> None:
        if sc_frames not in ("prev2", "first_prev", "own"):
            raise ValueError(f"sc_frames is {sc_frames!r}; known: prev2, first_prev, own")
        if temporal_position not in ("after_self", "block_end"):
            raise ValueError(f"temporal_position is {temporal_position!r}; known: after_self, block_end")
        super().__init__(*args, **image_config)
        self.register_to_config(
            sc_frames=sc_frames,
            sc_include_self=sc_include_self,
            temporal_position=temporal_position,
            clip_shape=clip_shape,
        )
        for module in list(self.modules()):
            blocks = getattr(module, "transformer_blocks", None)
            if blocks is not None:
                module.transformer_blocks = nn.ModuleList(
                    VideoTransformerBlock(block, temporal_position, sc_frames, sc_include_self)
                    for block in blocks
                )

    # diffusers keeps only config keys that the signature names; **image_config alone would lose them all.
    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *inspect.signature(UNet2DConditionModel.__init__).parameters.values(),
            *(
                parameter
                for parameter in inspect.signature(__init__).parameters.values()
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY
            ),
        ]
    )

    def set_checkpointing(self, which: Checkpointing) -> None:
        """Choose what is computed twice to save memory: transformer blocks, or all blocks."""
        self.enable_gradient_checkpointing()
        for inner in self.modules():
            if hasattr(inner, "gradient_checkpointing"):  # of diffusers' classes
                twice = which == "all" or (which == "blocks" and isinstance(inner, Transformer2DModel))
                setattr(inner, "gradient_checkpointing", twice)  # noqa: B010  (untyped in diffusers)

    @classmethod
    def from_unet2d(
        cls,
        image_unet: UNet2DConditionModel,
        sc_frames: SparseCausalFrames = "prev2",
        sc_include_self: bool = True,
        temporal_position: TemporalPosition = "after_self",
        clip_shape: tuple[int, int, int] | None = None,
    ) -> "VideoUNet":
        """Make a video UNet with a copy of an image UNet's weights; temporal layers start as the identity.

        Raises
        ------
        ValueError : the image UNet has weights this one lacks, or lacks some besides the temporal ones
        """
        net: Any = cls.from_config(
            image_unet.config,
            sc_frames=sc_frames,
            sc_include_self=sc_include_self,
            temporal_position=temporal_position,
            clip_shape=clip_shape,
        )
        mismatch = net.load_state_dict(image_unet.state_dict(), strict=False)
        missing = [name for name in mismatch.missing_keys if not is_temporal(name)]
        if missing or mismatch.unexpected_keys:
            raise ValueError(f"image UNet lacks {missing[:5]} and has unknown {mismatch.unexpected_keys[:5]}")
        return nn.Module.to(net, dtype=image_unet.dtype)  # diffusers' own warns of layers that need float32

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Save as diffusers does, without the folder that an earlier network was loaded from."""
        self.register_to_config(_name_or_path="")
        super().save_pretrained(*args, **kwargs)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None, **kwargs: Any
    ) -> "VideoUNet":
        """Load what `save_pretrained` wrote.

        Raises
        ------
        InputError : no such folder, a broken one, or that of an image UNet, whose missing temporal weights
            would be uninitialised memory
        """
        folder = Path(str(pretrained_model_name_or_path))
        # Only a folder is ever read: a name such as decoder/unet is also one of the hub.
        todo = "Run the training that makes it, to its end."
        config = read_json(folder / "config.json", "the config of a VideoUNet", todo)
        if "temporal_position" not in config:
            found, todo = f"a {config.get('_class_name', 'model')}", "Make one by VideoUNet.from_unet2d."
            raise InputError(folder, found, "a VideoUNet", todo)
        try:
            return super().from_pretrained(folder, **{**kwargs, "local_files_only": True})
        except READ_ERRORS as error:
            found = f"weights that cannot be read ({(str(error).strip() or repr(error)).splitlines()[0]})"
            raise InputError(folder, found, "a complete VideoUNet", todo) from None

    def latent_shape(self) -> tuple[int, int, int, int]:
        """Return the shape (C, F, h, w) of the clips it was trained on.

        Raises
        ------
        ValueError : the config has no clip_shape
        """
        config: Any = self.config
        if config.clip_shape is None:
            raise ValueError("this video UNet was saved without clip_shape (frames, height, width)")
        n_frames, height, width = config.clip_shape
        return config.in_channels, n_frames, height, width

    def set_trainable(self, which: Literal["attention", "all"]) -> None:
        """Let the optimiser change self-, cross- and temporal attention only (the paper), or everything."""
        if which not in ("attention", "all"):
            raise ValueError(f"trainable is {which!r}; known: attention, all")
        for name, parameter in self.named_parameters():
            attention = any(part in TRAINED_ATTENTIONS for part in name.split("."))
            parameter.requires_grad_(which == "all" or attention)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        return_dict: bool = True,
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """Predict the noise (or velocity) of a batch of clips.

        Parameters
        ----------
        sample : (B, C, F, h, w) latents of clips, or (B, C, h, w) of images
        timestep : one for all, or (B,)
        encoder_hidden_states : (B, L, D), one condition per clip
        return_dict : whether the result, of the shape of ``sample``, comes in diffusers' output class or in a
            tuple
        """
        if sample.ndim == 4:
            output = self.forward(sample.unsqueeze(2), timestep, encoder_hidden_states, return_dict=False)[0]
            return self._wrap(output.squeeze(2), return_dict)
        clips, _, n_frames, _, _ = sample.shape
        if len(encoder_hidden_states) != clips:
            raise ValueError(f"{clips} clips but {len(encoder_hidden_states)} conditions; expected one each")
        times = torch.as_tensor(timestep, device=sample.device).expand(clips).repeat_interleave(n_frames)
        folded = sample.transpose(1, 2).flatten(0, 1)
        output = super().forward(folded, times, encoder_hidden_states, return_dict=False)[0]
        return self._wrap(output.unflatten(0, (clips, n_frames)).transpose(1, 2), return_dict)

    @staticmethod
    def _wrap(output: Tensor, return_dict: bool) -> UNet2DConditionOutput | tuple[Tensor]:
        return UNet2DConditionOutput(sample=output) if return_dict else (output,)


def is_temporal(parameter_name: str) -> bool:
    """Tell whether a parameter belongs to the temporal layers that the image model lacks."""
    return any(part in TEMPORAL_NAMES for part in parameter_name.split("."))
