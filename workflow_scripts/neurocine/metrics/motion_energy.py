"""Motion energy of clips: how strongly something of a size moves in a direction at a place.

Quadrature pairs of spatiotemporal Gabor filters (Adelson and Bergen 1985) in a pyramid of sizes, as encoding
models of visual cortex have them (Nishimoto et al. 2011): the root of the sum of the squares of both members
does not depend on the phase. Filters are as long as a clip, so a clip has one value per filter.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

SIDE = 32  # pixels that frames are brought to
CYCLES = (2, 4, 8)  # per side; as many filters stand beside each other
DIRECTIONS = 8
STEPS = (1 / 6, 1 / 3)  # cycles from frame to frame of what moves
SPATIAL_SD, TEMPORAL_SD = 0.5, 0.35  # of the envelope, in cycles and in clips
GREY = (0.299, 0.587, 0.114)
CLIPS_AT_ONCE = 64


def filter_parameters() -> list[tuple[int, float, float, float, float]]:
    """List the filters: cycles per side, direction (rad), cycles from frame to frame, centre x and y (0..1).

    What stands still (0 cycles from frame to frame) has an orientation only, half a turn of directions.
    """
    listed = []
    for cycles in CYCLES:
        centres = (np.arange(cycles) + 0.5) / cycles
        for step in (0.0, *STEPS):
            turns = np.arange(DIRECTIONS if step else DIRECTIONS // 2) * 2 * np.pi / DIRECTIONS
            listed += [(cycles, t, step, x, y) for t in turns for y in centres for x in centres]
    return listed


@cache
def gabor_filters(frames: int) -> np.ndarray:
    """Make the filters, (n_filters, frames SIDE SIDE) complex64: each of unit length, 0 in sum.

    A grating that moves to larger x has direction 0, one that moves to larger y (down) a quarter of a turn.
    """
    place = (np.arange(SIDE) + 0.5) / SIDE
    time = np.arange(frames)[:, None, None] - (frames - 1) / 2
    y, x = place[None, :, None], place[None, None, :]
    made = []
    for cycles, direction, step, centre_x, centre_y in filter_parameters():
        u, v = x - centre_x, y - centre_y
        along = u * np.cos(direction) + v * np.sin(direction)
        wave = np.exp(2j * np.pi * (cycles * along - step * time))
        sd = SPATIAL_SD / cycles
        hull = np.exp(-(u**2 + v**2) / (2 * sd**2) - (time / frames) ** 2 / (2 * TEMPORAL_SD**2))
        gabor = hull * (wave - (hull * wave).sum() / hull.sum())
        made.append((gabor / np.linalg.norm(gabor)).ravel().astype(np.complex64))
    return np.stack(made)


def _luminance(videos: np.ndarray) -> np.ndarray:
    """Bring clips uint8 (n, frames, H, W, 3) to grey frames of SIDE x SIDE, 0..1: (n, frames SIDE SIDE)."""
    grey = torch.from_numpy((videos @ np.array(GREY, np.float32)) / np.float32(255))
    n, frames = grey.shape[:2]
    small = F.interpolate(grey.flatten(0, 1)[:, None], size=(SIDE, SIDE), mode="area")
    return small.reshape(n, frames * SIDE * SIDE).numpy()


def motion_energy(videos: np.ndarray) -> np.ndarray:
    """Filter clips.

    Parameters
    ----------
    videos : uint8 (n, frames, H, W, 3), two frames or more

    Returns
    -------
    (n, n_filters) float32, 0 or more, in the order of `filter_parameters`; 0 for frames of one grey
    """
    filters = gabor_filters(videos.shape[1])
    parts = []
    for start in range(0, len(videos), CLIPS_AT_ONCE):
        grey = _luminance(videos[start : start + CLIPS_AT_ONCE])
        parts.append(np.hypot(grey @ filters.real.T, grey @ filters.imag.T))
    return np.concatenate(parts).astype(np.float32)
