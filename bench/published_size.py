"""Trainings and networks at the published size, with random weights and data, for benchmarks and tests.

Networks are made on the device they are to run on: on a GPU that takes a moment and on a CPU half a minute;
on PyTorch's meta device they have shapes and no numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from neurocine.fmri.windows import FmriWindows
from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.masked_autoencoder import MaskedAutoencoder
from neurocine.models.video_unet import VideoUNet
from neurocine.stimuli.cached import CachedClips
from neurocine.train.decoder import FmriTask, TrainDecoderSettings, window_data
from neurocine.train.denoising import ClipData
from neurocine.train.encoder import (
    ContrastiveModel,
    EncoderExperiment,
    EncoderTask,
    TrainEncoderSettings,
)
from neurocine.train.encoder_data import EncoderData
from neurocine.train.pretrain import PretrainEncoderSettings, PretrainTask
from neurocine.train.shards import Shards
from neurocine.train.task import LoopSettings, Task
from neurocine.train.video_prior import CaptionTask, TrainVideoPriorSettings

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}  # Stable Diffusion's
FRAMES, LATENT = 6, 32  # frames of a clip; side of the latents of a 256 x 256 picture
STATES = (77, 768)  # tokens and width of the text encoder's states
NOISE_RATIO = 0.75
RANDOM = np.random.default_rng(0)
# What `make_small` changes of the networks.
ENCODER: dict[str, Any] = {}
UNET: dict[str, Any] = {}
VAE_WIDTHS = (128, 256, 512, 512)


def draw_again() -> None:
    """Draw the same data again from here."""
    global RANDOM
    RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Draw normal float32 numbers."""
    return RANDOM.standard_normal(shape, dtype=np.float32)


def clips(n: int) -> CachedClips:
    """Latents of a short movie."""
    return CachedClips(tuple(("seg1", index) for index in range(n)), normal(n, FRAMES, 4, LATENT, LATENT))


class RandomVolumes(Shards):
    """Volumes of rest fMRI in memory, in the place of files."""

    def __init__(self, n: int, n_vertices: int) -> None:
        self.n_vertices, self.volumes = n_vertices, torch.from_numpy(normal(n, n_vertices))

    def __len__(self) -> int:
        return len(self.volumes)

    def rows(self, rows: Tensor) -> Tensor:
        return self.volumes[rows]

    def epoch_order(self, n_items: int, seed: int, epoch: int) -> Tensor:
        return torch.arange(n_items)


def published_encoder(n_vertices: int) -> FmriEncoder:
    """The encoder of phases 1 and 2b."""
    return FmriEncoder(TrainEncoderSettings(**ENCODER).architecture(n_vertices, STATES, STATES[1], None))


def published_unet(trained: str) -> VideoUNet:
    """The video UNet of Stable Diffusion 1's size."""
    shape = (FRAMES, LATENT, LATENT)
    unet = VideoUNet(sample_size=LATENT, cross_attention_dim=STATES[1], clip_shape=shape, **UNET)
    unet.set_trainable(trained)  # type: ignore[arg-type]
    return unet


def published_decoder(n_vertices: int, trained: str) -> JointDecoder:
    """The encoder and the video UNet of phase 2b, which has no use for the encoder's pooling."""
    decoder = JointDecoder(published_unet(trained), published_encoder(n_vertices))
    assert decoder.encoder.pool is not None
    decoder.encoder.pool.requires_grad_(False)
    return decoder


def published_vae() -> AutoencoderKL:
    """Stable Diffusion's VAE; arguments left out are the class's defaults."""
    return AutoencoderKL(
        block_out_channels=VAE_WIDTHS,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )


def phase_0(settings: PretrainEncoderSettings, n_vertices: int, n: int, device: str) -> Task:
    """Fill in the hidden patches of n volumes under two masks."""
    with torch.device(device):
        model = MaskedAutoencoder(settings.architecture(n_vertices), settings.decoder())
    return PretrainTask(model, RandomVolumes(n, n_vertices), settings, 0)


def phase_1(settings: TrainEncoderSettings, n_vertices: int, n: int, device: str) -> Task:
    """Contrast n windows, each of a movie of its own: clips of one movie a few TRs apart are no negatives."""
    movies = tuple(f"seg{index}" for index in range(n))
    windows = FmriWindows.of_means({movie: normal(1, n_vertices) for movie in movies}, settings.window)
    text = {movie: normal(1, 1, STATES[1]) for movie in movies}
    image = {movie: normal(1, FRAMES, STATES[1]) for movie in movies}
    data = EncoderData.join(windows, text, image)
    with torch.device(device):
        model = ContrastiveModel(published_encoder(n_vertices), settings)
    return EncoderTask(model, data, None, settings, EncoderExperiment(), 0)


def phase_2a(settings: TrainVideoPriorSettings, n_vertices: int, n: int, device: str) -> Task:
    """Denoise n clips from their captions."""
    states = torch.from_numpy(normal(n, *STATES))
    data = ClipData(clips(n), lambda rows, generator: states[rows], states[0], ())
    with torch.device(device):
        unet = published_unet(settings.trained)
    return CaptionTask(unet, data, SCHEDULE, NOISE_RATIO, settings, 0)


def phase_2b(settings: TrainDecoderSettings, n_vertices: int, n: int, device: str) -> Task:
    """Denoise n clips from fMRI."""
    with torch.device(device):
        decoder = published_decoder(n_vertices, settings.trained)
    window = decoder.encoder.config.window
    windows = FmriWindows.of_means({"seg1": normal(n, n_vertices)}, window)
    data = window_data(clips(n), windows, np.zeros((window, n_vertices), np.float32), ())
    return FmriTask(decoder, data, SCHEDULE, NOISE_RATIO, settings, 0)


# How a task is made from settings, vertices, clips and device; and the published settings without validation.
PHASES: dict[str, tuple[Callable[..., Task], LoopSettings]] = {
    "0": (phase_0, PretrainEncoderSettings(validate_every=0)),
    "1": (phase_1, TrainEncoderSettings(validate_every=0, patience=0)),
    "2a": (phase_2a, TrainVideoPriorSettings(validate_every=0)),
    "2b": (phase_2b, TrainDecoderSettings(validate_every=0, patience=0)),
}


def make_small() -> None:
    """Make all networks and batches tiny, to try a program on a CPU."""
    global LATENT, STATES, VAE_WIDTHS
    LATENT, STATES, VAE_WIDTHS = 8, (5, 16), (32, 32, 32, 32)
    ENCODER.update(depth=2, width=32, heads=2)
    UNET.update(block_out_channels=(32, 32, 64, 64), attention_head_dim=4)
    decoder = {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2}
    for phase, own in {"0": ENCODER | decoder, "1": ENCODER, "2a": {}, "2b": {}}.items():
        make, settings = PHASES[phase]
        PHASES[phase] = make, settings.replace(batch_size=4, **own)
