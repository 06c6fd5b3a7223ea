"""Decode clips from captions: the original ones as a ceiling, random ones of the training as a control."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from neurocine.conditions import made_by
from neurocine.diffusion.decode import (
    DecodeSettings,
    Decoding,
    Sampler,
    decode_clips,
    decoded_arrays,
    make_sampler,
)
from neurocine.errors import InputError
from neurocine.models.pretrained import load_scheduler, load_vae
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


def sampler_of_prior(
    prior: Path,
    stable_diffusion: Path,
    captions: TextStates,
    noise_ratio: float,
    settings: DecodeSettings,
    seed: int,
    device: torch.device,
) -> Sampler:
    """Load what turns text states into frames.

    Parameters
    ----------
    prior : folder of train_video_prior, with unet/
    stable_diffusion : folder of Stable Diffusion
    captions : guidance points away from their empty caption
    noise_ratio : correlation between the noise of frames (beta), 0 to 1
    settings : section decode of the config
    seed : of the initial noise, the same as that of decode
    device : where it samples

    Raises
    ------
    InputError : a folder without a usable network
    """
    unet = VideoUNet.from_pretrained(prior / "unet")
    nn.Module.to(unet, device=device)
    scheduler, vae = load_scheduler(stable_diffusion), load_vae(stable_diffusion, device)
    null = torch.from_numpy(captions.null).float()
    return make_sampler(unet, scheduler.config, vae, null, noise_ratio, settings, seed)


def sample_captions(
    sampler: Sampler,
    clips: Sequence[Clip],
    captions: TextStates,
    rows: np.ndarray,
    state: Path | None,
    identity: Sequence[str],
) -> Decoding:
    """Sample clips from one caption each.

    Parameters
    ----------
    sampler : of the video prior
    clips : movie and index of all n clips of the test movies
    captions : among which are those of the clips
    rows : (n,) i64, rows of ``captions.states``
    state : folder of finished groups; None keeps none
    identity : of all that the clips depend on and the sampler does not know, by which finished groups of
        others are recognised
    """
    table, chosen = torch.from_numpy(captions.states), torch.from_numpy(rows)

    def states(clip_rows: Tensor) -> Tensor:
        return table[chosen[clip_rows]].float()

    decoded, store = decode_clips(sampler, clips, states, state, list(identity))
    return Decoding(decoded_arrays(decoded), list(decoded), sampler.settings, store)


def decode_captions(
    sampler: Sampler,
    captions: TextStates,
    training: TextStates | None,
    condition: str,
    state: Path | None = None,
    identity: Sequence[str] = (),
) -> Decoding:
    """Decode the test movies from the text states of captions.

    Parameters
    ----------
    sampler : of the video prior; its seed is that of the drawn captions, too
    captions : of the test movies
    training : captions of the training movies, of which training_caption draws; else None
    condition : caption: the clip's own; training_caption: a random one of the training movies for each clip
    state, identity : see `sample_captions`

    Raises
    ------
    InputError : a condition that is not made of captions
    """
    require_caption_condition(condition)
    source = captions if training is None else training
    rows = source.index.rows[:, 0]  # of several captions of a clip, the first
    clips = captions.index.clips
    if condition == "training_caption":
        rows = rows[drawn_rows(clips, len(rows), sampler.seed)]
    return sample_captions(sampler, clips, source, rows, state, [condition, *identity])
