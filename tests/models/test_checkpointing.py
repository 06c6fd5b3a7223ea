"""What is computed twice changes neither results nor gradients, and keeps less in memory the more it is."""

import pytest
import torch
from test_video_unet import FRAMES, image_unet
from torch import Tensor, nn

from neurocine.models.checkpointing import CHECKPOINTINGS, set_checkpointing
from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoderConfig
from neurocine.models.masked_autoencoder import DecoderConfig, MaskedAutoencoder
from neurocine.models.video_unet import VideoUNet
from tiny_models import WIDTH
from tiny_study import VERTICES, tiny_encoder


def decoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    unet = VideoUNet.from_unet2d(image_unet(WIDTH))
    windows = torch.randn(2, 2, VERTICES)
    return JointDecoder(unet, tiny_encoder()), (
        torch.randn(2, 4, FRAMES, 4, 4),
        torch.tensor([3, 7]),
        windows,
    )


def autoencoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    config = FmriEncoderConfig(
        n_vertices=VERTICES, window=1, patch=8, depth=3, width=8, heads=2, temporal=False, tokens=0
    )
    return MaskedAutoencoder(config, DecoderConfig(width=8, depth=3, heads=2)), (
        torch.randn(2, VERTICES),
        torch.tensor([[0], [1]]),
    )


@pytest.mark.parametrize("make", [decoder, autoencoder])
def test_gradients_are_the_same_bits_and_less_is_kept(make: object) -> None:
    kept: list[int] = []
    results: list[list[Tensor]] = []
    for which in CHECKPOINTINGS:
        model, inputs = make()
        model.train()
        set_checkpointing(model, which)
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.nelement())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            made = model(*inputs)
            output = made if isinstance(made, Tensor) else made.sample
            loss = output.square().mean()
        kept.append(sum(sizes))
        loss.backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        results.append([output.detach(), *gradients])
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 3
    for other in results[1:]:
        assert len(other) == len(results[0])
        assert all(torch.equal(value, reference) for value, reference in zip(other, results[0], strict=True))
