"""DDIM inversion: from latents to the noise they come from, and noise added on top."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim_inverse import DDIMInverseScheduler
from torch import Tensor, nn

from neurocine.diffusion.sampling import NOISE_SCHEDULE


def inverse_scheduler(config: Mapping[str, Any]) -> DDIMInverseScheduler:
    """Make the inverse of DDIM sampling under the noise schedule of a model's scheduler config."""
    schedule = {
        key: config[key] for key in (*NOISE_SCHEDULE, "steps_offset", "set_alpha_to_one") if key in config
    }
    return DDIMInverseScheduler(**schedule, timestep_spacing="leading", clip_sample=False)


@torch.no_grad()
def invert(unet: nn.Module, config: Mapping[str, Any], latents: Tensor, states: Tensor, steps: int) -> Tensor:
    """Walk latents up to the top of the noise schedule, without guidance.

    Parameters
    ----------
    unet : called as ``unet(latents, timestep, states)``
    config : of the model's scheduler
    latents : (B, C, F, h, w), scaled
    states : (L, D), condition of all clips; Mind-Animator gives those of the empty text
    steps : as many as clips are sampled with

    Returns
    -------
    (B, C, F, h, w) float32 on the UNet's device

    Source: Song et al. 2021 (DDIM), eq. 13 backwards; Mind-Animator's released ``video_recons.py``.
    """
    parameter = next(unet.parameters())
    scheduler = inverse_scheduler(config)
    scheduler.set_timesteps(steps, device=parameter.device)
    condition = states.to(parameter).expand(len(latents), -1, -1)
    latents = latents.to(parameter.device, torch.float32)
    for time in scheduler.timesteps:
        predicted = unet(latents.to(parameter.dtype), time, condition, return_dict=False)[0]
        latents = scheduler.step(predicted.float(), time, latents, return_dict=False)[0]
    return latents


def renoise(
    latents: Tensor, time: int, alphas_cumprod: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """Mix latents with noise as if they were clean and noised up to a time of the schedule.

    Parameters
    ----------
    latents : (B, C, F, h, w), already inverted
    time : training time step; the published 200 keeps a share of .868 and adds noise of size .497
    alphas_cumprod : (n_times,) of the noise schedule
    generators : one per clip; frames get noise of their own

    Returns
    -------
    (B, C, F, h, w)
    """
    if len(generators) != len(latents):
        raise ValueError(f"{len(latents)} clips but {len(generators)} generators; expected one per clip")
    noise = torch.stack([torch.randn(latents.shape[1:], generator=one) for one in generators])
    alpha = alphas_cumprod[time].to(latents)
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise.to(latents)
