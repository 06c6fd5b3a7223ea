"""What frozen networks and optical flow say about clips: computed once per set of clips, kept by hash."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurocine.io import file_sha256
from neurocine.metrics import flow
from neurocine.metrics.classifiers import Classifier, image_logits, video_logits


@dataclass(frozen=True)
class Clips:
    """Videos and their features.

    Parameters
    ----------
    videos : uint8 (n, F, H, W, 3)
    features : those asked for of ``image_logits`` float32 (n, F, C), ``video_logits`` float32 (n, K),
        ``clip`` and ``vifi`` float32 (n, F, E) embeddings of the frames, ``flow`` and ``flow_512`` float16
        (n, F - 1, h, w, 2), pixels
    """

    videos: np.ndarray
    features: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Extractor:
    """A function of videos uint8 (n, F, H, W, 3) and the hash of all else that determines its result."""

    fingerprint: str
    make: Callable[[np.ndarray], np.ndarray]


@dataclass
class FeatureStore:
    """Runs each extractor once per set of videos and keeps the results under a hash of their input.

    Parameters
    ----------
    extractors : by feature name
    cached : results of an earlier run, ``<hash>/<feature>``; empty if there was none
    arrays : results of this run, named in the same way
    """

    extractors: Mapping[str, Extractor]
    cached: Mapping[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def run(self, videos: np.ndarray) -> Clips:
        """Return the clips uint8 (n, F, H, W, 3) with their features, known ones if nothing has changed."""
        shown = hashlib.sha256(f"{videos.shape}".encode())
        shown.update(np.ascontiguousarray(videos).data)
        features = {}
        for name, extractor in self.extractors.items():
            digest = hashlib.sha256(f"{extractor.fingerprint} {shown.hexdigest()}".encode())
            entry = f"{digest.hexdigest()[:32]}/{name}"
            if entry not in self.arrays:
                known = self.cached.get(entry)
                self.arrays[entry] = extractor.make(videos) if known is None else known
            features[name] = self.arrays[entry]
        return Clips(videos, features)


def network_fingerprint(directory: Path) -> str:
    """Hash what determines a network's output: the configuration, the processor's settings, the weights."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*")):
        if path.suffix in (".json", ".safetensors", ".bin"):
            digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def classifier_extractor(kind: str, classifier: Classifier, fingerprint: str, batch: int) -> Extractor:
    """Logits of the classifier of the kind "image" (each frame) or "video" (each clip)."""
    make = {"image": image_logits, "video": video_logits}[kind]
    return Extractor(fingerprint, lambda videos: make(classifier, videos, batch))


def clip_extractor(directory: Path, device: str, batch: int) -> Extractor:
    """Image embeddings of every frame from a CLIP network in its ``from_pretrained`` layout."""
    from neurocine.models.pretrained import load_clip
    from neurocine.stimuli.embed import embed_movie

    parts = load_clip(directory, device)
    return Extractor(network_fingerprint(directory), lambda videos: embed_movie(videos, parts, batch))


def flow_extractor(device: str, size: int = 0) -> Extractor:
    """Optical flow between neighbouring frames, of the frames as they are or resized to ``size``."""
    settings = [flow.PYRAMID_SCALE, flow.LEVELS, flow.WINDOW, flow.ITERATIONS, flow.TAPS, flow.SIGMA]
    fingerprint = f"farneback {settings} grid {flow.GRID} size {size}"
    return Extractor(fingerprint, lambda videos: flow.clip_flows(videos, device, size))
