"""Phase 0: pretrain the encoder as a masked autoencoder with two contrasts (DC-MAE).

Equations and defaults: docs/method.md, "Phase 0: the pretrained encoder".
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from neurocine.models.masked_autoencoder import DecoderConfig, MaskedAutoencoder
from neurocine.seeds import seeded_weights, torch_generator
from neurocine.train.augment import random_order
from neurocine.train.device import to_device
from neurocine.train.loop import train
from neurocine.train.losses import double_contrast, gather_rows, masked_error
from neurocine.train.shards import Shards
from neurocine.train.task import LoopSettings, TrainingReport

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class PretrainEncoderSettings(LoopSettings):
    """Phase 0 as in DC-MAE: 140 epochs of 1114 subjects with 120 samples each."""

    steps: int = 75000  # 140 epochs
    batch_size: int = 250  # samples per step
    learning_rate: float = 2.5e-4  # peak
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW
    weight_decay: float = 0.05  # AdamW, decoupled; not on biases and norms
    warmup_steps: int = 21400  # 40 epochs
    gradient_clip: float = 0.8  # largest global gradient norm
    precision: str = "bf16"  # autocast; weights stay fp32
    validate_every: int = 1000  # steps between validations; 0 = none, and nothing is held out
    keep_best: bool = False  # the last weights are the result
    validation_share: float = 0.01  # of the samples, the last ones (whole subjects, if there are many)
    patch: int = 16  # vertices per token
    depth: int = 24  # transformer blocks
    width: int = 1024  # d, features per token
    heads: int = 16  # attention heads
    mlp_ratio: float = 1.0  # hidden width of the MLP as a multiple of the width
    decoder_width: int = 512  # features per token in the decoder
    decoder_depth: int = 8  # blocks of the decoder
    decoder_heads: int = 16  # attention heads of the decoder
    mask_ratio: float = 0.75  # share of tokens hidden from the encoder
    temperature: float = 0.1  # of both contrasts
    self_weight: float = 0.25  # contrast reconstruction - original; .5 x .5 is what DC-MAE's code applies
    cross_weight: float = 0.25  # contrast between reconstructions under two masks; likewise
    shards_in_memory: int = 128  # files kept in memory and mixed with each other
    gradient_checkpointing: bool = False  # compute blocks twice to save memory

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio is {self.mask_ratio}, must be between 0 and 1")
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"validation_share is {self.validation_share}, must be in [0, 1)")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}, must be positive")
        for name in ("self_weight", "cross_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if self.shards_in_memory < 1:
            raise ValueError(f"shards_in_memory is {self.shards_in_memory}, must be at least 1")
        self.architecture(1)
        self.decoder()

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
        return DecoderConfig(self.decoder_width, self.decoder_depth, self.decoder_heads)


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
        """Return the samples of a step: epochs of whole batches, which touch few files at a time."""
        epoch, batch = divmod(step, self.n_items // self.settings.batch_size)
        if self.order[0] != epoch:
            self.order = (epoch, self.shards.epoch_order(self.n_items, self.seed, epoch))
        return self.order[1][batch * self.settings.batch_size : (batch + 1) * self.settings.batch_size]

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the error on hidden patches plus the weighted contrasts."""
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
        made = model(bold.repeat(n_masks, 1), visible)
        target = self.model.patches(bold)
        total = masked_error(made, target.repeat(n_masks, 1, 1), visible)
        parts = {"reconstruction": total.detach()}
        if self.contrasts:
            first, second = (join(part.flatten(1)) for part in made.float().chunk(2))
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
        """Name samples as file, array and index."""
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
