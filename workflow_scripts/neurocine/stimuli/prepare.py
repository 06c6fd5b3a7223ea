"""Cut movies into clips of one TR and keep a few frames of each."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from neurocine.datasets.base import Movie, pair
from neurocine.errors import InputError
from neurocine.section_checks import frames_within_tr
from neurocine.settings import Check, Count, Positive, Settings, Unit
from neurocine.stimuli.video import Resize, read_frames_at, video_info

log = logging.getLogger(__name__)


class PrepareStimuliSettings(Settings):
    """How movies become clips. Defaults: 6 frames at 3 per second, 256 x 256 (NeuroCine section 4.1)."""

    checks: ClassVar[tuple[Check, ...]] = (frames_within_tr,)

    fps: Annotated[Positive, Unit("frames/s")] = 3.0
    """Frames are kept at this rate; of 30 frames per second, 3 keeps frames 0, 10, ... 50 of 60."""
    frames_per_tr: Annotated[Count, Unit("frames")] = 6
    """Each clip keeps this many frames."""
    tr: Annotated[Positive, Unit("s")] = 2.0
    """Each fMRI volume takes this long, which is the length of a clip."""
    clips_per_movie: Annotated[Count, Unit("clips")] = 240
    """This many clips are taken from the start of each movie; what follows is not used."""
    height: Annotated[Count, Unit("px")] = 256
    """Frames are resized to this height."""
    width: Annotated[Count, Unit("px")] = 256
    """Frames are resized to this width."""
    resize: Resize = "stretch"
    """Resizing changes the aspect ratio (stretch), or keeps it and cuts the longer sides (center_crop)."""


def clip_times(movie: Movie, settings: PrepareStimuliSettings) -> np.ndarray:
    """Return when each kept frame is on screen, (n_clips, F) seconds.

    Clip j, frame k at start + tr * j + k / fps; where every clip has a file of its own, in that file.
    """
    clips = movie.start + np.arange(movie.n_clips) * movie.tr * (not movie.files)
    return clips[:, None] + np.arange(settings.frames_per_tr) / settings.fps


def prepare_movie(path: Path, movie: Movie, settings: PrepareStimuliSettings) -> np.ndarray:
    """Read the clips of one movie.

    Parameters
    ----------
    path : movie file of any frame rate, which may be longer than the clips (a still end is normal), or the
        folder of the clips' files
    movie : its clips
    settings : frames and size

    Returns
    -------
    (n_clips, F, H, W, 3) uint8, RGB

    Raises
    ------
    InputError : the movie is missing, unreadable, cut short, or too short for the clips
    """
    times = clip_times(movie, settings)
    if movie.files:
        parts = [replace(movie, n_clips=1, files=(), name=f"{movie.name}: {name}") for name in movie.files]
        return np.concatenate(
            [
                prepare_movie(path / name, part, settings)
                for name, part in zip(movie.files, parts, strict=True)
            ]
        )
    info = video_info(path)
    if info.duration <= times[-1, -1]:
        complete = max(int((info.duration - movie.start) / movie.tr), 0)
        raise InputError(
            path,
            f"a movie of {info.duration:.2f} s",
            f"{movie.n_clips} clips of {movie.tr:g} s"
            + (f" from {movie.start:g} s on" if movie.start else ""),
            f"Copy the movie again if it is cut short, or take {complete} clips of it "
            "(prepare_stimuli.clips_per_movie, or clips in the sample sheet).",
        )
    size = (settings.height, settings.width)
    frames = read_frames_at(path, times.ravel(), size, settings.resize)
    log.info(
        "%s: %d x %d at %.4g frames per second, %.1f s; %d clips of %d frames",
        path.name,
        info.width,
        info.height,
        info.fps,
        info.duration,
        *times.shape,
    )
    return frames.reshape(*times.shape, *frames.shape[1:])


def prepare_stimuli(
    videos: Sequence[Path], movies: Sequence[Movie], settings: PrepareStimuliSettings
) -> dict[str, np.ndarray]:
    """Read the clips of several movies: name -> (n_clips, F, H, W, 3) uint8. See ``prepare_movie``."""
    return {movie.name: prepare_movie(path, movie, settings) for path, movie in pair(videos, movies)}
