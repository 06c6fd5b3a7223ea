"""Train Mind-Animator's motion generator: the latents of all frames from the first and from fMRI."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.models.motion import MotionConfig, MotionGenerator, released_mask, sparse_causal_mask
from neurocine.models.structure import StructureDecoder
from neurocine.seeds import seeded_weights, torch_generator
from neurocine.stimuli.cached import CachedClips
from neurocine.train.animator import (
    AnimatorSettings,
    AnimatorTask,
    Samples,
    require_variant,
    settings_of_variant,
    split_movies,
    train_animator,
)
from neurocine.train.task import TrainingReport


@dataclasses.dataclass(frozen=True)
class TrainMotionSettings(AnimatorSettings):
    """Motion generator, as published; 63 steps are an epoch of CC2017."""

    steps: int = 18_900  # 301 epochs
    # Peak of the published schedule: (width of a token x warmup_steps) ** -0.5 with 16 384 features.
    learning_rate: float = 1.105e-3  # peak; falls with the root of the step
    betas: tuple[float, float] = (0.9, 0.98)  # Adam
    adam_eps: float = 1e-9  # Adam
    warmup_steps: int = 50  # linear rise of the learning rate
    schedule: str = "inverse_sqrt"  # or exponential, cosine, constant
    validate_every: int = 63  # steps between validations, about an epoch
    patience: int = 30  # validations without improvement before stopping
    l1_weight: float = 6e-7  # of the sum of all absolute weights
    l1_decay: float = 1e-3  # rate: the penalty has fallen to 0.09 in epoch 70
    sparsify_share: float = 0.1  # of the fMRI's values, set to zero
    code_steps: int = 4410  # of variant "code": 70 epochs
    hide: float = 0.6  # probability that an earlier frame but the first is hidden in training (variant paper)
    code_keep: float = 0.6  # probability that it is seen, in the one mask of all steps (variant code)
    encoder_width: int = 768  # hidden width of the fMRI encoder
    feedforward_width: int = 768  # of the feed-forward layers
    layers: int = 2  # of the decoder
    heads: int = 4  # of attention
    attention_width: int = 0  # over all heads; 0 = a sixteenth of a frame's latent, at least 16 per head
    dropout: float = 0.2  # of positions and sub-layers
    attention_dropout: float = 0.15
    encoder_dropout: float = 0.3
    block_dropout: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hide", "code_keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        for name in ("encoder_width", "feedforward_width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.attention_width % self.heads or self.attention_width < 0:
            raise ValueError(
                f"attention_width is {self.attention_width}, must be a multiple of heads, {self.heads}"
            )
        for name in ("dropout", "attention_dropout", "encoder_dropout", "block_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be in [0, 1)")

    def architecture(
        self,
        n_vertices: int,
        n_frames: int,
        latent_shape: tuple[int, int, int],
        memory_tokens: int,
        from_fmri: bool,
        variant: str,
    ) -> MotionConfig:
        """Put the network's architecture together; its sizes follow from the caches."""
        return MotionConfig(
            n_vertices=n_vertices,
            n_frames=n_frames,
            latent_shape=latent_shape,
            memory_tokens=memory_tokens,
            from_fmri=from_fmri,
            encoder_width=self.encoder_width,
            feedforward_width=self.feedforward_width,
            layers=self.layers,
            heads=self.heads,
            attention_width=self.attention_width,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            encoder_dropout=self.encoder_dropout,
            block_dropout=self.block_dropout,
            variant=variant,
        )


class MotionTask(AnimatorTask):
    """Mean squared error of each next frame, the true frames given; validated by rolling out.

    Parameters
    ----------
    latents : (n, F, C, h, w) of the training samples
    held_out, held_out_latents : the same of held-out movies
    held_out_first : (n, C, h, w), the frames that held-out clips are rolled out from
    """

    model: MotionGenerator

    def __init__(
        self,
        network: MotionGenerator,
        samples: Samples,
        latents: Tensor,
        held_out: Samples,
        held_out_latents: Tensor,
        held_out_first: Tensor,
        settings: TrainMotionSettings,
        seed: int,
    ) -> None:
        super().__init__(network, samples, settings, network.config.variant, seed)
        self.latents, self.held_out, self.held_out_latents = latents, held_out, held_out_latents
        self.held_out_first, self.mean = held_out_first, latents.mean(0)
        self.hide = settings.hide
        self.fixed: Tensor | None = None
        if network.config.variant == "code":
            generator = torch_generator(seed, "train_motion", "mask")
            self.fixed = released_mask(network.config.n_frames - 1, settings.code_keep, generator)

    def seen(self, generator: torch.Generator) -> Tensor:
        """Return the mask of a batch, (F - 1, F - 1) bool: fresh, or (variant code) the one of all steps."""
        if self.fixed is not None:
            return self.fixed
        return sparse_causal_mask(self.latents.shape[1] - 1, self.hide, generator)

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return squared error of frames 1 to F - 1 plus penalty."""
        bold = self.augmented(rows, generator)
        frames = self.latents[rows].to(bold.device)
        predicted = model(bold, frames[:, :-1], self.seen(generator).to(bold.device))
        error = F.mse_loss(predicted.float(), frames[:, 1:])
        penalty = self.penalty()
        zeros = (bold == 0).float().mean()
        return error + penalty, {"error": error.detach(), "l1": penalty.detach(), "zeros": zeros}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the roll-out's squared error in frames 1 to F - 1 of held-out movies.

        Beside it stand ``hold_error`` of the first frame held and ``mean_error`` of the mean training clip.
        """
        assert isinstance(model, MotionGenerator)
        device = next(model.parameters()).device
        parts = zip(self.held_out.bold.split(256), self.held_out_first.split(256), strict=True)
        rolled = [model.roll_out(bold.to(device), first.to(device)).float().cpu() for bold, first in parts]
        target = self.held_out_latents[:, 1:]
        error = float(F.mse_loss(torch.cat(rolled)[:, 1:], target))
        held = self.held_out_first[:, None].expand_as(target)
        return {
            "loss": error,
            "error": error,
            "hold_error": float(F.mse_loss(held, target)),
            "mean_error": float(F.mse_loss(self.mean[1:].expand_as(target), target)),
        }


def train_motion(
    fmri: SubjectFmri,
    latents: CachedClips,
    structure: StructureDecoder,
    validation: Sequence[str],
    variant: str,
    memory_tokens: int,
    from_fmri: bool,
    settings: TrainMotionSettings,
    seed: int,
    state_dir: Path,
    *,
    identity: Any = None,
    device: str = "auto",
) -> tuple[MotionGenerator, TrainingReport, dict[str, Any]]:
    """Train a motion generator.

    Parameters
    ----------
    fmri : training movies of one subject
    latents : rows (n_clips, F, C, h, w) of the same clips
    structure : decodes the first frames of held-out clips, from which they are rolled out as at test
    validation : movies of ``fmri`` that are held out to choose the weights
    variant : "paper", or "code" as the released script: one fixed mask, augmentation in place, last weights,
        true first frames in validation
    memory_tokens : K, tokens that the fMRI becomes; 1 as published
    from_fmri : false trains the control that sees frames only
    state_dir, identity, device : see `neurocine.train.loop.train`

    Returns
    -------
    The generator, how the training went, and how the generator compares with the mean clip

    Raises
    ------
    InputError : unknown variant, no memory token, clips of fMRI and latents that do not fit, no movie held
        out, a structure decoder of another variant or for latents of another size
    """
    require_variant(variant)
    if memory_tokens < 1:
        raise InputError("memory_tokens", str(memory_tokens), "1 or more", "Give 1, the published value.")
    settings = settings_of_variant(settings, variant)
    training, held_out = split_movies(fmri, validation)
    Samples.of(fmri, fmri.movies).require_same(latents, "latents")
    frames = {
        part: torch.from_numpy(latents.of(names)).float()
        for part, names in (("training", training), ("held_out", held_out))
    }
    n_frames, channels, height, width = frames["training"].shape[1:]
    shape = (channels, height, width)
    if n_frames < 2:
        raise InputError("latents", f"{n_frames} frame a clip", "2 or more", "Raise frames_per_tr.")
    if (structure.config.latent_shape, structure.config.variant) != (shape, variant):
        found = f"latents {structure.config.latent_shape}, variant {structure.config.variant}"
        raise InputError(
            "structure decoder", found, f"latents {shape}, variant {variant}", "Run train_structure again."
        )
    with seeded_weights(seed, "train_motion", "weights"):
        network = MotionGenerator(
            settings.architecture(fmri.n_vertices, n_frames, shape, memory_tokens, from_fmri, variant)
        )
    held_samples = Samples.of(fmri, held_out)
    with torch.no_grad():
        first = structure.eval().cpu()(held_samples.bold)
    task = MotionTask(
        network,
        Samples.of(fmri, training),
        frames["training"],
        held_samples,
        frames["held_out"],
        frames["held_out"][:, 0] if variant == "code" else first,
        settings,
        seed,
    )
    report, quality = train_animator(
        task, settings, seed, state_dir, "train_motion",
        identity=[identity, variant, memory_tokens, from_fmri, list(validation)], device=device,
    )  # fmt: skip
    return network, report, quality
