"""Likeness of whole clips to a network of videos, for which the order of frames counts."""

import numpy as np

from neurocine.metrics import embeddings
from neurocine.metrics.features import Clips, Extractor, network_fingerprint
from neurocine.metrics.metric import Feature, Judge, Metric, Origin, single


def _videomae(origin: Origin) -> Extractor:
    from neurocine.metrics.classifiers import Classifier, video_embeddings
    from neurocine.models.pretrained import load_video_classifier

    network = Classifier(*load_video_classifier(origin.folder, origin.n_frames, origin.device))
    fingerprint = f"before its classes {network_fingerprint(origin.folder)}"
    return Extractor(fingerprint, lambda videos: video_embeddings(network, videos, origin.batch_size))


def _cosine(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    first, second = (embeddings.unit(clips.features["videomae"]) for clips in (predicted, truth))
    return first @ second.T


def _identification(predicted: Clips, truth: Clips, judge: Judge) -> np.ndarray:
    first, second = (clips.features["videomae"][:, None] for clips in (predicted, truth))
    return embeddings.identification_pairs(first, second)


METRICS = (
    Metric(
        "videomae",
        "cosine of what the video classifier (VideoMAE) makes of a whole clip before its classes, mean over "
        "tokens: the order of frames counts",
        "none; high for unrelated clips",
        "nothing published",
        "embeddings",
        *single("videomae", _cosine),
        needs=("videomae",),
        min_frames=2,
    ),
    Metric(
        "videomae_id_2way",
        "share of the movie's other clips that resemble the prediction less than the true clip does, by the "
        "same embedding, ties half",
        ".5, for test sets of any size",
        "nothing published",
        "embeddings",
        *single("videomae_id_2way", _identification, chance=0.5),
        needs=("videomae",),
        min_frames=2,
        value_range=(0.0, 1.0),
    ),
)
FEATURES = (Feature("videomae", _videomae, network="video_classifier"),)
