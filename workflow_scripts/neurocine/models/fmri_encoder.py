"""The fMRI encoder of NeuroCine: a transformer over patches of cortex and over the frames of a window.

Parameter names follow the published checkpoints of the same family (MinD-Vis, MinD-Video, DC-MAE), so that
their weights load name for name (:meth:`FmriEncoder.load_backbone`).
"""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurocine.errors import InputError
from neurocine.io import replacing, write_json
from neurocine.models.attention import attend
from neurocine.models.checkpointing import Checkpointing
from neurocine.section_checks import heads_divide_width
from neurocine.settings import Check, Count, CountOrZero, Positive, Settings, Unit

log = logging.getLogger(__name__)


class EncoderSize(Settings):
    """Sizes of the transformer; those of a pretrained encoder replace them in later phases."""

    patch: Annotated[Count, Unit("vertices")] = 16
    """Each token holds this many vertices; a pretrained encoder brings its own value."""
    depth: Annotated[Count, Unit("blocks")] = 24
    """The encoder has this many transformer blocks; a pretrained encoder brings its own value."""
    width: Annotated[Count, Unit("features")] = 1024
    """Each token of the encoder has this many features, an even number; a pretrained encoder brings its own
    value.
    """
    heads: Annotated[Count, Unit("heads")] = 16
    """Each block has this many attention heads, a divisor of width; a pretrained encoder brings its own
    value.
    """
    mlp_ratio: Positive = 1.0
    """The hidden layer of each block's MLP is this many times as wide as a token; a pretrained encoder brings
    its own value.
    """


class EncoderHead(Settings):
    """What the encoder takes in and gives out."""

    window: Annotated[Count, Unit("TR")] = 2
    """Each sample holds this many volumes: that of the clip and those that follow."""
    tokens: Annotated[CountOrZero, Unit("tokens")] = 77
    """The encoder outputs this many tokens; 0 takes as many as the text encoder has, or none in phase 0."""
    text_width: Annotated[CountOrZero, Unit("features")] = 768
    """Each output token has this many features; 0 takes as many as the text encoder's states have."""
    head: Literal["tokens", "flat"] = "tokens"
    """The head mixes tokens by the same weights for all features (tokens), or all features of all tokens
    (flat).

    The first is MinD-Video's head; the second is a map of low rank, which learns in fewer steps.
    """
    head_channels: Annotated[Count, Unit("features")] = 32
    """The flat head first reduces each token to this many features."""
    head_rank: Annotated[Count, Unit("features")] = 256
    """The flat head's map from all tokens to all tokens has this rank."""
    head_norm: bool = False
    """True ends the projection head with a LayerNorm."""
    frame_code: bool = False
    """True adds a code of the frame to attention over the frames of a window, which as published ignores
    their order.
    """
    pooling: Literal["mean", "flatten"] = "mean"
    """Output tokens become one vector by their mean, or by a layer over all of them (flatten)."""


class FmriEncoderConfig(EncoderSize, EncoderHead):
    """Architecture of the encoder; stored as ``config.json`` beside its weights."""

    checks: ClassVar[tuple[Check, ...]] = (heads_divide_width,)

    n_vertices: Count
    """Each volume has this many vertices."""
    temporal: bool = True
    """True gives blocks attention over the frames of a window; phase 0 has none."""
    text_width: Annotated[Count, Unit("features")] = 768
    """Each output token has this many features."""
    embedding_width: Annotated[Count, Unit("features")] = 768
    """The CLIP embeddings that the encoder is compared with have this many features."""

    @property
    def n_patches(self) -> int:
        """Tokens per frame, p = ceil(V / patch)."""
        return math.ceil(self.n_vertices / self.patch)


def position_table(n_positions: int, width: int) -> Tensor:
    """Return the fixed 1-D code of positions 0, 1, ...: (n_positions, width) f32, sines then cosines."""
    rates = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = torch.arange(n_positions, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


class Attention(nn.Module):
    """Multi-head self-attention over the middle axis of (n, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (n, heads, tokens, width / heads)."""
        parts = self.qkv(x).chunk(
            3, dim=-1
        )  # not indexing, whose backward fills three whole tensors with zeros
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return query, key, value

    def forward(self, x: Tensor) -> Tensor:
        """Attend among tokens, (n, tokens, d) to (n, tokens, d)."""
        query, key, value = self._heads(x)
        mixed = attend(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def maps(self, x: Tensor) -> Tensor:
        """Return the softmax attention, (n, heads, queries, keys); rows sum to one."""
        query, key, _ = self._heads(x)
        return (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(dim=-1)


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map each token on its own, (n, tokens, d) to (n, tokens, d)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm block: attention over space in each frame, over the frames at each place, then an MLP."""

    frame_code: Tensor | None

    def __init__(
        self, width: int, heads: int, mlp_ratio: float, temporal: bool, frame_code: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("frame_code", frame_code, persistent=False)  # (w, d) or None
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.norm_temp = nn.LayerNorm(width) if temporal else None
        self.attn_temp = Attention(width, heads) if temporal else None
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, w, p, d) to the same shape."""
        n_samples, n_frames = x.shape[:2]
        x = x + self.attn(self.norm1(x).flatten(0, 1)).unflatten(0, (n_samples, n_frames))
        if self.attn_temp is not None and self.norm_temp is not None:
            by_place = self.norm_temp(x).transpose(1, 2).flatten(0, 1)  # (B p, w, d)
            if self.frame_code is not None:
                by_place = by_place + self.frame_code
            x = x + self.attn_temp(by_place).unflatten(0, (n_samples, -1)).transpose(1, 2)
        return x + self.mlp(self.norm2(x))


class ProjectionHead(nn.Module):
    """Map the tokens of all frames, (B, w p, d), to the text encoder's format, (B, L, D)."""

    def __init__(self, n_tokens_in: int, n_tokens: int, width_in: int, width: int, norm: bool) -> None:
        super().__init__()
        self.channel_mapper = nn.Linear(
            n_tokens_in, n_tokens, bias=False
        )  # over the token axis: depends on V
        self.projection = nn.Linear(width_in, width, bias=False)
        self.fc = nn.Linear(width, width, bias=False)
        self.layer_norm = nn.LayerNorm(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, w p, d) to (B, L, D)."""
        mapped = self.channel_mapper(x.transpose(1, 2)).transpose(1, 2)
        projected = self.projection(mapped)
        return self.layer_norm(projected + self.fc(F.gelu(projected)))


class FlatHead(nn.Module):
    """Map the tokens of all frames, (B, w p, d), to (B, L, D) by a low-rank map of all features at once.

    The map over tokens of `ProjectionHead` is the same for all features, so that what one place knows can
    reach one output token only by way of the encoder; here each output is a sum over all features of all
    tokens. Both end in the same layers.
    """

    def __init__(
        self, n_tokens_in: int, width_in: int, channels: int, rank: int, shape: tuple[int, int], norm: bool
    ) -> None:
        super().__init__()
        width = shape[1]
        self.shape = shape
        self.reduce = nn.Linear(width_in, channels, bias=False)
        self.down = nn.Linear(n_tokens_in * channels, rank, bias=False)
        self.up = nn.Linear(rank, shape[0] * width)
        self.fc = nn.Linear(width, width, bias=False)
        self.layer_norm = nn.LayerNorm(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, w p, d) to (B, L, D)."""
        projected = self.up(self.down(self.reduce(x).flatten(1))).unflatten(1, self.shape)
        return self.layer_norm(projected + self.fc(F.gelu(projected)))


def make_head(config: FmriEncoderConfig) -> ProjectionHead | FlatHead:
    """Make the projection head that an architecture names."""
    n_tokens_in = config.window * config.n_patches
    if config.head == "tokens":
        return ProjectionHead(n_tokens_in, config.tokens, config.width, config.text_width, config.head_norm)
    shape = config.tokens, config.text_width
    return FlatHead(
        n_tokens_in, config.width, config.head_channels, config.head_rank, shape, config.head_norm
    )


def initialise_(module: nn.Module) -> None:
    """Initialise in place as masked autoencoders do: Xavier-uniform linear layers, small convolutions."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
        elif isinstance(part, nn.Conv1d):
            nn.init.normal_(part.weight, std=0.02)
        if isinstance(part, nn.Linear | nn.Conv1d) and part.bias is not None:
            nn.init.zeros_(part.bias)


class FmriEncoder(nn.Module):
    """Encode windows of fMRI as text-like tokens.

    Parameters
    ----------
    config : the architecture; weights are drawn from torch's global generator
    """

    wrap: Tensor
    pos_embed: Tensor

    def __init__(self, config: FmriEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv1d(1, config.width, kernel_size=config.patch, stride=config.patch)}
        )
        self.register_buffer("pos_embed", position_table(config.n_patches, config.width)[None])
        padded = torch.arange(config.n_patches * config.patch) % config.n_vertices
        self.register_buffer("wrap", padded, persistent=False)
        code = position_table(config.window, config.width) if config.frame_code else None
        blocks = [
            Block(config.width, config.heads, config.mlp_ratio, config.temporal, code)
            for _ in range(config.depth)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.width)
        self.proj_head: ProjectionHead | FlatHead | None = None
        self.pool: nn.Linear | None = None
        if config.tokens:
            self.proj_head = make_head(config)
            pooled = config.text_width * (config.tokens if config.pooling == "flatten" else 1)
            self.pool = nn.Linear(pooled, config.embedding_width)
        initialise_(self)
        for block in blocks:
            if block.attn_temp is not None:
                # A new layer that adds nothing: step 0 is exactly the pretrained encoder.
                nn.init.zeros_(block.attn_temp.proj.weight)

    def set_checkpointing(self, which: Checkpointing) -> None:
        """Choose whether the blocks are computed twice to save memory: not with none."""
        self.gradient_checkpointing = which != "none"

    # --- forward --------------------------------------------------------------------------------------

    def pad(self, bold: Tensor) -> Tensor:
        """Repeat vertices from the start until whole patches are filled: (..., V) to (..., p patch)."""
        if bold.shape[-1] != self.config.n_vertices:
            raise ValueError(f"fMRI of {bold.shape[-1]} vertices, the encoder takes {self.config.n_vertices}")
        return bold if bold.shape[-1] % self.config.patch == 0 else bold[..., self.wrap]

    def tokenize(self, bold: Tensor) -> Tensor:
        """Embed patches, without positions: (B, w, V) to (B, w, p, d)."""
        patches = self.patch_embed["proj"](self.pad(bold).flatten(0, 1)[:, None])  # (B w, d, p)
        return patches.transpose(1, 2).unflatten(0, bold.shape[:2])

    def encode(self, tokens: Tensor) -> Tensor:
        """Run the blocks on tokens that carry their positions: (B, w, n, d) to the same shape, normed."""
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, bold: Tensor, keep: Tensor | None = None, mix: Tensor | None = None) -> Tensor:
        """Encode windows.

        Parameters
        ----------
        bold : (B, w, V), z-scored BOLD
        keep : (B, p or 1, d or 1), factors on the patch embeddings of every frame: 0 masks
        mix : (B, w, w), frame i of the result is the sum over j of mix[i, j] times frame j (eq. 1)

        Returns
        -------
        (B, L, D), tokens in the format of the text encoder's last hidden state

        Raises
        ------
        ValueError : the encoder has no projection head, or window or vertices differ
        """
        if self.proj_head is None:
            raise ValueError("this encoder has no projection head (tokens = 0)")
        if bold.shape[1] != self.config.window:
            raise ValueError(f"a window of {bold.shape[1]} frames, the encoder takes {self.config.window}")
        tokens = self.tokenize(bold)
        if mix is not None:
            tokens = torch.einsum("bij,bjpd->bipd", mix.to(tokens.dtype), tokens)
        if keep is not None:
            tokens = tokens * keep[:, None].to(tokens.dtype)
        # Positions come after the mask, so a masked token still says where it is.
        return self.proj_head(self.encode(tokens + self.pos_embed).flatten(1, 2))

    def embedding(self, tokens: Tensor) -> Tensor:
        """Map output tokens (B, L, D) to the space of the CLIP embeddings, (B, E), not normalised."""
        if self.pool is None:
            raise ValueError("this encoder has no projection head (tokens = 0)")
        pooled = tokens.flatten(1) if self.config.pooling == "flatten" else tokens.mean(dim=1)
        return self.pool(pooled)

    @torch.no_grad()
    def attention_maps(self, bold: Tensor, layers: list[int]) -> dict[int, Tensor]:
        """Return the spatial attention of chosen layers.

        Parameters
        ----------
        bold : (B, w, V); an encoder without temporal attention takes any w
        layers : counted from 1, as in the paper (1, 12, 24)

        Returns
        -------
        For each layer (B w, heads, p, p), softmax over the last axis (keys)

        Raises
        ------
        ValueError : a layer that the encoder does not have
        """
        wrong = [layer for layer in layers if not 1 <= layer <= len(self.blocks)]
        if wrong:
            raise ValueError(f"layers {wrong} requested, the encoder has layers 1 to {len(self.blocks)}")
        tokens = self.tokenize(bold) + self.pos_embed
        maps = {}
        for number, block in enumerate(self.blocks, 1):
            assert isinstance(block, Block)
            if number in layers:
                maps[number] = block.attn.maps(block.norm1(tokens).flatten(0, 1))
            if number == max(layers, default=0):
                break
            tokens = block(tokens)
        return maps

    # --- files ----------------------------------------------------------------------------------------

    def save_pretrained(self, directory: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        directory = Path(directory)
        with replacing(directory / "model.safetensors") as temporary:
            save_file(
                {name: value.cpu().contiguous() for name, value in self.state_dict().items()}, temporary
            )
        write_json(directory / "config.json", {"class": type(self).__name__, **self.config.model_dump()})

    @classmethod
    def from_pretrained(cls, directory: Path) -> "FmriEncoder":
        """Load an encoder in evaluation mode.

        Raises
        ------
        InputError : a file is missing, broken, or does not fit its config
        """
        encoder = cls(read_config(directory))
        weights = _read_weights(Path(directory) / "model.safetensors")
        try:
            encoder.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(
                Path(directory) / "model.safetensors",
                str(error),
                "the weights of its config.json",
                "Train it again.",
            ) from None
        return encoder.eval()

    def load_backbone(self, weights: Mapping[str, Tensor], where: str | Path) -> None:
        """Take patch embedding, blocks and norm from a pretrained encoder or a published checkpoint.

        Decoder, mask token, class token and heads are left out. Temporal attention, if the source has none,
        keeps its start. Positions are interpolated along the tokens when the number of tokens differs.

        Parameters
        ----------
        weights : named and shaped as here; the table of positions, (1, n, d), may have other tokens, and a
            leading slot for a class token
        where : names the source in messages

        Raises
        ------
        InputError : a weight is missing or of another size
        """
        taken = {}
        for name, value in self.state_dict().items():
            if name.startswith(("proj_head.", "pool.")) or ("_temp." in name and name not in weights):
                continue
            weight = weights.get(name)
            if weight is not None and name == "pos_embed":
                weight = _fit_positions(weight, value.shape[1])
            if weight is None or weight.shape != value.shape:
                shape = "no such weight" if weight is None else f"shape {tuple(weight.shape)}"
                raise InputError(
                    where,
                    f"{name}: {shape}",
                    f"shape {tuple(value.shape)}",
                    "Use the sizes of the pretrained encoder.",
                )
            taken[name] = weight
        self.load_state_dict(taken, strict=False)


def _fit_positions(table: Tensor, n_positions: int) -> Tensor:
    """Bring a table (1, n, d) to n_positions: drop a class slot (zeros), interpolate along the tokens."""
    if table.shape[1] > 1 and not table[0, 0].any():  # position 0 has cosines of one, a class slot only zeros
        table = table[:, 1:]
    if table.shape[1] == n_positions:
        return table
    log.warning("positions of %d tokens are interpolated to %d tokens", table.shape[1], n_positions)
    return F.interpolate(table.transpose(1, 2), size=n_positions, mode="linear").transpose(1, 2)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            path, f"no readable weights ({error})", "a safetensors file", "Run the training."
        ) from None


def read_config(directory: Path) -> FmriEncoderConfig:
    """Read the architecture of a saved encoder.

    Raises
    ------
    InputError : no ``config.json``, or not one of an fMRI encoder
    """
    path = Path(directory) / "config.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        values.pop("class")
        return FmriEncoderConfig(**values)
    except OSError as error:
        raise InputError(
            path, str(error), "the config of a saved fMRI encoder", "Run the training."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            path, f"another content ({error})", "a saved fMRI encoder", "Train it again."
        ) from None


def load_backbone_from(directory: Path, encoder: FmriEncoder) -> None:
    """Start ``encoder`` in place from the backbone saved in a directory."""
    path = Path(directory) / "model.safetensors"
    encoder.load_backbone(_read_weights(path), path)
