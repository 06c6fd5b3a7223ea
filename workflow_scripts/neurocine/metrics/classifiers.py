"""Image and video classifiers on predicted and true clips; logits are computed once and kept.

Published choice: google/vit-base-patch16-224 on single frames and MCG-NJU/videomae-base-finetuned-kinetics on
clips, the latter created for as many frames as a clip has (6 instead of 16; its position table is a fixed
sinusoid and is recomputed for the shorter clip).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neurocine.errors import InputError
from neurocine.io import file_sha256


@dataclass(frozen=True)
class Clips:
    """Videos and what the classifiers say about them.

    Parameters
    ----------
    videos : uint8 (n, F, H, W, 3)
    image_logits : float32 (n, F, C), of each frame
    video_logits : float32 (n, K), of each clip
    """

    videos: np.ndarray
    image_logits: np.ndarray
    video_logits: np.ndarray


@dataclass(frozen=True)
class Classifier:
    """A network, its image processor and the words of its classes in logit order."""

    model: Any
    processor: Any

    @property
    def labels(self) -> list[str]:
        names = self.model.config.id2label
        return [str(names[number]) for number in range(len(names))]


def _batched_logits(classifier: Classifier, items: list[Any], batch: int) -> np.ndarray:
    device = next(classifier.model.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(items), batch):
            inputs = classifier.processor(items[start : start + batch], return_tensors="pt")
            parts.append(
                classifier.model(pixel_values=inputs["pixel_values"].to(device)).logits.float().cpu()
            )
    return torch.cat(parts).numpy()


def image_logits(classifier: Classifier, videos: np.ndarray, batch: int) -> np.ndarray:
    """Logits of every frame: uint8 (n, F, H, W, 3) -> float32 (n, F, C)."""
    # The processor rescales 0..255 itself; it must get bytes, not fractions.
    frames = list(videos.reshape(-1, *videos.shape[2:]))
    return _batched_logits(classifier, frames, batch).reshape(*videos.shape[:2], -1)


def video_logits(classifier: Classifier, videos: np.ndarray, batch: int) -> np.ndarray:
    """Logits of every clip: uint8 (n, F, H, W, 3) -> float32 (n, K).

    Raises
    ------
    InputError : the classifier was made for another number of frames
    """
    frames = classifier.model.config.num_frames
    if frames != videos.shape[1]:
        todo = f"Load the classifier with num_frames = {videos.shape[1]}."
        raise InputError(
            "video classifier", f"a model for {frames} frames", f"{videos.shape[1]} frames", todo
        )
    return _batched_logits(classifier, [list(video) for video in videos], batch)


def classifier_fingerprint(directory: Path) -> str:
    """Hash what determines the logits: the configuration, the processor's settings and the weights."""
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*")):
        if path.suffix in (".json", ".safetensors", ".bin"):
            digest.update(f"{path.name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


@dataclass
class LogitStore:
    """Runs both classifiers once per set of videos and keeps the logits under a hash of their input.

    Parameters
    ----------
    image, video : the classifiers
    fingerprint : hash of both, part of every name
    batch : frames or clips per forward pass
    cached : logits of an earlier run, ``<hash>/image`` and ``<hash>/video``; empty if there was none
    arrays : logits of this run, named in the same way
    """

    image: Classifier
    video: Classifier
    fingerprint: str
    batch: int
    cached: Mapping[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def run(self, videos: np.ndarray) -> Clips:
        """Return the clips uint8 (n, F, H, W, 3) with their logits, known ones if nothing has changed."""
        digest = hashlib.sha256(f"{self.fingerprint} {videos.shape}".encode())
        digest.update(np.ascontiguousarray(videos).data)
        name = digest.hexdigest()[:32]
        for kind, make, classifier in (
            ("image", image_logits, self.image),
            ("video", video_logits, self.video),
        ):
            entry = f"{name}/{kind}"
            if entry not in self.arrays:
                known = self.cached.get(entry)
                self.arrays[entry] = make(classifier, videos, self.batch) if known is None else known
        return Clips(videos, self.arrays[f"{name}/image"], self.arrays[f"{name}/video"])


def label_words(labels: list[str], factors: tuple[str, ...], where: str) -> np.ndarray:
    """Split compound class names such as ``red fish left`` into numbered words.

    Parameters
    ----------
    labels : class names in logit order
    factors : what each word of a name tells, for example colour, shape, direction
    where : the classifier, for the message

    Returns
    -------
    (n_classes, n_factors) int64, number of the word among the factor's different words

    Raises
    ------
    InputError : a name with another number of words
    """
    words = [label.split() for label in labels]
    for label, parts in zip(labels, words, strict=True):
        if len(parts) != len(factors):
            expected = f"{len(factors)} words ({' '.join(factors)}) in every class name"
            raise InputError(
                where, f"the class name '{label}'", expected, "Correct label_factors or empty it."
            )
    columns = [np.unique(column, return_inverse=True)[1] for column in zip(*words, strict=True)]
    return np.stack(columns, axis=1)
