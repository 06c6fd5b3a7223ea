"""What frozen networks and optical flow say about clips: computed once per set of clips, kept by hash."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurocine.io import file_sha256

Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Clips:
    """Videos and their features.

    Parameters
    ----------
    videos : uint8 (n, F, H, W, 3)
    features : those asked for of ``image_logits`` float32 (n, F, C), ``video_logits`` float32 (n, K),
        ``clip`` and ``vifi`` float32 (n, F, E) embeddings of the frames, ``flow`` and ``flow_512`` float16
        (n, F - 1, h, w, 2), pixels; ``videomae`` float32 (n, E), of whole clips
    """

    videos: np.ndarray
    features: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Extractor:
    """What computes a feature.

    Parameters
    ----------
    fingerprint : hash of all that determines the result beside the videos
    make : function of videos uint8 (n, F, H, W, 3); None where features would be too large to keep
    labels : of a classifier, its class names in logit order
    compare : in place of ``make``: scores (n, m) of videos uint8 (n, F, H, W, 3) and (m, F, H, W, 3)
    """

    fingerprint: str
    make: Callable[[np.ndarray], np.ndarray] | None = None
    labels: list[str] = field(default_factory=list)
    compare: Compare | None = None


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

    @property
    def compare(self) -> dict[str, Compare]:
        """What scores pairs of videos at once, by feature name."""
        return {name: each.compare for name, each in self.extractors.items() if each.compare is not None}

    def run(self, videos: np.ndarray) -> Clips:
        """Return the clips uint8 (n, F, H, W, 3) with their features, known ones if nothing has changed."""
        shown = hashlib.sha256(f"{videos.shape}".encode())
        shown.update(np.ascontiguousarray(videos).data)
        features = {}
        for name, extractor in self.extractors.items():
            if extractor.make is None:
                continue
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
