"""Structural similarity as the compared papers report it, for matched and for all pairs of clips.

``ssim_mv`` is scikit-image's default call on RGB frames: uniform 7 x 7 window, sample covariance, K1 = .01,
K2 = .03, data range 255, a border of 3 pixels left out, mean over the three channels and over frames
(Wang et al. 2004 with the settings of MinD-Video's evaluation). Other windows, grey values or other frame
sizes give other numbers, up to twice as high for the same frames.
"""

import numpy as np
import torch

from neurocine.errors import InputError

WINDOW = 7  # pixels
DATA_RANGE = 255
C1 = (0.01 * DATA_RANGE) ** 2
C2 = (0.03 * DATA_RANGE) ** 2
# Values per matrix product: the n x m results of a few windows stay in a core's cache (1.2 times as fast as a
# whole row of windows, measured); a GPU wants large products.
PAIR_VALUES = {"cpu": 1 << 18, "cuda": 1 << 26}


def check_videos(predicted: np.ndarray, truth: np.ndarray, matched: bool) -> None:
    """Refuse arrays that are no uint8 RGB videos of one size.

    Raises
    ------
    InputError : other dtype, other frame count or size, frames smaller than the SSIM window, other clip count
        although clips are matched
    """
    for name, videos in (("predicted videos", predicted), ("true videos", truth)):
        if videos.dtype != np.uint8 or videos.ndim != 5 or videos.shape[-1] != 3:
            found = f"{videos.dtype} {videos.shape}"
            raise InputError(name, found, "uint8 (clips, frames, height, width, 3)", "Convert the videos.")
        if min(videos.shape[2:4]) < WINDOW:
            raise InputError(
                name, f"frames of {videos.shape[2:4]}", f"at least {WINDOW} pixels", "Use larger frames."
            )
    same = slice(0 if matched else 1, None)
    if predicted.shape[same] != truth.shape[same]:
        todo = "Decode and prepare the clips with the same frames and size."
        raise InputError("predicted videos", str(predicted.shape), f"the true videos' {truth.shape}", todo)


def _box_sum(values: np.ndarray) -> np.ndarray:
    """Sum integers over 7 x 7 windows of the axes 1 and 2, exactly."""
    for axis in (1, 2):
        total = np.cumsum(values, axis=axis)
        total = np.concatenate([np.zeros_like(np.take(total, [0], axis=axis)), total], axis=axis)
        size = values.shape[axis] - WINDOW + 1
        high = np.take(total, range(WINDOW, WINDOW + size), axis=axis)
        values = high - np.take(total, range(size), axis=axis)
    return values


def ssim_mv(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SSIM of every frame with the frame in the same place (skimage defaults on RGB, data range 255).

    Parameters
    ----------
    predicted, truth : uint8 (n_clips, F, H, W, 3)

    Returns
    -------
    (n_clips, F) float64

    Raises
    ------
    InputError : other dtype or unequal shapes
    """
    check_videos(predicted, truth, matched=True)
    result = np.empty(predicted.shape[:2])
    count = WINDOW * WINDOW
    for clip, (first, second) in enumerate(zip(predicted, truth, strict=True)):
        x, y = first.astype(np.int64), second.astype(np.int64)
        sum_x, sum_y = _box_sum(x), _box_sum(y)
        # Whole numbers up to here: no rounding in the differences that make the (co)variances.
        covariance = (count * _box_sum(x * y) - sum_x * sum_y) / (count * (count - 1))
        variance_x = (count * _box_sum(x * x) - sum_x**2) / (count * (count - 1))
        variance_y = (count * _box_sum(y * y) - sum_y**2) / (count * (count - 1))
        mean_x, mean_y = sum_x / count, sum_y / count
        upper = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
        lower = (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
        result[clip] = (upper / lower).mean(axis=(1, 2, 3))
    return result


def _row_windows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut 7 rows (n, 7, W) into centred windows (W-6, n, 49); also their means and variances (W-6, n)."""
    windows = rows.unfold(2, WINDOW, 1).permute(2, 0, 1, 3).flatten(2)
    mean = windows.mean(-1)
    centred = windows - mean[..., None]
    return centred, mean, centred.square().sum(-1) / (WINDOW * WINDOW - 1)


def _add_row_(total: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    """Add the SSIM of all pairs, summed over the windows of one row, to ``total`` (n, m)."""
    windows_x, mean_x, variance_x = _row_windows(first)
    windows_y, mean_y, variance_y = _row_windows(second)
    windows_x = windows_x * (2 / (WINDOW * WINDOW - 1))
    windows_y = windows_y.transpose(1, 2)
    step = max(1, PAIR_VALUES[total.device.type] // total.numel())
    for start in range(0, len(mean_x), step):
        part = slice(start, start + step)
        x, y = mean_x[part, :, None], mean_y[part, None, :]
        upper = torch.bmm(windows_x[part], windows_y[part]).add_(C2)
        upper.mul_((2 * x * y).add_(C1))
        lower = (x.square() + C1) + y.square()
        lower.mul_((variance_x[part, :, None] + C2) + variance_y[part, None, :])
        total.add_(upper.div_(lower).sum(0))


def ssim_pairs(predicted: np.ndarray, truth: np.ndarray, device: str = "cpu") -> np.ndarray:
    """``ssim_mv`` of every predicted clip with every true clip, mean over frames.

    Means and variances are computed once per image and only the cross term once per pair: at one window
    position the covariances of all pairs are one matrix product of the centred windows. All shifts of a
    permutation null are then look-ups in the result.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3)
    device : where the matrix products run

    Returns
    -------
    (n, m) float64

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    check_videos(predicted, truth, matched=False)
    _, frames, height, width, channels = predicted.shape
    total = torch.zeros(len(predicted), len(truth), dtype=torch.float64, device=device)
    for frame in range(frames):
        for channel in range(channels):
            x = torch.from_numpy(predicted[:, frame, :, :, channel]).to(device, torch.float32)
            y = torch.from_numpy(truth[:, frame, :, :, channel]).to(device, torch.float32)
            for row in range(height - WINDOW + 1):
                _add_row_(total, x[:, row : row + WINDOW], y[:, row : row + WINDOW])
    windows = (height - WINDOW + 1) * (width - WINDOW + 1)
    return (total / (frames * channels * windows)).cpu().numpy()
