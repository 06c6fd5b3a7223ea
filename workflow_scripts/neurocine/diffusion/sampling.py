"""Draw clips from the video UNet with any deterministic sampler of diffusers."""

from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from neurocine.diffusion.noise import dependent_noise

Scheduler = Any  # diffusers has no type that holds what its schedulers share
# Samplers that solve the ODE: all randomness is in the initial latents, so dependent noise there is enough.
# The others (DDPM, Euler ancestral, LCM, SDE solvers) draw independent noise inside every step.
DETERMINISTIC = (
    "DDIM",
    "DEISMultistep",
    "DPMSolverMultistep",
    "DPMSolverSinglestep",
    "EulerDiscrete",
    "HeunDiscrete",
    "LMSDiscrete",
    "PNDM",
    "UniPCMultistep",
)
ALIASES = {
    "UniPC": "UniPCMultistep",
    "Euler": "EulerDiscrete",
    "Heun": "HeunDiscrete",
    "DEIS": "DEISMultistep",
}


def scheduler_class(name: str) -> Any:
    """Find a scheduler class by name, with or without the ending ``Scheduler``.

    Raises
    ------
    ValueError : diffusers has none of that name, or it draws noise of its own at every step
    """
    stem = name.removesuffix("Scheduler")
    stem = ALIASES.get(stem, stem)
    found = getattr(diffusers, f"{stem}Scheduler", None)
    choice = f"Choose one of {', '.join(DETERMINISTIC)}."
    if found is None:
        raise ValueError(f"scheduler {name!r} is unknown to diffusers {diffusers.__version__}. {choice}")
    if stem not in DETERMINISTIC:
        raise ValueError(
            f"scheduler {name!r} draws independent noise at every step; dependent noise cannot last. {choice}"
        )
    return found


def make_scheduler(name: str, config: Mapping[str, Any]) -> Scheduler:
    """Make a scheduler by name with the noise schedule and prediction type of another's config.

    Parameters
    ----------
    name : such as DDIM or DPMSolverMultistep
    config : config of the scheduler that comes with the diffusion model

    Raises
    ------
    ValueError : see `scheduler_class`; or the config asks for an SDE solver
    """
    scheduler = scheduler_class(name).from_config(dict(config))
    algorithm = scheduler.config.get("algorithm_type", "")
    if "sde" in algorithm:
        raise ValueError(f"algorithm_type {algorithm!r} draws noise at every step; take dpmsolver++ instead")
    return scheduler


def initial_noise(
    latent_shape: tuple[int, int, int, int], noise_ratio: float, generators: Sequence[torch.Generator]
) -> Tensor:
    """Draw dependent noise for each clip from its own generator, (B, C, F, h, w) float32 on the CPU."""
    shape = (1, *latent_shape)
    return torch.cat([dependent_noise(shape, noise_ratio, generator) for generator in generators])


def sample(
    unet: nn.Module,
    scheduler: Scheduler,
    condition: Tensor,
    null: Tensor,
    *,
    latent_shape: tuple[int, int, int, int],
    generators: Sequence[torch.Generator],
    noise_ratio: float,
    guidance: float = 12.5,
    steps: int = 200,
) -> Tensor:
    """Denoise one clip per condition with classifier-free guidance.

    A clip depends on its own generator and condition only, not on what else is in the batch (up to the
    rounding of batched matrix products).

    Parameters
    ----------
    unet : called as ``unet(latents, timestep, states)``, see `VideoUNet`
    scheduler : from `make_scheduler`; left as it is
    condition : (B, L, D)
    null : (L, D), what guidance points away from
    latent_shape : (C, F, h, w)
    generators : one per clip, for its initial noise
    noise_ratio : correlation between the frames of the initial noise
    guidance : scale, 1 for none
    steps : denoising steps

    Returns
    -------
    (B, C, F, h, w) latents, float32, on the UNet's device

    Source: NeuroCine section 3.3, eq. 7 for the initial latents; Ho & Salimans 2022 for the guidance.
    """
    clips = len(condition)
    if len(generators) != clips:
        raise ValueError(f"{clips} conditions but {len(generators)} generators; expected one per clip")
    parameter = next(unet.parameters())
    device, dtype = parameter.device, parameter.dtype
    scheduler = type(scheduler).from_config(scheduler.config)  # multistep samplers keep a history
    scheduler.set_timesteps(steps, device=device)
    states = condition.to(device, dtype)
    if guidance != 1.0:
        states = torch.cat([null.to(device, dtype).expand_as(states), states])
    latents = initial_noise(latent_shape, noise_ratio, generators).to(device) * scheduler.init_noise_sigma
    with torch.no_grad():
        for time in scheduler.timesteps:
            scaled = scheduler.scale_model_input(latents, time).to(dtype)
            inputs = torch.cat([scaled, scaled]) if guidance != 1.0 else scaled
            predicted = unet(inputs, time, states, return_dict=False)[0].float()
            if guidance != 1.0:
                without, with_condition = predicted.chunk(2)
                predicted = without + guidance * (with_condition - without)
            latents = scheduler.step(predicted, time, latents, return_dict=False)[0]
    return latents
