"""Where the fMRI encoder looks: the attention its tokens receive, on the cortical surface.

The published analysis (arXiv 2402.01590, section on interpretation) shows attention of the first, middle and
last layer at three stages of training. Softmax rows sum to one, so their sum cannot fall between stages; with
rows of unit l2 norm, as the code of the same family returns them, the sum is a concentration. Both are
computed here, and the entropy of the rows, which says the same in a known unit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from neurocine.cli import progress
from neurocine.errors import InputError
from neurocine.models.fmri_encoder import Block, FmriEncoder, FmriEncoderConfig
from neurocine.seeds import seeded_weights
from neurocine.settings import Count, CountOrZero, Settings, Unique, Unit
from neurocine.surface.regions import Region, average_wrapped, region_means, spread_tokens

QUANTITIES = ("softmax", "l2row", "entropy")


class ExtractAttentionSettings(Settings):
    """What is extracted, from how many clips."""

    layers: Annotated[tuple[Count, ...], Field(min_length=1), Unique()] = (1, 12, 24)
    """Maps are made of these layers, counted from 1; the paper shows the first, middle and last."""
    clips_per_movie: Annotated[CountOrZero, Unit("clips")] = 0
    """Attention is averaged over this many evenly spaced clips of each test movie; 0 takes all."""
    occlusion_clips_per_movie: Annotated[CountOrZero, Unit("clips")] = 0
    """Occlusion, which takes a pass per area, uses this many clips of each test movie; 0 takes all."""
    token_to_vertex: Literal["uniform", "pinv"] = "uniform"
    """A token's value is spread equally over its vertices (uniform), or in proportion to their signal (pinv).

    The signal of a vertex is the magnitude of the token mapped back through the pseudo-inverse of the patch
    embedding.
    """
    random_encoders: Annotated[Count, Unit("encoders")] = 1
    """The null averages this many encoders with random weights."""
    min_distance_tr: Annotated[Count, Unit("TR")] = 15
    """Clips of a movie nearer than this do not compete in the identification."""
    block_tr: Annotated[Count, Unit("TR")] = 15
    """The bootstrap draws blocks of this length, longer ones where scores change slowly."""
    bootstrap_draws: Annotated[int, Field(ge=100), Unit("draws")] = 2000
    """The bootstrap over time takes this many draws."""
    batch_size: Annotated[Count, Unit("windows")] = 8
    """The encoder sees this many windows per pass; attention takes B w heads p² floats per layer."""


@dataclass(frozen=True)
class LayerAttention:
    """Attention of one layer.

    Parameters
    ----------
    vertices : per quantity, (V,) float64 mean over clips
    regions : per quantity, (n_clips, n_regions) float64 means over the vertices of each region
    """

    vertices: dict[str, np.ndarray]
    regions: dict[str, np.ndarray]


def received_attention(maps: Tensor) -> dict[str, Tensor]:
    """Summarise attention per token.

    Parameters
    ----------
    maps : (n, heads, p queries, p keys), softmax over keys

    Returns
    -------
    (n, p) each. softmax: p times the mean over heads and queries of what the token receives, so 1 is uniform.
    l2row: the same with rows of unit l2 norm; its mean over tokens is the concentration, from 1 (each row
    looks at one token) to √p (uniform). entropy: of the token's own row, nats, mean over heads; at most ln p.
    """
    n_tokens = maps.shape[-1]
    norms = maps.square().sum(-1, keepdim=True).sqrt()
    # xlogy is 0 where attention underflows to 0.
    entropy = -torch.special.xlogy(maps, maps).sum(-1).mean(1)
    return {
        "softmax": n_tokens * maps.mean((1, 2)),
        "l2row": n_tokens * (maps / norms).mean((1, 2)),
        "entropy": entropy,
    }


def random_encoder(config: FmriEncoderConfig, seed: int, number: int) -> FmriEncoder:
    """Make an encoder with random weights, without touching torch's global generator."""
    with seeded_weights(seed, "extract_attention", "random encoder", number):
        return FmriEncoder(config).eval()


class _Inputs:
    """Keeps what enters chosen blocks during a forward pass: (B, w, p, d) per layer."""

    def __init__(self, encoder: FmriEncoder, layers: Sequence[int]) -> None:
        self.tokens: dict[int, Tensor] = {}
        self.handles = []
        for layer in layers:
            block = encoder.blocks[layer - 1]
            assert isinstance(block, Block)
            self.handles.append(block.norm1.register_forward_pre_hook(self._keeper(layer)))

    def _keeper(self, layer: int) -> Callable[[torch.nn.Module, tuple[Tensor, ...]], None]:
        def keep(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.tokens[layer] = inputs[0]

        return keep

    def close(self) -> None:
        """Stop listening."""
        for handle in self.handles:
            handle.remove()


def inverse_embedding(encoder: FmriEncoder, tokens: Tensor) -> Tensor:
    """Push tokens through the Moore-Penrose inverse of the patch embedding: (B, w, p, d) to (B, w, p patch).

    Bias and positions are taken off first: at the first layer the result is the fMRI itself.
    """
    embed = encoder.patch_embed["proj"]
    assert isinstance(embed, torch.nn.Conv1d)
    assert embed.bias is not None
    inverse = torch.linalg.pinv(embed.weight[:, 0].float())  # (patch, d)
    pure = tokens - encoder.pos_embed - embed.bias
    return (pure.float() @ inverse.T).flatten(-2)


def _weigh(uniform: Tensor, signal: Tensor) -> Tensor:
    """Weigh values (n, V) with |signal| (n, V) and keep their means over vertices."""
    weighed = uniform * signal.abs()
    return weighed * (uniform.mean(1, keepdim=True) / weighed.mean(1, keepdim=True).clamp_min(1e-12))


@torch.no_grad()
def _batch_attention(
    encoder: FmriEncoder, bold: Tensor, layers: Sequence[int], token_to_vertex: str
) -> dict[int, dict[str, Tensor]]:
    """Return per layer and quantity the values of vertices, (B, V), averaged over the window's frames."""
    config = encoder.config
    shape = bold.shape[:2]
    inputs = _Inputs(encoder, layers if token_to_vertex == "pinv" else ())
    try:
        maps = encoder.attention_maps(bold, list(layers))
    except ValueError as error:
        raise InputError(
            "extract_attention.layers", str(error), "layers of the encoder", "Correct them."
        ) from None
    finally:
        inputs.close()
    result = {}
    for layer in layers:
        tokens = received_attention(maps.pop(layer))
        values = {}
        for name, per_frame in tokens.items():
            uniform = spread_tokens(per_frame, config.patch, config.n_vertices)  # (B w, V)
            if name != "entropy" and token_to_vertex == "pinv":
                signal = inverse_embedding(encoder, inputs.tokens[layer]).flatten(0, 1)
                uniform = _weigh(uniform, average_wrapped(signal, config.n_vertices))
            values[name] = uniform.unflatten(0, shape).mean(1)
        result[layer] = values
    return result


def measure_attention(
    encoder: FmriEncoder,
    bold: np.ndarray,
    regions: list[Region],
    settings: ExtractAttentionSettings,
    what: str,
) -> dict[int, LayerAttention]:
    """Average the attention of chosen layers over clips.

    Parameters
    ----------
    encoder : on the device to compute on
    bold : (n_clips, w, V) float32
    regions : areas to average over
    settings : layers and batch size
    what : name in progress lines

    Returns
    -------
    per layer, values of vertices and regions

    Raises
    ------
    InputError : the encoder has other vertices, or lacks a layer
    """
    if bold.shape[-1] != encoder.config.n_vertices:
        found = f"an encoder of {encoder.config.n_vertices} vertices"
        todo = "Pretrain on the vertices of this study."
        raise InputError(what, found, f"the {bold.shape[-1]} vertices of the fMRI", todo)
    device = encoder.pos_embed.device
    sums = {
        (layer, name): torch.zeros(bold.shape[-1], dtype=torch.float64)
        for layer in settings.layers
        for name in QUANTITIES
    }
    rows: dict[tuple[int, str], list[Tensor]] = {key: [] for key in sums}
    starts = range(0, len(bold), settings.batch_size)
    for start in progress(starts, len(starts), f"attention of {what}, batch"):
        batch = torch.from_numpy(bold[start : start + settings.batch_size]).to(device)
        layers = _batch_attention(encoder, batch, settings.layers, settings.token_to_vertex)
        for (layer, name), total in sums.items():
            values = layers[layer][name].double()
            total += values.sum(0).cpu()
            rows[layer, name].append(region_means(values, regions).cpu())
    return {
        layer: LayerAttention(
            {name: (sums[layer, name] / len(bold)).numpy() for name in QUANTITIES},
            {name: torch.cat(rows[layer, name]).numpy() for name in QUANTITIES},
        )
        for layer in settings.layers
    }
