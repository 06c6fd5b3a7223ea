"""Peak signal-to-noise ratio of RGB frames with 255 as the peak."""

import numpy as np

from neurocine.metrics.ssim import check_videos

BLOCK_VALUES = 1 << 15  # of each frame at once: float64 of all clips' whole frames would need gigabytes
CAP_DB = 100.0  # value of equal frames, whose ratio is infinite


def _decibel(squared_error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.minimum(20 * np.log10(255 / np.sqrt(squared_error)), CAP_DB)


def psnr255(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """20 log10(255 / sqrt(MSE)) of every frame over all pixels and channels, at most 100 dB.

    Parameters
    ----------
    predicted, truth : uint8 (n_clips, F, H, W, 3)

    Returns
    -------
    (n_clips, F) float64, dB

    Raises
    ------
    InputError : other dtype or unequal shapes
    """
    check_videos(predicted, truth, matched=True)
    difference = predicted.astype(np.float64) - truth
    return _decibel(np.square(difference).mean(axis=(2, 3, 4)))


def psnr_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """``psnr255`` of every predicted clip with every true clip, mean over frames.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3)

    Returns
    -------
    (n, m) float64, dB

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    check_videos(predicted, truth, matched=False)
    total = np.zeros((len(predicted), len(truth)))
    rows = max(1, BLOCK_VALUES // (predicted.shape[3] * 3))
    for frame in range(predicted.shape[1]):
        squares = np.zeros_like(total)
        for row in range(0, predicted.shape[2], rows):
            part = slice(row, row + rows)
            # Sums of squares of whole numbers stay below 2^53: float64 holds them exactly, so equal frames
            # give MSE 0.
            x = predicted[:, frame, part].reshape(len(predicted), -1).astype(np.float64)
            y = truth[:, frame, part].reshape(len(truth), -1).astype(np.float64)
            squares += np.square(x).sum(1)[:, None] + np.square(y).sum(1)[None, :] - 2 * (x @ y.T)
        total += _decibel(squares / predicted[0, frame].size)
    return total / predicted.shape[1]
