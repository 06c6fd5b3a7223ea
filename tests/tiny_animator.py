"""A subject's files and trained decoders of Mind-Animator, as small as can be."""

from pathlib import Path

import numpy as np
import torch

from neurocine.io import write_arrays
from neurocine.models.motion import MotionConfig, MotionGenerator
from neurocine.models.semantic import SemanticConfig, SemanticDecoder
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.provenance import stamp_weights
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, TR, VERTICES, write_fmri, write_latents

SHAPE, TOKENS, TEST = (4, 4, 4), 3, ["test1", "test2"]
DECODERS = ("semantic", "structure", "motion")


def networks(variant: str = "paper") -> tuple[SemanticDecoder, StructureDecoder, MotionGenerator]:
    """Make the three decoders, untrained."""
    torch.manual_seed(0)
    semantic = SemanticConfig(VERTICES, 8, TOKENS, WIDTH, (8,), variant=variant)
    motion = MotionConfig(VERTICES, FRAMES, SHAPE, encoder_width=8, feedforward_width=8, variant=variant)
    return (
        SemanticDecoder(semantic).eval(),
        StructureDecoder(StructureConfig(VERTICES, SHAPE, 8, variant=variant)).eval(),
        MotionGenerator(motion).eval(),
    )


def write_networks(folder: Path, variant: str = "paper") -> dict[str, Path]:
    """Write the three decoders as their trainings do; name -> folder."""
    for name, net in zip(DECODERS, networks(variant), strict=True):
        net.save_pretrained(folder / name)
        stamp_weights(folder / name, ["seg1"], f"train_{name}")
    return {name: folder / name for name in DECODERS}


def write_embeddings(path: Path, movies: list[str], width: int = 8) -> Path:
    """Write embeddings of embed_clips with one caption per clip."""
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "text_states": random.normal(size=(5, N_TOKENS, WIDTH)).astype(np.float16),
        "null_states": np.full((N_TOKENS, WIDTH), 0.5, np.float16),
    }
    for movie in movies:
        arrays[f"{movie}/state_index"] = random.integers(0, 5, (TR, 1))
        arrays[f"{movie}/text"] = random.normal(size=(TR, 1, width)).astype(np.float32)
        arrays[f"{movie}/image"] = random.normal(size=(TR, FRAMES, width)).astype(np.float32)
    write_arrays(path, arrays, {"movies": movies, "computed_from": movies})
    return path


def write_subject(folder: Path) -> dict[str, Path]:
    """Write what decode_features reads; argument -> file or folder."""
    return {
        "fmri_train": write_fmri(folder / "train.safetensors", ["seg1"], seed=1),
        "fmri_test": write_fmri(folder / "test.safetensors", TEST, seed=2),
        "embeddings": write_embeddings(folder / "embeddings.safetensors", TEST),
        "latents": write_latents(folder / "latents.safetensors", TEST),
        **write_networks(folder),
    }
