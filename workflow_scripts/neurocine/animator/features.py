"""Features of clips, decoded from fMRI or true: a CLIP embedding, text states and latents of all frames."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.models.motion import MotionGenerator
from neurocine.models.semantic import SemanticDecoder
from neurocine.models.structure import StructureDecoder
from neurocine.section_checks import shift_is_not_zero
from neurocine.settings import Check, Count, Settings, Unit
from neurocine.stimuli.cached import CachedClips, Clip, TextStates

PARTS = ("embedding", "states", "latents")


class DecodeFeaturesSettings(Settings):
    """How features are decoded from fMRI."""

    checks: ClassVar[tuple[Check, ...]] = (shift_is_not_zero,)

    shift_tr: Annotated[int, Unit("TR")] = 30
    """The control shifted rotates a movie's fMRI by this many volumes, not 0."""
    batch_size: Annotated[Count, Unit("clips")] = 256
    """This many clips are decoded together."""


@dataclasses.dataclass(frozen=True)
class Features:
    """What is known of clips before they are drawn.

    Parameters
    ----------
    clips : movie and index of each
    embedding : (n, E) float32, CLIP embedding
    states : (n, L, D) float32, text states that steer the diffusion model
    latents : (n, F, C, h, w) float32, scaled latents of the VAE
    """

    clips: tuple[Clip, ...]
    embedding: np.ndarray
    states: np.ndarray
    latents: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of decode_features.

        Raises
        ------
        InputError : see `CachedClips.read`
        """
        parts = {name: CachedClips.read([path], name) for name in PARTS}
        clips = parts["latents"].clips
        return cls(clips, **{name: cached.rows.astype(np.float32) for name, cached in parts.items()})

    @classmethod
    def true(
        cls, embeddings: Sequence[Path], latents: Sequence[Path], movies: Sequence[str], tokens: int
    ) -> Self:
        """Read the true features of movies: the ceiling of what any decoder can give.

        Parameters
        ----------
        embeddings, latents : files of embed_clips and encode_latents
        movies : names of the movies whose clips are wanted, in order
        tokens : L

        Raises
        ------
        InputError : see `CachedClips.read`; embeddings and latents of different clips
        """
        text = CachedClips.read(embeddings, "text", movies)
        states = TextStates.read(embeddings, movies)
        frames = CachedClips.read(latents, movies=movies)
        if not text.clips == states.index.clips == frames.clips:
            raise InputError(
                "embed_clips and encode_latents",
                f"{len(text.clips)} and {len(frames.clips)} clips",
                "the same clips in the same order",
                "Make both of the same movies.",
            )
        return cls(
            frames.clips,
            text.rows.astype(np.float32).mean(1),
            states.states[:, :tokens][states.index.rows[:, 0]].astype(np.float32),
            frames.rows.astype(np.float32),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the arrays as stored, per movie; states and latents in half precision.

        embedding (n, E) float32, states (n, L, D) and latents (n, F, C, h, w) float16
        """
        arrays: dict[str, np.ndarray] = {}
        for movie in dict.fromkeys(movie for movie, _ in self.clips):
            here = [row for row, (name, _) in enumerate(self.clips) if name == movie]
            arrays[f"{movie}/embedding"] = self.embedding[here].astype(np.float32)
            arrays[f"{movie}/states"] = self.states[here].astype(np.float16)
            arrays[f"{movie}/latents"] = self.latents[here].astype(np.float16)
        return arrays


def zscore_over_test(bold: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Standardise test movies by their own mean and standard deviation (ddof 0), as the released code does.

    Parameters
    ----------
    bold : movie -> (T, V)

    Raises
    ------
    InputError : a vertex that is constant over all test movies
    """
    joined = np.concatenate(list(bold.values())).astype(np.float64)
    mean, std = joined.mean(0), joined.std(0)
    constant = np.flatnonzero(std < 1e-12)
    if len(constant):
        raise InputError(
            "test fMRI",
            f"{len(constant)} vertices that are constant, the first in column {constant[0]}",
            "vertices that vary, as variant code divides by their standard deviation over the test movies",
            "Take variant paper, or leave out the condition or these vertices.",
        )
    return {movie: ((samples - mean) / std).astype(np.float32) for movie, samples in bold.items()}


def require_variant_of(
    variant: str, **networks: SemanticDecoder | StructureDecoder | MotionGenerator
) -> None:
    """Refuse networks that were trained as another variant.

    Raises
    ------
    InputError : one was
    """
    for name, network in networks.items():
        found = network.config.variant
        if found != variant:
            raise InputError(
                f"decoder {name}", f"variant {found}", f"variant {variant}", "Train it as this variant."
            )


def require_fit(
    semantic: SemanticDecoder,
    structure: StructureDecoder,
    motion: MotionGenerator,
    truth: Features,
    n_vertices: int | None = None,
) -> None:
    """Refuse checkpoints that were trained on caches of other sizes.

    Parameters
    ----------
    semantic, structure, motion : trained networks, whose configs state the sizes they were trained on
    truth : true features of the clips that are decoded
    n_vertices : of the fMRI that they are decoded from; None where they are not

    Raises
    ------
    InputError : an embedding of another width, latents of another size or frame count
    """
    shape = tuple(truth.latents.shape[2:])
    frames = truth.latents.shape[1]
    facts = [
        ("semantic", "CLIP embeddings", semantic.config.width, truth.embedding.shape[1]),
        ("semantic", "text states", semantic.config.text_width, truth.states.shape[2]),
        ("structure", "latents", tuple(structure.config.latent_shape), shape),
        ("motion", "latents", tuple(motion.config.latent_shape), shape),
        ("motion", "frames", motion.config.n_frames, frames),
    ]
    if n_vertices is not None:
        nets = {"semantic": semantic, "structure": structure, "motion": motion}
        facts += [(name, "vertices", net.config.n_vertices, n_vertices) for name, net in nets.items()]
    for name, what, found, expected in facts:
        if found != expected:
            raise InputError(
                f"decoder {name}",
                f"{what} of {found}",
                f"{expected}, as the files have",
                f"Run train_{name} again with these files.",
            )


@torch.no_grad()
def decode_features(
    semantic: SemanticDecoder,
    structure: StructureDecoder,
    motion: MotionGenerator,
    bold: Tensor,
    clips: Sequence[Clip],
    batch_size: int = 256,
) -> Features:
    """Decode the features of clips from fMRI of one TR each.

    Parameters
    ----------
    semantic, structure, motion : trained networks, in evaluation mode
    bold : (n, V)
    clips : movie and index of each row
    batch_size : clips that go through the networks together
    """
    device = next(semantic.parameters()).device
    parts: dict[str, list[Tensor]] = {name: [] for name in PARTS}
    for rows in bold.split(batch_size):
        given = rows.to(device)
        embedding, states = semantic(given)
        parts["embedding"].append(embedding)
        parts["states"].append(semantic.with_first_state(states))
        parts["latents"].append(motion.roll_out(given, structure(given)))
    arrays = {name: torch.cat(found).float().cpu().numpy() for name, found in parts.items()}
    return Features(tuple(clips), **arrays)
