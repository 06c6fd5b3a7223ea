"""Movies for simulated subjects: drawn from the toy world's grammar, or cut from natural movies."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.errors import InputError
from neurocine.section_checks import scenes_have_a_length
from neurocine.seeds import numpy_generator
from neurocine.settings import Check, Count, NotNegative, Settings, Share, Unit
from neurocine.simulate.world import CLIP_SECONDS, movie_frames, write_script
from neurocine.stimuli.video import read_frames_at, video_info, write_video


class SimulateMoviesSettings(Settings):
    """What the movies are like."""

    checks: ClassVar[tuple[Check, ...]] = (scenes_have_a_length,)

    clips_per_movie: Annotated[Count, Unit("clips")] = 240
    """Each movie has this many clips of 2 s; 240 are the 8 minutes of a Wen 2018 movie."""
    tail_seconds: Annotated[NotNegative, Unit("s")] = 12.0
    """The last frame stands still for this long after the content, as in the recorded study."""
    fps: Annotated[int, Field(ge=6), Unit("frames/s")] = 30
    """Drawn movies have this frame rate; natural ones keep theirs."""
    size: Annotated[int, Field(ge=16), Unit("px")] = 128
    """Drawn movies have this height and width; natural ones keep theirs."""
    held_out_share: Share = 0.25
    """This fraction of a test movie's scenes shows combinations that no training movie has."""
    shortest_scene: Annotated[Count, Unit("TR")] = 2
    """The shortest scene lasts this long."""
    longest_scene: Annotated[Count, Unit("TR")] = 6
    """The longest scene lasts this long."""
    turned_share: Share = 0.0
    """In this fraction of the scenes a single frame does not predict the motion.

    Orientation, lane and starting place of the object are then drawn independently of its direction.
    """
    sources: tuple[str, ...] = ()
    """Name natural movies to cut scenes from; without any, movies of the toy world are drawn."""


def simulate_movies(
    paths: Sequence[Path], train_movies: Collection[str], settings: SimulateMoviesSettings, seed: int
) -> Iterator[pd.DataFrame]:
    """Write movies one after the other, and yield the script of each (`draw_movie` or `cut_movie`).

    Parameters
    ----------
    paths : mp4 files to write; the file's name is the movie's
    train_movies : names of the movies that must not show held-out combinations
    settings : section simulate_movies of the config
    seed : of all draws
    """
    for number, path in enumerate(paths):
        if settings.sources:
            yield cut_movie(path, path.stem, number, settings, seed)
        else:
            yield draw_movie(path, path.stem, path.stem in train_movies, settings, seed)


def draw_movie(
    path: Path, movie: str, training: bool, settings: SimulateMoviesSettings, seed: int
) -> pd.DataFrame:
    """Write a movie of the toy world as mp4; return its script (see `write_script`).

    Training movies never show held-out combinations. The draws depend on the seed and the movie's name only.
    """
    scenes = (settings.shortest_scene, settings.longest_scene)
    share = 0.0 if training else settings.held_out_share
    drawn = numpy_generator(seed, "script", movie)
    turned = None  # draws of its own, which leave those of the world without turned scenes as they are
    if settings.turned_share:
        turned = settings.turned_share, numpy_generator(seed, "turned", movie)
    script = write_script(movie, settings.clips_per_movie, drawn, share, scenes, turned)
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
