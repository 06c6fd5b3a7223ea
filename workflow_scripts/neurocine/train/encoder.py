"""Phase 1: train the fMRI encoder against CLIP embeddings and augmented views of its input.

Equations and defaults: docs/method.md, "The objective".
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import FmriWindows
from neurocine.models.fmri_encoder import (
    EncoderHead,
    EncoderSize,
    FmriEncoder,
    FmriEncoderConfig,
    load_backbone_from,
    read_config,
)
from neurocine.models.in_parts import in_parts
from neurocine.section_checks import heads_divide_width
from neurocine.seeds import seeded_weights, torch_generator
from neurocine.settings import Check, Cosmetic, CountOrZero, NotNegative, Positive, Settings, Share, Unit
from neurocine.stimuli.cached import TextStates
from neurocine.train.augment import interpolation_mix, replaced_frames, spatial_keep
from neurocine.train.device import to_device
from neurocine.train.encoder_data import EncoderData
from neurocine.train.loop import train
from neurocine.train.losses import gather_rows, info_nce, near_in_time, retrieval_accuracy
from neurocine.train.task import GradientCheckpointing, LoopSettings, TrainingReport

log = logging.getLogger(__name__)


class EncoderExperiment(Settings):
    """What the experiments of the paper's Table 1 vary in phase 1."""

    augment: bool = True
    """True contrasts masked and interpolated views; false trains without, and ignores the next four keys."""
    spatial_ratio: Share = 0.2
    """The spatial view hides this fraction of the tokens (gamma_spa)."""
    temporal_ratio: Share = 0.3333
    """The temporal view interpolates each TR with this probability (gamma_tem)."""
    spatial_weight: NotNegative = 1.0
    """The contrastive loss of the spatial view has this weight (mu_spa)."""
    temporal_weight: NotNegative = 1.0
    """The contrastive loss of the temporal view has this weight (mu_tem)."""
    state_weight: NotNegative | None = None
    """The error of the text states has this weight in the encoder's loss; null takes that of train_encoder.
    """
    head: Literal["tokens", "flat"] | None = None
    """The encoder has this projection head; null takes that of train_encoder."""
    frame_code: bool | None = None
    """True adds a code of the frame to attention over frames, false none; null takes the value of
    train_encoder.
    """

    def choose(self, settings: "TrainEncoderSettings") -> "TrainEncoderSettings":
        """Return the settings with what this experiment chooses otherwise, beyond the paper."""
        names = ("state_weight", "head", "frame_code")
        chosen = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return settings.replace(**chosen)


class TrainEncoderSettings(
    EncoderSize,
    EncoderHead,
    LoopSettings,
    defaults={
        "steps": 6000,
        "batch_size": 64,
        "learning_rate": 5.3e-5,
        "betas": (0.9, 0.95),
        "weight_decay": 0.05,
        "warmup_steps": 300,
        "precision": "bf16",
        "validate_every": 60,
        "patience": 15,
        "tokens": 0,
        "text_width": 0,
    },
):
    """Phase 1. The paper gives the objective only; rates are those of DC-MAE's second phase.

    With 16 movies, 6000 steps are about 100 epochs and validation runs once an epoch.
    """

    checks: ClassVar[tuple[Check, ...]] = (*LoopSettings.checks, heads_divide_width)

    head_learning_rate: Positive = 1e-4
    """The learning rate of the projection head peaks at this value; other layers have learning_rate."""
    scale_learning_rate: NotNegative = 1e-2
    """The learning rate of the logit scale, one number, peaks at this value; 0 keeps the initial temperature.
    """
    mask_mode: Literal["token", "feature"] = "token"
    """The spatial view hides whole tokens, or the same features in all tokens (feature, the printed formula).
    """
    normalise_interpolation: bool = True
    """True divides the weights of the paper's equation 1 by their sum; false takes them as printed."""
    interpolate_min_one: bool = False
    """True interpolates at least one frame of every window; in windows of two that undoes temporal_ratio."""
    view_temperature: Positive = 0.1
    """Similarities are divided by this temperature in the contrasts between views."""
    initial_temperature: Positive = 0.07
    """The temperature of the contrasts with CLIP starts here and is then learned."""
    largest_logit_scale: Positive = 100.0
    """The learned inverse of the temperature does not exceed this value."""
    state_weight: NotNegative = 0.0
    """The error of the output tokens against the caption's text states has this weight; 0 as published."""
    near_trs: Annotated[CountOrZero, Unit("TR")] = 5
    """Clips of the same movie within this distance are excluded as negatives; 0 excludes none."""
    drop_equal_captions: bool = True
    """True excludes clips with equal caption embeddings as negatives for the text."""
    gradient_checkpointing: Annotated[GradientCheckpointing, Cosmetic()] = "auto"
    """These activations are recomputed in the backward pass, which saves memory: none, blocks (transformer
    blocks) or all.

    On a GPU, auto starts with none and recomputes more as its memory requires; elsewhere it is all.
    """

    def architecture(
        self,
        n_vertices: int,
        state_shape: tuple[int, int],
        embedding_width: int,
        backbone: FmriEncoderConfig | None,
    ) -> FmriEncoderConfig:
        """Put the encoder's architecture together; a pretrained backbone brings its own sizes.

        Parameters
        ----------
        n_vertices : V
        state_shape : (L, D) of the text encoder's states
        embedding_width : E, features of the contrastive embedding
        backbone : config of the pretrained encoder, None if there is none
        """
        source: Any = backbone or self
        return FmriEncoderConfig(
            n_vertices=n_vertices,
            window=self.window,
            patch=source.patch,
            depth=source.depth,
            width=source.width,
            heads=source.heads,
            mlp_ratio=source.mlp_ratio,
            temporal=self.window > 1,
            tokens=self.tokens or state_shape[0],
            text_width=self.text_width or state_shape[1],
            head=self.head,
            head_channels=self.head_channels,
            head_rank=self.head_rank,
            head_norm=self.head_norm,
            frame_code=self.frame_code,
            pooling=self.pooling,
            embedding_width=embedding_width,
        )


class ContrastiveModel(nn.Module):
    """The encoder with the learned scale of its contrasts with CLIP."""

    def __init__(self, encoder: FmriEncoder, settings: TrainEncoderSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.n_parts = settings.gradient_accumulation
        self.largest = math.log(settings.largest_logit_scale)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(settings.initial_temperature)))

    def forward(
        self, bold: Tensor, keep: Tensor | None = None, mix: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings (B, E) of windows (B, w, V), the logit scale, and the output tokens (B, L, D)."""
        with torch.no_grad():  # on the weight itself: a clamp in the graph would never let it come back
            self.logit_scale.clamp_(max=self.largest)
        embeddings, tokens = in_parts(self._encode, self.n_parts, bold, keep, mix)
        return embeddings, self.logit_scale.exp(), tokens

    def _encode(self, bold: Tensor, keep: Tensor | None, mix: Tensor | None) -> tuple[Tensor, Tensor]:
        tokens = self.encoder(bold, keep, mix)
        return self.encoder.embedding(tokens), tokens


class EncoderTask:
    """Contrast windows of fMRI with captions, frames and their own augmented views.

    Source: NeuroCine (arXiv 2402.01590) section 3.2, eq. 2 with its labels the right way round, and eq. 3.
    """

    contrasts = True

    def __init__(
        self,
        model: ContrastiveModel,
        training: EncoderData,
        held_out: EncoderData | None,
        settings: TrainEncoderSettings,
        experiment: EncoderExperiment,
        seed: int,
    ) -> None:
        self.model = model
        self.data, self.held_out = training, held_out
        self.settings, self.experiment, self.seed = settings, experiment, seed
        self.n_items = len(training)
        if settings.state_weight:
            assert training.text_states is not None
            self.state_variance = float(training.text_states.var(dim=0).mean())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return backbone, head and scale, with and without weight decay (none on biases, norms, scale)."""
        settings = self.settings
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            rate = settings.learning_rate
            if name.startswith(("encoder.proj_head.", "encoder.pool.")):
                rate = settings.head_learning_rate
            elif name == "logit_scale":
                rate = settings.scale_learning_rate
            groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr_scale": rate / settings.learning_rate,
                "weight_decay": settings.weight_decay if decay else 0.0,
            }
            for (rate, decay), parameters in groups.items()
        ]

    def views(self, n_samples: int, generator: torch.Generator) -> tuple[list[str], Tensor, Tensor]:
        """Draw the augmented views that have a weight.

        Returns
        -------
        Their names, and ``keep`` (views n, p or 1, d or 1) and ``mix`` (views n, w, w) of all views one after
        the other, the clean view first
        """
        config, settings, experiment = self.model.encoder.config, self.settings, self.experiment
        keep = spatial_keep(
            n_samples, config.n_patches, config.width, experiment.spatial_ratio, settings.mask_mode, generator
        )
        unmasked = torch.ones_like(keep)
        still = torch.eye(config.window).expand(n_samples, -1, -1)
        names, keeps, mixes = ["clean"], [unmasked], [still]
        if experiment.augment and experiment.spatial_weight:
            names.append("spatial")
            keeps.append(keep)
            mixes.append(still)
        if experiment.augment and experiment.temporal_weight:
            replaced = replaced_frames(
                n_samples, config.window, experiment.temporal_ratio, settings.interpolate_min_one, generator
            )
            names.append("temporal")
            keeps.append(unmasked)
            mixes.append(interpolation_mix(replaced, settings.normalise_interpolation))
        return names, torch.cat(keeps), torch.cat(mixes)

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return eq. 3, a scalar, of clips (n,), with one frame (and its caption) drawn per clip."""
        data, n = self.data, len(rows)
        device = self.model.logit_scale.device
        frame = torch.randint(data.image.shape[1], (n,), generator=generator)
        n_captions = data.text.shape[1]
        per_frame = n_captions == data.image.shape[1]
        caption = frame if per_frame else torch.randint(n_captions, (n,), generator=generator)
        names, keep, mix = self.views(n, generator)
        bold = to_device(data.windows.take(rows, generator), device).repeat(len(names), 1, 1)
        views, scale, tokens = model(bold, to_device(keep, device), to_device(mix, device))
        encoded = dict(zip(names, (gather_rows(part) for part in views.chunk(len(names))), strict=True))
        image = gather_rows(to_device(data.image[rows, frame], device))
        text = gather_rows(to_device(data.text[rows, caption], device))
        where = data.windows.movie, data.windows.clip
        movie, clip = (gather_rows(to_device(part[rows], device)) for part in where)
        near = self.near(movie, clip)
        parts = {"embedding": self.embedding_loss(encoded["clean"], text, image, scale, near)}
        total = parts["embedding"]
        for name in names[1:]:
            parts[name] = info_nce(
                encoded["clean"], encoded[name], 1 / self.settings.view_temperature, ignored=near
            )
            total = total + getattr(self.experiment, f"{name}_weight") * parts[name]
        if self.settings.state_weight:
            parts["states"] = self.state_errors(data, tokens[:n], rows, caption).mean()
            total = total + self.settings.state_weight * parts["states"]
        return total, {**{name: part.detach() for name, part in parts.items()}, "scale": scale.detach()}

    def near(self, movie: Tensor, clip: Tensor) -> Tensor | None:
        """Return pairs that are no negatives of each other, (n, n) bool, or None if all are."""
        if not self.settings.near_trs:
            return None
        return near_in_time(movie, clip, self.settings.near_trs)

    def embedding_loss(
        self, encoded: Tensor, text: Tensor, image: Tensor, scale: Tensor, near: Tensor | None
    ) -> Tensor:
        """Return L_emb: the contrast with the captions plus the contrast with the frames; all (n, E)."""
        not_text = near
        if self.settings.drop_equal_captions:
            unit = F.normalize(text, dim=-1)
            equal = unit @ unit.T > 1 - 1e-5  # computed in different batches, they differ in the last bits
            not_text = equal if near is None else equal | near
        return info_nce(encoded, text, scale, ignored=not_text) + info_nce(
            encoded, image, scale, ignored=near
        )

    def state_errors(self, data: EncoderData, tokens: Tensor, rows: Tensor, caption: Tensor) -> Tensor:
        """Return each clip's squared error of tokens (n, L, D) as a share of the text states' variance, (n,).

        Phase 2 starts from a video model that reads text states, so tokens near them give it a start.
        """
        assert data.caption_rows is not None
        assert data.text_states is not None
        target = to_device(data.text_states[data.caption_rows[rows, caption]], tokens.device)
        errors = (tokens.float() - target).square().flatten(1).mean(dim=1)
        return errors / self.state_variance

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return what is trained, on held-out movies, and retrieval among all their clips.

        ``embedding`` is L_emb in batches as in training, at the temperature that training starts from: at the
        learned one, overconfidence would look like a worse encoder. ``states`` is the error of the tokens,
        where it has a weight; ``loss`` adds both as training does. ``image_top1`` is the share of windows
        whose own clip has, of all held-out clips, the frames (mean embedding) most similar to the window's
        embedding; chance is 1 / ``clips``.
        """
        assert isinstance(model, ContrastiveModel)
        assert self.held_out is not None
        data, size = self.held_out, self.settings.batch_size
        device = model.logit_scale.device
        every = torch.arange(len(data)).split(size)
        outputs = [model(data.windows.take(rows).to(device)) for rows in every]
        encoded = torch.cat([part[0] for part in outputs])
        values = {"embedding": self.held_out_contrast(encoded), "clips": float(len(data))}
        values["loss"] = values["embedding"]
        if self.settings.state_weight:
            parts = [self.held_out_states(part[2], rows) for part, rows in zip(outputs, every, strict=True)]
            values["states"] = float(torch.cat(parts).mean())
            values["loss"] += self.settings.state_weight * values["states"]
        for name, keys in (("image", data.image.to(device)), ("text", data.text.to(device))):
            mean = F.normalize(keys, dim=-1).mean(dim=1)
            for top in (1, 10):
                values[f"{name}_top{top}"] = retrieval_accuracy(encoded, mean, top)
        return values

    def held_out_contrast(self, encoded: Tensor) -> float:
        """Return L_emb of all held-out clips, encoded (n, E), at a fixed temperature."""
        assert self.held_out is not None
        data, size = self.held_out, self.settings.batch_size
        device = encoded.device
        scale = torch.tensor(1 / self.settings.initial_temperature, device=device)
        text, image = data.text.to(device), data.image.to(device)
        order = torch.randperm(len(data), generator=torch_generator(self.seed, "validation"))
        losses = []
        for rows in (part for part in order.split(size) if len(part) == min(size, len(data))):
            near = self.near(data.windows.movie[rows].to(device), data.windows.clip[rows].to(device))
            for frame in range(image.shape[1]):
                caption = frame if text.shape[1] == image.shape[1] else frame % text.shape[1]
                losses.append(
                    self.embedding_loss(encoded[rows], text[rows, caption], image[rows, frame], scale, near)
                )
        return float(torch.stack(losses).mean())

    def held_out_states(self, tokens: Tensor, rows: Tensor) -> Tensor:
        """Return the error of tokens (n, L, D) of held-out clips (n,) for each caption, (n captions,)."""
        assert self.held_out is not None
        assert self.held_out.caption_rows is not None
        captions = range(self.held_out.caption_rows.shape[1])
        errors = [
            self.state_errors(self.held_out, tokens, rows, torch.full_like(rows, caption))
            for caption in captions
        ]
        return torch.cat(errors)

    def describe(self, rows: Tensor) -> list[str]:
        """Name the clips of rows (n,), movie:index."""
        return [f"{movie}:{clip}" for movie, clip in (self.data.windows.clips[row] for row in rows.tolist())]


def make_encoder(
    settings: TrainEncoderSettings,
    n_vertices: int,
    state_shape: tuple[int, int],
    embedding_width: int,
    pretrained: Path | None,
    seed: int,
) -> FmriEncoder:
    """Make the encoder that phase 1 starts from.

    Parameters
    ----------
    settings : section train_encoder
    n_vertices : V
    state_shape : (L, D) of the text encoder's states
    embedding_width : E, features of the contrastive embedding
    pretrained : directory of a phase-0 encoder, or None to start from random weights
    seed : of the random weights

    Raises
    ------
    InputError : the pretrained encoder is not readable
    """
    backbone = read_config(pretrained) if pretrained is not None else None
    config = settings.architecture(n_vertices, state_shape, embedding_width, backbone)
    with seeded_weights(seed, "train_encoder", "weights"):
        encoder = FmriEncoder(config)
    if pretrained is not None:
        load_backbone_from(pretrained, encoder)
        log.info("started from %s: %d blocks of width %d", pretrained, config.depth, config.width)
    return encoder


def _require_trainable(
    movies: Sequence[str],
    validation: Sequence[str],
    experiment: EncoderExperiment,
    settings: TrainEncoderSettings,
) -> None:
    """Refuse validation movies that are none or all, and settings that do not fit them or the window."""
    unknown = [movie for movie in validation if movie not in movies]
    if unknown or not set(movies) - set(validation):
        expected, todo = f"some but not all of {', '.join(movies)}", "Correct movies.validation."
        raise InputError("validation movies", ", ".join(validation), expected, todo)
    if settings.validate_every and not validation:
        found = f"{settings.validate_every} without validation movies"
        expected = "0, or movies.validation in the config"
        raise InputError("validate_every", found, expected, "Set one of them.")
    if experiment.augment and experiment.temporal_weight and settings.window < 2:
        expected = "2 or more frames to interpolate between"
        raise InputError("window", str(settings.window), expected, "Set temporal_weight to 0.")


def train_encoder(
    encoder: FmriEncoder,
    fmri: SubjectFmri,
    text: Mapping[str, np.ndarray],
    image: Mapping[str, np.ndarray],
    validation: Sequence[str],
    experiment: EncoderExperiment,
    settings: TrainEncoderSettings,
    seed: int,
    state_dir: Path,
    *,
    text_states: TextStates | None = None,
    identity: Any = None,
    device: str = "auto",
) -> TrainingReport:
    """Train an encoder in place with L = mu_spa L_spa + mu_tem L_tem + L_emb (eq. 3).

    Parameters
    ----------
    encoder : from :func:`make_encoder`
    fmri : training movies of one subject
    text, image : movie -> projected CLIP embeddings (T, K, E) of captions and (T, F, E) of frames
    validation : movies of ``fmri`` that are held out to choose the weights
    experiment : augmentation and its weights
    settings : section train_encoder
    seed : root of all randomness of the training
    text_states : of the captions, needed with ``state_weight``
    state_dir, identity, device : see :func:`neurocine.train.loop.train`

    Raises
    ------
    InputError : movies or clips of fMRI and embeddings do not fit, no movie left to train on
    """
    _require_trainable(fmri.movies, validation, experiment, settings)
    if settings.state_weight and text_states is None:
        raise ValueError("state_weight needs the text states of the captions")
    captions = text_states if settings.state_weight else None
    movies = [movie for movie in fmri.movies if movie not in validation]
    windows = FmriWindows({movie: fmri.samples(movie) for movie in movies}, settings.window)
    training = EncoderData.join(windows, text, image, captions)
    held_out = None
    if validation:
        windows = FmriWindows.of_means({movie: fmri.bold[movie] for movie in validation}, settings.window)
        held_out = EncoderData.join(windows, text, image, captions)
    task = EncoderTask(ContrastiveModel(encoder, settings), training, held_out, settings, experiment, seed)
    log.info("%d clips to train on, %d to validate", len(training), len(held_out or ()))
    return train(
        task,
        settings,
        seed,
        state_dir,
        Path(state_dir) / "log.jsonl",
        "train_encoder",
        identity=[identity, experiment.model_dump(), list(validation)],
        device=device,
    )
