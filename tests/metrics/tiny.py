"""Tiny classifiers with random weights and slow random movies, in the files that the programs read."""

from pathlib import Path

import numpy as np
import torch
from transformers import (
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from neurocine.io import write_arrays

SIZE, FRAMES = 16, 2
LABELS = [f"{colour} {shape}" for colour in ("red", "green", "blue", "cyan") for shape in "abcdefghijklmn"]


def write_classifiers(folder: Path) -> tuple[Path, Path]:
    """Save an image and a video classifier with 56 two-word classes."""
    torch.manual_seed(0)
    names = {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: number for number, label in enumerate(LABELS)},
        "initializer_range": 0.5,
    }
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    shape |= {"image_size": SIZE, "patch_size": 8}
    image, video = folder / "image", folder / "video"
    ViTForImageClassification(ViTConfig(**shape, **names)).save_pretrained(image)
    ViTImageProcessorPil(size={"height": SIZE, "width": SIZE}).save_pretrained(image)
    VideoMAEForVideoClassification(VideoMAEConfig(num_frames=16, **shape, **names)).save_pretrained(video)
    processor = VideoMAEImageProcessorPil(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    processor.save_pretrained(video)
    return image, video


def slow_movie(n_clips: int, seed: int, size: int = SIZE) -> np.ndarray:
    """Clips of soft random pictures, two neighbours alike: uint8 (n, FRAMES, size, size, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (n_clips // 2 + 1, 1, size // 4, size // 4, 3)).repeat(2, axis=0)[
        :n_clips
    ]
    fine = coarse.repeat(4, axis=2).repeat(4, axis=3).repeat(FRAMES, axis=1)
    return np.clip(fine + generator.normal(0, 6, fine.shape), 0, 255).astype(np.uint8)


def write_decoded(path: Path, condition: str, movies: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write decoded clips: movie -> (clip indices, videos)."""
    arrays = {name: videos for name, (_, videos) in movies.items()}
    arrays |= {f"{name}/clip": clips for name, (clips, _) in movies.items()}
    write_arrays(path, arrays, {"condition": condition, "seed": 7})
    return path
