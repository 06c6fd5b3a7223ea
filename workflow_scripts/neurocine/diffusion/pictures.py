"""Clips as film strips, the original above its decoding."""

from pathlib import Path

import numpy as np
from PIL import Image

from neurocine.io import replacing


def draw_pairs(originals: np.ndarray, decoded: np.ndarray, gap: int = 2) -> np.ndarray:
    """Lay out clips as film strips, each original above its decoding, (height, width, 3) uint8 on white.

    Parameters
    ----------
    originals, decoded : (n, F, H, W, 3) uint8
    gap : white pixels between frames and within a pair; twice as many between pairs
    """
    strips = []
    for pair in zip(originals, decoded, strict=True):
        for number, clip in enumerate(pair):
            below = gap * (1 + number)
            framed = np.pad(clip, ((0, 0), (0, below), (0, gap), (0, 0)), constant_values=255)
            strips.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(strips)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a (height, width, 3) uint8 picture; the ending of the name gives the format."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)
