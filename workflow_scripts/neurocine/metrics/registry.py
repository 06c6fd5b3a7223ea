"""All metrics under names that say their definition, with what each needs and its chance level.

A family is one metric or several that share their work, such as the N-way accuracies of one classifier. Each
turns predicted and true clips into the scores of all pairs (prediction i, true clip j), from which value,
permutation null and interval follow by look-up. docs/scoring.md holds the definitions for readers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurocine.errors import InputError
from neurocine.metrics import embeddings, flow, hue
from neurocine.metrics.classifiers import label_words
from neurocine.metrics.features import Clips
from neurocine.metrics.n_way import (
    chance_n_way,
    monte_carlo_n_way,
    rank_pairs,
    success_table,
    target_classes,
)
from neurocine.metrics.psnr import psnr_pairs
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.ssim import (
    COLUMN_BUG,
    GAUSS_GREY,
    MV,
    SsimWindow,
    ssim_colbug,
    ssim_gauss_gray,
    ssim_mv,
    ssim_pairs,
)
from neurocine.seeds import numpy_generator

TARGETS = {"single": 1, "any3": 3}  # classes of the true clip that count as correct
# SSIM of clips that do not belong together: at all windows of small frames, at about 32 x 32 of larger ones
SMALL_FRAME, PAIR_WINDOWS = 64, 32  # pixels, windows per axis


@dataclass(frozen=True)
class ClassNames:
    """Class names of the two classifiers in logit order; empty where there is no classifier."""

    image: list[str]
    video: list[str]


@dataclass(frozen=True)
class Judge:
    """What all clips are scored with.

    Parameters
    ----------
    names : class names of the classifiers
    settings : section score
    device : where large matrix products run
    seed : of the random trials of ``n_way_trials``
    matched : prediction i belongs to true clip i; their own scores are then exact and the others, of which
        only means over many are used, may be estimated
    """

    names: ClassNames
    settings: ScoreSettings
    device: str = "cpu"
    seed: int = 0
    matched: bool = True


# Scores (n, m) of all pairs: of one metric, or of several by name
PairScores = Callable[[Clips, Clips, Judge], np.ndarray]
PairFunction = Callable[[Clips, Clips, Judge], dict[str, np.ndarray]]


@dataclass(frozen=True)
class Family:
    """Metrics that are asked for under one name.

    Parameters
    ----------
    needs : features of the clips
    chances : metric -> chance level (NaN: none is known), in the order of the tables
    pairs : (n, m) scores of each metric
    """

    needs: tuple[str, ...]
    chances: Callable[[ClassNames, ScoreSettings], dict[str, float]]
    pairs: PairFunction


def _one(
    name: str,
    needs: tuple[str, ...],
    pairs: PairScores,
    chance: float = math.nan,
) -> Family:
    """Make a family of one metric."""
    return Family(needs, lambda *_: {name: chance}, lambda *clips: {name: pairs(*clips)})


def n_way_name(kind: str, n_way: int, top_k: int, rule: str) -> str:
    """Name of a metric, which says kind of classifier, N, k unless 1, and the rule for correct classes."""
    return f"acc_{kind}_{n_way}_{rule}" if top_k == 1 else f"acc_{kind}_{n_way}_top{top_k}_{rule}"


def _n_way_settings(kind: str, settings: ScoreSettings) -> list[tuple[str, int, int, int]]:
    """Name, N, k and number of correct classes of each accuracy; k must stay below N."""
    return [
        (n_way_name(kind, n_way, top_k, rule), n_way, top_k, n_targets)
        for n_way in settings.n_ways
        for top_k in settings.top_ks
        if top_k < n_way
        for rule, n_targets in TARGETS.items()
    ]


def _accuracy(kind: str) -> Family:
    """Accuracies of the classifier of images or of videos."""

    def labels(names: ClassNames) -> list[str]:
        return names.image if kind == "image" else names.video

    def chances(names: ClassNames, settings: ScoreSettings) -> dict[str, float]:
        found = {}
        for name, n_way, top_k, n_targets in _n_way_settings(kind, settings):
            success_table(len(labels(names)), n_targets, n_way, top_k)  # refuses too few classes
            found[name] = chance_n_way(n_way, n_targets, top_k)
            if settings.n_way_trials:
                found[f"{name}_mc{settings.n_way_trials}"] = found[name]
        if settings.label_factors:
            words = label_words(labels(names), settings.label_factors, f"{kind} classifier")
            for factor, column in zip(settings.label_factors, words.T, strict=True):
                found[f"acc_{kind}_{factor}"] = 1 / (int(column.max()) + 1)
        return found

    def of_logits(predicted: np.ndarray, truth: np.ndarray, judge: Judge, part: int) -> dict[str, np.ndarray]:
        settings = judge.settings
        ranks = {m: rank_pairs(predicted, target_classes(truth, m)) for m in TARGETS.values()}
        pairs = {}
        for name, n_way, top_k, n_targets in _n_way_settings(kind, settings):
            pairs[name] = success_table(predicted.shape[-1], n_targets, n_way, top_k)[ranks[n_targets]]
            if settings.n_way_trials:
                trials = pairs[name].copy()
                if judge.matched:
                    generator = numpy_generator(judge.seed, "n_way_trials", name, part)
                    targets = target_classes(truth, n_targets)
                    drawn = monte_carlo_n_way(
                        predicted, targets, n_way, top_k, settings.n_way_trials, generator
                    )
                    np.fill_diagonal(trials, drawn)
                pairs[f"{name}_mc{settings.n_way_trials}"] = trials
        if settings.label_factors:
            words = label_words(labels(judge.names), settings.label_factors, f"{kind} classifier")
            guessed, right = words[predicted.argmax(-1)], words[truth.argmax(-1)]
            for column, factor in enumerate(settings.label_factors):
                same = guessed[:, None, column] == right[None, :, column]
                pairs[f"acc_{kind}_{factor}"] = same.astype(np.float64)
        return pairs

    def of_clips(predicted: Clips, truth: Clips, judge: Judge) -> dict[str, np.ndarray]:
        first, second = predicted.features[f"{kind}_logits"], truth.features[f"{kind}_logits"]
        if kind == "video":
            return of_logits(first, second, judge, 0)
        total: dict[str, np.ndarray] = {}
        frames = second.shape[1]
        for frame in range(frames):
            for name, scores in of_logits(first[:, frame], second[:, frame], judge, frame).items():
                total[name] = total.get(name, 0.0) + scores / frames
        return total

    return Family((f"{kind}_logits",), chances, of_clips)


def _ssim(window: SsimWindow, exact: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> PairScores:
    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        x, y = predicted.videos, truth.videos
        if len(x) == 1:
            # A baseline: running sums over all windows cost less than products of their pixels.
            return exact(np.broadcast_to(x, y.shape), y).mean(axis=1)[None]
        side = min(x.shape[2:4])
        stride = side // PAIR_WINDOWS if judge.matched and side > SMALL_FRAME else 1
        scores = ssim_pairs(x, y, judge.device, window, stride)
        if stride > 1:
            np.fill_diagonal(scores, exact(x, y).mean(axis=1))
        return scores

    return pairs


def _clip_pcc(consistency: Callable[[np.ndarray], np.ndarray]) -> PairScores:
    """Score the prediction alone: the original has no part in it."""

    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        return np.repeat(consistency(predicted.features["clip"])[:, None], len(truth.videos), axis=1)

    return pairs


def _thresholded(similarity: str) -> PairScores:
    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        close = embeddings.video_score_pairs(predicted.features[similarity], truth.features[similarity])
        return embeddings.thresholded_pairs(embeddings.clip_pcc_adjacent(predicted.features["clip"]), close)

    return pairs


def _of(feature: str, function: Callable[..., np.ndarray], **options: object) -> PairScores:
    """Score pairs from one feature."""
    return lambda predicted, truth, _: function(
        predicted.features[feature], truth.features[feature], **options
    )


def _epe(feature: str) -> PairScores:
    return lambda predicted, truth, judge: flow.epe_pairs(
        predicted.features[feature], truth.features[feature], judge.device
    )


def retrieval_name(top_k: int, drop_tr: int) -> str:
    """Name of a retrieval score; ``drop_tr`` -1 means that all clips compete."""
    return f"retrieval_clip_top{top_k}" + (f"_drop{drop_tr}" if drop_tr >= 0 else "")


FAMILIES: dict[str, Family] = {
    "ssim_mv": _one("ssim_mv", (), _ssim(MV, ssim_mv)),
    "ssim_gauss_gray": _one("ssim_gauss_gray", (), _ssim(GAUSS_GREY, ssim_gauss_gray)),
    "ssim_colbug": _one("ssim_colbug", (), _ssim(COLUMN_BUG, ssim_colbug)),
    "psnr255": _one("psnr255", (), lambda p, t, _: psnr_pairs(p.videos, t.videos)),
    "hue_cos_ma": _one("hue_cos_ma", (), lambda p, t, _: hue.hue_cos_ma_pairs(p.videos, t.videos)),
    "hue_circ_corr": _one(
        "hue_circ_corr", (), lambda p, t, _: hue.hue_circ_corr_pairs(p.videos, t.videos), 0.0
    ),
    "acc_image": _accuracy("image"),
    "acc_video": _accuracy("video"),
    "clip_image": _one("clip_image", ("clip",), _of("clip", embeddings.image_score_pairs)),
    "clip_video": _one("clip_video", ("clip",), _of("clip", embeddings.video_score_pairs)),
    "vifi": _one("vifi", ("vifi",), _of("vifi", embeddings.video_score_pairs)),
    "clip_pcc_unthresholded": _one(
        "clip_pcc_unthresholded", ("clip",), _clip_pcc(embeddings.clip_pcc_adjacent)
    ),
    "clip_pcc_allpairs": _one("clip_pcc_allpairs", ("clip",), _clip_pcc(embeddings.clip_pcc_allpairs)),
    "clip_pcc_thresholded": _one("clip_pcc_thresholded", ("clip", "vifi"), _thresholded("vifi")),
    "clip_pcc_thresholded_clip": _one("clip_pcc_thresholded_clip", ("clip",), _thresholded("clip")),
    # Over all movies, so it is added when they are together.
    "retrieval_clip": Family(("clip",), lambda *_: {}, lambda *_: {}),
    "epe_farneback": _one("epe_farneback", ("flow",), _epe("flow")),
    "epe_farneback_512": _one("epe_farneback_512", ("flow_512",), _epe("flow_512")),
    "flow_cos": _one("flow_cos", ("flow",), _of("flow", flow.flow_cosine_pairs)),
    "flow_corr": _one("flow_corr", ("flow",), _of("flow", flow.flow_cosine_pairs, centred=True), 0.0),
    "motion_energy_rho": _one("motion_energy_rho", ("flow",), _of("flow", flow.motion_energy_pairs), 0.0),
    "motion_id_2way": _one("motion_id_2way", ("flow",), _of("flow", flow.motion_identification_pairs), 0.5),
}


def chosen_families(settings: ScoreSettings) -> dict[str, Family]:
    """Return the families that the settings ask for, in the order of the tables.

    Raises
    ------
    InputError : a name that is none
    """
    for name in settings.metrics:
        if name not in FAMILIES:
            raise InputError("score.metrics", f"'{name}'", f"some of {', '.join(FAMILIES)}", "Correct it.")
    return {name: family for name, family in FAMILIES.items() if name in settings.metrics}


def needed_features(settings: ScoreSettings) -> set[str]:
    """Features that the chosen metrics are made of."""
    return {feature for family in chosen_families(settings).values() for feature in family.needs}
