"""Cut movies into clips of one TR and keep a few frames of each."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from neurocine.errors import InputError
from neurocine.stimuli.video import Resize, read_frames_at, video_info

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PrepareStimuliSettings:
    """How movies become clips. Defaults: 6 frames at 3 per second, 256 x 256 (NeuroCine section 4.1)."""

    fps: float = 3.0  # frames kept per second; at 30 frames per second 3 keeps frames 0, 10, ... 50 of 60
    frames_per_tr: int = 6  # frames kept per clip
    tr: float = 2.0  # seconds of movie per fMRI volume, the length of a clip
    clips_per_movie: int = 240  # clips taken from the start of each movie; what follows is not used
    height: int = 256  # pixels
    width: int = 256  # pixels
    resize: Resize = "stretch"  # stretch: change the aspect ratio; center_crop: keep it, cut the longer sides

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize):
            raise ValueError(f"resize must be one of {', '.join(get_args(Resize))}, not {self.resize}")
        for name in ("fps", "frames_per_tr", "tr", "clips_per_movie", "height", "width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if (self.frames_per_tr - 1) / self.fps >= self.tr:
            raise ValueError(
                f"{self.frames_per_tr} frames at {self.fps:g} per second do not fit into {self.tr:g} s (tr)"
            )


def clip_times(settings: PrepareStimuliSettings) -> np.ndarray:
    """Return when each kept frame is on screen: clip j, frame k at tr * j + k / fps, (n_clips, F) seconds."""
    clips = np.arange(settings.clips_per_movie) * settings.tr
    return clips[:, None] + np.arange(settings.frames_per_tr) / settings.fps


def prepare_movie(path: Path, settings: PrepareStimuliSettings) -> np.ndarray:
    """Read the clips of one movie.

    Parameters
    ----------
    path : movie file of any frame rate; it may be longer than the clips (a still end is normal)
    settings : clips, frames and size

    Returns
    -------
    (n_clips, F, H, W, 3) uint8, RGB

    Raises
    ------
    InputError : the movie is missing, unreadable, cut short, or too short for the clips
    """
    times = clip_times(settings)
    info = video_info(path)
    if info.duration <= times[-1, -1]:
        complete = int(info.duration / settings.tr)
        raise InputError(
            path,
            f"a movie of {info.duration:.2f} s",
            f"{settings.clips_per_movie} clips of {settings.tr:g} s",
            f"Copy the movie again if it is cut short, or set prepare_stimuli.clips_per_movie to {complete}.",
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


def prepare_stimuli(videos: Mapping[str, Path], settings: PrepareStimuliSettings) -> dict[str, np.ndarray]:
    """Read the clips of several movies: name -> (n_clips, F, H, W, 3) uint8. See ``prepare_movie``."""
    return {movie: prepare_movie(path, settings) for movie, path in videos.items()}
