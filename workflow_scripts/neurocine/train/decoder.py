"""Phase 2b: replace the captions by the fMRI encoder and train it together with the video UNet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import FmriWindows, mean_window
from neurocine.models.decoder import JointDecoder
from neurocine.models.video_unet import VideoUNet
from neurocine.settings import NotNegative
from neurocine.stimuli.cached import CachedClips
from neurocine.train.denoising import ClipData, DenoisingSettings, DenoisingTask, decay_groups
from neurocine.train.loop import train
from neurocine.train.task import TrainingReport


class TrainDecoderSettings(
    DenoisingSettings,
    defaults={"steps": 15000, "batch_size": 24, "validate_every": 500, "patience": 0, "keep_best": False},
):
    """Phase 2b: batch and rate are published, its length is not.

    The last weights are kept: the error of the noise on held-out movies, which is logged, rewards averaged
    conditions, and does not tell which decoder shows more.
    """

    encoder_learning_rate: NotNegative = 2e-5
    """The learning rate of the fMRI encoder peaks at this value; 0 leaves the encoder as it is."""


class FmriTask(DenoisingTask):
    """Denoising from windows of fMRI; trains the UNet's attentions and the encoder."""

    def unet(self, model: nn.Module) -> VideoUNet:
        """Return the decoder's UNet."""
        assert isinstance(model, JointDecoder)
        return model.unet

    def states(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Encode windows (B, w, V)."""
        assert isinstance(model, JointDecoder)
        return model.encoder(inputs)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return UNet and encoder, each with its rate; weights decay, biases and norms do not."""
        assert isinstance(self.model, JointDecoder)
        assert isinstance(self.settings, TrainDecoderSettings)
        scale = self.settings.encoder_learning_rate / self.settings.learning_rate
        return [*decay_groups(self.model.unet), *decay_groups(self.model.encoder, scale)]


def window_data(
    latents: CachedClips, windows: FmriWindows, null_window: np.ndarray, validation: tuple[str, ...]
) -> ClipData:
    """Put clips and their windows of fMRI together.

    Parameters
    ----------
    latents : rows (n_clips, F, C, h, w)
    windows : of the same clips
    null_window : (w, V), the training mean, whose encoding is the null condition
    validation : held-out movies

    Raises
    ------
    InputError : a window has no latents or the other way round
    """
    if latents.clips != windows.clips:
        raise InputError(
            "latents",
            f"{len(latents.clips)} clips",
            f"those of the {len(windows.clips)} TR of fMRI, in the same order",
            "Give the latents of the training movies, one clip per TR.",
        )
    return ClipData(latents, windows.take, torch.from_numpy(null_window), validation)


def subject_data(
    latents: CachedClips, subject: SubjectFmri, n_trs: int, validation: tuple[str, ...]
) -> ClipData:
    """Put clips and a subject's windows of fMRI together; the null condition is its mean fMRI.

    Parameters
    ----------
    latents : rows (n_clips, F, C, h, w) of the subject's movies, in their order
    subject : training fMRI
    n_trs : w, the window of the encoder
    validation : held-out movies

    Raises
    ------
    InputError : a window has no latents or the other way round
    """
    windows = FmriWindows({movie: subject.samples(movie) for movie in subject.movies}, n_trs)
    return window_data(latents, windows, mean_window(subject.bold, n_trs), validation)


def train_decoder(
    decoder: JointDecoder,
    scheduler_config: Mapping[str, Any],
    data: ClipData,
    noise_ratio: float,
    settings: TrainDecoderSettings,
    seed: int,
    state_dir: Path,
    *,
    vae: AutoencoderKL | None = None,
    identity: Any = None,
    device: str = "auto",
) -> tuple[TrainingReport, np.ndarray | None]:
    """Train encoder and UNet attentions in place to denoise clips from fMRI.

    Dropped conditions are the encoding of the training-mean fMRI, which guidance then points away from.

    Parameters
    ----------
    decoder : video prior and phase-1 encoder
    data : from `subject_data`
    scheduler_config, noise_ratio, state_dir, vae, identity, device : see `train_video_prior`
    settings : section train_decoder
    seed : root of all randomness of the training

    Returns
    -------
    The report, and a picture of samples (height, width, 3) uint8

    Source: NeuroCine (arXiv 2402.01590) section 3.3 (phase 2, fMRI); docs/method.md,
    "Phase 2: the video model".
    """
    decoder.unet.set_trainable(settings.trained)
    decoder.encoder.requires_grad_(settings.encoder_learning_rate > 0)
    if decoder.encoder.pool is not None:
        # The contrastive embedding has no part in this loss; distributed training refuses unused weights.
        decoder.encoder.pool.requires_grad_(False)
    task = FmriTask(decoder, data, scheduler_config, noise_ratio, settings, seed, vae)
    report = train(
        task,
        settings,
        seed,
        state_dir,
        state_dir / "log.jsonl",
        "train_decoder",
        identity=[identity, noise_ratio, data.validation],
        device=device,
    )
    return report, task.picture(decoder)
