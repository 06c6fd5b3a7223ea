"""Train a small CLIP on the toy world; its text tower is the text encoder of the toy Stable Diffusion too."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTextModel, CLIPTokenizer

from neurocine.simulate.toy_models.pool import Pool
from neurocine.simulate.toy_models.positions import start_positions_
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.task import ToyTask, train_toy
from neurocine.simulate.toy_models.words import CLIP_TOKENS, clip_tokenizer

log = logging.getLogger(__name__)
CAPTION = "a red fish moving left in fog"
CHANGES = {"left": "right", "red": "blue", "fish": "car", "in fog": "at night"}
# The published processors' channel statistics, which the toy processors keep.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
PATCH = 8  # px
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def pixels(frames: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalise uint8 (n, H, W, 3) to f32 (n, 3, H, W), as the image processors do."""
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def new_clip(size: int, tokenizer: CLIPTokenizer) -> CLIPModel:
    """Make an untrained CLIP for frames of this size: text width 128, 12 tokens, shared space of 64."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": CLIP_TOKENS,
        "pad_token_id": tokenizer.pad_token_id, **ends,
    }  # fmt: skip
    vision = {
        "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
        "image_size": size, "patch_size": PATCH,
    }  # fmt: skip
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))
    start_positions_(model.vision_model.embeddings.position_embedding.weight, size // PATCH)
    return model


class ToyClipTask(ToyTask):
    """Contrast frames with their captions; equal captions in a batch count as positives of each other."""

    def __init__(self, pool: Pool, held_out: Pool, size: int) -> None:
        self.pool, self.held_out = pool, held_out
        self.tokenizer = clip_tokenizer()
        self.model = new_clip(size, self.tokenizer)
        names = sorted({*pool.captions, *held_out.captions})
        self.number = {name: i for i, name in enumerate(names)}
        self.tokens = self.tokenizer(names, padding="max_length", return_tensors="pt").input_ids
        self.labels = torch.tensor([self.number[c] for c in pool.captions])

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar contrast of captions and drawn frames, both ways; rows (n,) i64."""
        which = torch.randint(self.pool.frames.shape[1], (len(rows),), generator=generator)
        frames = self.pool.frames[rows.numpy(), which.numpy()]
        labels = self.labels[rows]
        out = model(input_ids=self.tokens[labels], pixel_values=pixels(frames, CLIP_MEAN, CLIP_STD))
        same = (labels[:, None] == labels[None]).float()
        wanted = same / same.sum(1, keepdim=True)
        loss = (
            F.cross_entropy(out.logits_per_text, wanted) + F.cross_entropy(out.logits_per_image, wanted)
        ) / 2
        return loss, {}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Choose among all captions: share of held-out frames whose own caption wins."""
        captions = list(self.number)
        ids = self.tokens
        frames = self.held_out.frames[:, 2]
        out = model(input_ids=ids, pixel_values=pixels(frames, CLIP_MEAN, CLIP_STD))
        best = out.logits_per_image.argmax(1)
        right = [captions[int(i)] == own for i, own in zip(best, self.held_out.captions, strict=True)]
        return {"loss": 1 - float(np.mean(right)), "retrieval": float(np.mean(right))}


@torch.no_grad()
def state_distances(task: ToyClipTask, pairs: Iterable[tuple[str, str]]) -> list[float]:
    """Return the relative distance of two captions' text states, |a - b| / |mean|, per pair.

    The diffusion model sees nothing else of a caption: a word that moves the states by a few per cent
    will not be learned.
    """
    distances = []
    for pair in pairs:
        ids = task.tokenizer(list(pair), padding="max_length", return_tensors="pt").input_ids
        a, b = task.model.text_model(ids).last_hidden_state
        distances.append(float((a - b).norm() / ((a.norm() + b.norm()) / 2)))
    return distances


class ToyClip(NamedTuple):
    """The trained toy CLIP; each part saves itself in the published layout."""

    model: CLIPModel
    tokenizer: CLIPTokenizer
    processor: CLIPImageProcessorPil
    text_encoder: CLIPTextModel  # its text tower alone, which steers the toy Stable Diffusion


def train_toy_clip(settings: ToyModelSettings, seed: int, state: Path) -> ToyClip:
    """Train the toy CLIP, and log how far single words move the states of a caption.

    Parameters
    ----------
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``
    """

    def make_task(pool: Pool, held_out: Pool) -> ToyClipTask:
        return ToyClipTask(pool, held_out, settings.size)

    task = train_toy("train_toy_clip", make_task, settings, seed, state)
    distances = state_distances(task, [(CAPTION, CAPTION.replace(old, new)) for old, new in CHANGES.items()])
    for (old, new), distance in zip(CHANGES.items(), distances, strict=True):
        log.info("text states: %s to %s moves them by %.2f", old, new, distance)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": settings.size},
        crop_size={"height": settings.size, "width": settings.size},
        image_mean=list(CLIP_MEAN),
        image_std=list(CLIP_STD),
    )
    return ToyClip(task.model, task.tokenizer, processor, text_tower(task.model))


def text_tower(model: CLIPModel) -> CLIPTextModel:
    """Return the text tower of a CLIP as a network of its own, with the same weights."""
    tower: Any = CLIPTextModel(model.text_model.config)
    names = tower.state_dict()
    weights = {name: value for name, value in model.text_model.state_dict().items() if name in names}
    tower.load_state_dict(weights)
    return tower
