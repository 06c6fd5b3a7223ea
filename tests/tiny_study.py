"""Files of a study with a few clips, in the layout of the steps, for the tests of the diffusion trainings."""

from pathlib import Path

import numpy as np
import torch

from neurocine.io import write_arrays
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from tiny_models import N_TOKENS, WIDTH, write_stable_diffusion

TR = 6  # clips of a movie
FRAMES = 3
VERTICES = 20
WINDOW = 2


def write_latents(path: Path, movies: list[str], seed: int = 0) -> Path:
    """Latents of encode_latents, (TR, FRAMES, 4, 4, 4) float16, still apart from a little noise."""
    random = np.random.default_rng(seed)
    arrays = {}
    for movie in movies:
        still = random.normal(size=(TR, 1, 4, 4, 4))
        arrays[movie] = (still + 0.1 * random.normal(size=(TR, FRAMES, 4, 4, 4))).astype(np.float16)
    write_arrays(path, arrays, {"step": "encode_latents", "movies": movies, "computed_from": movies})
    return path


def write_embeddings(path: Path, movies: list[str], captions_per_clip: int = 1, seed: int = 0) -> Path:
    """Text states of embed_clips; a table of 5 captions."""
    random = np.random.default_rng(seed)
    arrays = {
        "text_states": random.normal(size=(5, N_TOKENS, WIDTH)).astype(np.float16),
        "null_states": np.full((N_TOKENS, WIDTH), 0.5, np.float16),
    }
    for movie in movies:
        arrays[f"{movie}/state_index"] = random.integers(0, 5, (TR, captions_per_clip))
        arrays[f"{movie}/text"] = np.zeros((TR, captions_per_clip, 8), np.float32)
    write_arrays(path, arrays, {"step": "embed_clips", "movies": movies, "computed_from": movies})
    return path


def write_fmri(path: Path, movies: list[str], seed: int = 0) -> Path:
    """Samples of assemble_train, (TR, VERTICES) float32."""
    random = np.random.default_rng(seed)
    arrays = {movie: random.normal(size=(TR, VERTICES)).astype(np.float32) for movie in movies}
    write_arrays(path, arrays, {"step": "assemble_train", "movies": movies, "computed_from": movies})
    return path


def tiny_encoder() -> FmriEncoder:
    """An fMRI encoder whose output fits the tiny Stable Diffusion."""
    torch.manual_seed(0)
    config = FmriEncoderConfig(
        n_vertices=VERTICES,
        window=WINDOW,
        patch=8,
        depth=1,
        width=8,
        heads=2,
        tokens=N_TOKENS,
        text_width=WIDTH,
        embedding_width=8,
    )
    return FmriEncoder(config)


def stable_diffusion(folder: Path) -> Path:
    """The tiny Stable Diffusion, always with the same weights."""
    torch.manual_seed(0)
    write_stable_diffusion(folder)
    return folder
