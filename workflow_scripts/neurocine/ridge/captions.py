"""Clips from captions that a regression chooses: the nearest training caption, then the video prior."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from neurocine.diffusion.decode import DecodeSettings, Decoding, make_sampler
from neurocine.diffusion.nearest import caption_embeddings, sample_captions
from neurocine.models.video_unet import VideoUNet
from neurocine.ridge.clips import nearest_clips
from neurocine.stimuli.cached import CachedClips, TextStates


def predict_captions(
    predicted: CachedClips,
    prior: VideoUNet,
    scheduler_config: dict[str, Any],
    vae: AutoencoderKL,
    text: CachedClips,
    captions: TextStates,
    noise_ratio: float,
    settings: DecodeSettings,
    seed: int,
    state_dir: Path | None = None,
    identity: Any = None,
) -> Decoding:
    """Decode test movies from the training captions nearest to the predicted text embeddings.

    Parameters
    ----------
    predicted : rows (n, E), text embeddings of all clips of the test movies, of predict_features
    prior, scheduler_config, vae, noise_ratio, settings, seed : see `decode_nearest`
    text, captions : of the training movies, see `caption_embeddings`
    state_dir, identity : see `sample_captions`

    Raises
    ------
    InputError : see `caption_embeddings`
    """
    places = nearest_clips(predicted.rows, caption_embeddings(text, captions))
    rows = captions.index.rows.reshape(-1)[places].astype(np.int64)
    null = torch.from_numpy(captions.null).float()
    sampler = make_sampler(prior, scheduler_config, vae, null, noise_ratio, settings, seed)
    return sample_captions(
        sampler, predicted.clips, captions, rows, state_dir, ["predict_captions", identity]
    )
