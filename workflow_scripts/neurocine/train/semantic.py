"""Train Mind-Animator's semantic decoder: fMRI of one TR to a CLIP embedding and to text states."""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.models.semantic import SemanticConfig, SemanticDecoder
from neurocine.seeds import seeded_weights
from neurocine.settings import Count, CountOrZero, NotNegative, Positive, Share, ShareBelowOne, Unit
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.stimuli.variants import Variants
from neurocine.train.animator import (
    AnimatorSettings,
    AnimatorTask,
    Samples,
    require_variant,
    settings_of_variant,
    split_movies,
    train_animator,
)
from neurocine.train.losses import gather_rows, info_nce, retrieval_accuracy
from neurocine.train.task import TrainingReport

log = logging.getLogger(__name__)


class TrainSemanticSettings(
    AnimatorSettings,
    defaults={
        "steps": 6_363,  # 101 epochs
        "learning_rate": 2e-4,
        "validate_every": 63,
        "patience": 30,
        "code_steps": 1953,  # epochs 0 to 30
    },
):
    """Semantic decoder, as published; 63 steps are an epoch of CC2017."""

    tokens: Annotated[int, Field(ge=2), Unit("tokens")] = 20
    """This many text states steer the diffusion model; the first of them is not decoded."""
    embedding_weight: NotNegative = 1.0
    """The squared error against the text embedding has this weight."""
    contrast_weight: NotNegative = 0.01
    """The contrasts with texts and images have this weight."""
    text_share: Share = 0.5
    """The contrast with texts has this fraction of that weight, the contrast with images the rest (alpha)."""
    state_weight: NotNegative = 0.5
    """The squared error against the text states has this weight."""
    initial_temperature: Positive = 0.07
    """The temperature of the contrasts starts here and is then learned."""
    image_frame: CountOrZero = 3
    """Validation with images uses the embedding of this frame of a clip, counted from 0."""
    head_widths: tuple[Count, ...] = (2048, 4096)
    """The hidden layers from the embedding to the text states have these widths."""
    blocks: Annotated[CountOrZero, Unit("blocks")] = 3
    """The decoder has this many residual blocks."""
    dropout: ShareBelowOne = 0.3
    """This fraction is dropped after the first layer."""
    block_dropout: ShareBelowOne = 0.15
    """This fraction is dropped in the residual blocks."""


@dataclasses.dataclass(frozen=True)
class Meanings:
    """What clips mean, for frozen networks.

    Parameters
    ----------
    text : (n, E) f32, CLIP embeddings of the captions, not normalised; means over a clip's captions
    image : (n, E) f32, of one frame
    states : (n, L, D) f32, text states of each clip's first caption
    """

    text: Tensor
    image: Tensor
    states: Tensor

    @classmethod
    def read(
        cls, embeddings: Sequence[Path], states: TextStates, movies: Sequence[str], frame: int, tokens: int
    ) -> Self:
        """Read the meanings of movies' clips from files of embed_clips.

        Raises
        ------
        InputError : no such frame
        """
        text = CachedClips.read(embeddings, "text", movies).of(movies)
        image = CachedClips.read(embeddings, "image", movies).of(movies)
        if frame >= image.shape[1]:
            raise InputError(
                "train_semantic.image_frame", str(frame), f"0 to {image.shape[1] - 1}", "Correct it."
            )
        rows = states.index.of(movies)[:, 0]
        return cls(
            torch.from_numpy(text).float().mean(1),
            torch.from_numpy(np.ascontiguousarray(image[:, frame])).float(),
            torch.from_numpy(states.states[:, :tokens][rows]).float(),
        )


class ScaledDecoder(nn.Module):
    """The decoder with the learned scale of its contrasts, as the published code without a bound."""

    def __init__(self, decoder: SemanticDecoder, temperature: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, bold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings (B, E), states after the first (B, L - 1, D), and the scale."""
        embedding, states = self.decoder(bold)
        return embedding, states, self.logit_scale.exp()


class SemanticTask(AnimatorTask):
    """Regress text embeddings and text states, and contrast with varied texts and cropped images.

    Parameters
    ----------
    model : to be trained, with the scale of its contrast
    samples : training samples
    meanings, variants : of the training samples; the texts and crops to draw from
    held_out, held_out_meanings : held-out movies
    settings : section train_semantic
    variant : "paper" or "code", see `AnimatorTask`
    seed : root of all randomness of the training
    """

    contrasts = True

    def __init__(
        self,
        model: ScaledDecoder,
        samples: Samples,
        meanings: Meanings,
        variants: Variants,
        held_out: Samples,
        held_out_meanings: Meanings,
        settings: TrainSemanticSettings,
        variant: str,
        seed: int,
    ) -> None:
        super().__init__(model, samples, settings, variant, seed)
        self.weights = settings
        self.meanings, self.variants = meanings, variants
        self.held_out, self.held_out_meanings = held_out, held_out_meanings
        self.mean = meanings.states.mean(0)[1:]

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        """Return the weighted sum of embedding error, contrasts and state error, and the penalty.

        A scalar and its parts, of samples (n,) i64.
        """
        bold = self.augmented(rows, generator)
        embedding, states, scale = model(bold)
        text = self.variants.draw_text(rows, generator).to(bold.device)
        image = self.variants.draw_image(rows, generator).to(bold.device)
        target = self.meanings.states[rows][:, 1:].to(bold.device)
        return self.total(embedding, states, scale, text, image, target, (bold == 0).float().mean())

    def total(
        self,
        embedding: Tensor,
        states: Tensor,
        scale: Tensor,
        text: Tensor,
        image: Tensor,
        target: Tensor,
        zeros: Tensor,
    ) -> tuple[Tensor, dict[str, Any]]:
        """Weigh the parts of the loss; embeddings have any length in their error, as CLIP gives them.

        Embedding, text and image are (n, E), states and target (n, L - 1, D); the rest are scalars.
        """
        weights = self.weights
        embedding_error = F.mse_loss(embedding.float(), text)
        state_error = F.mse_loss(states.float(), target)
        contrast = embedding_error.new_zeros(())
        if weights.contrast_weight:
            every, texts, images = gather_rows(embedding), gather_rows(text), gather_rows(image)
            contrast = weights.text_share * info_nce(every, texts, scale)
            contrast = contrast + (1 - weights.text_share) * info_nce(every, images, scale)
        total = weights.embedding_weight * embedding_error + weights.state_weight * state_error
        # A scale without a contrast stays in the graph, or distributed training misses its gradient.
        total = total + weights.contrast_weight * contrast + 0.0 * scale
        parts = {"embedding_error": embedding_error, "state_error": state_error, "contrast": contrast}
        penalty = self.penalty()
        parts |= {"zeros": zeros, "l1": penalty}
        return total + penalty, {name: value.detach() for name, value in parts.items()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the errors on held-out movies, beside those of the mean states, and retrieval of texts.

        ``text_top10`` is the share of clips whose own caption has, of all held-out clips', one of the ten
        embeddings most similar to the decoded one; chance is 10 / ``clips``.
        """
        assert isinstance(model, ScaledDecoder)
        meanings, weights = self.held_out_meanings, self.weights
        device = model.logit_scale.device
        outputs = [model(part.to(device)) for part in self.held_out.bold.split(256)]
        embedding = torch.cat([part[0] for part in outputs]).float().cpu()
        states = torch.cat([part[1] for part in outputs]).float().cpu()
        target = meanings.states[:, 1:]
        embedding_error = float(F.mse_loss(embedding, meanings.text))
        error = float(F.mse_loss(states, target))
        return {
            "loss": weights.embedding_weight * embedding_error + weights.state_weight * error,
            "error": error,
            "mean_error": float(F.mse_loss(self.mean.expand_as(target), target)),
            "embedding_error": embedding_error,
            "text_top10": retrieval_accuracy(embedding, meanings.text, 10),
            "image_top10": retrieval_accuracy(embedding, meanings.image, 10),
            "clips": float(len(embedding)),
        }


def n_text_states(settings: TrainSemanticSettings, cached: int) -> int:
    """Return the text states that are used: those asked for, or as many as the text encoder has.

    Parameters
    ----------
    settings : section train_semantic
    cached : states of a caption in the files of embed_clips
    """
    if settings.tokens > cached:
        log.warning("tokens is %d, but texts have %d states: %d are used", settings.tokens, cached, cached)
    return min(settings.tokens, cached)


def train_semantic(
    fmri: SubjectFmri,
    embeddings: Sequence[Path],
    states: TextStates,
    variants: Variants,
    validation: Sequence[str],
    variant: str,
    settings: TrainSemanticSettings,
    seed: int,
    state_dir: Path,
    *,
    identity: Any = None,
    device: str = "auto",
) -> tuple[SemanticDecoder, TrainingReport, dict[str, Any]]:
    """Train a semantic decoder.

    Parameters
    ----------
    fmri : training movies of one subject
    embeddings : files of embed_clips with these movies
    states : text states of the captions, of the same files
    variants : texts and crops of all movies' clips, from embed_variants
    validation : movies of ``fmri`` that are held out to choose the weights
    variant : "paper", or "code" as the released script: augmentation in place, last weights
    settings : section train_semantic
    seed : root of all randomness of the training
    state_dir, identity, device : see `neurocine.train.loop.train`

    Returns
    -------
    The decoder, how the training went, and how its text states compare with the mean states

    Raises
    ------
    InputError : unknown variant, clips of fMRI and embeddings that do not fit, no movie held out
    """
    require_variant(variant)
    settings = settings_of_variant(settings, variant)
    training, held_out = split_movies(fmri, validation)
    Samples.of(fmri, fmri.movies).require_same(states.index, "embeddings")
    tokens = n_text_states(settings, states.states.shape[1])
    meanings, held_meanings = (
        Meanings.read(embeddings, states, names, settings.image_frame, tokens)
        for names in (training, held_out)
    )
    config = SemanticConfig(
        n_vertices=fmri.n_vertices,
        width=meanings.text.shape[1],
        n_tokens=tokens,
        text_width=states.states.shape[2],
        head_widths=tuple(settings.head_widths),
        blocks=settings.blocks,
        dropout=settings.dropout,
        block_dropout=settings.block_dropout,
        variant=variant,
    )
    variants.require_width(config.width)
    with seeded_weights(seed, "train_semantic", "weights"):
        decoder = SemanticDecoder(config)
    decoder.first_state.copy_(torch.from_numpy(states.null[0]).float())
    task = SemanticTask(
        ScaledDecoder(decoder, settings.initial_temperature),
        Samples.of(fmri, training),
        meanings,
        variants.of(training),
        Samples.of(fmri, held_out),
        held_meanings,
        settings,
        variant,
        seed,
    )
    return train_animator(
        decoder,
        task,
        settings,
        seed,
        state_dir,
        "train_semantic",
        identity=[identity, variant, list(validation)],
        device=device,
    )
