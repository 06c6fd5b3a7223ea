"""Score decoded clips against what was shown."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neurocine import __version__
from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.io import fixed_digits, open_arrays, read_arrays, read_meta, write_arrays, write_table
from neurocine.metrics.baselines import constant_video, mean_frame_video
from neurocine.metrics.features import Clips, FeatureStore
from neurocine.metrics.judges import Networks, make_store, with_fallbacks
from neurocine.metrics.registry import ClassNames
from neurocine.metrics.score import (
    MovieScores,
    add_retrieval,
    clip_table,
    metric_chances,
    score_movie,
    summarise_scores,
)
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import load_vae, pick_device
from neurocine.models.vae import decode_latents
from neurocine.naming import natural

log = logging.getLogger("score")
CEILING = "vae"  # condition name of the round trip through the VAE


@dataclass(frozen=True)
class Condition:
    """Clips to score: the condition, the seed they were made with, their indices and how to get them."""

    name: str
    seed: int
    clips: dict[str, np.ndarray]
    read: Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Judges:
    """What all conditions are judged with."""

    stimuli: dict[str, Path]
    store: FeatureStore
    baselines: dict[str, Clips]
    names: ClassNames
    settings: ScoreSettings
    device: str
    seed: int


def find_movies(files: list[Path]) -> dict[str, Path]:
    """Map each movie to the file that holds it, in natural order."""
    found: dict[str, Path] = {}
    for path in files:
        with open_arrays(path) as handle:
            found |= dict.fromkeys(handle.keys(), path)
    return {name: found[name] for name in sorted(found, key=natural)}


def read_movie(movies: dict[str, Path], movie: str, clips: np.ndarray, where: str) -> np.ndarray:
    """Read the rows ``clips`` of a movie."""
    if movie not in movies:
        todo = "Give the files of all decoded movies."
        raise InputError(where, f"movies {', '.join(movies) or 'none'}", f"the decoded movie {movie}", todo)
    rows = read_arrays(movies[movie], [movie])[0][movie]
    if clips.min() < 0 or clips.max() >= len(rows):
        found = f"decoded clips {clips.min()} to {clips.max()}"
        raise InputError(
            f"{where} {movie}", found, f"indices below {len(rows)}", "Decode with the same stimuli."
        )
    return rows[clips]


def read_condition(path: Path, default_seed: int) -> Condition:
    """Read which clips a decoded file holds; videos stay on disk until a movie is scored."""
    with open_arrays(path) as handle:
        meta = read_meta(handle)
        names = [name.removesuffix("/clip") for name in list(handle.keys()) if name.endswith("/clip")]
        clips = {name: handle.get_tensor(f"{name}/clip") for name in sorted(names, key=natural)}
    empty = [name for name, numbers in clips.items() if not len(numbers)]
    if not clips or empty:
        found = f"no clips of {', '.join(empty)}" if empty else "no array named <movie>/clip"
        raise InputError(path, found, "decoded clips of each movie", "Run decode again.")

    def read(movie: str) -> np.ndarray:
        return read_arrays(path, [movie])[0][movie]

    return Condition(str(meta.get("condition", path.stem)), int(meta.get("seed", default_seed)), clips, read)


def ceiling_condition(
    latents: list[Path], stable_diffusion: Path, clips: dict[str, np.ndarray], seed: int, judges: Judges
) -> Condition:
    """The best the decoder can reach: the true clips after the round trip through its VAE."""
    movies = find_movies(latents)
    vae = load_vae(stable_diffusion, judges.device)

    def read(movie: str) -> np.ndarray:
        rows = read_movie(movies, movie, clips[movie], "--latents")
        return decode_latents(vae, rows.astype(np.float32), judges.settings.batch_size)

    return Condition(CEILING, seed, clips, read)


def training_movies(files: list[Path]) -> Iterator[np.ndarray]:
    """Yield the training movies one by one."""
    for movie, path in find_movies(files).items():
        yield read_arrays(path, [movie])[0][movie]


def make_judges(
    stimuli: list[Path],
    train_stimuli: list[Path],
    networks: Networks,
    settings: ScoreSettings,
    cache: Path | None,
    device: str,
    seed: int,
) -> Judges:
    """Load the networks and make the trivial baselines in the size of the stimuli."""
    movies = find_movies(stimuli)
    if not movies:
        raise InputError("--stimuli", "no movies", "files of prepare_stimuli", "Give the test movies' files.")
    with open_arrays(next(iter(movies.values()))) as handle:
        shape = tuple(handle.get_slice(next(iter(movies))).get_shape()[1:])
    known = read_arrays(cache)[0] if cache is not None and cache.is_file() else {}
    store, names = make_store(networks, shape[0], settings, known, device)
    mean_frame = mean_frame_video(training_movies(train_stimuli))
    baselines = {
        "constant": store.run(constant_video(shape, settings.grey)),
        "mean_frame": store.run(mean_frame),
    }
    return Judges(movies, store, baselines, names, settings, device, seed)


def score_condition(condition: Condition, judges: Judges) -> list[MovieScores]:
    """Score the movies of one condition, one in memory at a time."""
    scores = []
    for movie, clips in condition.clips.items():
        order = np.argsort(clips, kind="stable")
        videos, truth = (
            condition.read(movie)[order],
            read_movie(judges.stimuli, movie, clips[order], "--stimuli"),
        )
        if videos.shape != truth.shape:
            todo = "Decode with the frames and size of prepare_stimuli."
            raise InputError(f"{condition.name} {movie}", f"clips {videos.shape}", f"{truth.shape}", todo)
        predicted = judges.store.run(videos)
        shown = judges.store.run(truth)
        log.info("%s: scoring %d clips of %s", condition.name, len(clips), movie)
        known = judges.baselines, judges.names, judges.settings, judges.device, judges.seed
        scores.append(score_movie(movie, clips[order], predicted, shown, *known))
    return scores


@program
def main(
    *,
    decoded: list[Path],
    stimuli: list[Path],
    train_stimuli: list[Path],
    settings: ScoreSettings,
    seed: int,
    dataset: str,
    subject: str,
    method: str,
    experiment: str,
    out: Path,
    image_classifier: Path | None = None,
    video_classifier: Path | None = None,
    clip: Path | None = None,
    vifi: Path | None = None,
    clip_scores: Path | None = None,
    cache: Path | None = None,
    latents: list[Path] | None = None,
    stable_diffusion: Path | None = None,
) -> None:
    """Score one or several conditions of one subject under one experiment.

    Parameters
    ----------
    decoded : files of decode, one per condition
    stimuli : files of prepare_stimuli that hold the decoded movies
    train_stimuli : files of prepare_stimuli of the training movies, for the mean frame
    settings : section score of the config, as JSON
    seed : of the null's and the bootstrap's draws, and of decoded files that name none
    dataset : name for the table
    subject : name for the table
    method : name for the table
    experiment : name for the table
    out : scores, one row per condition and metric (TSV)
    image_classifier : folder of the image classifier, for acc_image
    video_classifier : folder of the video classifier, for acc_video
    clip : folder of CLIP, for the metrics of its embeddings
    vifi : folder of ViFi-CLIP in CLIP's layout, for vifi and clip_pcc_thresholded; without it the same of
        CLIP are scored in their place, as clip_video and clip_pcc_thresholded_clip
    clip_scores : scores of single clips (TSV)
    cache : logits, embeddings and flows of an earlier run, used where nothing changed, and written
        (safetensors)
    latents : files of encode_latents of the decoded movies, for the ceiling "vae"
    stable_diffusion : folder of Stable Diffusion, for the ceiling "vae"
    """
    if not decoded:
        raise InputError("--decoded", "no file", "at least one file of decode", "Run decode.")
    device = str(pick_device(settings.device))
    networks = Networks(image_classifier, video_classifier, clip, vifi)
    metrics, told = with_fallbacks(settings.metrics, networks)
    settings = replace(settings, metrics=metrics)
    for sentence in told:
        log.info(sentence)
    judges = make_judges(stimuli, train_stimuli, networks, settings, cache, device, seed)
    chances = metric_chances(judges.names, settings)
    conditions = [read_condition(path, seed) for path in decoded]
    if latents and stable_diffusion:
        conditions.append(ceiling_condition(latents, stable_diffusion, conditions[0].clips, seed, judges))
    rows, clips = [], []
    for condition in conditions:
        movies, found = add_retrieval(score_condition(condition, judges), settings)
        known = chances | found
        keys = {"dataset": dataset, "subject": subject, "method": method, "experiment": experiment}
        keys["condition"] = condition.name
        rows.append(summarise_scores(movies, known, settings, seed).assign(seed=condition.seed, **keys))
        clips.append(clip_table(movies, list(known)).assign(condition=condition.name, seed=condition.seed))
    table = fixed_digits(pd.concat(rows, ignore_index=True))
    write_table(out, table[[*keys, *[name for name in table.columns if name not in keys]]])
    if clip_scores is not None:
        each = fixed_digits(pd.concat(clips, ignore_index=True))
        write_table(
            clip_scores,
            each[["condition", "seed", *[n for n in each.columns if n not in ("condition", "seed")]]],
        )
    if cache is not None:
        meta = {
            "step": "score",
            "version": __version__,
            "settings": asdict(settings),
        }
        write_arrays(cache, judges.store.arrays, meta)


if __name__ == "__main__":
    main()
