"""Phase 2a: teach the inflated Stable Diffusion to make clips, from captions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.io import read_json
from neurocine.models.pretrained import load_unet
from neurocine.models.video_unet import VideoUNet
from neurocine.seeds import seeded_weights
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.train.denoising import ClipData, DenoisingSettings, DenoisingTask, decay_groups
from neurocine.train.loop import train
from neurocine.train.task import TrainingReport


class TrainVideoPriorSettings(DenoisingSettings, defaults={"steps": 1000, "batch_size": 14}):
    """Phase 2a as published: 1000 steps of 14 clips."""

    temporal_position: Literal["after_self", "block_end"] = "after_self"
    """Temporal attention follows self-attention (after_self, as published) or ends the block."""
    sc_frames: Literal["prev2", "first_prev", "own"] = "prev2"
    """Self-attention sees the two frames before (prev2, as published), the first and the previous one
    (first_prev), or its own alone (own).
    """
    sc_include_self: bool = True
    """True lets self-attention see its own frame beside those of sc_frames."""


class CaptionTask(DenoisingTask):
    """Denoising from the text encoder's states of a clip's caption; trains the video UNet."""

    def unet(self, model: nn.Module) -> VideoUNet:
        """Return the model itself."""
        assert isinstance(model, VideoUNet)
        return model

    def states(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Return the inputs (n, L, D): they are states already."""
        return inputs

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the trained parameters of the UNet; weights decay, biases and norms do not."""
        return decay_groups(self.model)


def caption_data(latents: CachedClips, captions: TextStates, validation: tuple[str, ...]) -> ClipData:
    """Put clips and their captions together; of several captions of a clip, training draws one.

    Raises
    ------
    InputError : latents and captions are of different clips
    """
    if latents.clips != captions.index.clips:
        raise InputError(
            "embeddings",
            f"captions of {len(captions.index.clips)} clips",
            f"those of the {len(latents.clips)} clips with latents",
            "Make captions and latents from the same stimuli.",
        )
    table = torch.from_numpy(captions.states)
    index = torch.from_numpy(captions.index.rows.astype(np.int64))

    def inputs(rows: Tensor, generator: torch.Generator | None) -> Tensor:
        columns = torch.zeros_like(rows)
        if generator is not None:
            columns = torch.randint(index.shape[1], rows.shape, generator=generator)
        return table[index[rows, columns]].float()

    return ClipData(latents, inputs, torch.from_numpy(captions.null).float(), validation)


def load_start(folder: Path) -> UNet2DConditionModel:
    """Load the UNet that phase 2a starts from: an image UNet, or the video UNet of an earlier phase 2a.

    Parameters
    ----------
    folder : of Stable Diffusion, or of train_video_prior; ``unet`` in it is read

    Raises
    ------
    InputError : no such folder, or a broken one
    """
    config = folder / "unet/config.json"
    if config.is_file() and "temporal_position" in read_json(config, "the config of a UNet", "Get it again."):
        return VideoUNet.from_pretrained(folder / "unet")
    return load_unet(folder)


def started(
    unet: UNet2DConditionModel, settings: TrainVideoPriorSettings, clip_shape: tuple[int, int, int], seed: int
) -> VideoUNet:
    """Return the video UNet that training starts with: a given one, or an inflated image UNet.

    Parameters
    ----------
    unet : image or video UNet
    settings : section train_video_prior
    clip_shape : frames, height and width of the latents
    seed : of the temporal layers of an image UNet

    Raises
    ------
    InputError : the video UNet is of clips of another shape, or attends to other frames
    """
    kind, own, position = settings.sc_frames, settings.sc_include_self, settings.temporal_position
    if not isinstance(unet, VideoUNet):
        with seeded_weights(seed, "train_video_prior", "weights"):  # of the temporal layers
            return VideoUNet.from_unet2d(unet, kind, own, position, clip_shape=clip_shape)
    wanted = {
        "sc_frames": kind,
        "sc_include_self": own,
        "temporal_position": position,
        "clip_shape": clip_shape,
    }
    given = {name: unet.config[name] for name in wanted} | {"clip_shape": unet.latent_shape()[1:]}
    for name, value in wanted.items():
        if given[name] != value:
            raise InputError(
                "models.video_prior",
                f"a video UNet of {name} {given[name]}",
                f"{name} {value}, as in this study",
                "Give another one, or null to start from the image UNet.",
            )
    return unet


def train_video_prior(
    start: UNet2DConditionModel,
    scheduler_config: Mapping[str, Any],
    latents: CachedClips,
    captions: TextStates,
    validation: tuple[str, ...],
    noise_ratio: float,
    settings: TrainVideoPriorSettings,
    seed: int,
    state_dir: Path,
    *,
    vae: AutoencoderKL | None = None,
    identity: Any = None,
    device: str = "auto",
) -> tuple[VideoUNet, TrainingReport, np.ndarray | None]:
    """Inflate an image UNet, or take a video UNet, and fine-tune its attentions on clips with captions.

    Parameters
    ----------
    start : UNet of Stable Diffusion, or the video UNet of an earlier training
    scheduler_config, vae : of Stable Diffusion; without the VAE no picture is made
    latents : rows (n_clips, F, C, h, w)
    captions : of the same clips
    validation : held-out movies
    noise_ratio : correlation between the noise of frames
    settings : section train_video_prior
    seed : root of all randomness of the training
    state_dir : resumable states, ``log.jsonl``, and ``samples.png`` drawn on the way
    identity, device : see `neurocine.train.loop.train`

    Returns
    -------
    The trained UNet, the report, and a picture of samples (height, width, 3) uint8

    Source: NeuroCine (arXiv 2402.01590) section 3.3 (phase 2, text); docs/method.md,
    "Phase 2: the video model".
    """
    data = caption_data(latents, captions, validation)
    n_frames, _, height, width = latents.rows.shape[1:]
    unet = started(start, settings, (n_frames, height, width), seed)
    unet.set_trainable(settings.trained)
    task = CaptionTask(unet, data, scheduler_config, noise_ratio, settings, seed, vae)
    report = train(
        task,
        settings,
        seed,
        state_dir,
        state_dir / "log.jsonl",
        "train_video_prior",
        identity=[identity, noise_ratio, validation],
        device=device,
    )
    return unet, report, task.picture(unet)
