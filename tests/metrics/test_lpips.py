"""LPIPS of all pairs against its definition written out with the network's own modules, and its weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from metrics.tiny import moving_movie
from neurocine.errors import InputError
from neurocine.metrics.lpips import KINDS, SCALE, SHIFT, frame_distances, load_lpips, lpips_pairs
from neurocine.metrics.score import Originals, Predictions, score
from neurocine.metrics.settings import ScoreSettings

# Layers as torchvision numbers them, cut into stages as the authors' package does.
ALEX = [
    nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(),
    nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(),
    nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
]  # fmt: skip
ENDS = {"AlexNet": (2, 5, 8, 10, 12), "VGG-16": (4, 9, 16, 23, 30)}


def layers(kind: str) -> list[nn.Module]:
    """Layers of a network with random weights."""
    torch.manual_seed(0)
    made: list[nn.Module] = []
    if kind == "AlexNet":
        for layer in ALEX:
            made.append(nn.Conv2d(*_shape(layer)) if isinstance(layer, nn.Conv2d) else layer)
        return made
    width = 3
    for stage, (count, channels) in enumerate(zip(*KINDS[kind], strict=True)):
        if stage:
            made.append(nn.MaxPool2d(2, 2))
        for _ in range(count):
            made += [nn.Conv2d(width, channels, 3, 1, 1), nn.ReLU()]
            width = channels
    return made


def _shape(layer: nn.Conv2d) -> tuple[int, int, int, int, int]:
    ends = (layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))
    return layer.in_channels, layer.out_channels, *ends


def write(folder: Path, kind: str = "AlexNet") -> tuple[list[nn.Module], list[torch.Tensor]]:
    """Write the weights of a random network as the authors' package names them."""
    made = layers(kind)
    weights = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}  # kept there too, and not read
    for number, layer in enumerate(made):
        stage = next(k for k, end in enumerate(ENDS[kind], 1) if number < end)
        if isinstance(layer, nn.Conv2d):
            weights[f"net.slice{stage}.{number}.weight"] = layer.weight.detach()
            weights[f"net.slice{stage}.{number}.bias"] = layer.bias.detach()
    channels = [torch.rand(count) for count in KINDS[kind][1]]
    for number, part in enumerate(channels):
        weights[f"lin{number}.model.1.weight"] = part[None, :, None, None]
        weights[f"lins.{number}.model.1.weight"] = part[None, :, None, None].clone()
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    return made, channels


@torch.no_grad()
def by_definition(
    made: list[nn.Module], ends: tuple[int, ...], channels: list[torch.Tensor], a: np.ndarray, b: np.ndarray
) -> float:
    """LPIPS of one frame (H, W, 3) with another, place by place."""
    states = []
    for frame in (a, b):
        x = torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)[None] / 255 * 2 - 1
        states.append((x - torch.tensor(SHIFT).view(1, 3, 1, 1)) / torch.tensor(SCALE).view(1, 3, 1, 1))
    total = 0.0
    for number, layer in enumerate(made):
        states = [layer(x) for x in states]
        if number + 1 in ends:
            one, other = states
            weights = channels[ends.index(number + 1)]
            places = []
            for row in range(one.shape[2]):
                for column in range(one.shape[3]):
                    u, v = one[0, :, row, column], other[0, :, row, column]
                    u, v = u / (u.norm() + 1e-10), v / (v.norm() + 1e-10)
                    places.append(float((weights * (u - v) ** 2).sum()))
            total += float(np.mean(places))
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_all_pairs_are_as_defined(tmp_path: Path, kind: str) -> None:
    made, channels = write(tmp_path / "lpips", kind)
    network = load_lpips(tmp_path / "lpips")
    draw = np.random.default_rng(0)
    first, second = (draw.integers(256, size=(n, 40, 32, 3), dtype=np.uint8) for n in (2, 3))
    second[2] = first[0]
    found = frame_distances(network, first, second, "cpu", batch_size=2)
    for i, j in np.ndindex(2, 3):
        expected = by_definition(made, ENDS[kind], channels, first[i], second[j])
        assert found[i, j] == pytest.approx(expected, abs=2e-5), (i, j)
    assert found[1, 0] > 0.1


def test_clips_are_means_over_frames_whatever_the_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "lpips")
    network = load_lpips(tmp_path / "lpips")
    first, second = moving_movie(3, 0), moving_movie(4, 1)
    whole = lpips_pairs(network, first, second, "cpu", 4)
    each = [frame_distances(network, first[:, f], second[:, f], "cpu", 4) for f in range(first.shape[1])]
    np.testing.assert_allclose(whole, np.mean(each, axis=0), atol=1e-5)
    monkeypatch.setattr("neurocine.metrics.lpips.TILE_BYTES", 1)
    np.testing.assert_allclose(lpips_pairs(network, first, second, "cpu", 4), whole, atol=1e-5)
    assert (np.diagonal(lpips_pairs(network, first, first, "cpu", 4)) == 0).all()


def test_it_is_scored_as_other_metrics_and_smaller_is_better(tmp_path: Path) -> None:
    write(tmp_path / "lpips")
    movie, other = moving_movie(24, 0), moving_movie(24, 1)
    index = {"test1": np.arange(24)}
    originals = Originals(movie.shape[1:], lambda _, rows: movie[rows], [other])
    predictions = [
        Predictions(name, 0, index, lambda _, videos=videos: videos)
        for name, videos in (("itself", movie), ("same", np.repeat(movie[:1], 24, axis=0)))
    ]
    settings = ScoreSettings(metrics=("lpips",), min_shift_tr=6, null_draws=1000, bootstrap_draws=1000)
    table = score(predictions, originals, {"lpips": tmp_path / "lpips"}, settings, 0).table
    itself, same = table.set_index("condition").loc[["itself", "same"]].to_dict("records")
    assert itself["value"] == 0
    assert itself["p_value"] < 0.05
    assert 0 < itself["null_p99"] < itself["null_mean"]
    assert itself["baseline_constant"] > 0
    assert same["p_value"] == 1
    assert same["value"] > 0
    with pytest.raises(InputError, match="--lpips"):
        score(predictions, originals, {}, settings, 0)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0 \.safetensors files"):
        load_lpips(tmp_path)
    folder = tmp_path / "lpips"
    write(folder)
    path = folder / "model.safetensors"
    good = dict(load(path))
    for change, message in (
        ({"lin0.model.1.weight": torch.rand(1, 63, 1, 1)}, "lin weights of 63, 192"),
        ({"lin1.model.1.weight": -torch.ones(1, 192, 1, 1)}, "negative weights"),
        ({"net.slice2.3.bias": None}, "net.slice2.3.bias"),
        ({"net.slice2.3.weight": None}, "stages of 1, 0, 1, 1, 1 convolutions"),
    ):
        wrong = {name: value for name, value in (good | change).items() if value is not None}
        save_file(wrong, path)
        with pytest.raises(InputError, match=message):
            load_lpips(folder)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read"):
        load_lpips(folder)


def load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
