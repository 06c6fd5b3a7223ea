"""Movies for simulated subjects: drawn from the toy world's grammar, or cut from natural movies."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.seeds import numpy_generator
from neurocine.simulate.world import CLIP_SECONDS, movie_frames, write_script
from neurocine.stimuli.video import read_frames_at, video_info, write_video


@dataclasses.dataclass(frozen=True)
class SimulateMoviesSettings:
    """What the movies are like."""

    clips_per_movie: int = 240  # clips of 2 s; 240 are the 8 minutes of a Wen 2018 movie
    tail_seconds: float = 12.0  # static last frame after the content, as in the recorded study
    fps: int = 30  # frames per second of drawn movies; natural ones keep theirs
    size: int = 128  # height and width of drawn movies, px; natural ones keep theirs
    held_out_share: float = (
        0.25  # share of a test movie's scenes that show combinations no training movie has
    )
    shortest_scene: int = 2  # TR
    longest_scene: int = 6  # TR
    sources: tuple[str, ...] = ()  # natural movies to cut scenes from; none = draw the toy world

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_share <= 1:
            raise ValueError(f"held_out_share is {self.held_out_share}, must be in [0, 1]")
        if not 1 <= self.shortest_scene <= self.longest_scene:
            raise ValueError(f"scenes of {self.shortest_scene} to {self.longest_scene} TR are impossible")
        if self.clips_per_movie < 1 or self.size < 16 or self.fps < 6 or self.tail_seconds < 0:
            raise ValueError("clips_per_movie, size, fps or tail_seconds is too small")


def draw_movie(
    path: Path, movie: str, training: bool, settings: SimulateMoviesSettings, seed: int
) -> pd.DataFrame:
    """Write a movie of the toy world as mp4; return its script (see `write_script`).

    Training movies never show held-out combinations. The draws depend on the seed and the movie's name only.
    """
    scenes = (settings.shortest_scene, settings.longest_scene)
    share = 0.0 if training else settings.held_out_share
    script = write_script(
        movie, settings.clips_per_movie, numpy_generator(seed, "script", movie), share, scenes
    )
    frames = movie_frames(script, settings.fps, settings.size, settings.size, settings.tail_seconds)
    write_video(path, frames, settings.fps)
    return script


def cut_movie(
    path: Path, movie: str, number: int, settings: SimulateMoviesSettings, seed: int
) -> pd.DataFrame:
    """Write a movie whose scenes are cut at random from one natural movie; size and frame rate stay.

    Parameters
    ----------
    path : mp4 to write
    movie : its name
    number : its place among the movies, which chooses the source
    settings, seed : see `draw_movie`

    Returns
    -------
    columns movie clip scene source start (seconds into the source)

    Raises
    ------
    InputError : the source is shorter than the shortest scene
    """
    source = Path(settings.sources[number % len(settings.sources)])
    info = video_info(source)
    longest = min(settings.longest_scene, int(info.duration / CLIP_SECONDS))
    if longest < settings.shortest_scene:
        raise InputError(
            source,
            f"{info.duration:.1f} s",
            f"at least {settings.shortest_scene * CLIP_SECONDS:.0f} s, one scene",
            "Give a longer movie, or lower simulate_movies.shortest_scene.",
        )
    generator = numpy_generator(seed, "cut", movie)
    rows: list[dict[str, object]] = []
    scene = 0
    while len(rows) < settings.clips_per_movie:
        length = int(generator.integers(settings.shortest_scene, longest + 1))
        first = float(generator.uniform(0, info.duration - length * CLIP_SECONDS))
        for clip in range(min(length, settings.clips_per_movie - len(rows))):
            start = round(first + clip * CLIP_SECONDS, 3)
            rows.append(
                {"movie": movie, "clip": len(rows), "scene": scene, "source": source.name, "start": start}
            )
        scene += 1
    script = pd.DataFrame(rows)
    seconds = settings.clips_per_movie * CLIP_SECONDS + settings.tail_seconds
    write_video(path, _cut_frames(source, script, info.fps, seconds), info.fps)
    return script


def _cut_frames(source: Path, script: pd.DataFrame, fps: float, seconds: float) -> Iterator[np.ndarray]:
    """Yield the frames of the cut movie at its own rate; its last one again for the tail."""
    starts = script["start"].to_numpy(float)
    times = np.arange(round(seconds * fps)) / fps
    clip = np.minimum((times / CLIP_SECONDS).astype(int), len(starts) - 1)
    into = np.minimum(times - clip * CLIP_SECONDS, CLIP_SECONDS - 1 / fps)
    wanted = starts[clip] + into
    scene = script["scene"].to_numpy()[clip]
    for number in np.unique(scene):  # scene by scene: a whole movie does not fit into memory
        different, place = np.unique(wanted[scene == number], return_inverse=True)
        frames = read_frames_at(source, different)
        yield from (frames[row] for row in place)
