"""Structural similarity in the definitions of the compared papers, for matched and for all pairs of clips.

``ssim_mv`` is scikit-image's default call on RGB frames: uniform 7 x 7 window, sample covariance, K1 = .01,
K2 = .03, data range 255, a border of 3 pixels left out, mean over the three channels and over frames
(Wang et al. 2004 with the settings of MinD-Video's evaluation). ``ssim_gauss_gray`` is the original
definition: grey values, Gaussian window of sigma 1.5 (11 taps), population covariance. ``ssim_colbug`` is
what that call becomes when a grey frame is passed as if its last axis were colour: each pixel column is a
channel, the window one-dimensional. It raises the value of predictions that know nothing by a quarter to two
thirds, and is here only to compare with papers that report it. Other windows, grey values or frame sizes give
other numbers for the same frames.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from neurocine.errors import InputError

WINDOW = 7  # pixels
DATA_RANGE = 255
C1 = (0.01 * DATA_RANGE) ** 2
C2 = (0.03 * DATA_RANGE) ** 2
TAPS = 11  # of the Gaussian: sigma 1.5 cut at 3.5 sigma
GAUSSIAN = np.exp(-0.5 * (np.arange(-(TAPS // 2), TAPS // 2 + 1) / 1.5) ** 2)
GAUSSIAN /= GAUSSIAN.sum()
GREY_WEIGHTS = np.array([0.2125, 0.7154, 0.0721])  # of red, green and blue, as scikit-image's rgb2gray
# Values per matrix product: the n x m results of a few windows stay in a core's cache (1.2 times as fast as a
# whole row of windows, measured); a GPU wants large products.
PAIR_VALUES = {"cpu": 1 << 18, "cuda": 1 << 26}


@dataclass(frozen=True)
class SsimWindow:
    """One definition of SSIM: weights (height, width) that sum to 1, their covariance, what is compared."""

    weights: np.ndarray
    sample: bool  # sample covariance (divide by n - 1), else population covariance
    grey: bool  # of grey values, else mean over the three channels


MV = SsimWindow(np.full((WINDOW, WINDOW), 1 / WINDOW**2), sample=True, grey=False)
GAUSS_GREY = SsimWindow(np.outer(GAUSSIAN, GAUSSIAN), sample=False, grey=True)
COLUMN_BUG = SsimWindow(GAUSSIAN[:, None], sample=False, grey=True)


def check_videos(
    predicted: np.ndarray, truth: np.ndarray, matched: bool, smallest: tuple[int, int] = (WINDOW, WINDOW)
) -> None:
    """Refuse arrays that are no uint8 RGB videos of one size, ``smallest`` (height, width) or more.

    Raises
    ------
    InputError : other dtype, other frame count or size, frames smaller than the SSIM window, other clip count
        although clips are matched
    """
    for name, videos in (("predicted videos", predicted), ("true videos", truth)):
        if videos.dtype != np.uint8 or videos.ndim != 5 or videos.shape[-1] != 3:
            found = f"{videos.dtype} {videos.shape}"
            raise InputError(name, found, "uint8 (clips, frames, height, width, 3)", "Convert the videos.")
        if videos.shape[2] < smallest[0] or videos.shape[3] < smallest[1]:
            expected = f"at least {smallest[0]} x {smallest[1]} pixels"
            raise InputError(name, f"frames of {videos.shape[2:4]}", expected, "Use larger frames.")
    same = slice(0 if matched else 1, None)
    if predicted.shape[same] != truth.shape[same]:
        todo = "Decode and prepare the clips with the same frames and size."
        raise InputError("predicted videos", str(predicted.shape), f"the true videos' {truth.shape}", todo)


def _box_sum(values: np.ndarray) -> np.ndarray:
    """Sum integers over 7 x 7 windows of the first two axes, exactly: (H, W, 3) -> (H - 6, W - 6, 3)."""
    for axis in (0, 1):
        one = np.moveaxis(values, axis, 0)
        two = one[:-1] + one[1:]
        four = two[:-2] + two[2:]
        values = np.moveaxis(four[:-3] + two[4:-1] + one[6:], 0, axis)
    return values


def _ssim(
    mean_x: np.ndarray, mean_y: np.ndarray, variances: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """SSIM at each window position; ``variances`` is the sum of both sides'."""
    upper = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return upper / ((mean_x**2 + mean_y**2 + C1) * (variances + C2))


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
    # Frame by frame, because a core's cache holds the arrays of one.
    for place in np.ndindex(*result.shape):
        # 49 * 49 * 255^2 stays below 2^31.
        x, y = predicted[place].astype(np.int32), truth[place].astype(np.int32)
        sum_x, sum_y = _box_sum(x), _box_sum(y)
        # Whole numbers up to here: no rounding in the differences that make the (co)variances.
        covariance = (count * _box_sum(x * y) - sum_x * sum_y) / (count * (count - 1))
        variance_x = (count * _box_sum(x * x) - sum_x**2) / (count * (count - 1))
        variance_y = (count * _box_sum(y * y) - sum_y**2) / (count * (count - 1))
        mean_x, mean_y = sum_x / count, sum_y / count
        result[place] = _ssim(mean_x, mean_y, variance_x + variance_y, covariance).mean()
    return result


def grey_values(videos: np.ndarray) -> np.ndarray:
    """Luma of uint8 RGB pixels on the scale 0..255: (..., 3) -> (...) float64."""
    return videos @ GREY_WEIGHTS


def _gaussian_ssim(predicted: np.ndarray, truth: np.ndarray, window: SsimWindow) -> np.ndarray:
    """SSIM of grey values with a Gaussian along the axes that the window spans: (n, F) float64."""
    check_videos(predicted, truth, matched=True, smallest=window.weights.shape)
    axes = [axis for axis, taps in enumerate(window.weights.shape, 1) if taps > 1]
    inner = tuple(
        slice(taps // 2, size - taps // 2)
        for taps, size in zip((1, *window.weights.shape), (2, *predicted.shape[2:4]), strict=True)
    )

    def smooth(values: np.ndarray) -> np.ndarray:
        for axis in axes:
            values = ndimage.correlate1d(values, GAUSSIAN, axis=axis)
        return values[:, inner[1], inner[2]]

    result = np.empty(predicted.shape[:2])
    for clip, (first, second) in enumerate(zip(predicted, truth, strict=True)):
        x, y = grey_values(first), grey_values(second)
        mean_x, mean_y = smooth(x), smooth(y)
        covariance = smooth(x * y) - mean_x * mean_y
        variances = smooth(x * x) + smooth(y * y) - mean_x**2 - mean_y**2
        result[clip] = _ssim(mean_x, mean_y, variances, covariance).mean(axis=(1, 2))
    return result


def ssim_gauss_gray(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SSIM of grey frames with a Gaussian window of sigma 1.5 and population covariance.

    Parameters
    ----------
    predicted, truth : uint8 (n_clips, F, H, W, 3), 11 x 11 pixels or more

    Returns
    -------
    (n_clips, F) float64

    Raises
    ------
    InputError : other dtype or unequal shapes
    """
    return _gaussian_ssim(predicted, truth, GAUSS_GREY)


def ssim_colbug(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean SSIM of the pixel columns of grey frames, with a one-dimensional Gaussian window; for parity only.

    Parameters
    ----------
    predicted, truth : uint8 (n_clips, F, H, W, 3), 11 pixels high or more

    Returns
    -------
    (n_clips, F) float64

    Raises
    ------
    InputError : other dtype or unequal shapes
    """
    return _gaussian_ssim(predicted, truth, COLUMN_BUG)


def _row_windows(
    rows: torch.Tensor, root: torch.Tensor, shape: tuple[int, int], stride: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cut rows (n, kh, W) into windows (places, n, kh * kw), centred and times the root of their weights.

    Also their means and variances (places, n).
    """
    windows = rows.unfold(2, shape[1], stride).permute(2, 0, 1, 3).flatten(2)
    share = root.square() / root.square().sum()
    mean = windows @ share
    centred = (windows - mean[..., None]) * root
    return centred, mean, centred.square().sum(-1)


def _add_row_(total: torch.Tensor, first: tuple[torch.Tensor, ...], second: tuple[torch.Tensor, ...]) -> None:
    """Add the SSIM of all pairs, summed over the windows of one row, to ``total`` (n, m)."""
    windows_x, mean_x, variance_x = first
    windows_y, mean_y, variance_y = second
    windows_x = windows_x * 2
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


def _planes(
    predicted: np.ndarray, truth: np.ndarray, grey: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield frame number and the pictures that are compared: float32 (n, H, W) and (m, H, W), 0..255."""
    for frame in range(predicted.shape[1]):
        if grey:
            yield (
                frame,
                grey_values(predicted[:, frame]).astype(np.float32),
                grey_values(truth[:, frame]).astype(np.float32),
            )
        else:
            for channel in range(3):
                first, second = predicted[:, frame, ..., channel], truth[:, frame, ..., channel]
                yield frame, first.astype(np.float32), second.astype(np.float32)


def _start(frame: int, stride: int) -> int:
    """First window of a frame: half a stride from the edge, another one for each frame (odd steps of 3)."""
    return (stride // 2 + 3 * frame) % stride


def ssim_pairs(
    predicted: np.ndarray, truth: np.ndarray, device: str = "cpu", window: SsimWindow = MV, stride: int = 1
) -> np.ndarray:
    """SSIM of every predicted clip with every true clip, mean over frames.

    Means and variances are computed once per image and only the cross term once per pair: at one window
    position the covariances of all pairs are one matrix product of the centred windows. All shifts of a
    permutation null are then look-ups in the result.

    Parameters
    ----------
    predicted, truth : uint8 (n, F, H, W, 3) and (m, F, H, W, 3)
    device : where the matrix products run
    window : definition; ``ssim_mv`` by default
    stride : take every stride-th window position of each axis, from another place in each frame; 1 is the
        definition, more an estimate of it

    Returns
    -------
    (n, m) float64

    Raises
    ------
    InputError : other dtype, unequal frame counts or sizes
    """
    taps = window.weights.shape
    check_videos(predicted, truth, matched=False, smallest=taps)
    weights = window.weights.ravel()
    scale = weights.size / (weights.size - 1) if window.sample else 1.0
    root = torch.from_numpy(np.sqrt(weights * scale)).to(device, torch.float32)
    total = torch.zeros(len(predicted), len(truth), dtype=torch.float64, device=device)
    places = 0
    for frame, *planes in _planes(predicted, truth, window.grey):
        x, y = (torch.from_numpy(plane).to(device) for plane in planes)
        start = _start(frame, stride)
        for row in range(start, x.shape[1] - taps[0] + 1, stride):
            part = (slice(None), slice(row, row + taps[0]), slice(start, None))
            first, second = (_row_windows(plane[part], root, taps, stride) for plane in (x, y))
            _add_row_(total, first, second)
            places += len(first[1])
    return (total / places).cpu().numpy()
