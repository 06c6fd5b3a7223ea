"""Tiny random networks in the folder layouts of the published ones, with tokenizers that need no download."""

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import (
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.utils import logging as transformers_logging

WORDS = tuple(re.findall(r"\w+", "a red green blue circle square moving left right up down over dark light"))
SIZE = 16  # pixels of a side that every network takes
WIDTH = 16  # width of every network
N_TOKENS = 10  # of a text
N_CLASSES = 7
MODELS = ("clip", "blip", "stable_diffusion", "image_classifier", "video_classifier")  # folders written


def clip_tokenizer() -> CLIPTokenizer:
    """Byte-pair tokenizer with one token for each of WORDS; any other word falls to characters."""
    characters = list(bytes_to_unicode().values())
    vocabulary = dict.fromkeys(characters + [character + "</w>" for character in characters])
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges[parts[0], parts[1]] = None
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary[parts[0]] = None
    vocabulary |= dict.fromkeys(["<|startoftext|>", "<|endoftext|>"])
    numbers = {token: number for number, token in enumerate(vocabulary)}
    return CLIPTokenizer(vocab=numbers, merges=list(merges), model_max_length=N_TOKENS)


def bert_tokenizer() -> BertTokenizer:
    """Word-piece tokenizer with BLIP's special tokens."""
    letters = [chr(number) for number in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    tokens += [word for word in WORDS if word not in tokens] + ["[DEC]", "[ENC]"]
    return BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})


def text_config(tokenizer: CLIPTokenizer) -> dict[str, int]:
    """Options of a CLIP text tower that fits the tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": N_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIZE,
    "patch_size": 8,
}
RESIZE = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
SQUARE = {"size": {"height": SIZE, "width": SIZE}}


def write_clip(folder: Path) -> None:
    """CLIPModel whose projected embeddings are 8 wide (unlike its towers)."""
    tokenizer = clip_tokenizer()
    text, vision = text_config(tokenizer) | {"projection_dim": 8}, VISION | {"projection_dim": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(**RESIZE).save_pretrained(folder)


def write_blip(folder: Path) -> None:
    """BLIP captioner."""
    tokenizer = bert_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "encoder_hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "projection_dim": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = BlipConfig(text_config=text, vision_config=VISION, projection_dim=8, image_text_hidden_size=8)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessorPil(**SQUARE).save_pretrained(folder)


def write_blip2(folder: Path, language: str) -> None:
    """BLIP-2 with a language model of type t5 or opt; no study of the tests captions by it."""
    tokenizer = bert_tokenizer()
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = {"model_type": language, "vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 3}
    if language == "t5":
        text |= {"d_model": WIDTH, "d_kv": 8, "d_ff": 2 * WIDTH, "num_layers": 1, "num_heads": 2}
        text |= {"decoder_start_token_id": 0, "is_encoder_decoder": True}
    else:
        text |= {"hidden_size": WIDTH, "ffn_dim": 2 * WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
        text |= {"word_embed_proj_dim": WIDTH, "max_position_embeddings": 64, "bos_token_id": 2}
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={
            **{"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "encoder_hidden_size": WIDTH},
            **{"num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": len(tokenizer)},
        },
        text_config=text,
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    torch.manual_seed(1)
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BlipImageProcessorPil(**SQUARE).save_pretrained(folder)


def write_stable_diffusion(folder: Path) -> None:
    """VAE (factor 4), UNet, text encoder, tokenizer and the published kind of schedule."""
    tokenizer = clip_tokenizer()
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=SIZE,
        scaling_factor=0.5,
    )
    unet = UNet2DConditionModel(
        sample_size=SIZE // 4,
        block_out_channels=(8, WIDTH),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=2,
    )
    vae.save_pretrained(folder / "vae")
    unet.save_pretrained(folder / "unet")
    CLIPTextModel(CLIPTextConfig(**text_config(tokenizer))).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    schedule = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    PNDMScheduler.from_config(schedule.config, skip_prk_steps=True).save_pretrained(folder / "scheduler")


def write_image_classifier(folder: Path) -> None:
    """ViT with N_CLASSES named classes."""
    names = {number: f"thing {number}" for number in range(N_CLASSES)}
    ViTForImageClassification(ViTConfig(**VISION, id2label=names)).save_pretrained(folder)
    ViTImageProcessorPil(**SQUARE).save_pretrained(folder)


def write_video_classifier(folder: Path) -> None:
    """VideoMAE for 16 frames, as published, with N_CLASSES named classes."""
    names = {number: f"action {number}" for number in range(N_CLASSES)}
    config = VideoMAEConfig(
        **VISION,
        num_frames=16,
        tubelet_size=2,
        decoder_hidden_size=WIDTH,
        id2label=names,
        use_mean_pooling=True,
    )
    VideoMAEForVideoClassification(config).save_pretrained(folder)
    VideoMAEImageProcessorPil(**RESIZE).save_pretrained(folder)


def write_tiny_models(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write every network that the workflow loads; return the folder of each key of ``models``.

    The caller's random state is left alone.
    """
    transformers_logging.disable_progress_bar()
    folders = {name: Path(folder) / name for name in MODELS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        write_clip(folders["clip"])
        write_blip(folders["blip"])
        write_stable_diffusion(folders["stable_diffusion"])
        write_image_classifier(folders["image_classifier"])
        write_video_classifier(folders["video_classifier"])
    return folders
