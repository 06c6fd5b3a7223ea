"""Train Mind-Animator's motion generator: the latents of all frames from the first and from fMRI."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.models.motion import MotionConfig, MotionGenerator, released_mask, sparse_causal_mask
from neurocine.models.structure import StructureDecoder
from neurocine.section_checks import heads_divide_attention
from neurocine.seeds import seeded_weights, torch_generator
from neurocine.settings import Check, Count, CountOrZero, Share, ShareBelowOne, Unit
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


class TrainMotionSettings(
    AnimatorSettings,
    defaults={
        "steps": 18_900,  # 301 epochs
        # Peak of the published schedule: (width of a token x warmup_steps) ** -0.5 with 16 384 features.
        "learning_rate": 1.105e-3,
        "betas": (0.9, 0.98),
        "adam_eps": 1e-9,
        "warmup_steps": 50,
        "schedule": "inverse_sqrt",
        "validate_every": 63,
        "patience": 30,
        "l1_weight": 6e-7,
        "l1_decay": 1e-3,  # the penalty has fallen to 0.09 in epoch 70
        "code_steps": 4410,  # 70 epochs
    },
):
    """Motion generator, as published; 63 steps are an epoch of CC2017."""

    checks: ClassVar[tuple[Check, ...]] = (*AnimatorSettings.checks, heads_divide_attention)

    hide: Share = 0.6
    """Training hides an earlier frame but the first with this probability (variant paper)."""
    code_keep: Share = 0.6
    """The one mask of all steps shows an earlier frame with this probability (variant code)."""
    encoder_width: Annotated[Count, Unit("features")] = 768
    """The hidden layers of the fMRI encoder have this width."""
    feedforward_width: Annotated[Count, Unit("features")] = 768
    """The feed-forward layers have this hidden width."""
    layers: Annotated[Count, Unit("layers")] = 2
    """The decoder has this many layers."""
    heads: Annotated[Count, Unit("heads")] = 4
    """Attention has this many heads."""
    attention_width: Annotated[CountOrZero, Unit("features")] = 0
    """Attention has this width over all heads; 0 is a sixteenth of a frame's latent, at least 16 per head."""
    dropout: ShareBelowOne = 0.2
    """This fraction of positions and outputs of sub-layers is dropped."""
    attention_dropout: ShareBelowOne = 0.15
    """This fraction of the attention is dropped."""
    encoder_dropout: ShareBelowOne = 0.3
    """This fraction is dropped after the first layer of the fMRI encoder."""
    block_dropout: ShareBelowOne = 0.15
    """This fraction is dropped in the residual blocks of the fMRI encoder."""

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
    network : to be trained
    samples : training samples
    latents : (n, F, C, h, w) of the training samples
    held_out, held_out_latents : the same of held-out movies
    held_out_first : (n, C, h, w), the frames that held-out clips are rolled out from
    settings : section train_motion
    seed : root of all randomness of the training
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
        """Return squared error of frames 1 to F - 1 plus penalty, a scalar, and its parts; rows (n,) i64."""
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


def require_fitting(
    n_frames: int, shape: tuple[int, int, int], structure: StructureDecoder, variant: str
) -> None:
    """Refuse clips that cannot move, and a structure decoder of other latents or of another variant.

    Parameters
    ----------
    n_frames : of a clip
    shape : (C, h, w) of a frame's latent
    structure : decodes first frames
    variant : of the motion generator
    """
    if n_frames < 2:
        raise InputError("latents", f"{n_frames} frame a clip", "2 or more", "Raise frames_per_tr.")
    decoded = structure.config
    if (decoded.latent_shape, decoded.variant) != (shape, variant):
        found, expected = (
            f"latents {size}, variant {name}"
            for size, name in ((decoded.latent_shape, decoded.variant), (shape, variant))
        )
        raise InputError("structure decoder", found, expected, "Run train_structure again.")


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
    settings : section train_motion
    seed : root of all randomness of the training
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
    n_frames, *shape = frames["training"].shape[1:]
    require_fitting(n_frames, (shape[0], shape[1], shape[2]), structure, variant)
    with seeded_weights(seed, "train_motion", "weights"):
        network = MotionGenerator(
            settings.architecture(
                fmri.n_vertices, n_frames, structure.config.latent_shape, memory_tokens, from_fmri, variant
            )
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
    return train_animator(
        network,
        task,
        settings,
        seed,
        state_dir,
        "train_motion",
        identity=[identity, variant, memory_tokens, from_fmri, list(validation)],
        device=device,
    )
