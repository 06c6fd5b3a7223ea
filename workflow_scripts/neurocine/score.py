"""Score anybody's reconstructions: ``python -m neurocine.score PREDICTIONS ORIGINALS`` (docs/scoring.md)."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError

from neurocine.cli import disk_refusal, keep_freed_memory
from neurocine.errors import EXIT_BAD_INPUT, InputError
from neurocine.io import read_arrays, refuse_unwritable, write_arrays, write_table
from neurocine.metrics.clip_files import (
    ClipFile,
    PairReader,
    find_clips,
    one_movie,
    pair_clips,
    reconcile,
    split_movies,
    split_sides,
)
from neurocine.metrics.judges import Networks, missing_networks, networks_of, options, with_fallbacks
from neurocine.metrics.null import allowed_shifts
from neurocine.metrics.registry import DEFAULT_METRICS, METRICS, NETWORKS, lower_is_better
from neurocine.metrics.score import Originals, Predictions, score
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import clip_spacing
from neurocine.models.catalogue import PUBLISHED
from neurocine.models.pretrained import pick_device
from neurocine.provenance import header
from neurocine.settings import parse_settings

FEWEST = 3  # clips, for a permutation null


def choose_metrics(
    requested: Sequence[str] | None, networks: Networks, n_frames: int, side: int = 512
) -> tuple[tuple[str, ...], list[str]]:
    """Choose the metrics that can be computed.

    Parameters
    ----------
    requested : names, ``all``, or None for the default
    networks : folders of the networks there are
    n_frames : frames of a clip
    side : pixels of the shorter side of frames

    Returns
    -------
    the names, and a sentence for each metric that is replaced and each group that is left out

    Raises
    ------
    InputError : an unknown name, or none left
    """
    names = list(requested) if requested else list(DEFAULT_METRICS)
    if names == ["all"]:
        names = list(METRICS)
    wanted, notes = with_fallbacks(names, networks)
    chosen: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name in wanted:
        if name not in METRICS:
            expected = f"all, or some of {', '.join(METRICS)}"
            raise InputError("--metrics", f"'{name}'", expected, "Correct it.")
        missing = missing_networks(METRICS[name], networks)
        if n_frames < METRICS[name].min_frames:
            left_out.setdefault("they need clips of two frames or more", []).append(name)
        elif side < METRICS[name].min_side:
            why = f"they need frames of {METRICS[name].min_side} pixels or more"
            left_out.setdefault(why, []).append(name)
        elif missing:
            left_out.setdefault(f"give {options(missing)}", []).append(name)
        else:
            chosen.append(name)
    if not chosen:
        reasons = "; ".join(left_out)
        raise InputError("--metrics", f"none that can be computed ({reasons})", "one or more", "See --help.")
    notes += [f"Left out: {', '.join(group)} ({why})." for why, group in left_out.items()]
    return tuple(chosen), notes


def are_unrelated(movies: list[np.ndarray]) -> bool:
    """Say whether clips lie so far apart that neighbours have nothing to do with each other.

    ``movies`` holds the clip indices of each, (n_clips,), in TR.
    """
    return all(clip_spacing(index) >= ScoreSettings().min_shift_tr for index in movies)


def smallest_shift(indices: list[np.ndarray], asked: int | None) -> int:
    """Smallest shift of the null in TR: 15, or a third of the shortest movie's span, or what is possible.

    ``indices`` holds the clip indices of each movie, (n_clips,), in TR.

    Raises
    ------
    InputError : a shift is asked for that a movie is too short for
    """
    shift = min(15, *(int(np.ptp(part) + 1) // 3 for part in indices)) if asked is None else asked
    while True:
        try:
            for part in indices:
                allowed_shifts(part, max(1, shift))
            return max(1, shift)
        except InputError:
            # Unevenly spread clips; any movie of two clips or more can be shifted by 1.
            if asked is not None:
                raise
            shift -= 1


def format_table(table: pd.DataFrame) -> str:
    """Write the scores as text with aligned columns; an arrow marks metrics that are better when smaller."""
    shown = table.copy()
    shown["metric"] = [f"{name} ↓" if lower_is_better(name) else name for name in shown["metric"]]
    for name in shown.columns:
        if shown[name].dtype.kind == "f":
            shown[name] = ["-" if np.isnan(value) else f"{value:.4f}" for value in shown[name]]
    return shown.to_string(index=False)


def movie_readers(
    reader: PairReader, parts: Sequence[tuple[str, np.ndarray, np.ndarray]]
) -> tuple[Predictions, Originals]:
    """Read both sides by movie and clip index.

    Parameters
    ----------
    reader : of all clips of both sides
    parts : movie, places (n,) of its clips among all, and their indices (n,), increasing
    """
    places = {name: dict(zip(clips.tolist(), where.tolist(), strict=True)) for name, where, clips in parts}
    clips = {name: clips for name, _, clips in parts}

    def read(side: int, movie: str, chosen: np.ndarray) -> np.ndarray:
        return reader.read(side, [places[movie][clip] for clip in chosen.tolist()])

    predictions = Predictions("predictions", 0, clips, lambda movie: read(0, movie, clips[movie]))
    n_clips = sum(map(len, clips.values()))
    every = (reader.read(1, [place]) for place in range(n_clips))
    return predictions, Originals(reader.shape, lambda movie, chosen: read(1, movie, chosen), every)


def pair_files(
    predictions: Path, originals: Path | None, split: str | None
) -> tuple[list[tuple[ClipFile, ClipFile]], list[str]]:
    """Pair predictions with originals, which may stand beside them in the same files.

    Returns
    -------
    the pairs, and what was done, a sentence each

    Raises
    ------
    InputError : neither originals nor ``split``, or both; clips that cannot be paired
    """
    if (originals is None) == (split is None):
        todo = "Give ORIGINALS, or --split where PREDICTIONS show both side by side."
        raise InputError("ORIGINALS", "both" if split else "nothing", "one of them and --split", todo)
    if originals is None:
        other = "right" if split == "left" else "left"
        notes = [f"Cut in two: originals are on the {split}, predictions on the {other}."]
        return split_sides(find_clips(predictions), str(split)), notes
    pairs, notes = pair_clips(find_clips(predictions), find_clips(originals))
    if predictions.resolve() == originals.resolve():
        notes.append("Both sides are the same files: these are the scores of the originals themselves.")
    return pairs, notes


def score_folders(
    predictions: Path,
    originals: Path | None,
    networks: Networks,
    *,
    metrics: Sequence[str] | None = None,
    size: int | None = None,
    min_shift: int | None = None,
    pairing: str = "auto",
    split: str | None = None,
    seed: int = 0,
    cache: Path | None = None,
    device: str = "auto",
    n_ways: Sequence[int] = (2, 50),
    top_ks: Sequence[int] = (1,),
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Score a folder (or file) of predicted clips against one of originals.

    Parameters
    ----------
    predictions, originals : see ``clip_files.find_clips``; no originals where both are side by side
    networks : folders of the networks there are
    metrics : names of families, ``all``, or None for the default
    size : height of the frames in pixels, None for the smaller of both sides
    min_shift : smallest shift of the null, TR; None: 15 or a third of the shortest movie
    pairing : what the null pairs: shifts within movies, random for unrelated clips, or auto: random where
        names say no times, or times 15 TR or more apart
    split : predictions hold both side by side: the side of the originals, left or right
    seed : of the null's and the intervals' draws
    cache : file of features, read where it exists and written
    device : auto, cpu or cuda
    n_ways, top_ks : N and k of the N-way accuracies

    Returns
    -------
    scores (a row per metric), scores of single clips, and what was done, a sentence each

    Raises
    ------
    InputError : whatever the stated rules do not reconcile
    """
    pairs, notes = pair_files(predictions, originals, split)
    if len(pairs) < FEWEST:
        raise InputError(predictions, f"{len(pairs)} clips", f"{FEWEST} or more", "Give more clips.")
    reader, reconciled = reconcile(pairs, size)
    parts = split_movies([original.name for _, original in pairs])
    timed = parts is not None and min(len(places) for _, places, _ in parts) >= FEWEST
    parts = parts if parts is not None and timed else one_movie(len(pairs))
    times = [indices for _, _, indices in parts]
    unrelated = pairing == "random" or (pairing == "auto" and (not timed or are_unrelated(times)))
    shift = 1 if unrelated else smallest_shift(times, min_shift)
    chosen, replaced = choose_metrics(metrics, networks, reader.n_frames, min(reader.size))
    options: dict[str, Any] = {"metrics": chosen, "n_ways": list(n_ways), "top_ks": list(top_ks)}
    options |= {"min_shift_tr": shift, "block_tr": shift}
    settings = parse_settings(ScoreSettings, json.dumps(options), "")
    movies = ", ".join(f"{name} ({len(places)})" for name, places, _ in parts)
    how = "paired at random, as unrelated" if unrelated else f"shifted by {shift} or more"
    shifted = f"Movies of the null and the intervals (clips): {movies}; {how}."
    arrays = read_arrays(cache)[0] if cache is not None and cache.is_file() else {}
    predicted, shown = movie_readers(reader, parts)
    scores = score([predicted], shown, networks, settings, seed, arrays, str(pick_device(device)), unrelated)
    if cache is not None:
        try:
            write_arrays(cache, scores.features, header("score", settings, []))
        except (OSError, SafetensorError) as error:  # the scores are worth more than time saved next time
            logging.getLogger(__name__).warning("Nothing was saved in %s: %s", cache, error)
    keys = ["condition", "seed"]
    notes = [*notes, *reconciled, shifted, *replaced]
    return scores.table.drop(columns=keys), scores.clips.drop(columns=keys), notes


def make_parser() -> argparse.ArgumentParser:
    """Make the command's argument parser."""
    parser = argparse.ArgumentParser(
        prog="python -m neurocine.score",
        description="Score reconstructed clips against the originals: each metric with its chance level, "
        "permutation null, trivial baselines and interval. docs/scoring.md explains metrics and rules.",
    )
    clips = "folder of mp4, GIF, picture folders or .npy, or one .npy or .safetensors file"
    parser.add_argument("predictions", type=Path, metavar="PREDICTIONS", help=clips)
    parser.add_argument(
        "originals", type=Path, nargs="?", metavar="ORIGINALS", help="the same for the originals"
    )
    both = "PREDICTIONS show both side by side, originals on this side (no ORIGINALS then)"
    parser.add_argument("--split", choices=["left", "right"], help=both)
    parser.add_argument("--metrics", nargs="+", metavar="NAME", help=f"all, or some of {', '.join(METRICS)}")
    for name in NETWORKS:
        used = sorted({metric.name for metric in METRICS.values() if name in networks_of(metric)})
        parser.add_argument(
            options([name]), type=Path, metavar="DIR", help=f"{PUBLISHED[name].what}, for {', '.join(used)}"
        )
    parser.add_argument("--n-ways", type=int, nargs="+", default=[2, 50], help="N of N-way accuracy (2 50)")
    parser.add_argument("--top-ks", type=int, nargs="+", default=[1], help="k of N-way accuracy (1)")
    parser.add_argument("--size", type=int, help="height in pixels at which clips are compared")
    parser.add_argument("--min-shift", type=int, help="smallest shift of the null, TR (15 or less)")
    pairing = "the null shifts clips inside movies, or pairs unrelated ones at random (auto: by their names)"
    parser.add_argument("--pairing", choices=["auto", "shifts", "random"], default="auto", help=pairing)
    parser.add_argument("--seed", type=int, default=0, help="of the null's and the intervals' draws (0)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--cache", type=Path, help="keep logits, embeddings and flows here (safetensors)")
    parser.add_argument("--out", type=Path, help="write the table here (TSV)")
    parser.add_argument("--clip-scores", type=Path, help="write the scores of single clips here (TSV)")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = make_parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    keep_freed_memory()
    networks = {name: folder for name in NETWORKS if (folder := getattr(given, name)) is not None}
    places = {"predictions", "originals", "out", "clip_scores", *NETWORKS}
    options = {name: value for name, value in vars(given).items() if name not in places}
    try:
        for path in filter(None, (given.out, given.clip_scores)):
            refuse_unwritable(path)
        table, clips, notes = score_folders(given.predictions, given.originals, networks, **options)
    except InputError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print("\n".join([*notes, "", format_table(table)]), flush=True)  # first, so that no disk takes it away
    for path, written in ((given.out, table), (given.clip_scores, clips)):
        try:
            if path:
                write_table(path, written)
        except OSError as error:
            print(f"ERROR {disk_refusal(error) or error}", file=sys.stderr)
            return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
