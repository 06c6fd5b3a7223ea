"""Train a small variational autoencoder with Stable Diffusion's layout (8 x reduction) on the toy world."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from neurocine.simulate.toy_models.pool import Pool
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.task import ToyTask, train_toy

SCALED_BY = 1000  # frames whose latents decide the scaling factor
KL_WEIGHT = 1e-6  # as for the published autoencoder: keeps the latents bounded, costs no detail


def new_vae(size: int, latent_channels: int) -> AutoencoderKL:
    """Make an untrained autoencoder for frames of this size."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=size,
    )


def signed_pixels(frames: np.ndarray) -> Tensor:
    """Scale uint8 (n, H, W, 3) to f32 (n, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


class AutoencoderPass(nn.Module):
    """Encode, draw a latent, decode: the forward pass that the loss needs, in one call."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (n, 3, H, W) and the KL divergence (n,); without generator, no draw."""
        posterior = self.vae.encode(pixels).latent_dist
        latent = posterior.mode() if generator is None else posterior.sample(generator)
        return self.vae.decode(latent).sample, posterior.kl()


class ToyVaeTask(ToyTask):
    """Mean squared error plus a small KL term; items are single frames.

    The squared error matters: with the absolute error these shapes stay grey for thousands of steps.
    """

    def __init__(self, pool: Pool, held_out: Pool, size: int, latent_channels: int) -> None:
        self.pool = pool
        self.frames = pool.frames.reshape(-1, size, size, 3)
        self.test = signed_pixels(held_out.frames[:, ::3].reshape(-1, size, size, 3))
        self.model = AutoencoderPass(new_vae(size, latent_channels))

    @property
    def n_items(self) -> int:
        return len(self.frames)

    def describe(self, rows: Tensor) -> list[str]:
        """Name the frames of these rows (n,) i64."""
        per_clip = self.pool.frames.shape[1]
        return [f"{self.pool.captions[int(row) // per_clip]}, frame {int(row) % per_clip}" for row in rows]

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss, squared error plus weighted divergence, of frames; rows (n,) i64."""
        x = signed_pixels(self.frames[rows.numpy()])
        y, kl = model(x, generator)
        error = F.mse_loss(y, x)
        return error + KL_WEIGHT * kl.mean(), {"mse": error.detach()}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the mean PSNR (dB) of held-out frames after a round trip."""
        y, _ = model(self.test, None)
        error = ((y.clamp(-1, 1) - self.test) / 2).square().mean((1, 2, 3))
        psnr = float((-10 * torch.log10(error)).mean())
        return {"loss": -psnr, "psnr": psnr}


@torch.no_grad()
def set_scaling_factor(vae: AutoencoderKL, frames: np.ndarray) -> None:
    """Set the factor that brings latents to unit standard deviation, as in Stable Diffusion.

    ``frames`` are (n, H, W, 3) uint8.
    """
    latents = vae.encode(signed_pixels(frames)).latent_dist.mode()
    vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))


def train_toy_vae(settings: ToyModelSettings, seed: int, state: Path) -> AutoencoderKL:
    """Train the autoencoder of the toy Stable Diffusion.

    Parameters
    ----------
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``

    Returns
    -------
    the network, whose scaling factor fits the latents of the training frames
    """

    def make_task(pool: Pool, held_out: Pool) -> ToyVaeTask:
        return ToyVaeTask(pool, held_out, settings.size, settings.latent_channels)

    task = train_toy("train_toy_vae", make_task, settings, seed, state)
    set_scaling_factor(task.model.vae, task.frames[:SCALED_BY])
    return task.model.vae
