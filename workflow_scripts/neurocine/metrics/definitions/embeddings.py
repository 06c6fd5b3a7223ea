"""Metrics of image embeddings: likeness, consistency in time, retrieval; and who computes the embeddings."""

from collections.abc import Callable

import numpy as np

from neurocine.metrics import embeddings
from neurocine.metrics.features import Clips, Extractor, network_fingerprint
from neurocine.metrics.metric import Feature, Judge, Metric, Origin, PairScores, single

SHORT_PLACE = 70  # of these metrics in the short table


def _of(feature: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> PairScores:
    """Score pairs from one feature."""
    return lambda predicted, truth, _: function(predicted.features[feature], truth.features[feature])


def _consistency(function: Callable[[np.ndarray], np.ndarray]) -> PairScores:
    """Score the prediction alone: the original has no part in it."""

    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        return np.repeat(function(predicted.features["clip"])[:, None], len(truth.videos), axis=1)

    return pairs


def _thresholded(similarity: str) -> PairScores:
    def pairs(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
        close = embeddings.video_score_pairs(predicted.features[similarity], truth.features[similarity])
        return embeddings.thresholded_pairs(embeddings.clip_pcc_adjacent(predicted.features["clip"]), close)

    return pairs


def retrieval_name(top_k: int, drop_tr: int) -> str:
    """Name of a retrieval score; ``drop_tr`` -1 means that all clips compete."""
    return f"retrieval_clip_top{top_k}" + (f"_drop{drop_tr}" if drop_tr >= 0 else "")


def _embeddings(origin: Origin) -> Extractor:
    """Image embeddings of every frame from a CLIP network in its ``from_pretrained`` layout."""
    from neurocine.models.pretrained import load_clip
    from neurocine.stimuli.embed import embed_movie

    parts = load_clip(origin.folder, origin.device)
    return Extractor(
        network_fingerprint(origin.folder), lambda videos: embed_movie(videos, parts, origin.batch_size)
    )


METRICS = (
    Metric(
        "clip_image",
        "cosine of CLIP image embeddings of frames in the same place",
        "none",
        "with ViT-B/32 only",
        "embeddings",
        *single("clip_image", _of("clip", embeddings.image_score_pairs)),
        needs=("clip",),
        default=True,
    ),
    Metric(
        "clip_id_2way",
        "share of the movie's other clips that resemble the prediction less than the true clip does (mean "
        "CLIP embedding), ties half: two-way identification with all distractors, the true clip's percentile "
        "rank",
        ".5, for test sets of any size",
        "nothing published",
        "embeddings",
        *single("clip_id_2way", _of("clip", embeddings.identification_pairs), chance=0.5),
        needs=("clip",),
        value_range=(0.0, 1.0),
        default=True,
    ),
    Metric(
        "clip_video",
        "cosine of mean-frame CLIP embeddings; the named fallback of `vifi`",
        "none",
        "nothing; never with VIFI",
        "embeddings",
        *single("clip_video", _of("clip", embeddings.video_score_pairs)),
        needs=("clip",),
        short_table={"clip_video": SHORT_PLACE + 1},
    ),
    Metric(
        "vifi",
        "the same with ViFi-CLIP's weights",
        "none; measure it by the null",
        "VIFI-CLIP, if frames are prepared as there (below)",
        "embeddings",
        *single("vifi", _of("vifi", embeddings.video_score_pairs)),
        needs=("vifi",),
        default=True,
        fallback="clip_video",
        short_table={"vifi": SHORT_PLACE},
    ),
    Metric(
        "clip_pcc_unthresholded",
        "cosine of neighbouring predicted frames",
        "none; frozen video 1.0",
        "nothing; NeuroClips describes the same (ViT-B/32), without code",
        "embeddings",
        *single("clip_pcc_unthresholded", _consistency(embeddings.clip_pcc_adjacent)),
        needs=("clip",),
        min_frames=2,
        sees_original=False,
        default=True,
        short_table={"clip_pcc": SHORT_PLACE + 2},
    ),
    Metric(
        "clip_pcc_allpairs",
        "mean over all pairs of predicted frames",
        "none; frozen video 1.0",
        "NEURONS (ViT-L/14)",
        "embeddings",
        *single("clip_pcc_allpairs", _consistency(embeddings.clip_pcc_allpairs)),
        needs=("clip",),
        min_frames=2,
        sees_original=False,
    ),
    Metric(
        "clip_pcc_thresholded",
        "`clip_pcc_unthresholded`, 0 where `vifi` of the clip is .6 or less",
        "none; a frozen video scores the share of clips above .6",
        "Mind-Animator, as `vifi`",
        "embeddings",
        *single("clip_pcc_thresholded", _thresholded("vifi")),
        needs=("clip", "vifi"),
        min_frames=2,
        default=True,
        fallback="clip_pcc_thresholded_clip",
    ),
    Metric(
        "clip_pcc_thresholded_clip",
        "the same with `clip_video` in place of `vifi`",
        "none",
        "nothing",
        "embeddings",
        *single("clip_pcc_thresholded_clip", _thresholded("clip")),
        needs=("clip",),
        min_frames=2,
    ),
    # Over all movies, so its values are added when they are together (`neurocine.metrics.score`).
    Metric(
        "retrieval_clip",
        "`retrieval_clip_top10`: the true clip is among the 10 of the whole test set most similar to the "
        "prediction (mean CLIP embedding); `_drop5`: its neighbours up to 5 TR do not compete",
        "k / candidates",
        "no published embedding; read it against chance",
        "embeddings",
        lambda *_: {},
        lambda *_: {},
        needs=("clip",),
        value_range=(0.0, 1.0),
        default=True,
        short_table={"retrieval": SHORT_PLACE + 20},
    ),
)
FEATURES = (Feature("clip", _embeddings, network="clip"), Feature("vifi", _embeddings, network="vifi"))
