"""Train a small BLIP captioner on the toy world."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    ViTForImageClassification,
)

from neurocine.simulate.toy_models.clip import CLIP_MEAN, CLIP_STD, PATCH, pixels
from neurocine.simulate.toy_models.pool import Pool
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.simulate.toy_models.task import ToyTask, train_toy
from neurocine.simulate.toy_models.words import blip_tokenizer

VIT_TO_BLIP = {
    "patch_embeddings.projection": "patch_embedding",
    "attention.o_proj": "self_attn.projection",
    "layernorm_before": "layer_norm1",
    "layernorm_after": "layer_norm2",
}


def new_blip(size: int, tokenizer: BertTokenizer, classifier: ViTForImageClassification) -> Any:
    """Make a captioner whose image tower starts from an image classifier, as the published one's does.

    Raises
    ------
    RuntimeError : the classifier has another size than the captioner's image tower
    """
    vision = {
        "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
        "image_size": size, "patch_size": PATCH,
    }  # fmt: skip
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 96, "encoder_hidden_size": 96, "intermediate_size": 192,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 16,
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"), "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id, "pad_token_id": tokenizer.pad_token_id,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    model: Any = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    model.vision_model.load_state_dict(blip_names(classifier.vit.state_dict()))
    return model


def blip_names(vit: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a ViT to those of BLIP's image tower, which fuses queries, keys and values.

    Of three (d, d) matrices comes one (3 d, d), of three (d,) biases one (3 d,); others keep their shapes.
    """
    renamed = {
        "embeddings.class_embedding": vit["embeddings.cls_token"],
        "embeddings.position_embedding": vit["embeddings.position_embeddings"],
    }
    for name, value in vit.items():
        new = re.sub(r"^layernorm\.", "post_layernorm.", re.sub(r"^layers\.", "encoder.layers.", name))
        for old, short in VIT_TO_BLIP.items():
            new = new.replace(old, short)
        if "q_proj" in name:
            parts = [vit[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            renamed[new.replace("attention.q_proj", "self_attn.qkv")] = torch.cat(parts)
        elif not any(part in name for part in ("k_proj", "v_proj", "cls_token", "position_embeddings")):
            renamed[new] = value
    return renamed


class ToyBlipTask(ToyTask):
    """Next-word prediction of a frame's caption."""

    def __init__(self, pool: Pool, held_out: Pool, size: int, classifier: ViTForImageClassification) -> None:
        self.pool, self.held_out = pool, held_out
        self.tokenizer = blip_tokenizer()
        self.model = new_blip(size, self.tokenizer, classifier)
        self.tokens = self._tokens(pool.captions)

    def _tokens(self, captions: list[str]) -> Tensor:
        ids = self.tokenizer(captions, padding=True, return_tensors="pt").input_ids
        ids[:, 0] = self.tokenizer.convert_tokens_to_ids(
            "[DEC]"
        )  # the captioner starts from [DEC], not [CLS]
        return ids

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar loss of the captions, one frame drawn per clip; rows (n,) i64."""
        which = torch.randint(self.pool.frames.shape[1], (len(rows),), generator=generator)
        frames = self.pool.frames[rows.numpy(), which.numpy()]
        ids = self.tokens[rows]
        wanted = ids.masked_fill(ids == self.tokenizer.pad_token_id, -100)
        out = model(
            pixel_values=pixels(frames, CLIP_MEAN, CLIP_STD),
            input_ids=ids,
            attention_mask=(ids != self.tokenizer.pad_token_id).long(),
            labels=wanted,
        )
        return out.loss, {}

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Caption the third frame of held-out clips: share of captions that are right word for word."""
        ids = self.model.generate(
            pixel_values=pixels(self.held_out.frames[:, 2], CLIP_MEAN, CLIP_STD),
            max_new_tokens=12,
            num_beams=1,
        )
        captions = self.tokenizer.batch_decode(ids[:, 1:], skip_special_tokens=True)  # without [DEC]
        right = float(
            np.mean([a.strip() == b for a, b in zip(captions, self.held_out.captions, strict=True)])
        )
        return {"loss": 1 - right, "exact": right}


def train_toy_blip(
    classifier: ViTForImageClassification, settings: ToyModelSettings, seed: int, state: Path
) -> tuple[BlipForConditionalGeneration, BertTokenizer, BlipImageProcessorPil]:
    """Train the toy BLIP captioner.

    Parameters
    ----------
    classifier : trained ViT, from which the image tower starts
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``

    Returns
    -------
    network, tokenizer and image processor, each of which saves itself in the published layout
    """

    def make_task(pool: Pool, held_out: Pool) -> ToyBlipTask:
        return ToyBlipTask(pool, held_out, settings.size, classifier)

    # A captioner knows the language: trained without some combinations it never names them.
    task = train_toy("train_toy_blip", make_task, settings, seed, state, held_out="with")
    side = {"height": settings.size, "width": settings.size}
    processor = BlipImageProcessorPil(size=side, image_mean=list(CLIP_MEAN), image_std=list(CLIP_STD))
    return task.model, task.tokenizer, processor
