"""LPIPS: how far apart frames are to a network that was trained on pictures (Zhang et al. 2018, eq. 1).

Activations after each stage of AlexNet or VGG-16 are brought to unit length over channels, and their squared
differences are weighted per channel, averaged over places and summed over stages. As a squared distance of
vectors it is found for all pairs of clips by products of matrices.

The weights are those of the authors' package ``lpips`` (version 0.1), whole as its network's ``state_dict``
in one safetensors file, from whose shapes the network is known.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neurocine.errors import InputError

# Of frames in [-1, 1], as the published weights expect them.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
TINY = 1e-10  # added to lengths, as published
TILE_BYTES = 512 * 2**20  # of the largest activations of frames that are compared at once, per side
CONVOLUTION = re.compile(r"net\.slice(\d)\.(\d+)\.(weight|bias)")
CHANNELS = re.compile(r"lin(\d)\.model\.1\.weight")
KINDS = {  # convolutions and channels of each stage
    "AlexNet": ((1, 1, 1, 1, 1), (64, 192, 384, 256, 256)),
    "VGG-16": ((2, 2, 3, 3, 3), (64, 128, 256, 512, 512)),
}


@dataclass(frozen=True)
class Lpips:
    """Weights.

    Parameters
    ----------
    stages : of each stage the weight (C, c, k, k) and bias (C,) of its convolutions
    channels : of each stage (C,), 0 or more
    alex : whether it is AlexNet, else VGG-16
    """

    stages: list[list[tuple[Tensor, Tensor]]]
    channels: list[Tensor]
    alex: bool

    def stage(self, number: int, values: Tensor) -> Tensor:
        """Go on from frames prepared (n, 3, H, W), or from stage ``number - 1``, to stage ``number``."""
        if number > 0 and self.alex and number < 3:
            values = F.max_pool2d(values, 3, 2)
        elif number > 0 and not self.alex:
            values = F.max_pool2d(values, 2, 2)
        for weight, bias in self.stages[number]:
            first = self.alex and number == 0
            values = F.conv2d(
                values, weight, bias, stride=4 if first else 1, padding=2 if first else weight.shape[-1] // 2
            )
            values = F.relu(values)
        return values

    def vectors(self, number: int, values: Tensor) -> Tensor:
        """Weigh a stage (n, C, h, w) so that squared distances of vectors (n, C h w) are its part."""
        unit = values / (values.square().sum(1, keepdim=True).sqrt() + TINY)
        places = values.shape[-2] * values.shape[-1]
        return (unit * (self.channels[number].sqrt() / places**0.5)[:, None, None]).flatten(1)


def prepare(frames: np.ndarray, device: torch.device | str) -> Tensor:
    """Bring frames uint8 (n, H, W, 3) to (n, 3, H, W) float32 as the network expects them."""
    values = torch.from_numpy(np.array(frames)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    shift, scale = (torch.tensor(part, device=device)[:, None, None] for part in (SHIFT, SCALE))
    return (values - shift) / scale


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Squared distances (n, m) of vectors (n, D) and (m, D)."""
    lengths = first.square().sum(1)[:, None] + second.square().sum(1)
    return (lengths - 2 * first @ second.T).clamp(min=0)


@torch.inference_mode()
def frame_distances(
    network: Lpips, first: np.ndarray, second: np.ndarray, device: torch.device | str, batch_size: int
) -> np.ndarray:
    """LPIPS of all pairs of frames uint8 (n, H, W, 3) and (m, H, W, 3): (n, m) float64."""
    one, other = (prepare(frames, device) for frames in (first, second))
    total = np.zeros((len(one), len(other)))
    for number in range(len(network.stages)):
        one, other = (
            torch.cat([network.stage(number, part) for part in values.split(batch_size)])
            for values in (one, other)
        )
        against = network.vectors(number, other)
        rows = [_squared_distances(network.vectors(number, part), against) for part in one.split(batch_size)]
        total += torch.cat(rows).double().cpu().numpy()
    return total


def lpips_pairs(
    network: Lpips, predicted: np.ndarray, truth: np.ndarray, device: torch.device | str, batch_size: int
) -> np.ndarray:
    """LPIPS of frames in the same place, mean over the frames, of all pairs of clips.

    Parameters
    ----------
    network : its weights, on ``device``
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3)
    device : to compute on
    batch_size : frames per pass

    Returns
    -------
    (n, m) float64, 0 for equal clips
    """
    frames, height, width = predicted.shape[1:4]
    side = height * width * network.channels[0].numel() * 4 // (16 if network.alex else 1)
    tile = max(1, TILE_BYTES // side)
    total = np.zeros((len(predicted), len(truth)))
    for i in range(0, len(predicted), tile):
        for j in range(0, len(truth), tile):
            rows, columns = slice(i, i + tile), slice(j, j + tile)
            for place in range(frames):
                pair = predicted[rows, place], truth[columns, place]
                total[rows, columns] += frame_distances(network, *pair, device, batch_size)
    # Equal distances must tie, although sums of other order differ in the last digits.
    return np.round(total / frames, 5)


def _fault(where: Path, found: str) -> InputError:
    expected = "one .safetensors file with the weights of LPIPS' AlexNet or VGG-16"
    todo = "Write it as docs/scoring.md shows, or leave out models.lpips (--lpips)."
    return InputError(where, found, expected, todo)


def _stages(weights: dict[str, Tensor], counts: tuple[int, ...]) -> list[list[tuple[Tensor, Tensor]]]:
    """Sort the convolutions into stages, in the order of their numbers.

    Raises
    ------
    KeyError : one without bias
    ValueError : other numbers of convolutions than ``counts``
    """
    named = [match for name in weights if (match := CONVOLUTION.fullmatch(name)) and match[3] == "weight"]
    order = sorted((int(match[1]), int(match[2])) for match in named)
    stages: list[list[tuple[Tensor, Tensor]]] = [[] for _ in counts]
    for stage, number in order:
        start = f"net.slice{stage}.{number}"
        stages[stage - 1].append((weights[f"{start}.weight"], weights[f"{start}.bias"]))
    if tuple(map(len, stages)) != counts:
        raise ValueError(f"stages of {', '.join(str(len(stage)) for stage in stages)} convolutions")
    return stages


def load_lpips(folder: Path, device: torch.device | str = "cpu") -> Lpips:
    """Read the weights of LPIPS.

    Parameters
    ----------
    folder : holds one safetensors file
    device : where the weights are put

    Raises
    ------
    InputError : another file, or weights that do not fit
    """
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise _fault(folder, f"{len(files)} .safetensors files")
    try:
        weights = {name: value.float().to(device) for name, value in load_file(files[0]).items()}
    except (OSError, SafetensorError) as error:
        raise _fault(files[0], f"a file that cannot be read ({error})") from None
    channels = [weights[name].flatten() for name in sorted(weights) if CHANNELS.fullmatch(name)]
    sizes = tuple(part.numel() for part in channels)
    kind = next((name for name, (_, expected) in KINDS.items() if expected == sizes), "")
    if not kind:
        raise _fault(files[0], f"lin weights of {', '.join(map(str, sizes)) or 'no'} channels")
    try:
        stages = _stages(weights, KINDS[kind][0])
    except (KeyError, ValueError, IndexError) as error:
        raise _fault(files[0], f"{kind} with {error}") from None
    every = [*channels, *(part for stage in stages for pair in stage for part in pair)]
    if not all(torch.isfinite(part).all() for part in every) or any((part < 0).any() for part in channels):
        raise _fault(files[0], "NaN, infinite or negative weights")
    return Lpips(stages, channels, kind == "AlexNet")
