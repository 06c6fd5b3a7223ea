"""Train the judges of the toy world: a ViT that names what a frame shows, a VideoMAE that names how it moves.

They learn from all combinations, those held out from the other models too, and from frames that are blurred
and noisy by chance, because they will judge decoded frames. Half of the clips show things that do not point
where they go: the video classifier has to see the motion.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)

from neurocine.simulate.toy_models.clip import PATCH
from neurocine.simulate.toy_models.pool import FRAME_TIMES, Pool
from neurocine.simulate.toy_models.positions import start_positions_
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.task import ToyTask, train_toy
from neurocine.simulate.world import class_names

# The channel statistics of the published ViT and VideoMAE processors.
VIT_MEAN = VIT_STD = (0.5, 0.5, 0.5)
VIDEOMAE_MEAN, VIDEOMAE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _labels() -> dict[str, Any]:
    names = class_names()
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def new_image_classifier(size: int) -> ViTForImageClassification:
    """Make an untrained ViT over the 96 classes ``colour shape direction``."""
    model = ViTForImageClassification(
        ViTConfig(
            hidden_size=96, intermediate_size=192, num_hidden_layers=3, num_attention_heads=4,
            image_size=size, patch_size=PATCH, **_labels(),
        )
    )  # fmt: skip
    start_positions_(model.vit.embeddings.position_embeddings[0], size // PATCH)
    return model


def new_video_classifier(size: int) -> VideoMAEForVideoClassification:
    """Make an untrained VideoMAE over the 96 classes ``colour shape direction``."""
    return VideoMAEForVideoClassification(
        VideoMAEConfig(
            hidden_size=96, intermediate_size=192, num_hidden_layers=3, num_attention_heads=4,
            image_size=size, patch_size=PATCH, num_frames=len(FRAME_TIMES), tubelet_size=2,
            use_mean_pooling=True, **_labels(),
        )
    )  # fmt: skip


def roughen(x: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and add noise by chance, so that a judge does not need sharp edges: (n, 3, H, W) in, same out."""
    n = len(x)
    blurred = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    share = torch.rand(n, 1, 1, 1, generator=generator)
    level = 0.05 * torch.rand(n, 1, 1, 1, generator=generator)
    return x + share * (blurred - x) + level * torch.randn(x.shape, generator=generator)


def _normalised(frames: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    x = torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, -3).float() / 255
    return (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


class ToyClassifierTask(ToyTask):
    """Cross-entropy over the 96 classes; ``video`` classifies clips by motion, else single frames by pose."""

    def __init__(self, pool: Pool, held_out: Pool, size: int, video: bool) -> None:
        self.pool, self.held_out, self.video = pool, held_out, video
        self.model = new_video_classifier(size) if video else new_image_classifier(size)
        self.statistics = (VIDEOMAE_MEAN, VIDEOMAE_STD) if video else (VIT_MEAN, VIT_STD)
        self.labels, self.test_labels = self._numbers(pool), self._numbers(held_out)

    def _numbers(self, pool: Pool) -> Tensor:
        number = {name: i for i, name in enumerate(class_names())}
        shown = [s.direction if self.video else (s.heading or s.direction) for s in pool.scenes]
        return torch.tensor(
            [number[f"{s.colour} {s.shape} {d}"] for s, d in zip(pool.scenes, shown, strict=True)]
        )

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar cross-entropy of roughened clips or one frame of each; rows (n,) i64."""
        frames = self.pool.frames[rows.numpy()]
        if not self.video:
            which = torch.randint(frames.shape[1], (len(rows),), generator=generator)
            frames = frames[np.arange(len(rows)), which.numpy()]
        x = _normalised(frames, *self.statistics)
        rough = roughen(x.reshape(-1, *x.shape[-3:]), generator).reshape(x.shape)
        return F.cross_entropy(model(pixel_values=rough).logits, self.labels[rows]), {}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Classify clean clips (or their third frames): share right, whole class and per word."""
        frames = self.held_out.frames if self.video else self.held_out.frames[:, 2]
        guess = model(pixel_values=_normalised(frames, *self.statistics)).logits.argmax(1)
        right = float((guess == self.test_labels).float().mean())
        names = [name.split() for name in class_names()]
        values = {"loss": 1 - right, "exact": right}
        for place, word in enumerate(("colour", "shape", "direction")):
            pairs = zip(guess.tolist(), self.test_labels.tolist(), strict=True)
            values[word] = float(np.mean([names[a][place] == names[b][place] for a, b in pairs]))
        return values


def new_processor(size: int, video: bool) -> ViTImageProcessorPil | VideoMAEImageProcessorPil:
    """Make the processor of the published layout for frames of this size."""
    side = {"height": size, "width": size}
    if not video:
        return ViTImageProcessorPil(size=side, image_mean=list(VIT_MEAN), image_std=list(VIT_STD))
    return VideoMAEImageProcessorPil(
        size={"shortest_edge": size},
        crop_size=side,
        image_mean=list(VIDEOMAE_MEAN),
        image_std=list(VIDEOMAE_STD),
    )


Judge = tuple[
    ViTForImageClassification | VideoMAEForVideoClassification,
    ViTImageProcessorPil | VideoMAEImageProcessorPil,
]


def _train_judge(step: str, settings: ToyModelSettings, seed: int, state: Path, video: bool) -> Judge:
    def make_task(pool: Pool, held_out: Pool) -> ToyClassifierTask:
        return ToyClassifierTask(pool, held_out, settings.size, video)

    # A judge has to know all combinations, the ones held out from the other models too.
    task = train_toy(step, make_task, settings, seed, state, held_out="with")
    return task.model, new_processor(settings.size, video)


def train_toy_image_classifier(settings: ToyModelSettings, seed: int, state: Path) -> Judge:
    """Train the image classifier of the toy world, a ViT that classifies frames by pose.

    Parameters
    ----------
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``

    Returns
    -------
    network and image processor, both of which save themselves in the published layout
    """
    return _train_judge("train_toy_image_classifier", settings, seed, state, video=False)


def train_toy_video_classifier(settings: ToyModelSettings, seed: int, state: Path) -> Judge:
    """Train the video classifier of the toy world, a VideoMAE that classifies clips by motion.

    Parameters and result are those of :func:`train_toy_image_classifier`.
    """
    return _train_judge("train_toy_video_classifier", settings, seed, state, video=True)
