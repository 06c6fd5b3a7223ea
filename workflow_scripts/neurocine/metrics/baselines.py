"""Predictions that need no brain: grey, mean and blurred training frames, the first true frame held."""

from collections.abc import Callable, Iterable
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.ndimage import gaussian_filter

from neurocine.conditions import made_by
from neurocine.errors import InputError
from neurocine.seeds import numpy_generator
from neurocine.settings import Settings

GREY = 110  # a typical mean of natural movie frames; the tables of published baselines use it


def constant_video(shape: tuple[int, ...], grey: int = GREY) -> np.ndarray:
    """A clip of one grey value: shape (F, H, W, 3) -> uint8 (1, F, H, W, 3)."""
    return np.full((1, *shape), grey, dtype=np.uint8)


def mean_frame_video(movies: Iterable[np.ndarray]) -> np.ndarray:
    """A clip that shows the mean frame of the training movies throughout.

    Parameters
    ----------
    movies : uint8 (n_clips, F, H, W, 3) each; taken one after the other, so a generator keeps memory small

    Returns
    -------
    uint8 (1, F, H, W, 3)
    """
    total = np.zeros(())
    count = 0
    shape: tuple[int, ...] = ()
    for clips in movies:
        total = total + clips.sum(axis=(0, 1), dtype=np.float64)
        count += clips.shape[0] * clips.shape[1]
        shape = clips.shape[1:]
    frame = np.rint(total / count).astype(np.uint8)
    return np.broadcast_to(frame, (1, *shape)).copy()


class MakeBaselinesSettings(Settings):
    """How the clips that need no brain are made."""

    blur: Annotated[float, Field(gt=0, lt=1)] = 0.03125
    """The blurred baseline has this sigma as a fraction of the height, which is 8 px of 256."""


def hold_first_frame(clips: np.ndarray) -> np.ndarray:
    """Hold the first frame of each clip: uint8 (n, F, H, W, 3) -> the same shape."""
    return np.repeat(clips[:, :1], clips.shape[1], axis=1)


def blurred_video(frame: np.ndarray, n_frames: int, blur: float) -> np.ndarray:
    """Blur a frame and hold it.

    Parameters
    ----------
    frame : uint8 (H, W, 3)
    n_frames : F
    blur : sigma of the Gaussian as a share of H

    Returns
    -------
    uint8 (F, H, W, 3)
    """
    sigma = blur * len(frame)
    soft = gaussian_filter(frame.astype(np.float64), (sigma, sigma, 0), mode="nearest")
    return np.repeat(np.rint(soft).astype(np.uint8)[None], n_frames, axis=0)


def make_baselines(
    baseline: str,
    shown: Iterable[tuple[str, np.ndarray, np.ndarray]],
    draw_frames: Callable[[int, np.random.Generator], Iterable[np.ndarray]],
    settings: MakeBaselinesSettings,
    seed: int,
) -> dict[str, np.ndarray]:
    """Make one baseline for the clips that are decoded.

    Parameters
    ----------
    baseline : static: the first frame of the true clip, held; blurred: for each clip a random frame of the
        training movies, blurred and held
    shown : movie, indices (n,) i64 of its clips, and these clips (n, F, H, W, 3) uint8
    draw_frames : a number n and a generator to n frames of the training movies, uint8 (H, W, 3) each
    settings : section make_baselines of the config
    seed : of the drawn frames

    Returns
    -------
    per movie frames (n, F, H, W, 3) uint8 and ``{movie}/clip`` (n,) i64, as decode writes them

    Raises
    ------
    InputError : a baseline of another name
    """
    if baseline not in made_by("make_baselines"):
        expected = " or ".join(made_by("make_baselines"))
        raise InputError("--baseline", baseline, expected, "Choose one of them.")
    arrays: dict[str, np.ndarray] = {}
    for movie, index, clips in shown:
        arrays[f"{movie}/clip"] = index
        if baseline == "static":
            arrays[movie] = hold_first_frame(clips)
        else:
            frames = draw_frames(len(index), numpy_generator(seed, "make_baselines", movie))
            arrays[movie] = np.stack(
                [blurred_video(frame, clips.shape[1], settings.blur) for frame in frames]
            )
    return arrays
