"""The task that both diffusion trainings share: predict the dependent noise of clips from a condition."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from pydantic import Field
from torch import Tensor, nn

from neurocine.diffusion.noise import dependent_noise, require_noise_ratio
from neurocine.diffusion.sampling import SchedulerName, make_scheduler, sample
from neurocine.errors import InputError
from neurocine.models.vae import decode_latents
from neurocine.models.video_unet import VideoUNet
from neurocine.pictures import draw_pairs
from neurocine.seeds import torch_generator
from neurocine.settings import Cosmetic, Count, CountOrZero, NotNegative, SamplingSteps, ShareBelowOne, Unit
from neurocine.stimuli.cached import CachedClips
from neurocine.train.device import to_device
from neurocine.train.loop import is_main_process
from neurocine.train.task import GradientCheckpointing, LoopSettings

log = logging.getLogger(__name__)
Schedule = Any  # diffusers types its schedulers' configs as plain mappings


class DenoisingSettings(
    LoopSettings,
    defaults={"learning_rate": 2e-5, "schedule": "constant", "warmup_steps": 50, "precision": "bf16"},
):
    """What both diffusion trainings set; the learning rate of the video UNet is published."""

    condition_dropout: ShareBelowOne = 0.1
    """This fraction of the clips is trained without condition, which classifier-free guidance needs."""
    time_power: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Diffusion times are T u^time_power with u uniform in 0 to 1; values below 1 draw noisy times more
    often.
    """
    velocity_loss: bool = False
    """True takes the error of the implied velocity instead of that of the noise, so noisy times count more.
    """
    trained: Literal["attention", "all"] = "attention"
    """The UNet's self-, cross- and temporal attention is trained (attention, as published), or all of it."""
    gradient_checkpointing: Annotated[GradientCheckpointing, Cosmetic()] = "auto"
    """These activations are recomputed in the backward pass, which saves memory: none, blocks (transformer
    blocks) or all.

    On a GPU, auto starts with none and recomputes more as its memory requires; elsewhere it is all.
    """
    sample_every: Annotated[CountOrZero, Unit("steps"), Cosmetic()] = 250
    """A picture of samples is drawn whenever this many steps have passed; 0 draws one at the end only."""
    sample_clips: Annotated[Count, Unit("clips"), Cosmetic()] = 4
    """The picture of samples shows this many validation clips."""
    sample_scheduler: Annotated[SchedulerName, Cosmetic()] = "DPMSolverMultistep"
    """The picture of samples is drawn by this sampler of diffusers, which must add no noise at its steps."""
    sample_steps: Annotated[SamplingSteps, Unit("steps"), Cosmetic()] = 25
    """The sampler of the picture takes this many denoising steps."""
    sample_guidance: Annotated[NotNegative, Cosmetic()] = 12.5
    """The picture of samples is drawn with this scale of classifier-free guidance; 1 is none."""


def noise_schedule(config: Mapping[str, Any]) -> Schedule:
    """Make the forward process of training from the config of the diffusion model's scheduler.

    Raises
    ------
    ValueError : the model predicts something else than noise or velocity
    """
    schedule: Schedule = DDPMScheduler.from_config(dict(config))
    kind = schedule.config.prediction_type
    if kind not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction_type is {kind!r}, not epsilon or v_prediction")
    return schedule


def training_target(schedule: Schedule, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """Return what the UNet is to predict: the (dependent) noise itself, or the velocity made with it.

    Latents, noise and result are (B, C, F, h, w), times (B,) i64.
    """
    if schedule.config.prediction_type == "epsilon":
        return noise
    return schedule.get_velocity(latents, noise, times)


def draw_times(schedule: Schedule, n: int, power: float, generator: torch.Generator) -> Tensor:
    """Draw training times floor(T u^power), u uniform in [0, 1), (n,) i64: density as t^(1/power - 1).

    Where a thing is in each frame, so also how it moves, is decided at the noisiest times.
    """
    n_times = schedule.config.num_train_timesteps
    u = torch.rand(n, generator=generator, dtype=torch.float64)
    return (n_times * u**power).long().clamp_max(n_times - 1)


def error_weights(schedule: Schedule, times: Tensor, velocity_loss: bool) -> Tensor:
    """Return the weights (n,) of squared errors at these times.

    The velocity sqrt(a) noise - sqrt(1 - a) latents that belongs to a predicted noise is off by 1 / sqrt(a)
    times the noise's error, ``a`` the cumulated alpha. A network that predicts velocities needs no weight.

    Source: Salimans & Ho 2022 (arXiv 2202.00512), section 4.
    """
    if velocity_loss and schedule.config.prediction_type == "epsilon":
        return 1 / schedule.alphas_cumprod.to(times.device)[times]
    return torch.ones(len(times), device=times.device)


@dataclasses.dataclass(frozen=True)
class ClipData:
    """Clips to train on and to validate with.

    Parameters
    ----------
    latents : rows (n_clips, F, C, h, w), scaled VAE latents
    inputs : condition inputs of given rows, ``inputs(rows (n,), generator or None) -> (n, ...)``; with a
        generator they may be drawn (one of several captions), without they are always the same
    null_input : (...), what stands for no condition
    validation : movies that are held out
    """

    latents: CachedClips
    inputs: Callable[[Tensor, torch.Generator | None], Tensor]
    null_input: Tensor
    validation: tuple[str, ...]

    def split(self) -> tuple[Tensor, Tensor]:
        """Return the row numbers of training and of validation clips, (n,) i64 each.

        Raises
        ------
        InputError : a validation movie is not there, or no movie is left to train on
        """
        movies = dict.fromkeys(movie for movie, _ in self.latents.clips)
        unknown = [movie for movie in self.validation if movie not in movies]
        rest = [movie for movie in movies if movie not in self.validation]
        if unknown or not rest:
            raise InputError(
                "validation movies",
                ", ".join(self.validation),
                f"some but not all of {', '.join(movies)}",
                "Correct movies.validation.",
            )
        training, validation = self.latents.rows_of(rest), self.latents.rows_of(self.validation)
        return torch.from_numpy(training), torch.from_numpy(validation)


def decay_groups(module: nn.Module, lr_scale: float = 1.0) -> list[dict[str, Any]]:
    """Return the trained parameters of a network: matrices, and biases and norms, which do not decay."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "lr_scale": lr_scale},
        {
            "params": [parameter for parameter in trained if parameter.ndim <= 1],
            "lr_scale": lr_scale,
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]


class DenoisingTask:
    """Predict dependent noise (or velocity), with the condition dropped now and then.

    Parameters
    ----------
    model : called ``model(noisy, times, inputs, return_dict=False)[0]``
    data : clips and their conditions
    scheduler_config : config of the diffusion model's scheduler
    noise_ratio : correlation between the frames' noise
    settings : section of the rule that trains it
    seed : root of the validation's noise and of the samples
    vae : makes pictures of samples; None = no pictures

    Source: NeuroCine (arXiv 2402.01590) section 3.3: eq. 7's noise is both what is added and the target.
    """

    def __init__(
        self,
        model: nn.Module,
        data: ClipData,
        scheduler_config: Mapping[str, Any],
        noise_ratio: float,
        settings: DenoisingSettings,
        seed: int,
        vae: AutoencoderKL | None = None,
    ) -> None:
        self.model, self.data, self.settings, self.seed = model, data, settings, seed
        self.schedule = noise_schedule(scheduler_config)
        require_noise_ratio(noise_ratio)
        self.noise_ratio = noise_ratio
        self.vae = vae
        self.latents = torch.from_numpy(data.latents.rows)
        self.training, self.held_out = data.split()
        self.n_items = len(self.training)
        if settings.validate_every and not len(self.held_out):
            raise InputError(
                "validate_every",
                f"{settings.validate_every} without validation movies",
                "0, or movies.validation in the config",
                "Set one of them.",
            )

    # --- what a subclass says ---------------------------------------------------------------------------

    def unet(self, model: nn.Module) -> VideoUNet:
        """Return the video UNet inside the model."""
        raise NotImplementedError

    def states(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Turn condition inputs (B, ...) into the UNet's states (B, L, D)."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups of trained parameters."""
        raise NotImplementedError

    # --- the task of the loop ---------------------------------------------------------------------------

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the scalar mean squared error of items (n,) at random times."""
        rows = self.training[rows]
        inputs = self.drop(self.data.inputs(rows, generator), generator)
        times = draw_times(self.schedule, len(rows), self.settings.time_power, generator)
        return self._errors(model, rows, inputs, times, generator).mean(), {}

    def drop(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Return the inputs (n, ...) with a random share of rows replaced by the null input."""
        dropped = torch.rand(len(inputs), generator=generator) < self.settings.condition_dropout
        return torch.where(dropped.view(-1, *[1] * (inputs.ndim - 1)), self.data.null_input, inputs)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the error on held-out movies with and without their condition, on always the same noise.

        Times are spread evenly over the schedule and dealt out to the clips at random, once and for all.
        """
        order = torch.randperm(len(self.held_out), generator=torch_generator(self.seed, "validation times"))
        times = order * self.schedule.config.num_train_timesteps // len(self.held_out)
        sums = {"loss": 0.0, "loss_without_condition": 0.0}
        parts = torch.arange(len(self.held_out)).split(self.settings.batch_size)
        for number, part in enumerate(parts):
            rows = self.held_out[part]
            inputs = self.data.inputs(rows, None)
            for name, given in (("loss", inputs), (
                "loss_without_condition", self.data.null_input.expand_as(inputs)
            )):  # fmt: skip
                generator = torch_generator(self.seed, "validation noise", number)
                sums[name] += float(self._errors(model, rows, given, times[part], generator).sum())
        return {name: total / len(self.held_out) for name, total in sums.items()}

    def describe(self, rows: Tensor) -> list[str]:
        """Name the clips of training items (n,), movie:index."""
        clips = (self.data.latents.clips[int(row)] for row in self.training[rows])
        return [f"{movie}:{index}" for movie, index in clips]

    def _errors(
        self, model: nn.Module, rows: Tensor, inputs: Tensor, times: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Return each clip's weighted mean squared error, (n,) float32."""
        device = next(model.parameters()).device
        latents = to_device(self.latents[rows], device).transpose(1, 2).float()
        noise = to_device(dependent_noise(tuple(latents.shape), self.noise_ratio, generator), device)
        times, inputs = to_device(times, device), to_device(inputs, device).float()
        noisy = self.schedule.add_noise(latents, noise, times)
        target = training_target(self.schedule, latents, noise, times)
        predicted = model(noisy, times, inputs, return_dict=False)[0]
        errors = F.mse_loss(predicted.float(), target, reduction="none").flatten(1).mean(1)
        return errors * error_weights(self.schedule, times, self.settings.velocity_loss)

    # --- pictures ---------------------------------------------------------------------------------------

    @property
    def picture_every(self) -> int:
        """Steps between two pictures; 0 draws none on the way."""
        return self.settings.sample_every

    def picture(self, model: nn.Module) -> np.ndarray | None:
        """Sample a few held-out clips; return (height, width, 3) uint8, originals above, or None without VAE.

        Originals are decoded from their latents, so the picture shows what the VAE can show at best. Without
        validation movies training clips are drawn.
        """
        if self.vae is None or not is_main_process():
            return None
        pool = self.held_out if len(self.held_out) else self.training
        spread = torch.linspace(0, len(pool) - 1, min(self.settings.sample_clips, len(pool))).round().long()
        rows = pool[spread]
        device = next(model.parameters()).device
        self.vae.to(device=device)  # type: ignore[call-arg]  # diffusers wraps it without self
        with torch.no_grad():
            null = self.states(model, self.data.null_input[None].to(device, torch.float32))[0]
            states = self.states(model, self.data.inputs(rows, None).to(device, torch.float32))
        originals = self.latents[rows].float()  # (n, F, C, h, w)
        n_frames, channels, height, width = originals.shape[1:]
        samples = sample(
            self.unet(model),
            make_scheduler(self.settings.sample_scheduler, self.schedule.config),
            states,
            null,
            latent_shape=(channels, n_frames, height, width),
            generators=[torch_generator(self.seed, "samples", int(row)) for row in rows],
            noise_ratio=self.noise_ratio,
            guidance=self.settings.sample_guidance,
            steps=self.settings.sample_steps,
        )
        if not samples.isfinite().all():
            log.warning("samples with NaN or infinite latents are not drawn")
            return None
        return draw_pairs(
            decode_latents(self.vae, originals), decode_latents(self.vae, samples.transpose(1, 2))
        )
