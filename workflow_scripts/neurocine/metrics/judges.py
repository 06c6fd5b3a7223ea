"""Load the networks that the chosen metrics need, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocine.errors import InputError
from neurocine.metrics.classifiers import Classifier
from neurocine.metrics.features import (
    Extractor,
    FeatureStore,
    classifier_extractor,
    clip_extractor,
    flow_extractor,
    network_fingerprint,
)
from neurocine.metrics.registry import ClassNames, chosen_families, needed_features
from neurocine.metrics.settings import ScoreSettings
from neurocine.models.pretrained import load_image_classifier, load_video_classifier

# Feature -> field of Networks and argument of the programs
SOURCES = {
    "image_logits": "image_classifier",
    "video_logits": "video_classifier",
    "clip": "clip",
    "vifi": "vifi",
}
# Metric of ViFi-CLIP -> the same from the study's CLIP, used where there are no weights of ViFi-CLIP
FALLBACKS = {"vifi": "clip_video", "clip_pcc_thresholded": "clip_pcc_thresholded_clip"}


@dataclass(frozen=True)
class Networks:
    """Folders of the frozen networks, in their ``from_pretrained`` layout; None where there is none."""

    image_classifier: Path | None = None
    video_classifier: Path | None = None
    clip: Path | None = None
    vifi: Path | None = None  # ViFi-CLIP's weights in CLIP's layout

    def missing_for(self, needs: tuple[str, ...]) -> list[str]:
        """Names of the networks that features need and that are not given."""
        return [SOURCES[name] for name in needs if name in SOURCES and getattr(self, SOURCES[name]) is None]


def with_fallbacks(metrics: Sequence[str], networks: Networks) -> tuple[tuple[str, ...], list[str]]:
    """Put CLIP's metrics, under names of their own, in the place of those of a ViFi-CLIP that is not given.

    Returns
    -------
    the metrics, each once, and a sentence for each that was replaced
    """
    if networks.vifi is not None or networks.clip is None:
        return tuple(metrics), []
    chosen = tuple(dict.fromkeys(FALLBACKS.get(name, name) for name in metrics))
    replaced = [name for name in FALLBACKS if name in metrics]
    return chosen, [f"Without ViFi-CLIP {FALLBACKS[name]} is in the place of {name}." for name in replaced]


def make_store(
    networks: Networks, n_frames: int, settings: ScoreSettings, cached: Mapping[str, np.ndarray], device: str
) -> tuple[FeatureStore, ClassNames]:
    """Load what the chosen metrics need.

    Parameters
    ----------
    n_frames : frames of a clip
    cached : features of an earlier run

    Raises
    ------
    InputError : a chosen metric needs a network that is not given, or more frames than there are
    """
    for name, family in chosen_families(settings).items():
        missing = networks.missing_for(family.needs)
        if missing:
            flags = " and ".join("--" + network.replace("_", "-") for network in missing)
            raise InputError("score.metrics", f"{name}", f"{flags}", f"Give it or leave {name} out.")
        if n_frames < 2 and (set(family.needs) & {"flow", "flow_512"} or name.startswith("clip_pcc")):
            raise InputError("score.metrics", name, "clips of two frames or more", f"Leave {name} out.")
    needs, batch = needed_features(settings), settings.batch_size
    extractors: dict[str, Extractor] = {}
    names = ClassNames([], [])
    if "image_logits" in needs and networks.image_classifier is not None:
        image = Classifier(*load_image_classifier(networks.image_classifier, device))
        print_of = network_fingerprint(networks.image_classifier)
        extractors["image_logits"] = classifier_extractor("image", image, print_of, batch)
        names = ClassNames(image.labels, names.video)
    if "video_logits" in needs and networks.video_classifier is not None:
        video = Classifier(*load_video_classifier(networks.video_classifier, n_frames, device))
        print_of = network_fingerprint(networks.video_classifier)
        extractors["video_logits"] = classifier_extractor("video", video, print_of, batch)
        names = ClassNames(names.image, video.labels)
    for feature in ("clip", "vifi"):
        folder = getattr(networks, feature)
        if feature in needs and folder is not None:
            extractors[feature] = clip_extractor(folder, device, batch)
    for feature, size in (("flow", 0), ("flow_512", 512)):
        if feature in needs:
            extractors[feature] = flow_extractor(device, size)
    return FeatureStore(extractors, cached), names
