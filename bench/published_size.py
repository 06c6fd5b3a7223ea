"""Trainings of phases 1, 2a and 2b at the published size, with random weights and data, for benchmarks."""

from collections.abc import Callable

import numpy as np
import torch

from neurocine.fmri.windows import FmriWindows
from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.video_unet import VideoUNet
from neurocine.stimuli.cached import CachedClips
from neurocine.train.decoder import FmriTask, TrainDecoderSettings, window_data
from neurocine.train.denoising import ClipData
from neurocine.train.encoder import (
    ContrastiveModel,
    EncoderData,
    EncoderExperiment,
    EncoderTask,
    TrainEncoderSettings,
)
from neurocine.train.task import LoopSettings, Task
from neurocine.train.video_prior import CaptionTask, TrainVideoPriorSettings

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}  # Stable Diffusion's
FRAMES, LATENT = 6, 32  # frames of a clip; side of the latents of a 256 x 256 picture
STATES = (77, 768)  # tokens and width of the text encoder's states
NOISE_RATIO = 0.75
RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Draw normal float32 numbers."""
    return RANDOM.standard_normal(shape, dtype=np.float32)


def clips(n: int) -> CachedClips:
    """Latents of a short movie."""
    return CachedClips(tuple(("seg1", index) for index in range(n)), normal(n, FRAMES, 4, LATENT, LATENT))


def published_encoder(n_vertices: int, checkpointing: bool = False) -> FmriEncoder:
    """The encoder of phases 1 and 2b; checkpointing computes it twice to save memory."""
    architecture = TrainEncoderSettings().architecture(n_vertices, STATES, STATES[1], None)
    encoder = FmriEncoder(architecture)
    encoder.gradient_checkpointing = checkpointing
    return encoder


def published_unet(trained: str, checkpointing: bool = False) -> VideoUNet:
    """The video UNet of Stable Diffusion 1's size."""
    unet = VideoUNet(sample_size=LATENT, cross_attention_dim=STATES[1], clip_shape=(FRAMES, LATENT, LATENT))
    unet.set_trainable(trained)  # type: ignore[arg-type]
    if checkpointing:
        unet.enable_gradient_checkpointing()
    return unet


def published_decoder(n_vertices: int, trained: str, checkpointing: bool = False) -> JointDecoder:
    """The encoder and the video UNet of phase 2b, which has no use for the encoder's pooling."""
    decoder = JointDecoder(
        published_unet(trained, checkpointing), published_encoder(n_vertices, checkpointing)
    )
    assert decoder.encoder.pool is not None
    decoder.encoder.pool.requires_grad_(False)
    return decoder


def phase_1(settings: TrainEncoderSettings, n_vertices: int, n: int) -> Task:
    """Contrast n windows, each of a movie of its own: clips of one movie a few TRs apart are no negatives."""
    movies = tuple(f"seg{index}" for index in range(n))
    windows = FmriWindows.of_means({movie: normal(1, n_vertices) for movie in movies}, settings.window)
    text = {movie: normal(1, 1, STATES[1]) for movie in movies}
    image = {movie: normal(1, FRAMES, STATES[1]) for movie in movies}
    data = EncoderData.join(windows, text, image)
    model = ContrastiveModel(published_encoder(n_vertices, settings.gradient_checkpointing), settings)
    return EncoderTask(model, data, None, settings, EncoderExperiment(), 0)


def phase_2a(settings: TrainVideoPriorSettings, n_vertices: int, n: int) -> Task:
    """Denoise n clips from their captions."""
    states = torch.from_numpy(normal(n, *STATES))
    data = ClipData(clips(n), lambda rows, generator: states[rows], states[0], ())
    unet = published_unet(settings.trained, settings.gradient_checkpointing)
    return CaptionTask(unet, data, SCHEDULE, NOISE_RATIO, settings, 0)


def phase_2b(settings: TrainDecoderSettings, n_vertices: int, n: int) -> Task:
    """Denoise n clips from fMRI."""
    decoder = published_decoder(n_vertices, settings.trained, settings.gradient_checkpointing)
    window = decoder.encoder.config.window
    windows = FmriWindows.of_means({"seg1": normal(n, n_vertices)}, window)
    data = window_data(clips(n), windows, np.zeros((window, n_vertices), np.float32), ())
    return FmriTask(decoder, data, SCHEDULE, NOISE_RATIO, settings, 0)


# How a task is made from settings, vertices and clips; and the published settings, with checkpointing and
# without validation.
PHASES: dict[str, tuple[Callable[..., Task], LoopSettings]] = {
    "1": (phase_1, TrainEncoderSettings(gradient_checkpointing=True, validate_every=0, patience=0)),
    "2a": (phase_2a, TrainVideoPriorSettings(validate_every=0)),
    "2b": (phase_2b, TrainDecoderSettings(validate_every=0, patience=0)),
}
