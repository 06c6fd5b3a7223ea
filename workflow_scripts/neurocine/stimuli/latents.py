"""Latents of clips: what the diffusion network learns to make."""

import logging
from typing import Annotated, Any

import numpy as np
import torch

from neurocine.errors import InputError
from neurocine.models.vae import encode_frames, vae_round_trip
from neurocine.settings import Count, CountOrZero, Settings, Unit

log = logging.getLogger(__name__)


class EncodeLatentsSettings(Settings):
    """How frames become latents; the VAE is part of models.stable_diffusion."""

    sample: bool = False
    """True draws from the VAE's posterior; false takes its mean."""
    batch_size: Annotated[Count, Unit("frames")] = 16
    """This many frames are encoded at once."""
    check_frames: Annotated[CountOrZero, Unit("frames")] = 12
    """This many frames per movie are encoded and decoded, to log what the VAE alone loses; 0 checks none."""


def encode_latents(
    movie: str,
    clips: np.ndarray,
    vae: Any,
    settings: EncodeLatentsSettings,
    generator: torch.Generator | None = None,
) -> np.ndarray:
    """Encode the clips of a movie with the VAE of the diffusion model.

    Parameters
    ----------
    movie : name, for the log
    clips : (n_clips, F, H, W, 3) uint8 RGB
    vae : AutoencoderKL
    settings : mean or draw, batch
    generator : needed when ``settings.sample``

    Returns
    -------
    (n_clips, F, C, h, w) float16, times the VAE's scaling factor

    Raises
    ------
    InputError : the frame size is no multiple of the VAE's factor
    """
    if settings.sample and generator is None:
        raise ValueError("a draw needs a generator")
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    height, width = clips.shape[2:4]
    if height % factor or width % factor:
        todo = "Change height and width of prepare_stimuli."
        raise InputError(
            f"frames of {movie}", f"{height} x {width}", f"multiples of {factor}, as the VAE needs", todo
        )
    latents = encode_frames(vae, clips, settings.batch_size, generator if settings.sample else None)
    if settings.check_frames:
        flat = clips.reshape(-1, height, width, 3)
        rows = np.linspace(0, len(flat) - 1, min(settings.check_frames, len(flat))).astype(int)
        quality = vae_round_trip(vae, flat[rows], settings.batch_size)
        log.info("%s: the VAE alone reconstructs %d frames with a PSNR of %.1f dB", movie, len(rows), quality)
    return latents.half().numpy()
