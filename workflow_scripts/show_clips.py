"""Show decoded clips beside the originals: whole movies, and chosen clips as film strips and playing."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast, get_args

import pandas as pd

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.io import open_arrays, read_meta, read_table
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


class Clips:
    """Decoded clips and their originals in opened files."""

    def __init__(self, decoded: Any, stimuli: list[Any]) -> None:
        self.decoded = decoded
        self.meta = read_meta(decoded)
        self.stimuli = {name: handle for handle in stimuli for name in movies_in(handle)}
        self.movies = movies_in(decoded, "clip")

    def of(self, movie: str) -> Iterator[ShownClip]:
        """Yield the clips of a movie in the order in which they were decoded."""
        if movie not in self.movies or movie not in self.stimuli:
            kind = "--stimuli" if movie in self.movies else "--decoded"
            found = ", ".join(self.stimuli if movie in self.movies else self.movies)
            raise InputError(kind, f"movies {found}", f"a movie {movie}", "Give the file that holds it.")
        decoded, clips = self.decoded.get_tensor(movie), self.decoded.get_tensor(f"{movie}/clip")
        return pair_clips(movie, self.stimuli[movie].get_tensor(movie), decoded, clips)

    def table(self) -> pd.DataFrame:
        """List all decoded clips: columns movie, clip."""
        rows = [
            (movie, int(clip)) for movie in self.movies for clip in self.decoded.get_tensor(f"{movie}/clip")
        ]
        return pd.DataFrame(rows, columns=["movie", "clip"])


def scored_clips(clips: Clips, path: Path | None, metric: str) -> pd.DataFrame:
    """List the decoded clips with their score: columns movie, clip, and score if there is a table."""
    table = clips.table()
    if path is None:
        return table
    scores = read_table(path, ["movie", "clip", metric])
    for column in ("condition", "seed"):  # a table of several conditions or seeds
        if column in scores and column in clips.meta:
            scores = scores[scores[column] == clips.meta[column]]
    scores = scores.rename(columns={metric: "score"})[["movie", "clip", "score"]]
    joined = table.merge(scores, on=["movie", "clip"], how="left")
    if len(joined) != len(table) or joined["score"].isna().any():
        found = f"{len(scores)} scores for {len(table)} decoded clips"
        raise InputError(path, found, "one for each decoded clip", "Run score again.")
    return joined


@program
def main(
    *,
    decoded: Path,
    stimuli: list[Path],
    seed: int,
    settings: ShowClipsSettings,
    out_clips: list[Path],
    out_strips: list[Path],
    clip_scores: Path | None = None,
    name: str = "",
    controls: list[Path] | None = None,
    out_controls: list[Path] | None = None,
) -> None:
    """Show decoded clips beside the originals: whole movies, and chosen clips as film strips and playing.

    Parameters
    ----------
    decoded : file of decode
    stimuli : files of prepare_stimuli that hold the originals
    seed : of the study, for clips chosen at random
    settings : section show_clips of the config, as JSON
    out_clips : movies to write, {movie}.mp4: original left, decoded right
    out_strips : chosen clips to write, named by the choice: best, median, worst, random or first; .png and
        .jpg are sheets of film strips, .mp4 plays the clips
    clip_scores : scores of single clips (score), needed for best, median and worst
    name : written on the sheets, for example "subject 1, paper_main"
    controls : further files like ``decoded``, one per condition
    out_controls : chosen clips of the controls to write, {condition}/{choice}.mp4, .png or .jpg
    """
    with ExitStack() as files:
        opened = [files.enter_context(open_arrays(path)) for path in stimuli]
        clips = Clips(files.enter_context(open_arrays(decoded)), opened)
        for path in out_clips:
            write_video(path, side_by_side(clips.of(path.stem), settings), settings.fps)
        ranking = scored_clips(clips, clip_scores, settings.metric)
        for path in out_strips:
            write_chosen(path, clips, ranking, settings, seed, name)
        others = [Clips(files.enter_context(open_arrays(path)), opened) for path in controls or []]
        known = {str(other.meta.get("condition")): other for other in others}
        for condition, paths in by_folder(out_controls or []).items():
            if condition not in known:
                found = f"conditions {', '.join(known) or 'none'}"
                raise InputError("--controls", found, condition, "Give the file that holds it.")
            ranking = scored_clips(known[condition], clip_scores, settings.metric)
            for path in paths:
                write_chosen(path, known[condition], ranking, settings, seed, f"{name}, {condition}")


def by_folder(paths: list[Path]) -> dict[str, list[Path]]:
    """Group files by the name of their folder."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(path.parent.name, []).append(path)
    return found


def write_chosen(
    path: Path, clips: Clips, ranking: pd.DataFrame, settings: ShowClipsSettings, seed: int, name: str
) -> None:
    """Write the clips that the file's name chooses: a film, or a sheet of film strips."""
    choice = path.stem
    picked = pick_clips(clips, ranking, choice, settings, seed)
    if path.suffix == ".mp4":
        write_video(path, side_by_side(picked, settings), settings.fps)
        return
    title = f"{choice} {len(picked)} of {len(ranking)} clips"
    write_picture(path, film_strips(picked, settings, f"{name}: {title}" if name else title))


def pick_clips(
    clips: Clips, ranking: pd.DataFrame, choice: str, settings: ShowClipsSettings, seed: int
) -> list[ShownClip]:
    """Pick the clips of one choice."""
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


if __name__ == "__main__":
    main()
