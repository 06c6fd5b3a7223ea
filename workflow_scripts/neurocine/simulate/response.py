"""From features to BOLD: the canonical haemodynamic response, and when each volume is acquired.

Times are seconds from the movie's onset. A run of 245 volumes starts 2 s after the movie, one of 246 volumes
together with it (Wen 2018); after the published crop, kept sample j sits at 2j + 5 s in both.
"""

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import gamma

from neurocine.errors import InputError
from neurocine.simulate.features import BIN_SECONDS

TR = 2.0  # s
SCAN_START = {5: 2.0, 6: 0.0}  # volumes more than the movie has clips -> start of the first one, s
CROP_FIRST = {5: 1, 6: 2}  # volumes more than clips -> volumes that the preprocessing drops at the start
N_KEPT = 240  # clips of a movie, and volumes that the crop keeps
PEAK_SHAPE, UNDERSHOOT_SHAPE, RATIO, HRF_SECONDS = 6.0, 16.0, 6.0, 32.0  # SPM's defaults


def haemodynamic_kernel(bin_seconds: float = BIN_SECONDS) -> np.ndarray:
    """Integrate the canonical double-gamma response over bins: response to a stimulus of one bin.

    Returns
    -------
    (HRF_SECONDS / bin_seconds,) f64, sum 1; entry m is the response m + 1 bins after the stimulus' onset
    """
    edges = np.arange(0, HRF_SECONDS + bin_seconds / 2, bin_seconds)
    integral = gamma.cdf(edges, PEAK_SHAPE) - gamma.cdf(edges, UNDERSHOOT_SHAPE) / RATIO
    kernel = np.diff(integral)
    return np.asarray(kernel / kernel.sum())


def volume_times(n_volumes: int, n_kept: int = N_KEPT) -> np.ndarray:
    """Return the middle of each volume's acquisition, (n_volumes,) f64 seconds from the movie's onset.

    Parameters
    ----------
    n_volumes : 5 or 6 more than ``n_kept``: 245 or 246 for the published movies
    n_kept : clips of the movie

    Raises
    ------
    InputError : another number of volumes
    """
    if n_volumes - n_kept not in SCAN_START:
        lengths = " or ".join(str(n_kept + more) for more in SCAN_START)
        raise InputError("volumes", f"{n_volumes}", f"{lengths} volumes", "Correct simulate_subject.volumes.")
    return SCAN_START[n_volumes - n_kept] + TR * (np.arange(n_volumes) + 0.5)


def kept_times(n_kept: int = N_KEPT) -> np.ndarray:
    """Return the times of the volumes that the crop keeps, (n_kept,) f64 seconds from the movie's onset."""
    return volume_times(n_kept + 5, n_kept)[CROP_FIRST[5] :][:n_kept]


def response_at(features: np.ndarray, times: np.ndarray, bin_seconds: float = BIN_SECONDS) -> np.ndarray:
    """Convolve features with the haemodynamic response and read the result at given times.

    Before the movie nothing is seen: every feature is 0, its mean over training.

    Parameters
    ----------
    features : (n_bins, n_features) f32, bin k lasts from k to k + 1 times ``bin_seconds``
    times : (n_times,) seconds; before 0 the response is 0
    bin_seconds : duration of a bin, s

    Returns
    -------
    (n_times, n_features) f32

    Raises
    ------
    ValueError : times beyond the features' end
    """
    if times.max(initial=0) > len(features) * bin_seconds:
        raise ValueError(f"features end at {len(features) * bin_seconds} s, the last time is {times.max()} s")
    kernel = haemodynamic_kernel(bin_seconds)[:, None].astype(np.float32)
    convolved = fftconvolve(features, kernel, axes=0)[: len(features)]
    # Row n is the response at the edge n * bin_seconds: row 0, the onset, has seen nothing yet.
    padded = np.concatenate([np.zeros_like(convolved[:1]), convolved])
    place = np.clip(times / bin_seconds, 0, len(features))
    low = np.minimum(place.astype(np.int64), len(features) - 1)
    part = (place - low)[:, None].astype(np.float32)
    return np.asarray(padded[low] * (1 - part) + padded[low + 1] * part, dtype=np.float32)
