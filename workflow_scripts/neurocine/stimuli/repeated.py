"""Compare the frames of a clip that a data set shows several times, before anything is trained or tested."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from neurocine.datasets.base import Movie
from neurocine.errors import InputError
from neurocine.stimuli.video import shown_frames

log = logging.getLogger(__name__)

SIDE = 32  # px of the grey pictures that are compared
AT = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the clip
REACH = 1.0  # s by which a showing may begin earlier or later than it is said to
STEP = 0.125  # s
MOST = 8.0  # of 255, mean difference of the same picture after another compression


def small_pictures(path: Path, times: np.ndarray) -> np.ndarray:
    """Read the pictures on screen at ascending times (n,) in seconds, (n, 32, 32) float64 grey, 0 to 255.

    Raises
    ------
    InputError : a movie that cannot be read or ends before the last time
    """
    pictures: list[np.ndarray] = []
    for shown in shown_frames(path, float(times[0]) - REACH):
        count = int(np.searchsorted(times, shown.end)) - len(pictures)
        if count > 0:
            image = shown.frame.to_image().convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
            pictures += [np.asarray(image, np.float64)] * count
        if len(pictures) == len(times):
            return np.stack(pictures)
    found, expected = f"a movie that ends before {times[-1]:.2f} s", "the repeated clip in it"
    raise InputError(path, found, expected, "Copy the movie again, or correct the windows of its clips.")


def refuse_other_clip(path: Path, movie: Movie) -> None:
    """Raise InputError where a file does not show the movie's clips at the place in ``also``.

    A shift of less than a second is told as a warning: responses to it are averaged all the same.
    """
    at = np.array(AT) * movie.n_clips * movie.tr
    wanted = small_pictures(path, movie.start + at)
    shifts = np.arange(-REACH, REACH + STEP / 2, STEP)
    for name, start in movie.also:
        times = (start + at[:, None] + shifts).ravel()
        if times[0] < 0:
            raise InputError(
                name, f"{start:g} s", f"more than {REACH:g} s before the clip", "Correct its windows."
            )
        order = np.argsort(times, kind="stable")
        shown = np.empty((len(times), SIDE, SIDE))
        shown[order] = small_pictures(Path(name), times[order])
        differences = np.abs(shown.reshape(len(at), len(shifts), SIDE, SIDE) - wanted[:, None]).mean(
            (0, 2, 3)
        )
        best = int(np.argmin(differences))
        if differences[best] > MOST:
            found = f"other frames at {start:g} s than {path} has at {movie.start:g} s"
            todo = "Give movies of one version, or correct the windows: each run ends with the repeated clip."
            raise InputError(name, found, f"the same clip, {movie.name}", todo)
        # A still tells no shift, so the stated place counts where it fits as well as any other.
        middle = len(shifts) // 2
        if differences[middle] > differences[best] + 0.5 and abs(shifts[best]) >= 2 * STEP:
            log.warning("%s: %s begins about %+.2f s from %g s", name, movie.name, shifts[best], start)
