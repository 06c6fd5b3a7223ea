"""From features to clips: an image diffusion model, inflated to video without any training on video."""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from pydantic import Field
from torch import Tensor, nn

from neurocine.animator.features import Features
from neurocine.cli import progress
from neurocine.diffusion.conditions import clips_to_decode
from neurocine.diffusion.decode import DTYPES, Decoded, GroupStore
from neurocine.diffusion.inversion import invert, renoise
from neurocine.diffusion.sampling import initial_noise, make_scheduler, sample
from neurocine.errors import InputError
from neurocine.models.vae import decode_latents
from neurocine.models.video_unet import VideoUNet
from neurocine.seeds import torch_generator
from neurocine.settings import Count, NotNegative, Precision, SamplingSteps, Settings, Unit
from neurocine.stimuli.cached import Clip
from neurocine.stimuli.embed import text_states

log = logging.getLogger(__name__)
Without = Literal["nothing", "semantic", "structure", "motion"]
Through = Literal["diffusion", "vae"]
NEGATIVE_PROMPT = (  # word for word, or other tokens steer
    "Not like the real scene, Distorted and blurred body, blurry,bad proportions,out of frame,disfigured"
)


class ReconstructSettings(Settings):
    """How clips are drawn from features. Defaults: Mind-Animator's published values."""

    steps: Annotated[SamplingSteps, Unit("steps")] = 50
    """The inversion, and the sampling after it, take this many steps."""
    guidance: NotNegative = 12.5
    """Classifier-free guidance has this scale; 1 is none."""
    negative_prompt: str = NEGATIVE_PROMPT
    """Guidance points away from this text, cut to as many tokens as the decoded states have."""
    batch_size: Annotated[Count, Unit("clips")] = 8
    """This many clips are sampled together, and saved together."""
    precision: Precision = "no"
    """The UNet computes in full precision (no) or in bf16 or fp16."""


class ReconstructExperiment(Settings):
    """What rows of the config's experiments vary in reconstruct."""

    variant: Literal["paper", "code"] = "paper"
    """Reconstruct as in the paper, or as the released code does (code).

    The code has a random temporal bias, and inverts under the whole empty text.
    """
    renoise: Annotated[int, Field(ge=0, le=999)] = 200
    """After the inversion the noise of this training time step is added; 0 adds none."""
    without: Without = "nothing"
    """Leave out a decoder: semantic takes the empty text, structure noise for latents, motion holds frame 0.
    """
    through: Through = "diffusion"
    """Latents are drawn by the diffusion model, or decoded by the VAE as they are (vae)."""


def inflate(image_unet: UNet2DConditionModel, variant: str, seed: int) -> VideoUNet:
    """Make a video UNet of an image UNet: its attention sees frame 0 and the one before, time adds nothing.

    Parameters
    ----------
    image_unet : of the diffusion model
    variant : "code" draws the temporal layers' output bias, which the released code leaves as initialised,
        from ``seed``; else it is zero
    seed : of the temporal bias; unused unless variant is "code"
    """
    unet = VideoUNet.from_unet2d(
        image_unet, sc_frames="first_prev", sc_include_self=False, temporal_position="block_end"
    )
    if variant == "code":
        generator = torch_generator(seed, "reconstruct", "temporal bias")
        for name, parameter in unet.named_parameters():
            if name.endswith("attn_temp.to_out.0.bias"):
                bound = 1 / math.sqrt(len(parameter))
                drawn = torch.rand(len(parameter), generator=generator) * 2 - 1
                parameter.data.copy_(bound * drawn)
    return unet.eval()


def prompt_states(encoder: Any, tokenizer: Any, prompt: str, n_tokens: int) -> Tensor:
    """Return the states (n_tokens, D) of a text, cut with a line in the log where it is longer."""
    found = len(tokenizer(prompt, verbose=False).input_ids)
    if found > n_tokens:
        log.warning(
            "reconstruct.negative_prompt has %d tokens and is cut to %d, as many as the states",
            found,
            n_tokens,
        )
    return text_states(encoder, tokenizer, [prompt], length=n_tokens)[0]


@dataclasses.dataclass(frozen=True)
class Reconstructor:
    """Everything that turns features into frames.

    Parameters
    ----------
    unet : from `inflate`
    scheduler_config : of the diffusion model's scheduler
    vae : turns latents into frames
    empty : (L, D) states of the empty text, under which latents are inverted
    negative : (L', D) states that guidance points away from, as many as the features have
    experiment : what rows of the config's experiments vary
    settings : section reconstruct
    seed : root of all noise; that of a clip depends on its movie and index as well
    """

    unet: VideoUNet
    scheduler_config: Mapping[str, Any]
    vae: AutoencoderKL
    empty: Tensor
    negative: Tensor
    experiment: ReconstructExperiment
    settings: ReconstructSettings
    seed: int

    def frames(self, clips: Sequence[Clip], states: Tensor, latents: Tensor) -> np.ndarray:
        """Draw clips, (n, F, H, W, 3) uint8; each depends on seed, movie and index, not on its batch.

        Parameters
        ----------
        clips : movie and index of each
        states : (n, L', D)
        latents : (n, F, C, h, w)
        """
        given, experiment = latents.transpose(1, 2), self.experiment  # (n, C, F, h, w)
        if experiment.without == "motion":
            given = given[:, :, :1].expand_as(given)
        if experiment.through == "vae":
            return decode_latents(self.vae, given.transpose(1, 2))
        start = self._start(clips, given)
        guidance, condition = self.settings.guidance, states
        if experiment.without == "semantic":
            guidance, condition = 1.0, self.empty[: states.shape[1]].expand_as(states)
        made = sample(
            self.unet,
            make_scheduler("DDIM", self.scheduler_config),
            condition,
            self.negative,
            latents=start,
            guidance=guidance,
            steps=self.settings.steps,
        )
        return decode_latents(self.vae, made.transpose(1, 2))

    def _start(self, clips: Sequence[Clip], given: Tensor) -> Tensor:
        """Return the latents that sampling starts from, (n, C, F, h, w)."""
        generators = [torch_generator(self.seed, "reconstruct", movie, index) for movie, index in clips]
        channels, n_frames, height, width = given.shape[1:]
        if self.experiment.without == "structure":
            return initial_noise((channels, n_frames, height, width), 0.0, generators)
        tokens = len(self.empty) if self.experiment.variant == "code" else len(self.negative)
        inverted = invert(
            self.unet, self.scheduler_config, given, self.empty[:tokens], self.settings.steps
        ).cpu()
        if not self.experiment.renoise:
            return inverted
        alphas = make_scheduler("DDIM", self.scheduler_config).alphas_cumprod
        if self.experiment.renoise >= len(alphas):
            raise InputError(
                "renoise", str(self.experiment.renoise), f"0 to {len(alphas) - 1}", "Give 200, as published."
            )
        return renoise(inverted, self.experiment.renoise, alphas, generators)


def make_reconstructor(
    image_unet: UNet2DConditionModel,
    scheduler_config: Mapping[str, Any],
    vae: AutoencoderKL,
    text_encoder: tuple[Any, Any],
    n_tokens: int,
    experiment: ReconstructExperiment,
    settings: ReconstructSettings,
    seed: int,
) -> Reconstructor:
    """Put a reconstructor together, on the device of the image UNet.

    Parameters
    ----------
    image_unet : UNet of the diffusion model, to be inflated
    scheduler_config : of the diffusion model's scheduler
    vae : of the diffusion model, on the device on which clips are drawn
    text_encoder : network and tokenizer of the diffusion model
    n_tokens : L', states per clip in the features
    experiment : what rows of the config's experiments vary
    settings : section reconstruct
    seed : root of all randomness, see `Reconstructor`
    """
    unet = inflate(image_unet.cpu(), experiment.variant, seed)
    nn.Module.to(unet, device=vae.device, dtype=DTYPES[settings.precision])
    return Reconstructor(
        unet,
        scheduler_config,
        vae,
        text_states(*text_encoder, [""])[0],
        prompt_states(*text_encoder, settings.negative_prompt, n_tokens),
        experiment,
        settings,
        seed,
    )


def reconstruct(
    reconstructor: Reconstructor,
    features: Features,
    every: int = 1,
    state_dir: Path | None = None,
    identity: Any = None,
) -> tuple[dict[str, Decoded], GroupStore]:
    """Draw each k-th clip of the movies, group by group; finished groups survive an interruption.

    Parameters
    ----------
    reconstructor : from `make_reconstructor`
    features : of all clips
    every : draw clips 0, k, 2k ... of each movie
    state_dir : where finished groups are kept until the result is written
    identity : JSON values for what the reconstructor does not know: hashes of weights and features

    Returns
    -------
    Movie to its clips, and the store, whose ``remove`` is called when the result is on disk
    """
    settings = reconstructor.settings
    rows = clips_to_decode(features.clips, every)
    facts = [settings.model_dump(), reconstructor.experiment.model_dump(), reconstructor.seed]
    store = GroupStore(state_dir, [*facts, rows, identity])
    groups = [rows[start : start + settings.batch_size] for start in range(0, len(rows), settings.batch_size)]
    parts = []
    for number, group in enumerate(progress(groups, len(groups), "groups of clips")):
        frames = store.load(number)
        if frames is None:
            frames = reconstructor.frames(
                [features.clips[row] for row in group],
                torch.from_numpy(features.states[group]),
                torch.from_numpy(features.latents[group]),
            )
            store.save(number, frames)
        parts.append(frames)
    joined, result = np.concatenate(parts), {}
    for movie in dict.fromkeys(features.clips[row][0] for row in rows):
        here = [place for place, row in enumerate(rows) if features.clips[row][0] == movie]
        index = np.array([features.clips[rows[place]][1] for place in here], np.int64)
        result[movie] = Decoded(joined[here], index)
    return result, store
