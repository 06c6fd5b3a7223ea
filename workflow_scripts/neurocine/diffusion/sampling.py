"""Draw clips from the video UNet with any deterministic sampler of diffusers."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import diffusers
import torch
from pydantic import Field
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
    "KDPM2Discrete",
    "LMSDiscrete",
    "PNDM",
    "UniPCMultistep",
)
NOISE_SCHEDULE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
    "prediction_type",
)
ALIASES = {
    "UniPC": "UniPCMultistep",
    "Euler": "EulerDiscrete",
    "Heun": "HeunDiscrete",
    "DEIS": "DEISMultistep",
    "DPMSolver++": "DPMSolverMultistep",
}
_NAMES = "|".join(map(re.escape, sorted({*DETERMINISTIC, *ALIASES})))
SchedulerName = Annotated[str, Field(pattern=f"^({_NAMES})(Scheduler)?$")]


def scheduler_class(name: str) -> Any:
    """Find a scheduler class by name, with or without the ending ``Scheduler``.

    Raises
    ------
    ValueError : diffusers has none of that name, or it draws noise of its own at every step
    """
    stem = name.removesuffix("Scheduler")
    stem = ALIASES.get(stem, stem)
    scheduler = getattr(diffusers, f"{stem}Scheduler", None)
    choice = f"Choose one of {', '.join(DETERMINISTIC)}."
    if scheduler is None:
        raise ValueError(f"scheduler {name!r} is unknown to diffusers {diffusers.__version__}. {choice}")
    if stem not in DETERMINISTIC:
        raise ValueError(
            f"scheduler {name!r} draws independent noise at every step; dependent noise cannot last. {choice}"
        )
    return scheduler


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
    # from_config takes a class's own default for what is the default of the class that wrote the config, and
    # these differ. Latents are not pixels in [-1, 1], to which some samplers clip unless told not to.
    schedule = {key: config[key] for key in NOISE_SCHEDULE if key in config}
    scheduler = scheduler_class(name).from_config(dict(config), **schedule, clip_sample=False)
    algorithm = scheduler.config.get("algorithm_type", "")
    if "sde" in algorithm:
        raise ValueError(f"algorithm_type {algorithm!r} draws noise at every step; take dpmsolver++ instead")
    return scheduler


def window_starts(n_frames: int, width: int) -> list[int]:
    """Return the first frames of windows that cover all frames and overlap by half (the last, or more)."""
    return sorted({*range(0, n_frames - width, max(width // 2, 1)), n_frames - width})


class SlidingWindows(nn.Module):
    """Denoise sequences longer than the clips of a video UNet, in windows that overlap by half.

    What is predicted for a frame is the mean over the windows it lies in. A window's condition is the mean of
    those of its clips, weighted by the frames that each has in it.

    Parameters
    ----------
    unet : called as ``unet(latents, timestep, states, return_dict=False)``
    n_frames : F, frames per clip
    at_once : windows per call of the UNet, which bounds the memory whatever the length

    Source: Gen-L-Video (Wang et al. 2023, arXiv 2305.18264); MultiDiffusion (arXiv 2302.08113) over time.
    """

    def __init__(self, unet: nn.Module, n_frames: int, at_once: int) -> None:
        super().__init__()
        self.unet, self.n_frames, self.at_once = unet, n_frames, at_once

    def forward(
        self, sample: Tensor, timestep: Tensor | float, states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """Predict the noise of sequences (B, C, n F, h, w) under the states (B, n, L, D) of their n clips."""
        n_clips, width = states.shape[1], self.n_frames
        if n_clips == 1:
            return self.unet(sample, timestep, states[:, 0], return_dict=False)
        starts = window_starts(n_clips * width, width)
        frame_of = torch.arange(n_clips * width).unflatten(0, (n_clips, width))
        inside = [((frame_of >= start) & (frame_of < start + width)).sum(1) / width for start in starts]
        share = torch.stack(inside).to(states)  # (W, n), rows sum to one
        windows = torch.stack([sample[:, :, start : start + width] for start in starts], dim=1)
        given = torch.einsum("wn,bnld->bwld", share, states)
        parts = zip(
            windows.flatten(0, 1).split(self.at_once), given.flatten(0, 1).split(self.at_once), strict=True
        )
        predicted = torch.cat(
            [self.unet(part, timestep, condition, return_dict=False)[0] for part, condition in parts]
        )
        total = torch.zeros_like(sample, dtype=torch.float32)
        count = total.new_zeros(sample.shape[2], 1, 1)
        for start, window in zip(starts, predicted.unflatten(0, windows.shape[:2]).unbind(1), strict=True):
            total[:, :, start : start + width] += window
            count[start : start + width] += 1
        return (total / count,)


def initial_noise(
    latent_shape: tuple[int, int, int, int],
    noise_ratio: float,
    generators: Sequence[torch.Generator],
    n_clips: int = 1,
) -> Tensor:
    """Draw dependent noise for sequences of clips, each from its own generator.

    Parameters
    ----------
    latent_shape : (C, F, h, w) of a clip
    noise_ratio : correlation of the noise of a clip's frames, beta
    generators : one per sequence, B of them
    n_clips : clips of a sequence; the frames of each share a part of their noise, as published (eq. 7)

    Returns
    -------
    (B, C, n_clips F, h, w) float32 on the CPU
    """
    shape = (1, *latent_shape)
    sequences = [
        torch.cat([dependent_noise(shape, noise_ratio, generator) for _ in range(n_clips)], dim=2)
        for generator in generators
    ]
    return torch.cat(sequences)


def sample(
    unet: nn.Module,
    scheduler: Scheduler,
    condition: Tensor,
    null: Tensor,
    *,
    latent_shape: tuple[int, int, int, int] = (0, 0, 0, 0),
    generators: Sequence[torch.Generator] = (),
    noise_ratio: float = 0.0,
    latents: Tensor | None = None,
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
    condition : (B, L, D), or what else the UNet takes, (B, ...)
    null : (L, D), what guidance points away from
    latent_shape : (C, F, h, w)
    generators : one per clip, for its initial noise
    noise_ratio : correlation between the frames of the initial noise
    latents : (B, C, F, h, w) to start from, at the top of the schedule; the three before are then not used
    guidance : scale, 1 for none
    steps : denoising steps

    Returns
    -------
    (B, C, F, h, w) latents, float32, on the UNet's device

    Source: NeuroCine section 3.3, eq. 7 for the initial latents; Ho & Salimans 2022 for the guidance.
    """
    clips = len(condition)
    if latents is None and len(generators) != clips:
        raise ValueError(f"{clips} conditions but {len(generators)} generators; expected one per clip")
    if latents is None:
        latents = initial_noise(latent_shape, noise_ratio, generators)
    elif len(latents) != clips:
        raise ValueError(f"{clips} conditions but latents of {len(latents)} clips; expected as many")
    parameter = next(unet.parameters())
    device, dtype = parameter.device, parameter.dtype
    scheduler = type(scheduler).from_config(scheduler.config)  # multistep samplers keep a history
    scheduler.set_timesteps(steps, device=device)
    states = condition.to(device, dtype)
    if guidance != 1.0:
        states = torch.cat([null.to(device, dtype).expand_as(states), states])
    latents = latents.to(device, torch.float32) * scheduler.init_noise_sigma
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
