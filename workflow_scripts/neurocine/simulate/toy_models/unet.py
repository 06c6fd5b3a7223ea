"""Train a small text-to-image UNet on the toy world, with the toy VAE and the toy CLIP's text tower."""

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from neurocine.simulate.toy_models.pool import Pool
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.task import ToyTask, train_toy
from neurocine.simulate.toy_models.vae import signed_pixels

CAPTION_DROPOUT = 0.1  # share of items trained with the empty caption, so that guidance is defined


def new_unet(size: int, latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """Make an untrained UNet for latents of size / 8: two resolutions, attention in both."""
    return UNet2DConditionModel(
        sample_size=size // 8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(48, 96),
        layers_per_block=1,
        cross_attention_dim=text_width,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def new_scheduler() -> DDIMScheduler:
    """Make the noise schedule of Stable Diffusion 1.5."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
        clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon",
    )  # fmt: skip


class ToyUnetTask(ToyTask):
    """Predict the noise in a frame's latent given its caption; latents are made once."""

    def __init__(
        self,
        pool: Pool,
        held_out: Pool,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
    ) -> None:
        self.pool = pool
        size = pool.frames.shape[2]
        self.scheduler = new_scheduler()
        names = sorted({*pool.captions, *held_out.captions})
        number = {name: i for i, name in enumerate(names)}
        ids = tokenizer(["", *names], padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            states = text_encoder(ids).last_hidden_state
        self.null, self.states = states[0], states[1:]
        self.labels = torch.tensor([number[c] for c in pool.captions])
        self.test_labels = torch.tensor([number[c] for c in held_out.captions])
        self.latents, self.test = self._encode(vae, pool), self._encode(vae, held_out)
        self.model = new_unet(size, self.latents.shape[2], states.shape[-1])

    @staticmethod
    @torch.no_grad()
    def _encode(vae: AutoencoderKL, pool: Pool) -> Tensor:
        means = [vae.encode(signed_pixels(clip)).latent_dist.mode() for clip in pool.frames]
        return torch.stack(means) * vae.config["scaling_factor"]

    def _error(self, model: nn.Module, latents: Tensor, states: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(latents.shape, generator=generator)
        steps = self.scheduler.config["num_train_timesteps"]
        times = torch.randint(steps, (len(latents),), generator=generator)
        noisy = self.scheduler.add_noise(latents, noise, cast(torch.IntTensor, times))
        return F.mse_loss(model(noisy, times, states).sample, noise)

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar error of a latent drawn per clip, some without their caption; rows (n,) i64."""
        which = torch.randint(self.latents.shape[1], (len(rows),), generator=generator)
        dropped = torch.rand(len(rows), generator=generator) < CAPTION_DROPOUT
        states = torch.where(dropped[:, None, None], self.null, self.states[self.labels[rows]])
        return self._error(model, self.latents[rows, which], states, generator), {}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the noise error on held-out combinations, the same noise every time."""
        generator = torch.Generator().manual_seed(0)
        error = self._error(model, self.test[:, 2], self.states[self.test_labels], generator)
        return {"loss": float(error)}


def train_toy_unet(
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    settings: ToyModelSettings,
    seed: int,
    state: Path,
) -> tuple[UNet2DConditionModel, DDIMScheduler]:
    """Train the UNet of the toy Stable Diffusion.

    Parameters
    ----------
    vae, text_encoder, tokenizer : the trained other parts of it
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``

    Returns
    -------
    network and noise schedule, both of which save themselves in the published layout
    """

    def make_task(pool: Pool, held_out: Pool) -> ToyUnetTask:
        return ToyUnetTask(pool, held_out, vae, text_encoder, tokenizer)

    task = train_toy("train_toy_unet", make_task, settings, seed, state)
    return task.model, task.scheduler
