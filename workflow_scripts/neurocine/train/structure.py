"""Train Mind-Animator's structure decoder: fMRI of one TR to the latent of the clip's first frame."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.fmri.assemble import SubjectFmri
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.seeds import seeded_weights
from neurocine.settings import Count, CountOrZero, ShareBelowOne, Unit
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
from neurocine.train.sparsify import LossInPlace
from neurocine.train.task import TrainingReport


class TrainStructureSettings(
    AnimatorSettings,
    defaults={
        "steps": 25_000,  # about 401 epochs
        "learning_rate": 1e-6,  # a decoder barely leaves the mean latent with it: see better_than_mean
        "validate_every": 63,
        "patience": 30,
        "sparsify_share": 0.2,
        "l1_weight": 4e-6,
        "l1_decay": 5e-5,  # the penalty has fallen to 0.87 in epoch 75
        "code_steps": 4725,  # 75 epochs
    },
):
    """Structure decoder, as published; 63 steps are an epoch of CC2017."""

    width: Annotated[Count, Unit("features")] = 1024
    """Hidden layers have this width."""
    blocks: Annotated[CountOrZero, Unit("blocks")] = 2
    """The decoder has this many residual blocks."""
    dropout: ShareBelowOne = 0.2
    """This fraction is dropped after every hidden layer."""


def pattern_correlation(predicted: Tensor, target: Tensor, mean: Tensor) -> Tensor:
    """Correlate latents with the true ones, the training mean taken off both.

    Parameters
    ----------
    predicted, target : (n, ...)
    mean : (...)

    Returns
    -------
    (n,), 0 where either is the mean
    """
    one, two = (
        F.normalize(x - x.mean(1, keepdim=True), dim=1)
        for x in ((predicted - mean).flatten(1), (target - mean).flatten(1))
    )
    return (one * two).sum(1)


class StructureTask(AnimatorTask):
    """Mean squared error of the first frame's latent.

    Parameters
    ----------
    network : to be trained
    samples : training samples
    latents : (n, C, h, w) of the training samples
    held_out, held_out_latents : the same of held-out movies
    settings : section train_structure
    variant : "paper" or "code", see `AnimatorTask`
    seed : root of all randomness of the training
    """

    def __init__(
        self,
        network: StructureDecoder,
        samples: Samples,
        latents: Tensor,
        held_out: Samples,
        held_out_latents: Tensor,
        settings: TrainStructureSettings,
        variant: str,
        seed: int,
    ) -> None:
        # The released code also calls the augmentation when it sets up, and once on its validation samples.
        super().__init__(network, samples, settings, variant, seed, in_place_calls=2)
        self.latents, self.held_out_latents, self.mean = latents, held_out_latents, latents.mean(0)
        self.held_out = held_out.bold
        if variant == "code":
            shape = (len(held_out), self.held_out.shape[1])
            self.held_out = self.held_out * LossInPlace(shape, settings.sparsify_share, seed + 1).after(0)

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the squared error plus penalty, a scalar, and its parts; rows (n,) i64."""
        bold = self.augmented(rows, generator)
        error = F.mse_loss(model(bold).float(), self.latents[rows].to(bold.device))
        penalty = self.penalty()
        zeros = (bold == 0).float().mean()
        return error + penalty, {"error": error.detach(), "l1": penalty.detach(), "zeros": zeros}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return squared error and pattern correlation on held-out movies, beside the mean latent's error."""
        device = next(model.parameters()).device
        predicted = torch.cat([model(part.to(device)).float().cpu() for part in self.held_out.split(256)])
        error = float(F.mse_loss(predicted, self.held_out_latents))
        mean_error = float(F.mse_loss(self.mean.expand_as(predicted), self.held_out_latents))
        correlation = float(pattern_correlation(predicted, self.held_out_latents, self.mean).mean())
        return {"loss": error, "error": error, "mean_error": mean_error, "pattern_correlation": correlation}


def train_structure(
    fmri: SubjectFmri,
    latents: CachedClips,
    validation: Sequence[str],
    variant: str,
    settings: TrainStructureSettings,
    seed: int,
    state_dir: Path,
    *,
    identity: Any = None,
    device: str = "auto",
) -> tuple[StructureDecoder, TrainingReport, dict[str, Any]]:
    """Train a structure decoder.

    Parameters
    ----------
    fmri : training movies of one subject
    latents : rows (n_clips, F, C, h, w) of the same clips
    validation : movies of ``fmri`` that are held out to choose the weights
    variant : "paper", or "code" as the released script: augmentation in place, last weights
    settings : section train_structure
    seed : root of all randomness of the training
    state_dir, identity, device : see `neurocine.train.loop.train`

    Returns
    -------
    The decoder, how the training went, and how the decoder compares with the mean latent

    Raises
    ------
    InputError : unknown variant, clips of fMRI and latents that do not fit, no movie held out
    """
    require_variant(variant)
    settings = settings_of_variant(settings, variant)
    training, held_out = split_movies(fmri, validation)
    Samples.of(fmri, fmri.movies).require_same(latents, "latents")
    first = {part: torch.from_numpy(latents.of(names)[:, 0]).float() for part, names in
             (("training", training), ("held_out", held_out))}  # fmt: skip
    channels, height, width = first["training"].shape[1:]
    config = StructureConfig(
        fmri.n_vertices, (channels, height, width), settings.width, settings.blocks, settings.dropout, variant
    )
    with seeded_weights(seed, "train_structure", "weights"):
        network = StructureDecoder(config)
    task = StructureTask(
        network,
        Samples.of(fmri, training),
        first["training"],
        Samples.of(fmri, held_out),
        first["held_out"],
        settings,
        variant,
        seed,
    )
    return train_animator(
        network,
        task,
        settings,
        seed,
        state_dir,
        "train_structure",
        identity=[identity, variant, list(validation)],
        device=device,
    )
