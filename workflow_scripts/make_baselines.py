"""Make clips that need no brain and no generator, to be scored like decoded ones."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurocine.cli import program
from neurocine.conditions import made_by
from neurocine.errors import InputError
from neurocine.io import open_arrays, write_arrays
from neurocine.metrics.baselines import MakeBaselinesSettings, blurred_video, hold_first_frame
from neurocine.provenance import header
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import movies_in


def shown_movies(stimuli: list[Path], every: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield movie, indices (n,) i64 of the clips that are decoded, and these clips (n, F, H, W, 3) uint8."""
    for path in stimuli:
        with open_arrays(path) as handle:
            for movie in movies_in(handle):
                clips = handle.get_tensor(movie)
                index = np.arange(0, len(clips), every)
                yield movie, index, clips[index]


def training_frames(stimuli: list[Path], n: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield n random frames of the training movies, uint8 (H, W, 3) each."""
    places: list[tuple[Path, str, int, int]] = []
    for path in stimuli:
        with open_arrays(path) as handle:
            for movie in movies_in(handle):
                shape = handle.get_slice(movie).get_shape()
                places += [
                    (path, movie, clip, frame) for clip in range(shape[0]) for frame in range(shape[1])
                ]
    if not places:
        raise InputError(
            "--train-stimuli", "no movie", "files of prepare_stimuli", "Give the training movies."
        )
    for place in generator.integers(len(places), size=n):
        path, movie, clip, frame = places[place]
        with open_arrays(path) as handle:
            yield handle.get_slice(movie)[clip : clip + 1][0, frame]


@program
def main(
    *,
    baseline: str,
    stimuli: list[Path],
    train_stimuli: list[Path],
    every: int,
    seed: int,
    settings: MakeBaselinesSettings,
    out: Path,
) -> None:
    """Make one baseline for the clips that are decoded.

    Parameters
    ----------
    baseline : static: the first frame of the true clip, held; blurred: for each clip a random frame of the
        training movies, blurred and held
    stimuli : files of prepare_stimuli, test movies
    train_stimuli : files of prepare_stimuli, training movies
    every : clips 0, k, 2k ... of each movie, as in decode
    seed : of the drawn frames
    settings : section make_baselines of the config, as JSON
    out : per movie frames (n, F, H, W, 3) uint8 and {movie}/clip, as decode writes them
    """
    if baseline not in made_by("make_baselines"):
        expected = " or ".join(made_by("make_baselines"))
        raise InputError("--baseline", baseline, expected, "Choose one of them.")
    arrays: dict[str, np.ndarray] = {}
    movies = []
    for movie, index, clips in shown_movies(stimuli, every):
        movies.append(movie)
        arrays[f"{movie}/clip"] = index
        if baseline == "static":
            arrays[movie] = hold_first_frame(clips)
        else:
            frames = training_frames(
                train_stimuli, len(index), numpy_generator(seed, "make_baselines", movie)
            )
            arrays[movie] = np.stack(
                [blurred_video(frame, clips.shape[1], settings.blur) for frame in frames]
            )
    known = [] if baseline == "static" else train_stimuli
    behind = sorted({*movies, *(name for path in known for name in listed_movies(path))})
    axes = "clip, frame, height, width, RGB"
    meta = header("make_baselines", settings, behind, condition=baseline, seed=seed, movies=movies, axes=axes)
    write_arrays(out, arrays, meta)


def listed_movies(path: Path) -> list[str]:
    """List the movies of a file of prepare_stimuli."""
    with open_arrays(path) as handle:
        return movies_in(handle)


if __name__ == "__main__":
    main()
