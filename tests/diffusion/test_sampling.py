"""Sampling against a slow DDIM written from the equations, and its promises on randomness."""

import itertools

import diffusers
import pytest
import torch
from torch import Tensor, nn

from neurocine.diffusion.noise import dependent_noise
from neurocine.diffusion.sampling import (
    DETERMINISTIC,
    SlidingWindows,
    initial_noise,
    make_scheduler,
    sample,
    scheduler_class,
    window_starts,
)

SHAPE = (4, 3, 2, 2)
CONFIG = dict(
    diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1).config
)


class PullToCondition(nn.Module):
    """Stands for the UNet: a smooth function of latents, time and condition, each clip for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.3))

    def forward(self, latents: Tensor, time: Tensor, states: Tensor, return_dict: bool) -> tuple[Tensor]:
        pull = states.mean((1, 2)).view(-1, 1, 1, 1, 1)
        return (self.scale * (latents + pull).tanh() * (1 + time / 1000),)


def generators(clips: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + first + clip) for clip in range(clips)]


def run(clips: int = 3, name: str = "DDIM", **options: float) -> Tensor:
    condition = torch.arange(clips, dtype=torch.float32).view(-1, 1, 1).expand(clips, 5, 6)
    settings = {"guidance": 2.0, "steps": 5, "noise_ratio": 0.5, **options}
    return sample(
        PullToCondition(),
        make_scheduler(name, CONFIG),
        condition,
        torch.zeros(5, 6),
        latent_shape=SHAPE,
        generators=generators(clips),
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_ddim_equals_the_equations(guidance: float) -> None:
    """DDIM with eta 0 step by step: predict the clean latents, then go to the earlier noise level."""
    net, condition, null = PullToCondition(), torch.ones(1, 5, 6), torch.zeros(1, 5, 6)
    betas = torch.linspace(CONFIG["beta_start"] ** 0.5, CONFIG["beta_end"] ** 0.5, 1000) ** 2
    kept = torch.cumprod(1 - betas, 0)
    latents = dependent_noise((1, *SHAPE), 0.5, generators(1)[0])
    for time in [801, 601, 401, 201, 1]:
        without = net(latents, torch.tensor(time), null, False)[0]
        noise = without + guidance * (net(latents, torch.tensor(time), condition, False)[0] - without)
        clean = (latents - (1 - kept[time]).sqrt() * noise) / kept[time].sqrt()
        earlier = kept[time - 200] if time > 200 else torch.tensor(1.0)  # set_alpha_to_one
        latents = earlier.sqrt() * clean + (1 - earlier).sqrt() * noise
    made = sample(
        net,
        make_scheduler("DDIM", CONFIG),
        condition,
        null[0],
        latent_shape=SHAPE,
        generators=generators(1),
        noise_ratio=0.5,
        guidance=guidance,
        steps=5,
    )
    torch.testing.assert_close(made, latents.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_clip_does_not_depend_on_its_batch_nor_on_the_scheduler_s_past(name: str) -> None:
    together = run(3, name)
    scheduler, null = make_scheduler(name, CONFIG), torch.zeros(5, 6)
    for clip in range(3):
        alone = sample(
            PullToCondition(),
            scheduler,  # the same object again and again
            torch.full((1, 5, 6), float(clip)),
            null,
            latent_shape=SHAPE,
            generators=generators(1, clip),
            noise_ratio=0.5,
            guidance=2.0,
            steps=5,
        )
        torch.testing.assert_close(together[clip], alone[0], rtol=1e-4, atol=1e-5)
    assert together.isfinite().all()
    assert not torch.equal(together[0], together[1])


def test_initial_noise_is_dependent_noise_per_clip() -> None:
    noise = initial_noise(SHAPE, 1.0, generators(2))
    assert noise.shape == (2, *SHAPE)
    assert torch.equal(noise[:, :, 0], noise[:, :, 2])
    assert torch.equal(noise[1], dependent_noise((1, *SHAPE), 1.0, generators(2)[1])[0])


def test_still_noise_gives_a_still_clip_and_the_ratio_matters() -> None:
    still = run(noise_ratio=1.0)
    assert torch.equal(still[:, :, 0], still[:, :, 1])
    assert not torch.equal(run(noise_ratio=0.0)[:, :, 0], run(noise_ratio=0.0)[:, :, 1])


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_sampler_solves_the_ode_of_a_known_distribution(name: str) -> None:
    """Latents of one Gaussian have a known best prediction of the noise, and a known solution."""
    kept = diffusers.DDPMScheduler.from_config(CONFIG).alphas_cumprod.double()
    spread = ((1 - kept) / kept).sqrt().log()
    mean, std = 0.7, 0.5

    class BestNoise(PullToCondition):
        def forward(self, latents: Tensor, time: Tensor, *_: object, **__: object) -> tuple[Tensor]:
            below = int(time)  # some samplers step between the times of the training
            above = min(below + 1, 999)
            log_spread = torch.lerp(spread[below], spread[above], float(time) - below)
            alpha = 1 / (1 + (2 * log_spread).exp())
            variance = alpha * std**2 + 1 - alpha
            return (((1 - alpha).sqrt() * (latents - alpha.sqrt() * mean) / variance).to(latents.dtype),)

    def solve(scheduler: str, steps: int) -> Tensor:
        return sample(
            BestNoise(), make_scheduler(scheduler, CONFIG), torch.zeros(2, 5, 6), torch.zeros(5, 6),
            latent_shape=SHAPE, generators=generators(2), noise_ratio=0.5, guidance=1.0, steps=steps,
        )  # fmt: skip

    first = float(kept[-1])
    start = initial_noise(SHAPE, 0.5, generators(2))
    expected = mean + std * (start - first**0.5 * mean) / (first * std**2 + 1 - first) ** 0.5
    torch.testing.assert_close(solve(name, 100), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize(("clips", "width"), [(1, 6), (3, 6), (2, 5), (4, 1)])
def test_windows_cover_every_frame_and_overlap_by_half(clips: int, width: int) -> None:
    starts = window_starts(clips * width, width)
    seen = torch.zeros(clips * width)
    for start in starts:
        assert start + width <= len(seen)
        seen[start : start + width] += 1
    assert seen.min() == 1
    assert (starts[0], starts[-1]) == (0, (clips - 1) * width)
    assert all(later - start <= max(width // 2, 1) for start, later in itertools.pairwise(starts))
    assert window_starts(18, 6) == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_a_sequence_is_predicted_as_the_mean_over_its_windows(at_once: int) -> None:
    """Three clips of four frames: the windows start at frames 0, 2, 4, 6, 8."""
    net, generator = PullToCondition(), torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 12, 2, 2, generator=generator)
    states = torch.randn(2, 3, 5, 6, generator=generator)
    made = SlidingWindows(net, 4, at_once)(latents, torch.tensor(300), states)[0]
    given = [states[:, 0], states[:, :2].mean(1), states[:, 1], states[:, 1:].mean(1), states[:, 2]]
    for frame in range(12):
        seen = [
            net(latents[:, :, frame : frame + 1], torch.tensor(300), condition, False)[0][:, :, 0]
            for start, condition in zip(range(0, 12, 2), given, strict=False)
            if start <= frame < start + 4
        ]
        torch.testing.assert_close(made[:, :, frame], torch.stack(seen).mean(0))
    alone = SlidingWindows(net, 12, at_once)(latents, torch.tensor(300), states[:, :1])[0]
    assert torch.equal(alone, net(latents, torch.tensor(300), states[:, 0], False)[0])


def test_latents_are_never_clipped() -> None:
    """A schedule that PNDM saved says nothing of clip_sample, and by its own default DDIM clips."""
    silent = {
        name: value for name, value in CONFIG.items() if name not in ("clip_sample", "_use_default_values")
    }
    saved = diffusers.DDIMScheduler.from_config(silent).config
    assert saved.clip_sample
    assert not make_scheduler("DDIM", saved).config.clip_sample


def test_euler_starts_at_its_own_noise_level() -> None:
    """Euler's latents are scaled by its largest sigma, so a forgotten factor would leave it near zero."""
    euler, ddim = run(name="EulerDiscrete", steps=50), run(name="DDIM", steps=50)
    assert (euler - ddim).abs().mean() < 0.2 * ddim.abs().mean()


@pytest.mark.parametrize("name", ["DDPM", "EulerAncestralDiscrete", "LCM", "DPMSolverSDE"])
def test_stochastic_samplers_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="independent noise at every step"):
        scheduler_class(name)


def test_names_and_settings_are_checked() -> None:
    assert scheduler_class("DDIMScheduler") is diffusers.DDIMScheduler
    assert scheduler_class("UniPC") is diffusers.UniPCMultistepScheduler
    with pytest.raises(ValueError, match="unknown to diffusers"):
        scheduler_class("DIMM")
    with pytest.raises(ValueError, match="draws noise at every step"):
        make_scheduler("DPMSolverMultistep", {**CONFIG, "algorithm_type": "sde-dpmsolver++"})
    with pytest.raises(ValueError, match="one per clip"):
        sample(
            PullToCondition(),
            make_scheduler("DDIM", CONFIG),
            torch.zeros(2, 5, 6),
            torch.zeros(5, 6),
            latent_shape=SHAPE,
            generators=generators(1),
            noise_ratio=0.5,
        )
