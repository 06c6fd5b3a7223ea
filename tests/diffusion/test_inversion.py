"""DDIM inversion against a loop written out, and as the way back to the latents it began with."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurocine.diffusion.inversion import inverse_scheduler, invert, renoise
from neurocine.diffusion.sampling import make_scheduler, sample
from neurocine.models.pretrained import load_scheduler, load_unet
from neurocine.models.video_unet import VideoUNet
from tiny_models import N_TOKENS, WIDTH
from tiny_study import stable_diffusion


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(load_scheduler(stable_diffusion(tmp_path_factory.mktemp("sd"))).config)


class Smooth(nn.Module):
    """A UNet whose answer changes little from step to step, as a trained one's does."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor, time: Tensor, states: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        wave = torch.sin(float(time) / 400 + states.mean())
        return (self.gain * x.roll(1, dims=-1) + 0.2 * wave,)


def latents(seed: int = 0) -> Tensor:
    return torch.randn(2, 4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [10, 50])
def test_inversion_equals_the_released_loop_step_by_step(config: dict[str, Any], steps: int) -> None:
    net, states = Smooth(), torch.zeros(N_TOKENS, WIDTH)
    alphas = make_scheduler("DDIM", config).alphas_cumprod.double()
    x, times = latents().double(), []
    for step in range(steps):
        time = 1 + step * (1000 // steps)
        times.append(time)
        before = time - 1000 // steps
        now = alphas[before] if before >= 0 else alphas[0]  # set_alpha_to_one is false
        after = alphas[time]
        noise = net(x, torch.tensor(time), states)[0].detach()
        clean = (x - (1 - now).sqrt() * noise) / now.sqrt()
        x = after.sqrt() * clean + (1 - after).sqrt() * noise
    scheduler = inverse_scheduler(config)
    scheduler.set_timesteps(steps)
    assert scheduler.timesteps.tolist() == times
    made = invert(net, config, latents(), states, steps)
    assert torch.allclose(made.double(), x, atol=1e-4)


def test_sampling_without_noise_returns_the_latents(config: dict[str, Any]) -> None:
    net, states, given = Smooth(), torch.zeros(N_TOKENS, WIDTH), latents()
    errors = []
    for steps in (10, 50, 250):
        inverted = invert(net, config, given, states, steps)
        assert (inverted - given).square().mean().sqrt() > 0.2
        scheduler, given_states = make_scheduler("DDIM", config), states.expand(2, -1, -1)
        back = sample(net, scheduler, given_states, states, latents=inverted, guidance=1.0, steps=steps)
        errors.append(float((back - given).square().mean().sqrt() / given.std()))
    # Both directions are of first order: the error falls with the length of a step.
    assert errors[0] < 0.3
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] < 0.4 * errors[1]
    assert errors[2] < 0.03


def test_renoising_has_the_published_constants(config: dict[str, Any]) -> None:
    alphas = make_scheduler("DDIM", config).alphas_cumprod
    assert float(alphas[200].sqrt()) == pytest.approx(0.868, abs=5e-4)
    assert float((1 - alphas[200]).sqrt()) == pytest.approx(0.496, abs=5e-4)
    given = latents()
    made = renoise(given, 200, alphas, [torch.Generator().manual_seed(n) for n in (5, 6)])
    for clip, seed in enumerate((5, 6)):
        noise = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
        expected = alphas[200] ** 0.5 * given[clip] + (1 - alphas[200]) ** 0.5 * noise
        assert torch.allclose(made[clip], expected)
    alone = renoise(given[1:], 200, alphas, [torch.Generator().manual_seed(6)])
    assert torch.equal(alone[0], made[1]), "a clip does not depend on its batch"
    with pytest.raises(ValueError, match="2 clips but 1 generators"):
        renoise(given, 200, alphas, [torch.Generator()])


def test_the_inflated_network_equals_the_image_network_on_static_clips(tmp_path: Path) -> None:
    image = load_unet(stable_diffusion(tmp_path))
    video = VideoUNet.from_unet2d(
        image, sc_frames="first_prev", sc_include_self=False, temporal_position="block_end"
    ).eval()
    still = latents()[:, :, 0]
    states = torch.randn(2, N_TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = image(still, 301, states, return_dict=False)[0]
        made = video(still[:, :, None].expand(-1, -1, 3, -1, -1), 301, states, return_dict=False)[0]
    assert (made - expected[:, :, None]).abs().max() < 1e-5


def test_given_latents_and_conditions_must_agree(config: dict[str, Any]) -> None:
    states = torch.zeros(N_TOKENS, WIDTH)
    with pytest.raises(ValueError, match="3 conditions but latents of 2 clips"):
        sample(Smooth(), make_scheduler("DDIM", config), states.expand(3, -1, -1), states, latents=latents())
