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
from tiny_study import TR

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


def moving_pictures(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two grey pictures: a texture that moves a little and a box on it that moves the other way."""
    y, x = np.mgrid[:size, :size].astype(np.float64)

    def picture(dx: float, dy: float) -> np.ndarray:
        u, v = x - dx, y - dy
        values = 128 + 50 * np.sin(u / 5) + 40 * np.cos(v / 7 + u / 11)
        box = (np.abs(x - size / 3 + 2 * dx) < 9) & (np.abs(y - size / 2 + 2 * dy) < 9)
        values[box] = 60 + 40 * np.sin((x + 2 * dx)[box] / 3) + 2 * (y + 2 * dy - size / 2)[box]
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    return picture(0, 0), picture(1.3, -0.7)


def apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances (n, m) of clips, in the place of a network's: mean difference of every eighth pixel, 0..1."""
    one, other = (videos[:, :, ::8, ::8].astype(np.float64) for videos in (first, second))
    return np.abs(one[:, None] - other[None]).mean(axis=(2, 3, 4, 5)) / 255


def moving_movie(n_clips: int, seed: int, size: int = 32) -> np.ndarray:
    """Clips of a coloured soft texture each, drifting its own way: uint8 (n, 2, size, size, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    clips = np.empty((n_clips, 2, size, size, 3))
    for clip in clips:
        angle, speed = generator.uniform(0, 2 * np.pi), generator.uniform(0.5, 2)
        waves, phases = generator.normal(size=(8, 2)) / 5, generator.uniform(0, 6.3, (8, 3))
        for t, frame in enumerate(clip):
            u, v = x - t * speed * np.cos(angle), y - t * speed * np.sin(angle)
            turns = waves[:, 0, None, None] * u + waves[:, 1, None, None] * v
            frame[:] = 128 + 20 * np.cos(turns[..., None] + phases[:, None, None]).sum(0)
    return np.clip(clips, 0, 255).astype(np.uint8)


TRAIN = ("seg1", "seg2")


def write_stimuli(folder: Path) -> dict[str, list[Path]]:
    """Write files of prepare_stimuli: training movies in two files, test movies in one."""
    for number, movie in enumerate(TRAIN):
        meta = {"movies": [movie], "computed_from": [movie]}
        write_arrays(folder / f"{movie}.safetensors", {movie: slow_movie(TR, number)}, meta)
    test = {"test1": slow_movie(TR, 5), "test2": slow_movie(TR, 6)}
    write_arrays(folder / "test.safetensors", test, {"movies": list(test), "computed_from": list(test)})
    return {
        "stimuli": [folder / "test.safetensors"],
        "train_stimuli": [folder / f"{movie}.safetensors" for movie in TRAIN],
    }
