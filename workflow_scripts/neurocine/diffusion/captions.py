"""Decode clips from captions: the original ones as a ceiling, random ones of the training as a control."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from neurocine.conditions import made_by
from neurocine.diffusion.decode import DecodeSettings, Decoding, decode_clips, decoded_arrays, make_sampler
from neurocine.errors import InputError
from neurocine.models.video_unet import VideoUNet
from neurocine.naming import Clip
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import TextStates


def require_caption_condition(condition: str) -> None:
    """Refuse a condition that is not made of captions.

    Raises
    ------
    InputError : it is not
    """
    if condition not in made_by("decode_captions"):
        expected = " or ".join(made_by("decode_captions"))
        raise InputError("--condition", condition, expected, "Choose one of them.")


def drawn_rows(clips: Sequence[Clip], n: int, seed: int) -> np.ndarray:
    """Draw one of n training clips for each clip, (n_clips,) i64; a clip's draw depends on nothing else."""
    draws = [numpy_generator(seed, "training_caption", movie, index).integers(n) for movie, index in clips]
    return np.array(draws, np.int64)


def decode_captions(
    unet: VideoUNet,
    scheduler_config: dict[str, Any],
    vae: AutoencoderKL,
    captions: TextStates,
    training: TextStates | None,
    condition: str,
    noise_ratio: float,
    settings: DecodeSettings,
    seed: int,
    state: Path | None = None,
    identity: Sequence[str] = (),
) -> Decoding:
    """Decode the test movies from the text states of captions.

    Parameters
    ----------
    unet : the video prior, on its device
    scheduler_config, vae : of Stable Diffusion
    captions : of the test movies; guidance points away from their empty caption
    training : captions of the training movies, of which training_caption draws; else None
    condition : caption: the clip's own; training_caption: a random one of the training movies for each clip
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    settings : section decode of the config
    seed : of the initial noise, the same as that of decode, and of the drawn captions
    state : folder of finished groups; None keeps none
    identity : hashes of weights and captions, by which finished groups of other data are found out

    Raises
    ------
    InputError : a condition that is not made of captions
    """
    require_caption_condition(condition)
    source = captions if training is None else training
    table = torch.from_numpy(source.states)
    rows = torch.from_numpy(source.index.rows[:, 0])  # of several captions of a clip, the first
    clips = captions.index.clips
    if condition == "training_caption":
        rows = rows[torch.from_numpy(drawn_rows(clips, len(rows), seed))]
    null = torch.from_numpy(captions.null).float()
    sampler = make_sampler(unet, scheduler_config, vae, null, noise_ratio, settings, seed)
    decoded, store = decode_clips(
        sampler, clips, lambda chosen: table[rows[chosen]].float(), state, [condition, *identity]
    )
    return Decoding(decoded_arrays(decoded), list(decoded), sampler.settings, store)
