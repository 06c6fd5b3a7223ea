"""Score reconstructed clips: each metric with chance, permutation null, trivial baselines, interval."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.io import open_arrays, read_arrays, read_meta
from neurocine.metrics import embeddings
from neurocine.metrics.baselines import constant_video, mean_frame_video
from neurocine.metrics.definitions.embeddings import retrieval_name
from neurocine.metrics.features import Clips, FeatureStore
from neurocine.metrics.judges import Networks, make_store, with_fallbacks
from neurocine.metrics.metric import Judge, Labels
from neurocine.metrics.null import random_null, shift_null
from neurocine.metrics.registry import chosen_metrics, lower_is_better, value_range
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import mean_intervals
from neurocine.naming import natural
from neurocine.seeds import numpy_generator

log = logging.getLogger(__name__)
BASELINES = ("constant", "mean_frame")
RESULT_COLUMNS = [
    *("metric", "value", "chance", "null_mean", "null_p99", "p_value", "draws", "memory_tr", "p_holds"),
    *("baseline_constant", "baseline_mean_frame", "ci_low", "ci_high", "block_tr", "n_clips"),
]


@dataclass(frozen=True)
class Predictions:
    """Clips to score.

    Parameters
    ----------
    condition : what they were made from
    seed : they were made with
    clips : movie -> (n,) indices of its clips, TR, in any order
    read : movie -> its clips uint8 (n, F, H, W, 3), in the order of ``clips``
    sources : of a control decoded from fMRI of other times: movie -> (n,) the clips on screen then
    """

    condition: str
    seed: int
    clips: Mapping[str, np.ndarray]
    read: Callable[[str], np.ndarray]
    sources: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_file(cls, path: Path, default_seed: int) -> "Predictions":
        """Read which clips a decoded file holds; videos stay on disk until a movie is asked for.

        Parameters
        ----------
        path : file of decode or of another step that writes clips
        default_seed : of files that name none

        Raises
        ------
        InputError : no clips, or a movie without clips
        """
        with open_arrays(path) as handle:
            meta = read_meta(handle)
            arrays = set(handle.keys())
            names = [name.removesuffix("/clip") for name in arrays if name.endswith("/clip")]
            clips = {name: handle.get_tensor(f"{name}/clip") for name in sorted(names, key=natural)}
            movies = [name for name in clips if f"{name}/source" in arrays]
            sources = {name: handle.get_tensor(f"{name}/source") for name in movies}
        empty = [name for name, numbers in clips.items() if not len(numbers)]
        if not clips or empty:
            found = f"no clips of {', '.join(empty)}" if empty else "no array named <movie>/clip"
            raise InputError(path, found, "decoded clips of each movie", "Run decode again.")
        condition, seed = str(meta.get("condition", path.stem)), int(meta.get("seed", default_seed))
        return cls(condition, seed, clips, lambda movie: read_arrays(path, [movie])[0][movie], sources)


@dataclass(frozen=True)
class Originals:
    """What was shown, and what trivial predictions are made of.

    Parameters
    ----------
    shape : (F, H, W, 3) of a clip
    read : movie and indices (n,) -> these clips uint8 (n, F, H, W, 3)
    training : movies uint8 (n, F, H, W, 3) whose mean frame is a baseline, one by one
    """

    shape: tuple[int, ...]
    read: Callable[[str, np.ndarray], np.ndarray]
    training: Iterable[np.ndarray]


@dataclass(frozen=True)
class Scores:
    """What was scored.

    Parameters
    ----------
    table : one row per condition, seed and value: condition, seed, ``RESULT_COLUMNS``
    clips : scores of single clips: condition, seed, movie, clip and one column per value
    features : of all clips, to be kept for the next time
    notes : a sentence for each metric that another one replaced
    """

    table: pd.DataFrame
    clips: pd.DataFrame
    features: Mapping[str, np.ndarray]
    notes: list[str]


@dataclass(frozen=True)
class MovieScores:
    """Scores of one movie.

    Parameters
    ----------
    movie : its name
    clips : (n,) increasing clip indices, TR
    pairs : per metric, (n, n) score of prediction i with the true clip j
    baselines : per baseline and metric, (n,) score of the baseline with each true clip
    embeddings : for retrieval, if chosen: ``predicted`` and ``truth`` (n, E) of length 1 and each baseline's
        (1, E)
    sources : of a control decoded from fMRI of other times: (n,) the clips on screen then; else None
    """

    movie: str
    clips: np.ndarray
    pairs: dict[str, np.ndarray]
    baselines: dict[str, dict[str, np.ndarray]]
    embeddings: dict[str, np.ndarray] = field(default_factory=dict)
    sources: np.ndarray | None = None

    @property
    def matched(self) -> dict[str, np.ndarray]:
        """Per metric, (n,) score of each prediction with its own clip."""
        return {metric: np.diagonal(scores) for metric, scores in self.pairs.items()}


def metric_chances(labels: Labels, settings: ScoreSettings) -> dict[str, float]:
    """Name the values in the order of the result, each with its analytic chance (NaN where there is none).

    Retrieval is not among them: its chance depends on the clips (``add_retrieval``).

    Parameters
    ----------
    labels : class names of the classifiers
    settings : section score

    Raises
    ------
    InputError : unknown metrics; too few classes for an N; class names that do not fit ``label_factors``
    """
    chances: dict[str, float] = {}
    for metric in chosen_metrics(settings).values():
        chances |= metric.chances(labels, settings)
    return chances


def pair_scores(predicted: Clips, truth: Clips, judge: Judge) -> dict[str, np.ndarray]:
    """Score every predicted with every true clip in all metrics; image metrics are means over frames.

    Parameters
    ----------
    predicted, truth : n and m clips with equal frame counts and sizes
    judge : what they are scored with

    Returns
    -------
    per metric, (n, m) float64
    """
    pairs: dict[str, np.ndarray] = {}
    for metric in chosen_metrics(judge.settings).values():
        pairs |= metric.pairs(predicted, truth, judge)
    return pairs


def score_movie(
    movie: str,
    clips: np.ndarray,
    predicted: Clips,
    truth: Clips,
    baselines: dict[str, Clips],
    judge: Judge,
) -> MovieScores:
    """Score one movie's predictions and the baselines against its true clips.

    Parameters
    ----------
    movie : its name
    clips : (n,) increasing clip indices, TR
    predicted, truth : n clips each, in this order
    baselines : ``constant`` and ``mean_frame``, one clip each
    judge : what they are scored with

    Raises
    ------
    InputError : frame counts, sizes or class counts that do not fit
    """
    if np.any(np.diff(clips) <= 0):
        raise InputError(
            f"clips of {movie}", "indices out of order or twice", "increasing indices", "Decode again."
        )
    pairs = pair_scores(predicted, truth, judge)
    alone = replace(judge, matched=False)
    trivial = {
        name: {metric: scores[0] for metric, scores in pair_scores(clip, truth, alone).items()}
        for name, clip in baselines.items()
    }
    kept = {}
    if "retrieval_clip" in judge.settings.metrics:
        every = {"predicted": predicted, "truth": truth, **baselines}
        kept = {name: embeddings.video_embedding(part.features["clip"]) for name, part in every.items()}
    return MovieScores(movie, clips, pairs, trivial, kept)


def add_retrieval(
    movies: list[MovieScores], settings: ScoreSettings
) -> tuple[list[MovieScores], dict[str, float]]:
    """Score the retrieval of each true clip among those of all movies, if the settings ask for it.

    Parameters
    ----------
    movies : scores of all movies of one condition
    settings : section score

    Returns
    -------
    the movies with the retrieval metrics added, and the metrics with their chance: k over the number of
    candidates, mean over clips
    """
    if "retrieval_clip" not in settings.metrics:
        return movies, {}
    truth = np.concatenate([movie.embeddings["truth"] for movie in movies])
    starts = np.cumsum([0, *(len(movie.clips) for movie in movies)])
    added = [
        replace(m, pairs=dict(m.pairs), baselines={k: dict(v) for k, v in m.baselines.items()})
        for m in movies
    ]
    chances = {}
    for drop_tr in (-1, settings.retrieval_drop_tr):
        candidates = embeddings.retrieval_candidates([movie.clips for movie in movies], drop_tr)
        counts = np.concatenate([allowed.sum(axis=1) for allowed in candidates])
        for top_k in settings.retrieval_ks:
            name = retrieval_name(top_k, drop_tr)
            chances[name] = float(np.minimum(1, top_k / counts).mean())
            for movie, allowed, start in zip(added, candidates, starts, strict=False):
                given = (truth, allowed, int(start), len(movie.clips), top_k)
                movie.pairs[name] = embeddings.retrieval_pairs(movie.embeddings["predicted"], *given)
                for baseline, scores in movie.baselines.items():
                    scores[name] = embeddings.retrieval_pairs(movie.embeddings[baseline], *given)[0]
    return added, chances


def summarise_scores(
    movies: list[MovieScores],
    chances: dict[str, float],
    settings: ScoreSettings,
    seed: int,
    unrelated: bool = False,
) -> pd.DataFrame:
    """Bring the movies together: one row per metric, columns ``RESULT_COLUMNS``.

    ``null_p99`` is what 99 % of the null do not reach: its 1st percentile where smaller is better.

    Parameters
    ----------
    movies : scores of all movies of one condition
    chances : metrics in order with their analytic chance
    settings : section score
    seed : of the permutation null and the bootstrap; all metrics share their draws
    unrelated : the clips of a movie have nothing to do with each other: the null pairs them at random

    Raises
    ------
    InputError : a movie that cannot be shifted far enough
    """
    clips = [movie.clips for movie in movies]
    generator = numpy_generator(seed, "score", "null")
    if unrelated:
        null = random_null(clips, settings.null_draws, generator)
    else:
        sources = [movie.sources for movie in movies if movie.sources is not None]
        null = shift_null(clips, settings.min_shift_tr, settings.null_draws, generator, sources or None)
    values = [np.stack([movie.matched[metric] for metric in chances], axis=1) for movie in movies]
    generator = numpy_generator(seed, "score", "bootstrap")
    shortest = 1 if unrelated else settings.block_tr
    found = mean_intervals(values, clips, shortest, settings.bootstrap_draws, generator)
    means = np.concatenate(values).mean(axis=0)
    rows = []
    for column, (metric, chance) in enumerate(chances.items()):
        pairs = [movie.pairs[metric] for movie in movies]
        beside = null.summarise(means[column], pairs, lower_is_better(metric))
        trivial = [
            np.concatenate([movie.baselines[name][metric] for movie in movies]).mean() for name in BASELINES
        ]
        row = [metric, means[column], chance, beside.mean, beside.p99, beside.p_value, beside.draws]
        row += [beside.memory_tr, "yes" if beside.holds else "no", *trivial]
        edges = np.clip((found.low[column], found.high[column]), *value_range(metric))
        row += [*edges, found.block_tr[column]]
        rows.append([*row, sum(map(len, clips))])
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def clip_table(movies: list[MovieScores], metrics: list[str]) -> pd.DataFrame:
    """Scores of single clips: columns movie, clip and one per metric."""
    tables = []
    for movie in movies:
        columns = {name: movie.matched[name] for name in metrics}
        tables.append(pd.DataFrame({"movie": movie.movie, "clip": movie.clips} | columns))
    return pd.concat(tables, ignore_index=True)


def score_predictions(
    predictions: Predictions,
    originals: Originals,
    store: FeatureStore,
    baselines: dict[str, Clips],
    judge: Judge,
) -> list[MovieScores]:
    """Score the movies of one condition, one in memory at a time.

    Parameters
    ----------
    predictions, originals : the clips
    store : computes their features
    baselines : ``constant`` and ``mean_frame``, one clip each
    judge : what they are scored with

    Raises
    ------
    InputError : clips of another number of frames or size than the originals
    """
    scores = []
    for movie, clips in predictions.clips.items():
        order = np.argsort(clips, kind="stable")
        videos, truth = predictions.read(movie)[order], originals.read(movie, clips[order])
        if videos.shape != truth.shape:
            todo = "Decode with the frames and size of prepare_stimuli."
            raise InputError(
                f"{predictions.condition} {movie}", f"clips {videos.shape}", f"{truth.shape}", todo
            )
        predicted, shown = store.run(videos), store.run(truth)
        log.info("%s: scoring %d clips of %s", predictions.condition, len(clips), movie)
        scored = score_movie(movie, clips[order], predicted, shown, baselines, judge)
        if movie in predictions.sources:
            scored = replace(scored, sources=predictions.sources[movie][order])
        scores.append(scored)
    return scores


def score(
    predictions: Iterable[Predictions],
    originals: Originals,
    networks: Networks,
    settings: ScoreSettings,
    seed: int,
    cached: Mapping[str, np.ndarray] | None = None,
    device: str = "cpu",
    unrelated: bool = False,
) -> Scores:
    """Score clips of one or several conditions, all in the same way.

    Parameters
    ----------
    predictions : the conditions
    originals : what was shown
    networks : folders of the networks there are; metrics of others are replaced where another can stand in
    settings : section score
    seed : of the null's and the bootstrap's draws
    cached : features of an earlier run, (n_clips, ...) each, named as in `FeatureStore`
    device : cpu or cuda
    unrelated : the clips of a movie have nothing to do with each other: the null pairs them at random

    Raises
    ------
    InputError : a metric that cannot be computed; clips that do not fit the originals; movies too short for
        the null
    """
    metrics, notes = with_fallbacks(settings.metrics, networks)
    settings = settings.replace(metrics=metrics)
    store, labels = make_store(networks, originals.shape[0], settings, cached or {}, device)
    baselines = {
        "constant": store.run(constant_video(originals.shape, settings.grey)),
        "mean_frame": store.run(mean_frame_video(originals.training)),
    }
    judge = Judge(labels, settings, device, seed, compare=store.compare)
    analytic = metric_chances(labels, settings)
    tables, clips = [], []
    for condition in predictions:
        movies = score_predictions(condition, originals, store, baselines, judge)
        movies, of_retrieval = add_retrieval(movies, settings)
        chances = analytic | of_retrieval
        tables.append(summarise_scores(movies, chances, settings, seed, unrelated))
        clips.append(clip_table(movies, list(chances)))
        for table in (tables[-1], clips[-1]):
            table.insert(0, "condition", condition.condition)
            table.insert(1, "seed", condition.seed)
    joined = [pd.concat(parts, ignore_index=True) for parts in (tables, clips)]
    return Scores(joined[0], joined[1], store.arrays, notes)
