"""Pictures put together and written: film strips of clips, grids, PNG and JPEG files."""

from collections.abc import Sequence
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


def tile(rows: Sequence[Sequence[np.ndarray]], gap: int) -> np.ndarray:
    """Put pictures into a grid on white, each centred in its cell, ``gap`` pixels apart.

    Parameters
    ----------
    rows : equally many pictures (height, width, 3) uint8 each
    gap : white pixels

    Returns
    -------
    (height, width, 3) uint8
    """
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    widths = [max(row[column].shape[1] for row in rows) for column in range(len(rows[0]))]
    shape = (sum(heights) + gap * (len(heights) - 1), sum(widths) + gap * (len(widths) - 1), 3)
    canvas = np.full(shape, 255, np.uint8)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture, width in zip(row, widths, strict=True):
            y, x = top + (height - picture.shape[0]) // 2, left + (width - picture.shape[1]) // 2
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            left += width + gap
        top += height + gap
    return canvas


def write_picture(path: Path, picture: np.ndarray, smallest: bool = True) -> None:
    """Write a picture as PNG, or as JPEG where the name ends in .jpg.

    Parameters
    ----------
    path : file to write
    picture : (height, width, 3) uint8 RGB
    smallest : take longer for a smaller PNG
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    with replacing(Path(path)) as temporary:
        if Path(path).suffix == ".jpg":
            image.save(temporary, format="JPEG", quality=90)
        else:
            image.save(temporary, format="PNG", optimize=smallest)
