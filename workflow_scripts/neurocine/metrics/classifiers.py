"""Image and video classifiers on predicted and true clips.

Published choice: google/vit-base-patch16-224 on single frames and MCG-NJU/videomae-base-finetuned-kinetics on
clips, the latter created for as many frames as a clip has (6 instead of 16; its position table is a fixed
sinusoid and is recomputed for the shorter clip).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neurocine.errors import InputError


@dataclass(frozen=True)
class Classifier:
    """A network, its image processor and the words of its classes in logit order."""

    model: Any
    processor: Any

    @property
    def labels(self) -> list[str]:
        names = self.model.config.id2label
        return [str(names[number]) for number in range(len(names))]


def _batched(
    classifier: Classifier, items: list[Any], batch: int, run: Callable[[torch.Tensor], torch.Tensor]
) -> np.ndarray:
    device = next(classifier.model.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(items), batch):
            inputs = classifier.processor(items[start : start + batch], return_tensors="pt")
            parts.append(run(inputs["pixel_values"].to(device)).float().cpu())
    return torch.cat(parts).numpy()


def _batched_logits(classifier: Classifier, items: list[Any], batch: int) -> np.ndarray:
    return _batched(classifier, items, batch, lambda pixels: classifier.model(pixel_values=pixels).logits)


def image_logits(classifier: Classifier, videos: np.ndarray, batch: int) -> np.ndarray:
    """Logits of every frame: uint8 (n, F, H, W, 3) -> float32 (n, F, C)."""
    # The processor rescales 0..255 itself; it must get bytes, not fractions.
    frames = list(videos.reshape(-1, *videos.shape[2:]))
    return _batched_logits(classifier, frames, batch).reshape(*videos.shape[:2], -1)


def _clips_for(classifier: Classifier, videos: np.ndarray) -> list[Any]:
    """List the clips of videos uint8 (n, F, H, W, 3), of as many frames as the classifier was made for."""
    frames = classifier.model.config.num_frames
    if frames != videos.shape[1]:
        todo = f"Load the classifier with num_frames = {videos.shape[1]}."
        raise InputError(
            "video classifier", f"a model for {frames} frames", f"{videos.shape[1]} frames", todo
        )
    return [list(video) for video in videos]


def video_logits(classifier: Classifier, videos: np.ndarray, batch: int) -> np.ndarray:
    """Logits of every clip: uint8 (n, F, H, W, 3) -> float32 (n, K).

    Raises
    ------
    InputError : the classifier was made for another number of frames
    """
    return _batched_logits(classifier, _clips_for(classifier, videos), batch)


def video_embeddings(classifier: Classifier, videos: np.ndarray, batch: int) -> np.ndarray:
    """What VideoMAE's classes are read from, of every clip: uint8 (n, F, H, W, 3) -> float32 (n, E).

    The mean over tokens and, where the network has one, the norm after it.

    Raises
    ------
    InputError : the classifier was made for another number of frames
    """
    norm = classifier.model.fc_norm

    def run(pixels: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = classifier.model.videomae(pixel_values=pixels).last_hidden_state.mean(1)
        return mean if norm is None else norm(mean)

    return _batched(classifier, _clips_for(classifier, videos), batch, run)


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
