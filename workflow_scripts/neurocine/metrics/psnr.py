"""Scores of single pixels: peak signal-to-noise ratio with 255 as the peak, and Pearson correlation."""

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
    check_videos(predicted, truth, matched=True, smallest=(1, 1))
    difference = predicted.astype(np.float64) - truth
    return _decibel(np.square(difference).mean(axis=(2, 3, 4)))


def frame_products(predicted: np.ndarray, truth: np.ndarray, frame: int) -> np.ndarray:
    """Products of the pixels of a frame of all clips, summed: (n, m) float64, exact.

    Whole numbers below 2^53, which float64 holds exactly: equal frames have equal sums, whatever their order.
    """
    products = np.zeros((len(predicted), len(truth)))
    rows = max(1, BLOCK_VALUES // (predicted.shape[3] * 3))
    for row in range(0, predicted.shape[2], rows):
        part = slice(row, row + rows)
        x = predicted[:, frame, part].reshape(len(predicted), -1).astype(np.float64)
        products += x @ truth[:, frame, part].reshape(len(truth), -1).astype(np.float64).T
    return products


def frame_sums(videos: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the values and of their squares over the pixels of a frame of each clip: (n,) int64 each."""
    flat = videos[:, frame].reshape(len(videos), -1)
    return flat.sum(axis=1, dtype=np.int64), np.array([np.square(row.astype(np.int64)).sum() for row in flat])


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
    check_videos(predicted, truth, matched=False, smallest=(1, 1))
    total = np.zeros((len(predicted), len(truth)))
    for frame in range(predicted.shape[1]):
        (_, x), (_, y) = frame_sums(predicted, frame), frame_sums(truth, frame)
        squares = x[:, None] + y[None] - 2 * frame_products(predicted, truth, frame)
        total += _decibel(squares / predicted[0, frame].size)
    return total / predicted.shape[1]


def pix_corr_pairs(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pearson correlation of the pixels of every predicted with every true clip, mean over frames.

    Over all pixels and channels of a frame, as image decoding reports it ("PixCorr"); a frame of one value
    has none and counts 0, so that a grey frame is given nothing.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3)

    Returns
    -------
    (n, m) float64, -1 to 1

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    check_videos(predicted, truth, matched=False, smallest=(1, 1))
    total = np.zeros((len(predicted), len(truth)))
    for frame in range(predicted.shape[1]):
        size = predicted[0, frame].size
        sums, spreads = [], []
        for videos in (predicted, truth):
            plain, squares = frame_sums(videos, frame)
            sums.append(plain)
            spreads.append(np.sqrt(size * squares - plain**2))  # of whole numbers: 0 for a frame of one value
        covariance = size * frame_products(predicted, truth, frame) - np.outer(*sums).astype(np.float64)
        scale = np.outer(*spreads)
        total += np.where(scale > 0, covariance / np.where(scale > 0, scale, 1), 0)
    return total / predicted.shape[1]
