"""What the simulated brain sees: four groups of stimulus features in bins of 0.5 s (4 per TR of 2 s).

``contrast``  local gradient energy on a grid over the frame (position and size of things)
``colour``    histogram of hue weighted by saturation, mean luminance, mean saturation
``shape``     the thing and its heading from a movie's script; without scripts, a random projection of
              oriented-gradient histograms
``motion``    energy of motion in eight directions, and speed

A movie of any size and frame rate will do; times count from its first frame. After the movie's end its last
frame stays on, still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2hsv
from skimage.feature import hog

from neurocine.errors import InputError
from neurocine.simulate.world import CLIP_SECONDS
from neurocine.stimuli.video import read_frames_at, video_info

GROUPS = ("contrast", "colour", "shape", "motion")
BIN_SECONDS = 0.5
GRID = 8  # cells per side of the contrast grid
SIDE = 64  # pixels; frames are stretched to SIDE x SIDE
N_HUES = 12
N_DIRECTIONS = 8
MOTION_SECONDS = 1 / 15  # between the two frames that show a bin's motion
MOTION_BLOCKS = 4  # blocks per side for which a velocity is fitted
HOG_DIMENSIONS = 24  # after the random projection
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class FeatureSpace:
    """Which column of the feature matrix belongs to which group.

    names : one name per column, ``group/feature``
    mean, std : (n_features,) f32, over the bins of the training movies; std 0 marks a constant feature
    """

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray

    @property
    def group(self) -> np.ndarray:
        """(n_features,) i64, index into GROUPS."""
        return np.array([GROUPS.index(name.split("/")[0]) for name in self.names])


def bin_times(path: Path, n_bins: int) -> np.ndarray:
    """Return the times of the two frames that stand for each bin: (n_bins, 2) f64, seconds.

    The two straddle the bin's middle, so they never span two 2-s clips. Past the end both are the last frame.
    """
    info = video_info(path)
    middle = (np.arange(n_bins) + 0.5) * BIN_SECONDS
    times = middle[:, None] + np.array([-0.5, 0.5]) * MOTION_SECONDS
    return np.minimum(times, info.duration - 0.5 / info.fps)


def contrast_features(grey: np.ndarray) -> np.ndarray:
    """Gradient energy in each cell of a GRID x GRID grid, compressed by a logarithm.

    Parameters
    ----------
    grey : (n, SIDE, SIDE) f32, luminance 0..1

    Returns
    -------
    (n, GRID * GRID) f32, cells row by row
    """
    vertical, horizontal = np.gradient(grey, axis=(1, 2))
    cell = SIDE // GRID
    energy = (vertical**2 + horizontal**2).reshape(len(grey), GRID, cell, GRID, cell).mean((2, 4))
    # A faint edge is seen, a strong one does not count in proportion: contrast saturates in early areas.
    return np.log1p(np.sqrt(energy) * 50).reshape(len(grey), -1).astype(np.float32)


def colour_features(frames: np.ndarray) -> np.ndarray:
    """Hue histogram weighted by saturation, mean luminance, mean saturation.

    Parameters
    ----------
    frames : (n, SIDE, SIDE, 3) uint8 RGB

    Returns
    -------
    (n, N_HUES + 2) f32; histogram bins are square roots of area shares, so that small things count
    """
    frames = frames[:, ::2, ::2]  # areas of colour need no fine grain, and this takes a quarter of the time
    hsv = rgb2hsv(frames).astype(np.float32).reshape(len(frames), -1, 3)
    place = hsv[..., 0] * N_HUES
    low = np.floor(place).astype(np.int64)
    share = place - low
    weight = hsv[..., 1] * hsv[..., 2]
    row = np.arange(len(frames))[:, None] * N_HUES
    histogram = np.zeros(len(frames) * N_HUES)
    # Soft bins: a hue between two bins counts in both, so a small change of hue is a small change here.
    for index, part in ((low % N_HUES, 1 - share), ((low + 1) % N_HUES, share)):
        histogram += np.bincount((row + index).ravel(), (weight * part).ravel(), len(histogram))
    histogram = np.sqrt(histogram.reshape(len(frames), N_HUES) / hsv.shape[1])
    luminance = (frames.reshape(len(frames), -1, 3) @ LUMA).mean(1) / 255
    return np.column_stack([histogram, luminance, weight.mean(1)]).astype(np.float32)


def motion_features(pairs: np.ndarray, seconds: float = MOTION_SECONDS) -> np.ndarray:
    """Motion energy in eight directions and speed, from velocities fitted in blocks (Lucas and Kanade 1981).

    Parameters
    ----------
    pairs : (n, 2, SIDE, SIDE) f32, luminance 0..1 of an earlier and a later frame
    seconds : between the two

    Returns
    -------
    (n, N_DIRECTIONS + 1) f32; direction k is k x 45 degrees counted from right over down (pixel axes)
    """
    smooth = gaussian_filter(pairs, (0, 0, 1.5, 1.5), mode="nearest")
    vertical, horizontal = np.gradient(smooth.mean(1), axis=(1, 2))
    change = smooth[:, 1] - smooth[:, 0]

    def block_sum(product_: np.ndarray) -> np.ndarray:
        side = SIDE // MOTION_BLOCKS
        return product_.reshape(len(pairs), MOTION_BLOCKS, side, MOTION_BLOCKS, side).sum((2, 4))

    xx, yy, xy = block_sum(horizontal**2), block_sum(vertical**2), block_sum(horizontal * vertical)
    xt, yt = block_sum(horizontal * change), block_sum(vertical * change)
    ridge = 1e-3  # keeps blocks without texture, and edges seen through an aperture, from exploding
    determinant = (xx + ridge) * (yy + ridge) - xy**2
    right = (xy * yt - (yy + ridge) * xt) / determinant
    down = (xy * xt - (xx + ridge) * yt) / determinant
    # Share of the frame per second, weighted by how much texture carries it.
    weight = np.sqrt(xx + yy) / (np.sqrt(xx + yy).sum((1, 2), keepdims=True) + ridge)
    speed = np.hypot(right, down) / SIDE / seconds
    angle = np.arctan2(down, right)[..., None] - np.arange(N_DIRECTIONS) * (2 * np.pi / N_DIRECTIONS)
    tuned = np.maximum(np.cos(angle), 0) ** 2
    energy = (tuned * (weight * np.log1p(speed * 10))[..., None]).sum((1, 2))
    return np.column_stack([energy, (weight * np.log1p(speed * 10)).sum((1, 2))]).astype(np.float32)


def gradient_histogram_features(grey: np.ndarray) -> np.ndarray:
    """Oriented-gradient histograms (Dalal and Triggs 2005), reduced by a fixed random projection.

    Parameters
    ----------
    grey : (n, SIDE, SIDE) f32

    Returns
    -------
    (n, HOG_DIMENSIONS) f32
    """
    histograms = np.stack(
        [hog(image, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2)) for image in grey]
    )
    # Fixed, not from the study's seed: the same movie must have the same features in every study.
    projection = np.random.default_rng(0).standard_normal((histograms.shape[1], HOG_DIMENSIONS))
    return (histograms @ projection / np.sqrt(HOG_DIMENSIONS)).astype(np.float32)


def _headings(script: pd.DataFrame) -> pd.Series:
    """Return where things point: where they go, unless the script says otherwise."""
    return script.get("heading", script["direction"])


def script_features(script: pd.DataFrame, kinds: Sequence[tuple[str, str]], n_bins: int) -> np.ndarray:
    """One-hot of (shape, heading) and of shape, per bin; the last clip stays on after its end.

    Parameters
    ----------
    script : columns clip, shape, direction, and heading where it is another; one row per clip of 2 s
    kinds : all (shape, direction) pairs of the study; ("fish", "") stands for the fish in any direction
    n_bins : time bins to fill, ``BIN_SECONDS`` each

    Returns
    -------
    (n_bins, len(kinds)) f32
    """
    rows = script.sort_values("clip")
    shapes, directions = rows["shape"].to_numpy(), _headings(rows).to_numpy()
    per_clip = np.stack([(shapes == s) & ((directions == d) | (d == "")) for s, d in kinds], axis=1)
    clip = np.minimum((np.arange(n_bins) * BIN_SECONDS / CLIP_SECONDS).astype(np.int64), len(rows) - 1)
    return per_clip[clip].astype(np.float32)


def script_kinds(scripts: Sequence[pd.DataFrame]) -> list[tuple[str, str]]:
    """List the (shape, direction) pairs of all scripts, and each shape with any direction."""
    shapes = sorted({shape for script in scripts for shape in script["shape"]})
    directions = sorted({direction for script in scripts for direction in _headings(script)})
    return list(product(shapes, ["", *directions]))


def movie_features(
    path: Path, n_bins: int, script: pd.DataFrame | None, kinds: Sequence[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Compute the groups for one movie: group -> (n_bins, n_features of the group) f32, as measured."""
    times = bin_times(path, n_bins)
    frames = read_frames_at(path, times.ravel(), (SIDE, SIDE)).reshape(n_bins, 2, SIDE, SIDE, 3)
    grey = (frames @ LUMA) / np.float32(255)
    first = grey[:, 0]
    shape = gradient_histogram_features(first) if script is None else script_features(script, kinds, n_bins)
    return {
        "contrast": contrast_features(first),
        "colour": colour_features(frames[:, 0]),
        "shape": shape,
        "motion": motion_features(grey),
    }


def feature_names(kinds: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Name the columns; without ``kinds`` the shape group is the projected histogram."""
    shape = [f"{s} {d or 'any'}" for s, d in kinds] or [f"gradients {i}" for i in range(HOG_DIMENSIONS)]
    return tuple(
        [f"contrast/row {i} column {j}" for i, j in product(range(GRID), range(GRID))]
        + [f"colour/hue {i * 360 // N_HUES}" for i in range(N_HUES)]
        + ["colour/luminance", "colour/saturation"]
        + [f"shape/{name}" for name in shape]
        + [f"motion/{i * 360 // N_DIRECTIONS} degrees" for i in range(N_DIRECTIONS)]
        + ["motion/speed"]
    )


def standardise(
    raw: Mapping[str, np.ndarray], train_movies: Sequence[str], names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], FeatureSpace]:
    """Scale every feature to mean 0 and standard deviation 1 over the bins of the training movies.

    Parameters
    ----------
    raw : movie -> (n_bins, n_features) f32
    train_movies : movies that give the statistics
    names : of the features

    Returns
    -------
    movie -> (n_bins, n_features) f32, and the space; features constant over training become 0
    """
    stacked = np.concatenate([raw[movie] for movie in train_movies]).astype(np.float64)
    mean, std = stacked.mean(0), stacked.std(0)
    std[std < 1e-5] = 0
    scale = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
    scaled = {movie: ((values - mean) * scale).astype(np.float32) for movie, values in raw.items()}
    return scaled, FeatureSpace(names, mean.astype(np.float32), std.astype(np.float32))


def extract_features(
    videos: Mapping[str, Path],
    scripts: Mapping[str, pd.DataFrame],
    train_movies: Sequence[str],
    seconds: Mapping[str, float],
) -> tuple[dict[str, np.ndarray], FeatureSpace]:
    """Compute standardised features of all movies.

    Parameters
    ----------
    videos : movie -> mp4
    scripts : movie -> script, for all movies or for none
    train_movies : movies whose statistics standardise all
    seconds : movie -> seconds of features needed (until the last volume)

    Returns
    -------
    movie -> (n_bins, n_features) f32 at 2 Hz, and the feature space

    Raises
    ------
    InputError : scripts for some movies only, or a training movie without a video
    """
    without = [movie for movie in videos if movie not in scripts]
    if scripts and without:
        found = f"none for {', '.join(without)}"
        raise InputError("scripts", found, "one for every movie, or none", "Add them.")
    missing = [movie for movie in train_movies if movie not in videos]
    if missing or not train_movies:
        found = f"no video of {', '.join(missing)}" if missing else "no training movie"
        raise InputError("train movies", found, "a video for each training movie", "Correct the names.")
    kinds = script_kinds(list(scripts.values())) if scripts else []
    raw = {}
    for movie, path in videos.items():
        n_bins = int(np.ceil(seconds[movie] / BIN_SECONDS))
        groups = movie_features(path, n_bins, scripts.get(movie), kinds)
        raw[movie] = np.concatenate([groups[name] for name in GROUPS], axis=1)
    return standardise(raw, train_movies, feature_names(kinds))
