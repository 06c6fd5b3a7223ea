"""Agreement of colours: the cosine that is published as "hue-pcc", and a circular correlation.

``hue_cos_ma`` repeats the published code: hue as OpenCV's 8-bit BGR-to-HSV conversion gives it, applied to
RGB frames (so red and blue are exchanged), divided by 360, and the cosine of two frames' hues over pixels. It
is no correlation: hues are not negative, so unrelated frames reach high values, and it takes red's two ends
for opposites. ``hue_circ_corr`` treats hue as the angle it is and ignores pixels without colour.
"""

import functools
from collections.abc import Callable

import numpy as np

from neurocine.metrics.ssim import check_videos

BLOCK = 32  # frames converted at once
SHIFT = 12  # bits of OpenCV's fixed-point division


@functools.cache
def _hue_factors() -> np.ndarray:
    """OpenCV's table of 180 / (6 d), in fixed point, for chroma d = 0..255."""
    chroma = np.arange(1, 256)
    return np.concatenate([[0], np.rint((180 << SHIFT) / (6.0 * chroma)).astype(np.int64)]).astype(np.int32)


def opencv_hue(frames: np.ndarray) -> np.ndarray:
    """Hue of 8-bit pixels as OpenCV's BGR2HSV rounds it: uint8 (..., 3) in BGR -> uint8 (...), 0..179."""
    blue, green, red = (frames[..., channel].astype(np.int32) for channel in range(3))
    # Of whole channels: numpy's maximum over an axis of three takes ten times as long.
    value = np.maximum(np.maximum(blue, green), red)
    chroma = value - np.minimum(np.minimum(blue, green), red)
    angle = np.where(
        value == red,
        green - blue,
        np.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    )
    hue = (angle * _hue_factors()[chroma] + (1 << (SHIFT - 1))) >> SHIFT
    return np.where(hue < 0, hue + 180, hue).astype(np.uint8)


def hue_and_saturation(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hue as an angle and saturation of RGB pixels: uint8 (..., 3) -> float32 (...) radians, (...) 0..1."""
    red, green, blue = (frames[..., channel].astype(np.float32) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(chroma > 0, chroma, 1)
    sextant = np.where(
        value == red,
        (green - blue) / divisor,
        np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    return sextant * np.float32(np.pi / 3), chroma / np.where(value > 0, value, 1)


def _published_rows(frames: np.ndarray) -> np.ndarray:
    """Hues of n frames as the published code has them: (n, H * W) float32."""
    return (opencv_hue(frames).reshape(len(frames), -1) / np.float32(360)).astype(np.float32)


def _circular_rows(frames: np.ndarray) -> np.ndarray:
    """Sine of the deviation from each frame's mean hue, times saturation: (n, H * W) float32."""
    angle, weight = (part.reshape(len(frames), -1) for part in hue_and_saturation(frames))
    mean = np.arctan2((weight * np.sin(angle)).sum(1), (weight * np.cos(angle)).sum(1))
    return weight * np.sin(angle - mean[:, None])


def _cosines(
    predicted: np.ndarray, truth: np.ndarray, rows: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Cosine between all pairs of frames in the same place, mean over frames; 0 where a frame has no hue."""
    check_videos(predicted, truth, matched=False, smallest=(1, 1))
    total = np.zeros((len(predicted), len(truth)))

    def all_rows(frames: np.ndarray) -> np.ndarray:
        # In blocks, because the conversion makes several arrays of the frames' size.
        return np.concatenate([rows(frames[start : start + BLOCK]) for start in range(0, len(frames), BLOCK)])

    for frame in range(predicted.shape[1]):
        x, y = all_rows(predicted[:, frame]), all_rows(truth[:, frame])
        lengths = np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
        # A sine of rounding errors, as of a frame with one hue, is no deviation.
        total += np.where(lengths > 1e-6, (x @ y.T) / np.where(lengths > 0, lengths, 1), 0)
    return total / predicted.shape[1]


def hue_cos_ma_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Cosine of the hues as published under the name hue-pcc, of every prediction with every true clip.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3), RGB

    Returns
    -------
    (n, m) float64, mean over frames

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    return _cosines(predicted, truth, _published_rows)


def hue_circ_corr_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Circular correlation of hues over pixels, weighted by saturation, of all pairs of clips.

    sum(x y) / (|x| |y|) with x = saturation * sin(hue - mean hue) of each frame (Jammalamadaka and SenGupta's
    coefficient with weights). Turning all hues of a clip by the same angle changes nothing.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3), RGB

    Returns
    -------
    (n, m) float64, -1 to 1, mean over frames; a frame with one hue or none counts 0

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    return _cosines(predicted, truth, _circular_rows)
