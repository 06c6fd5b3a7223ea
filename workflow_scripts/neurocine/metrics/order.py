"""Whether decoded frames are in the order of the clip on screen, or any smooth order would do as well.

Mind-Animator shuffles the frames of its reconstructions and asks how often a shuffle scores as well ("Animate
Your Thoughts", ICLR 2025, shuffle test). Any smooth video beats its shuffles in that, whatever it shows. So
three more comparisons stand beside it: the same frames in reversed time, the same clips beside the truth of
other clips, and the first frame held. What beats all four is evidence of decoded motion.
"""

import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.metrics.baselines import hold_first_frame
from neurocine.metrics.embeddings import unit
from neurocine.metrics.features import Clips, FeatureStore
from neurocine.metrics.judges import Networks, make_store
from neurocine.metrics.metric import Judge
from neurocine.metrics.null import TIE, shift_null
from neurocine.metrics.registry import lower_is_better
from neurocine.metrics.score import Originals, Predictions, pair_scores
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import PairedDifferences, doubled_blocks, sign_flip_p
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings, Share, Unit

log = logging.getLogger(__name__)
MEASURES = ("clip_pcc_unthresholded", "epe_farneback", "flow_cos", "ssim_mv")
ALL, IDENTIFIED = "all", "identified"
FEWEST_CLIPS = 10  # of a sample
AGAINST = ("permuted", "reversed", "other_clip", "held")
ORDER_COLUMNS = [
    *("condition", "seed", "sample", "metric", "value"),
    *(name for against in AGAINST for name in (against, f"{against}_p")),
    *("orders", "n_clips", "evidence"),
]


class OrderSettings(Settings):
    """How the order of frames is tested. Shifts and blocks are those of ``score``."""

    orders: Annotated[Count, Unit("orders")] = 1000
    """The frames are put into this many other orders, or into all there are if there are fewer."""
    identified_rank: Share = 0.95
    """A clip counts as identified if the clips decoded with other seeds rank the true clip this high.

    The rank is the score clip_id_2way, mean over these seeds; without generation_seeds no clip is.
    """
    evidence_p: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """All four comparisons need p-values no larger than this to count as evidence."""
    draws: Annotated[int, Field(ge=1000), Unit("draws")] = 10_000
    """The tests of paired differences flip signs this often."""


# Orders (k, F) of frames -> scores (k, n) of n clips
Arranged = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MovieOrder:
    """Scores of the clips of a movie.

    Parameters
    ----------
    movie : its name
    clips : (n,) increasing clip indices, TR
    arranged : per measure, (k, n): of each order of the frames beside the own true clip
    pairs : per measure, (n, n): frames as decoded beside every true clip
    """

    movie: str
    clips: np.ndarray
    arranged: Mapping[str, np.ndarray]
    pairs: Mapping[str, np.ndarray]

    def of(self, kept: np.ndarray) -> "MovieOrder":
        """Keep clips by bool (n,)."""
        arranged = {name: scores[:, kept] for name, scores in self.arranged.items()}
        pairs = {name: scores[np.ix_(kept, kept)] for name, scores in self.pairs.items()}
        return MovieOrder(self.movie, self.clips[kept], arranged, pairs)


def frame_orders(n_frames: int, most: int, generator: np.random.Generator) -> np.ndarray:
    """Orders to compare: as decoded, reversed, the first frame held, then other orders.

    Parameters
    ----------
    n_frames : F
    most : other orders; all there are where there are no more
    generator : draws them where there are more

    Returns
    -------
    (3 + others, F) int64; the others never hold the order as decoded
    """
    forward = np.arange(n_frames)
    if math.factorial(n_frames) - 1 <= most:
        others = np.array(list(itertools.permutations(range(n_frames)))[1:], np.int64)
    else:
        others = np.empty((0, n_frames), np.int64)
        while len(others) < most:
            drawn = generator.permuted(np.tile(forward, (most, 1)), axis=1)
            others = np.concatenate([others, drawn[(drawn != forward).any(axis=1)]])[:most]
    fixed = [forward, forward[::-1], np.zeros_like(forward)]
    return np.concatenate([np.stack(fixed), others.reshape(-1, n_frames)])


def frame_tour(n_frames: int) -> np.ndarray:
    """Visit every ordered pair of different frames once in a row: (n,) int64, n = F (F - 1) + 1."""
    tour = [
        frame for first in range(n_frames) for then in range(first + 1, n_frames) for frame in (first, then)
    ]
    return np.array([*tour, 0])


def all_flows(videos: np.ndarray, device: str) -> np.ndarray:
    """Flow from every frame of a clip to every other.

    Parameters
    ----------
    videos : uint8 (n, F, H, W, 3)
    device : where it is computed

    Returns
    -------
    float32 (n, F, F, h, w, 2), as ``flow.clip_flows`` keeps them; 0 from a frame to itself
    """
    from neurocine.metrics.flow import clip_flows  # torch is too slow to load for rules

    n_frames = videos.shape[1]
    tour = frame_tour(n_frames)
    between = clip_flows(videos[:, tour], device)
    flows = np.zeros((len(videos), n_frames, n_frames, *between.shape[2:]), np.float32)
    flows[:, tour[:-1], tour[1:]] = between
    return flows


def order_consistency(embeddings: np.ndarray) -> Arranged:
    """Cosine of neighbouring frames, from embeddings (n, F, E); the original has no part in it."""
    frames = unit(embeddings)
    # Equal frames must tie, although networks see them at other places of a batch.
    cosines = np.round(frames @ frames.transpose(0, 2, 1), 6)
    return lambda orders: cosines[:, orders[:, :-1], orders[:, 1:]].mean(axis=2).T


def order_flow_errors(flows: np.ndarray, truth: np.ndarray) -> Arranged:
    """End-point error, from flows between all frames (n, F, F, h, w, 2) and true ones (n, F - 1, h, w, 2)."""
    steps = truth.shape[1]
    errors = np.empty((*flows.shape[:3], steps))
    for step in range(steps):
        difference = flows - truth[:, None, None, step].astype(np.float32)
        errors[..., step] = np.hypot(difference[..., 0], difference[..., 1]).mean(
            axis=(3, 4), dtype=np.float64
        )
    places = np.arange(steps)
    return lambda orders: errors[:, orders[:, :-1], orders[:, 1:], places].mean(axis=2).T


def order_flow_cosines(flows: np.ndarray, truth: np.ndarray) -> Arranged:
    """Cosine of the flow fields of clips, from flows (n, F, F, h, w, 2) and true ones (n, F - 1, h, w, 2)."""
    true = truth.astype(np.float64)
    products = np.einsum("nijhwc,nkhwc->nijk", flows.astype(np.float64), true, optimize=True)
    squares = (flows.astype(np.float64) ** 2).sum(axis=(3, 4, 5))
    length = np.sqrt((true**2).sum(axis=(1, 2, 3, 4)))
    places = np.arange(truth.shape[1])

    def arranged(orders: np.ndarray) -> np.ndarray:
        before, after = orders[:, :-1], orders[:, 1:]
        both = np.sqrt(squares[:, before, after].sum(axis=2)) * length[:, None]
        return (products[:, before, after, places].sum(axis=2) / np.where(both > 0, both, 1)).T

    return arranged


def order_similarity(videos: np.ndarray, truth: np.ndarray) -> Arranged:
    """Structural similarity of frames in the same place, from uint8 (n, F, H, W, 3) twice."""
    from neurocine.metrics.ssim import ssim_mv

    n_frames = videos.shape[1]
    held = (np.repeat(videos[:, frame, None], n_frames, axis=1) for frame in range(n_frames))
    similar = np.stack([ssim_mv(frame, truth) for frame in held], axis=1)  # (n, decoded frame, true frame)
    places = np.arange(n_frames)
    return lambda orders: similar[:, orders, places].mean(axis=2).T


def order_scores(predicted: Clips, truth: Clips, orders: np.ndarray, judge: Judge) -> dict[str, np.ndarray]:
    """Score clips with their frames in other orders.

    Parameters
    ----------
    predicted, truth : the same n clips
    orders : (k, F)
    judge : what they are scored with

    Returns
    -------
    per measure (k, n) float64
    """
    flows, true_flow = all_flows(predicted.videos, judge.device), truth.features["flow"]
    functions = {
        "clip_pcc_unthresholded": order_consistency(predicted.features["clip"]),
        "epe_farneback": order_flow_errors(flows, true_flow),
        "flow_cos": order_flow_cosines(flows, true_flow),
        "ssim_mv": order_similarity(predicted.videos, truth.videos),
    }
    return {name: arranged(orders) for name, arranged in functions.items()}


def order_of_movies(
    predictions: Predictions, originals: Originals, orders: np.ndarray, store: FeatureStore, judge: Judge
) -> list[MovieOrder]:
    """Score the movies of one condition, one in memory at a time, with frames in orders (k, F)."""
    found = []
    for movie, index in predictions.clips.items():
        by_time = np.argsort(index, kind="stable")
        clips = index[by_time]
        predicted = store.run(predictions.read(movie)[by_time])
        truth = store.run(originals.read(movie, clips))
        arranged = order_scores(predicted, truth, orders, judge)
        found.append(MovieOrder(movie, clips, arranged, pair_scores(predicted, truth, judge)))
    return found


def _difference_p(movies: Sequence[MovieOrder], metric: str, row: int, score: ScoreSettings, draws: int,
                  seed: int) -> float:  # fmt: skip
    """Two-sided p of the difference between the order as decoded and another one, over blocks of time."""
    values = [(movie.arranged[metric][0] - movie.arranged[metric][row])[:, None] for movie in movies]
    clips = [movie.clips for movie in movies]
    differences = PairedDifferences([movie.movie for movie in movies], values, clips)
    block = int(doubled_blocks(differences, score.block_tr)[0])
    return float(sign_flip_p(values, clips, block, draws, numpy_generator(seed, "test_order", "signs"))[0])


def _row(
    movies: Sequence[MovieOrder],
    metric: str,
    settings: OrderSettings,
    score: ScoreSettings,
    min_shift_tr: int,
    seed: int,
) -> dict[str, Any]:
    """Test one measure on one sample of clips."""
    lower = lower_is_better(metric)
    means = np.concatenate([movie.arranged[metric] for movie in movies], axis=1).mean(axis=1)
    value, others = means[0], means[3:]
    sign = -1 if lower else 1
    as_good = np.count_nonzero(sign * others >= sign * value - TIE * max(1.0, abs(value)))
    generator = numpy_generator(seed, "test_order", "pairings")
    clips = [movie.clips for movie in movies]
    null = shift_null(clips, min_shift_tr, score.null_draws, generator)
    paired = null.summarise(value, [movie.pairs[metric] for movie in movies], lower)
    p_values = {
        "permuted": (1 + as_good) / (1 + len(others)),
        "reversed": _difference_p(movies, metric, 1, score, settings.draws, seed),
        "other_clip": paired.p_value if paired.holds else math.nan,
        "held": _difference_p(movies, metric, 2, score, settings.draws, seed),
    }
    beside = {
        "permuted": others.mean() if len(others) else math.nan,
        "reversed": means[1],
        "other_clip": paired.mean,
        "held": means[2],
    }
    better = all(
        sign * (value - beside[name]) > 0 and p_values[name] <= settings.evidence_p for name in AGAINST
    )
    row = {"metric": metric, "value": value}
    for name in AGAINST:
        row |= {name: beside[name], f"{name}_p": p_values[name]}
    evidence = "evidence" if better else "no evidence"
    return row | {"orders": len(others), "n_clips": sum(map(len, clips)), "evidence": evidence}


def identified_clips(clip_scores: pd.DataFrame, seed: int, rank: float) -> set[tuple[str, int]]:
    """Clips that are identified when they are decoded with other seeds.

    Parameters
    ----------
    clip_scores : of score, with the columns condition, seed, movie, clip and, if it was scored, clip_id_2way
    seed : of the clips that are tested; what they say themselves does not count
    rank : smallest mean of clip_id_2way

    Returns
    -------
    movie and index of each; empty where no other seed was scored
    """
    if "clip_id_2way" not in clip_scores:
        return set()
    others = clip_scores[(clip_scores["condition"] == "fmri") & (clip_scores["seed"] != seed)]
    ranks = others.groupby(["movie", "clip"])["clip_id_2way"].mean()
    return {(str(movie), int(clip)) for movie, clip in ranks.index[ranks >= rank]}


def take_identified(movies: Sequence[MovieOrder], identified: set[tuple[str, int]]) -> list[MovieOrder]:
    """Keep identified clips, and the movies with two of them or more, which can be paired with each other."""
    kept = [
        movie.of(np.array([(movie.movie, int(clip)) in identified for clip in movie.clips]))
        for movie in movies
    ]
    return [movie for movie in kept if len(movie.clips) > 1]


def conditions_tested(decoded: Predictions, originals: Originals) -> list[Predictions]:
    """Return the decoded clips, the true ones (a ceiling) and their first frames held, which cannot move."""

    def shown(movie: str) -> np.ndarray:
        return originals.read(movie, decoded.clips[movie])

    def held(movie: str) -> np.ndarray:
        return hold_first_frame(shown(movie))

    return [
        decoded,
        Predictions("original", decoded.seed, decoded.clips, shown),
        Predictions("static", decoded.seed, decoded.clips, held),
    ]


def test_order(
    decoded: Predictions,
    originals: Originals,
    clip_scores: pd.DataFrame,
    networks: Networks,
    settings: OrderSettings,
    score: ScoreSettings,
    seed: int,
    device: str,
) -> pd.DataFrame:
    """Test the order of the frames of decoded clips, of the original clips and of their first frames held.

    Parameters
    ----------
    decoded : clips decoded from fMRI
    originals : the original clips; their training movies are not read
    clip_scores : of score, of the same experiment
    networks : folders of the networks there are; CLIP is needed
    settings : section test_order
    score : section score, for shifts, blocks and batches
    seed : of the study
    device : cpu or cuda

    Returns
    -------
    columns `ORDER_COLUMNS`, a row per condition, sample of clips (all; those identified with another seed)
    and measure: its value, mean over clips; beside it the mean of each comparison with its p-value
    (`neurocine.metrics.meanings.P_MEANS`; NaN where scores change too slowly to tell); "evidence" where the
    value is better than all four with p-values no larger than ``evidence_p``

    Raises
    ------
    InputError : no CLIP, clips that do not fit the originals, or movies too short for the pairings
    """
    score = score.replace(metrics=MEASURES)
    orders = frame_orders(originals.shape[0], settings.orders, numpy_generator(seed, "test_order", "orders"))
    store, labels = make_store(networks, originals.shape[0], score, {}, device)
    judge = Judge(labels, score, device, seed)
    identified = identified_clips(clip_scores, decoded.seed, settings.identified_rank)
    rows = []
    for tested in conditions_tested(decoded, originals):
        movies = order_of_movies(tested, originals, orders, store, judge)
        samples = {ALL: (movies, score.min_shift_tr), IDENTIFIED: (take_identified(movies, identified), 1)}
        for sample, (chosen, min_shift_tr) in samples.items():
            owner = {"condition": tested.condition, "seed": tested.seed, "sample": sample}
            if sample == IDENTIFIED and sum(len(movie.clips) for movie in chosen) < FEWEST_CLIPS:
                continue
            for metric in MEASURES:
                rows.append(owner | _row(chosen, metric, settings, score, min_shift_tr, seed))
                log.info("%s, %s clips, %s: %s", tested.condition, sample, metric, rows[-1]["evidence"])
    if len(rows) == len(MEASURES) * 3:
        log.info("no sample of identified clips: fewer than %d with another generation seed", FEWEST_CLIPS)
    return pd.DataFrame(rows, columns=ORDER_COLUMNS)
