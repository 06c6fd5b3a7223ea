"""Write decoded clips beside the originals: whole movies, and chosen clips as film strips and playing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import pandas as pd

from neurocine.errors import InputError
from neurocine.io import read_meta
from neurocine.pictures import write_picture
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.show import (
    Choice,
    ShowClipsSettings,
    ShownClip,
    choose_clips,
    film_strips,
    pair_clips,
    side_by_side,
)
from neurocine.stimuli.video import write_video


class DecodedClips:
    """Decoded clips of one condition and their originals, in opened files.

    Parameters
    ----------
    decoded : opened file of decode
    stimuli : opened files of prepare_stimuli that hold the originals
    """

    def __init__(self, decoded: Any, stimuli: Iterable[Any]) -> None:
        self.decoded = decoded
        self.meta = read_meta(decoded)
        self.stimuli = {name: handle for handle in stimuli for name in movies_in(handle)}
        self.movies = movies_in(decoded, "clip")

    @property
    def condition(self) -> str:
        """What they were decoded from."""
        return str(self.meta.get("condition"))

    def of(self, movie: str) -> Iterator[ShownClip]:
        """Yield the clips of a movie in the order in which they were decoded.

        Raises
        ------
        InputError : a movie that was not decoded, or whose original is not there
        """
        if movie not in self.movies or movie not in self.stimuli:
            kind = "--stimuli" if movie in self.movies else "--decoded"
            present = ", ".join(self.stimuli if movie in self.movies else self.movies)
            raise InputError(kind, f"movies {present}", f"a movie {movie}", "Give the file that holds it.")
        frames, clips = self.decoded.get_tensor(movie), self.decoded.get_tensor(f"{movie}/clip")
        return pair_clips(movie, self.stimuli[movie].get_tensor(movie), frames, clips)

    def table(self) -> pd.DataFrame:
        """List all decoded clips: columns movie, clip."""
        rows = [
            (movie, int(clip)) for movie in self.movies for clip in self.decoded.get_tensor(f"{movie}/clip")
        ]
        return pd.DataFrame(rows, columns=["movie", "clip"])


@dataclass(frozen=True)
class ShownFiles:
    """The files to write.

    Parameters
    ----------
    movies : {movie}.mp4, original left, decoded right
    chosen : {choice}.mp4, which plays the chosen clips, or .png or .jpg, sheets of film strips
    controls : {condition}/{choice}.mp4, .png or .jpg: chosen clips of the controls
    """

    movies: Sequence[Path]
    chosen: Sequence[Path]
    controls: Sequence[Path] = ()


def show_clips(
    clips: DecodedClips,
    controls: Iterable[DecodedClips],
    files: ShownFiles,
    scores: pd.DataFrame | None,
    settings: ShowClipsSettings,
    seed: int,
    name: str = "",
) -> None:
    """Write decoded clips beside the originals.

    Parameters
    ----------
    clips : decoded clips
    controls : clips of other conditions
    files : to write; their names say which movies, which choices, and which controls
    scores : of single clips, columns movie, clip, settings.metric and, where there are several, condition
        and seed; needed for the choices best, median and worst
    settings : section show_clips of the config
    seed : of the study, for clips chosen at random
    name : written on the sheets

    Raises
    ------
    InputError : a movie, condition or choice that is not there, or scores of other clips
    """
    for path in files.movies:
        write_video(path, side_by_side(clips.of(path.stem), settings), settings.fps)
    _write_chosen(files.chosen, clips, scores, settings, seed, name)
    of_condition = {other.condition: other for other in controls}
    for condition in dict.fromkeys(path.parent.name for path in files.controls):
        if condition not in of_condition:
            present = f"conditions {', '.join(of_condition) or 'none'}"
            raise InputError("--controls", present, condition, "Give the file that holds it.")
        paths = [path for path in files.controls if path.parent.name == condition]
        _write_chosen(paths, of_condition[condition], scores, settings, seed, f"{name}, {condition}")


def rank_clips(clips: DecodedClips, scores: pd.DataFrame | None, metric: str) -> pd.DataFrame:
    """List the decoded clips with their score: columns movie, clip, and score if there are any.

    Raises
    ------
    InputError : a clip without a score
    """
    table = clips.table()
    if scores is None:
        return table
    for column in ("condition", "seed"):  # a table of several conditions or seeds
        if column in scores and column in clips.meta:
            scores = scores[scores[column] == clips.meta[column]]
    scores = scores.rename(columns={metric: "score"})[["movie", "clip", "score"]]
    joined = table.merge(scores, on=["movie", "clip"], how="left")
    if len(joined) != len(table) or joined["score"].isna().any():
        present = f"{len(scores)} scores for {len(table)} decoded clips"
        raise InputError("--clip-scores", present, "one for each decoded clip", "Run score again.")
    return joined


def pick_clips(
    clips: DecodedClips, ranking: pd.DataFrame, choice: str, settings: ShowClipsSettings, seed: int
) -> list[ShownClip]:
    """Pick the clips of one choice.

    Parameters
    ----------
    clips : decoded clips
    ranking : of `rank_clips`
    choice : best, median, worst, random or first
    settings, seed : see `show_clips`

    Raises
    ------
    InputError : another choice, or one that needs scores where there are none
    """
    if choice not in get_args(Choice):
        raise InputError("--out-strips", choice, f"one of {', '.join(get_args(Choice))}", "Rename it.")
    if "score" not in ranking and choice not in ("random", "first"):
        raise InputError("--out-strips", f"{choice} without --clip-scores", "scores to rank by", "Give them.")
    generator = numpy_generator(seed, "show_clips", choice)
    chosen = choose_clips(ranking, cast(Choice, choice), settings.clips_per_strip, generator)
    shown = {
        (clip.movie, clip.clip): clip
        for movie in dict.fromkeys(chosen["movie"])
        for clip in clips.of(str(movie))
    }
    scores = chosen["score"] if "score" in chosen else [None] * len(chosen)
    return [
        ShownClip(movie, clip, shown[movie, clip].original, shown[movie, clip].decoded, score)
        for movie, clip, score in zip(chosen["movie"], chosen["clip"], scores, strict=True)
    ]


def _write_chosen(
    paths: Iterable[Path],
    clips: DecodedClips,
    scores: pd.DataFrame | None,
    settings: ShowClipsSettings,
    seed: int,
    name: str,
) -> None:
    """Write the clips that each file's name chooses: a film, or a sheet of film strips."""
    ranking = rank_clips(clips, scores, settings.metric)
    for path in paths:
        picked = pick_clips(clips, ranking, path.stem, settings, seed)
        if path.suffix == ".mp4":
            write_video(path, side_by_side(picked, settings), settings.fps)
        else:
            title = f"{path.stem} {len(picked)} of {len(ranking)} clips"
            write_picture(path, film_strips(picked, settings, f"{name}: {title}" if name else title))
