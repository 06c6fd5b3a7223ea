"""Phase 0: pretrain the encoder as a masked autoencoder with two contrasts (DC-MAE).

Equations and defaults: docs/method.md, "Phase 0: the pretrained encoder".
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.models.fmri_encoder import EncoderSize, FmriEncoder, FmriEncoderConfig
from neurocine.models.masked_autoencoder import DecoderConfig, MaskedAutoencoder
from neurocine.section_checks import heads_divide_width
from neurocine.seeds import seeded_weights, torch_generator
from neurocine.settings import Check, Cosmetic, Count, NotNegative, Positive, ShareBelowOne, Unit
from neurocine.train.augment import random_order
from neurocine.train.device import to_device
from neurocine.train.loop import train
from neurocine.train.losses import double_contrast, gather_rows, masked_error
from neurocine.train.shards import Shards
from neurocine.train.task import GradientCheckpointing, LoopSettings, TrainingReport

log = logging.getLogger(__name__)


class PretrainEncoderSettings(
    EncoderSize,
    LoopSettings,
    defaults={
        "steps": 75000,
        "batch_size": 250,
        "learning_rate": 2.5e-4,
        "betas": (0.9, 0.95),
        "weight_decay": 0.05,
        "warmup_steps": 21400,
        "gradient_clip": 0.8,
        "precision": "bf16",
        "validate_every": 1000,
        "keep_best": False,
    },
):
    """Phase 0 as in DC-MAE: 140 epochs of 1114 subjects with 120 samples each, 40 of them warm-up."""

    checks: ClassVar[tuple[Check, ...]] = (*LoopSettings.checks, heads_divide_width)

    validation_share: ShareBelowOne = 0.01
    """The last samples, this fraction of all, are held out for validation; of many subjects, whole subjects.
    """
    decoder_width: Annotated[Count, Unit("features")] = 512
    """Each token of the decoder, which is discarded after pretraining, has this many features."""
    decoder_depth: Annotated[Count, Unit("blocks")] = 8
    """The decoder has this many transformer blocks."""
    decoder_heads: Annotated[Count, Unit("heads")] = 16
    """Each block of the decoder has this many attention heads."""
    mask_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.75
    """This fraction of the tokens is hidden from the encoder."""
    temperature: Positive = 0.1
    """Similarities are divided by this temperature in both contrastive losses."""
    self_weight: NotNegative = 0.25
    """The contrast of reconstruction and original has this weight (0.5 x 0.5 is what DC-MAE's code applies).
    """
    cross_weight: NotNegative = 0.25
    """The contrast of reconstructions under two masks has this weight (as self_weight in DC-MAE's code)."""
    shards_in_memory: Annotated[Count, Unit("files")] = 128
    """This many files are kept in memory, and their samples are mixed with each other."""
    gradient_checkpointing: Annotated[GradientCheckpointing, Cosmetic()] = "auto"
    """These activations are recomputed in the backward pass, which saves memory: none, blocks (transformer
    blocks) or all.

    On a GPU, auto starts with none and recomputes more as its memory requires; elsewhere it is all.
    """

    def architecture(self, n_vertices: int) -> FmriEncoderConfig:
        """Return the encoder's architecture: single frames, no head."""
        return FmriEncoderConfig(
            n_vertices=n_vertices,
            window=1,
            patch=self.patch,
            depth=self.depth,
            width=self.width,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            temporal=False,
            tokens=0,
        )

    def decoder(self) -> DecoderConfig:
        """Return the decoder's architecture."""
        return DecoderConfig(width=self.decoder_width, depth=self.decoder_depth, heads=self.decoder_heads)


class PretrainTask:
    """Reconstruct hidden patches; with contrasts, under two masks at once."""

    def __init__(
        self, model: MaskedAutoencoder, shards: Shards, settings: PretrainEncoderSettings, seed: int
    ) -> None:
        self.model, self.shards, self.settings, self.seed = model, shards, settings, seed
        n_held_out = max(2, round(settings.validation_share * len(shards))) if settings.validate_every else 0
        self.n_items = len(shards) - n_held_out
        if self.n_items < settings.batch_size:
            raise InputError(
                "pretrain_encoder.batch_size",
                str(settings.batch_size),
                f"at most the {self.n_items} samples to train on",
                "Lower it, or give more data.",
            )
        if self.contrasts:
            model.n_parts = settings.gradient_accumulation
        self.n_visible = max(1, int(model.encoder.config.n_patches * (1 - settings.mask_ratio)))
        self.order: tuple[int, Tensor] = (-1, torch.empty(0))

    @property
    def contrasts(self) -> bool:
        """Say whether any contrast has a weight: a second mask is needed, and the whole batch at once."""
        return bool(self.settings.self_weight or self.settings.cross_weight)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the weights with decay, and biases, norms and the mask token without."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            (plain if parameter.ndim < 2 or name == "mask_token" else decayed).append(parameter)
        return [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]

    def batches(self, step: int, generator: torch.Generator) -> Tensor:
        """Return the samples (B,) i64 of a step: epochs of whole batches, which touch few files at a time."""
        epoch, batch = divmod(step, self.n_items // self.settings.batch_size)
        if self.order[0] != epoch:
            self.order = (epoch, self.shards.epoch_order(self.n_items, self.seed, epoch))
        return self.order[1][batch * self.settings.batch_size : (batch + 1) * self.settings.batch_size]

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the error on hidden patches plus the weighted contrasts, a scalar; rows (n,) i64."""
        return self._loss(model, rows, generator, gather_rows)

    def _loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator, join: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        n_masks = 2 if self.contrasts else 1
        device = self.model.mask_token.device
        bold = to_device(self.shards.rows(rows), device)
        n_patches = self.model.encoder.config.n_patches
        order = random_order(n_masks * len(rows), n_patches, generator)
        visible = to_device(order[:, : self.n_visible], device)
        predicted = model(bold.repeat(n_masks, 1), visible)
        target = self.model.patches(bold)
        total = masked_error(predicted, target.repeat(n_masks, 1, 1), visible)
        parts = {"reconstruction": total.detach()}
        if self.contrasts:
            first, second = (join(part.flatten(1)) for part in predicted.float().chunk(2))
            own, cross = double_contrast(first, second, join(target.flatten(1)), self.settings.temperature)
            total = total + self.settings.self_weight * own + self.settings.cross_weight * cross
            parts |= {"self_contrast": own.detach(), "cross_contrast": cross.detach()}
        return total, parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss and its parts on held-out samples under always the same masks."""
        rows = torch.arange(self.n_items, len(self.shards))
        sums: dict[str, float] = {}
        for number, part in enumerate(rows.split(self.settings.batch_size)):
            generator = torch_generator(self.seed, "validation", number)
            # Every process validates all samples, so there is nothing to join.
            loss, parts = self._loss(model, part, generator, lambda own: own)
            for name, value in {"loss": loss.detach(), **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part) / len(rows)
        return sums

    def describe(self, rows: Tensor) -> list[str]:
        """Name samples (n,) as file, array and index."""
        return ["{}:{}:{}".format(*self.shards.place(row)) for row in rows.tolist()]


def pretrain_encoder(
    shards: Shards,
    settings: PretrainEncoderSettings,
    seed: int,
    state_dir: Path,
    *,
    identity: Any = None,
    device: str = "auto",
) -> tuple[FmriEncoder, TrainingReport]:
    """Pretrain an encoder of single frames on unlabelled fMRI.

    Parameters
    ----------
    shards : z-scored samples, rest or training movies
    settings : section pretrain_encoder
    seed : root of all randomness of the training
    state_dir, identity, device : see :func:`neurocine.train.loop.train`

    Source: DC-MAE (vis_dec_neurips), with its contrasts switched on; docs/method.md,
    "Phase 0: the pretrained encoder".
    """
    with seeded_weights(seed, "pretrain_encoder", "weights"):
        model = MaskedAutoencoder(settings.architecture(shards.n_vertices), settings.decoder())
    task = PretrainTask(model, shards, settings, seed)
    log.info("%d samples of %d vertices to train on", task.n_items, shards.n_vertices)
    report = train(
        task,
        settings,
        seed,
        state_dir,
        Path(state_dir) / "log.jsonl",
        "pretrain_encoder",
        identity=identity,
        device=device,
    )
    return model.encoder, report
