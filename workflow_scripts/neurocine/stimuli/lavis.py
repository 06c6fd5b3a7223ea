"""BLIP in the library of its authors (LAVIS), from local files; runs in envs/lavis.yaml.

LAVIS would download weights and a vocabulary and unpickle whatever a weight file holds. Here both are local,
and weights are safetensors (neurocine/models/lavis_weights.py makes them).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from neurocine.cli import progress
from neurocine.errors import InputError

PROMPT = "a picture of "  # what LAVIS lets its captioner continue
MIN_LENGTH = 10  # tokens with the prompt, LAVIS's default
HEAD_WIDTH = 64  # features per attention head, in ViT and BERT of every published size
TOKENIZER = "bert-base-uncased"  # folder of the vocabulary, beside the weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of LAVIS's captioner from safetensors: by name, of any shape.

    Raises
    ------
    InputError : no such file, another kind of file, or another network
    """
    todo = "Download it again (snakemake fetch_models --cores 1), or correct models.lavis."
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        found = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(path, found, "weights of LAVIS's BLIP captioner", todo) from None
    if "visual_encoder.pos_embed" not in weights or not any(
        name.startswith("text_decoder.") for name in weights
    ):
        raise InputError(path, "another network", "weights of LAVIS's BLIP captioner", todo)
    return weights


def _depth(weights: Mapping[str, Tensor], prefix: str) -> int:
    names = [name.removeprefix(prefix) for name in weights if name.startswith(prefix)]
    return 1 + max(int(name.partition(".")[0]) for name in names)


def architecture(weights: Mapping[str, Tensor]) -> tuple[dict[str, int], dict[str, Any]]:
    """Read the sizes of ViT and BERT off the weights, for their constructors.

    Positions are (1, 1 + patches, width), patches (width, 3, patch, patch), words (vocabulary, width).
    """
    _, n_positions, width = weights["visual_encoder.pos_embed"].shape
    patch = weights["visual_encoder.patch_embed.proj.weight"].shape[-1]
    vision = {
        "img_size": patch * math.isqrt(n_positions - 1),
        "patch_size": patch,
        "embed_dim": width,
        "depth": _depth(weights, "visual_encoder.blocks."),
        "num_heads": width // HEAD_WIDTH,
    }
    vocabulary, text_width = weights["text_decoder.bert.embeddings.word_embeddings.weight"].shape
    layer = "text_decoder.bert.encoder.layer."
    text = {
        "vocab_size": vocabulary,
        "hidden_size": text_width,
        "num_hidden_layers": _depth(weights, layer),
        "num_attention_heads": text_width // HEAD_WIDTH,
        "intermediate_size": weights[f"{layer}0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": weights["text_decoder.bert.embeddings.position_embeddings.weight"].shape[
            0
        ],
        "encoder_width": width,
        "add_cross_attention": True,
        "is_decoder": True,
        "add_type_embeddings": False,
        "fusion_layer": 0,
    }
    return vision, text


def load_lavis(folder: Path, prompt: str, device: torch.device | str = "cpu") -> tuple[Any, Any]:
    """Load LAVIS's BLIP captioner and its picture processor.

    Parameters
    ----------
    folder : one ``.safetensors`` file of weights, and ``bert-base-uncased/vocab.txt``
    prompt : text that captions continue; empty for LAVIS's own
    device : where the network is put

    Raises
    ------
    InputError : a file is missing or another, weights that do not fit, or LAVIS is not installed
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    vocabulary = Path(folder) / TOKENIZER / "vocab.txt"
    if len(files) != 1 or not vocabulary.is_file():
        raise InputError(
            folder,
            f"{len(files)} .safetensors files, {'a' if vocabulary.is_file() else 'no'} {TOKENIZER}/vocab.txt",
            "one file of weights and the vocabulary",
            "Run snakemake fetch_models --cores 1, which gets them and converts the .pth file.",
        )
    weights = read_weights(files[0])
    try:
        from lavis.models.blip_models.blip_caption import BlipCaption
        from lavis.models.med import XBertLMHeadDecoder
        from lavis.models.vit import VisionTransformerEncoder
        from lavis.processors.blip_processors import BlipImageEvalProcessor
        from transformers import BertConfig, BertTokenizer
    except ImportError as error:
        todo = "Run with --sdm conda or after make lavis-env, or set caption_clips.backend: transformers."
        raise InputError("caption_clips.backend: lavis", str(error), "salesforce-lavis", todo) from None

    class LocalCaption(BlipCaption):
        """BlipCaption whose vocabulary is read from a folder."""

        @classmethod
        def init_tokenizer(cls) -> Any:
            tokenizer = BertTokenizer(str(vocabulary), do_lower_case=True)
            tokenizer.add_special_tokens({"bos_token": "[DEC]"})
            tokenizer.add_special_tokens({"additional_special_tokens": ["[ENC]"]})
            tokenizer.enc_token_id = tokenizer.additional_special_tokens_ids[0]
            return tokenizer

    vision, text = architecture(weights)
    decoder = XBertLMHeadDecoder(BertConfig(**text))
    model = LocalCaption(VisionTransformerEncoder(**vision), decoder, prompt=prompt or PROMPT)
    if len(model.tokenizer) != text["vocab_size"]:
        words = f"{len(model.tokenizer)} words with [DEC] and [ENC]"
        raise InputError(
            vocabulary,
            words,
            f"{text['vocab_size']}, as the weights have",
            "Run snakemake fetch_models to get the right one.",
        )
    # Position numbers are constants that some files hold and some do not.
    mismatch = model.load_state_dict(weights, strict=False)
    missing = [name for name in mismatch.missing_keys if not name.endswith("position_ids")]
    if missing:
        todo = "Download the weights again."
        raise InputError(files[0], f"no {', '.join(missing[:3])}", "all weights of the captioner", todo)
    return model.to(device).eval(), BlipImageEvalProcessor(image_size=vision["img_size"])


@torch.inference_mode()
def caption_frames_lavis(
    captioner: tuple[Any, Any], frames: np.ndarray, num_beams: int, max_new_tokens: int, batch_size: int
) -> list[str]:
    """Caption pictures (n, H, W, 3) uint8 RGB with LAVIS; return n captions without the prompt."""
    from PIL import Image

    model, processor = captioner
    longest = model.prompt_length + max_new_tokens
    captions: list[str] = []
    starts = range(0, len(frames), batch_size)
    for start in progress(starts, len(starts), "caption batch"):
        pictures = [processor(Image.fromarray(frame)) for frame in frames[start : start + batch_size]]
        texts = model.generate(
            {"image": torch.stack(pictures).to(model.device)},
            num_beams=num_beams,
            max_length=longest,
            min_length=min(MIN_LENGTH, longest),
        )
        captions.extend(" ".join(text.split()) for text in texts)
    return captions
