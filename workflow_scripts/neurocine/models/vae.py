"""Frames to latents of Stable Diffusion's VAE and back, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


def _batches(rows: Any, batch_size: int) -> Iterator[Any]:
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


@torch.inference_mode()
def encode_frames(
    vae: AutoencoderKL, frames: np.ndarray, batch_size: int = 16, generator: torch.Generator | None = None
) -> Tensor:
    """Encode frames as scaled latents: the posterior mean, or a sample of it when a generator is given.

    Parameters
    ----------
    vae : the VAE; its own dtype and device are used
    frames : (..., H, W, 3) uint8 RGB
    batch_size : frames encoded at once
    generator : draws one sample of the posterior, frame by frame, so batch_size does not change the noise

    Returns
    -------
    (..., C, H / f, W / f) float32 on the CPU, times the VAE's scaling factor
    """
    lead = frames.shape[:-3]
    flat = frames.reshape(-1, *frames.shape[-3:])
    parts = []
    for batch in _batches(flat, batch_size):
        pixels = torch.from_numpy(np.ascontiguousarray(batch)).to(vae.device)
        # [-1, 1], the range the VAE was trained on
        posterior = vae.encode((pixels.to(vae.dtype) / 127.5 - 1.0).movedim(-1, -3)).latent_dist
        latents = posterior.mean
        if generator is not None:
            noise = [
                torch.randn(latents.shape[1:], generator=generator, device=generator.device) for _ in batch
            ]
            latents = latents + posterior.std * torch.stack(noise).to(latents)
        parts.append((latents * vae.config["scaling_factor"]).float().cpu())
    latents = torch.cat(parts)
    return latents.reshape(*lead, *latents.shape[1:])


def _refuse_nonfinite(pixels: Tensor, vae: AutoencoderKL) -> None:
    """Raise InputError where frames (n, 3, H, W) have pixels that are NaN or infinite."""
    bad = int((~pixels.isfinite()).flatten(1).any(1).sum())
    if bad:
        found = f"NaN or infinite pixels in {bad} of {len(pixels)} decoded frames"
        todo = (
            "Where precision is fp16, set bf16 or no; else a network behind these latents is damaged: "
            "download this VAE again, or repeat the training that the clips are decoded by."
        )
        raise InputError(vae.config.get("_name_or_path") or "the VAE", found, "finite pixels", todo)


@torch.inference_mode()
def decode_latents(vae: AutoencoderKL, latents: Tensor | np.ndarray, batch_size: int = 16) -> np.ndarray:
    """Decode scaled latents to frames.

    Parameters
    ----------
    vae : the VAE; its own dtype and device are used
    latents : (..., C, h, w), float, times the VAE's scaling factor, as ``encode_frames`` makes them
    batch_size : frames decoded at once

    Returns
    -------
    (..., h * f, w * f, 3) uint8 RGB, rounded to the nearest value and clipped

    Raises
    ------
    InputError : pixels that are NaN or infinite, which whole numbers would hide
    """
    values = torch.as_tensor(latents)
    lead = values.shape[:-3]
    parts = []
    for batch in _batches(values.reshape(-1, *values.shape[-3:]), batch_size):
        pixels = vae.decode(batch.to(vae.device, vae.dtype) / vae.config["scaling_factor"]).sample.float()
        _refuse_nonfinite(pixels, vae)
        levels = ((pixels + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
        parts.append(levels.movedim(-3, -1).cpu().numpy())
    frames = np.concatenate(parts)
    return frames.reshape(*lead, *frames.shape[1:])


def vae_round_trip(vae: AutoencoderKL, frames: np.ndarray, batch_size: int = 16) -> float:
    """Measure what the VAE alone loses: PSNR (dB) of frames (..., H, W, 3) uint8 after a round trip."""
    again = decode_latents(vae, encode_frames(vae, frames, batch_size), batch_size)
    error = np.mean((again.astype(np.float64) - frames.astype(np.float64)) ** 2)
    return float(10 * np.log10(255.0**2 / error)) if error else float("inf")
