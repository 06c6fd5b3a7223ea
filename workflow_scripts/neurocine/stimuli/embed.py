"""What frozen networks make of captions and frames: CLIP embeddings, and the states that steer diffusion."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from neurocine.cli import progress
from neurocine.settings import Count, Settings, Unit

log = logging.getLogger(__name__)


class EmbedClipsSettings(Settings):
    """How the embeddings are computed; the networks are named in ``models``."""

    batch_size: Annotated[Count, Unit("items")] = 64
    """This many texts or frames are embedded at once."""


def _tokens(tokenizer: Any, texts: Sequence[str], length: int) -> Any:
    """Turn texts into (n, length) tokens, padded and cut as the text towers were trained."""
    return tokenizer(
        list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )


@torch.inference_mode()
def embed_texts(model: Any, tokenizer: Any, texts: Sequence[str], batch_size: int = 64) -> Tensor:
    """Embed texts with CLIP: pooled at the end token and projected, not normalised.

    Parameters
    ----------
    model, tokenizer : CLIPModel and its tokenizer; texts longer than the model takes are cut
    texts : n of them
    batch_size : texts that go through the network together

    Returns
    -------
    (n, E) float32 on the CPU
    """
    length = model.config.text_config.max_position_embeddings
    parts = []
    for start in range(0, len(texts), batch_size):
        inputs = _tokens(tokenizer, texts[start : start + batch_size], length).to(model.device)
        parts.append(model.get_text_features(**inputs).pooler_output.float().cpu())
    return torch.cat(parts)


@torch.inference_mode()
def embed_images(model: Any, processor: Any, frames: np.ndarray, batch_size: int = 64) -> Tensor:
    """Embed pictures with CLIP: pooled and projected, not normalised.

    Parameters
    ----------
    model, processor : CLIPModel and its image processor
    frames : (n, H, W, 3) uint8 RGB
    batch_size : pictures that go through the network together

    Returns
    -------
    (n, E) float32 on the CPU
    """
    parts = []
    starts = range(0, len(frames), batch_size)
    for start in progress(starts, len(starts), "image batch"):
        inputs = processor(list(frames[start : start + batch_size]), return_tensors="pt").to(model.device)
        parts.append(model.get_image_features(**inputs).pooler_output.float().cpu())
    return torch.cat(parts)


def state_length(encoder: Any, tokenizer: Any) -> int:
    """Return L, the tokens of a text; a tokenizer whose folder states no length has a huge one."""
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)


@torch.inference_mode()
def text_states(
    encoder: Any, tokenizer: Any, texts: Sequence[str], batch_size: int = 64, length: int | None = None
) -> Tensor:
    """Compute the states with which Stable Diffusion is steered: all tokens of the last layer, normalised.

    Texts are padded to the tokenizer's length and no attention mask is used unless the encoder's config asks
    for one, as in the pipeline the network was trained with.

    Parameters
    ----------
    encoder, tokenizer : CLIPTextModel and tokenizer of Stable Diffusion
    texts : n of them
    batch_size : texts that go through the network together
    length : tokens that texts are padded and cut to, L; as many as the encoder takes if not given

    Returns
    -------
    (n, L, D) float32 on the CPU
    """
    masked = getattr(encoder.config, "use_attention_mask", False)
    length = length or state_length(encoder, tokenizer)
    parts = []
    for start in range(0, len(texts), batch_size):
        inputs = _tokens(tokenizer, texts[start : start + batch_size], length)
        mask = inputs.attention_mask.to(encoder.device) if masked else None
        states = encoder(inputs.input_ids.to(encoder.device), attention_mask=mask).last_hidden_state
        parts.append(states.float().cpu())
    return torch.cat(parts)


def _warn_of_cut_texts(tokenizer: Any, texts: Sequence[str], length: int) -> None:
    token_ids = tokenizer(list(texts), verbose=False).input_ids
    cut = [text for text, ids in zip(texts, token_ids, strict=True) if len(ids) > length]
    if cut:
        log.warning("%d captions have more than %d tokens and are cut, as: %s", len(cut), length, cut[0])


def embed_captions(
    captions: Mapping[str, Sequence[Sequence[str]]],
    clip_model: tuple[Any, Any, Any],
    text_encoder: tuple[Any, Any],
    batch_size: int = 64,
) -> dict[str, np.ndarray]:
    """Embed the captions of movies; each different caption goes through the networks once.

    Parameters
    ----------
    captions : movie -> (n_clips, K) captions, K = 1 per clip or K = F per frame
    clip_model : network, image processor, tokenizer (``load_clip``)
    text_encoder : network and tokenizer (``load_text_encoder``)
    batch_size : captions that go through a network together

    Returns
    -------
    arrays, for each movie ``{movie}/text`` float32 (n_clips, K, E) and ``{movie}/state_index`` int64
    (n_clips, K); the index points into ``text_states`` float16 (n_different, L, D). ``null_states`` float16
    (L, D) belong to the empty caption.
    """
    model, _, tokenizer = clip_model
    different = sorted({text for rows in captions.values() for texts in rows for text in texts})
    number = {text: index for index, text in enumerate(different)}
    _warn_of_cut_texts(text_encoder[1], different, state_length(*text_encoder))
    embedded = embed_texts(model, tokenizer, different, batch_size).numpy()
    states = text_states(*text_encoder, ["", *different], batch_size).half().numpy()
    arrays = {"null_states": states[0], "text_states": states[1:]}
    for movie, rows in captions.items():
        index = np.array([[number[text] for text in texts] for texts in rows], dtype=np.int64)
        arrays |= {f"{movie}/text": embedded[index], f"{movie}/state_index": index}
    n_captions = sum(len(texts) for rows in captions.values() for texts in rows)
    log.info("%d captions, %d different", n_captions, len(different))
    return arrays


def embed_movie(clips: np.ndarray, clip_model: tuple[Any, Any, Any], batch_size: int = 64) -> np.ndarray:
    """Embed every frame of a movie's clips (n_clips, F, H, W, 3) uint8: float32 (n_clips, F, E)."""
    model, processor, _ = clip_model
    flat = clips.reshape(-1, *clips.shape[2:])
    return embed_images(model, processor, flat, batch_size).numpy().reshape(*clips.shape[:2], -1)


def embed_clips(
    movies: Iterable[tuple[str, np.ndarray]],
    captions: Mapping[str, Sequence[Sequence[str]]],
    clip_model: tuple[Any, Any, Any],
    text_encoder: tuple[Any, Any],
    settings: EmbedClipsSettings,
) -> dict[str, np.ndarray]:
    """Embed the captions and the frames of movies.

    Parameters
    ----------
    movies : name and clips (n_clips, F, H, W, 3) uint8, one movie after the other
    captions, clip_model, text_encoder : see `embed_captions`
    settings : section embed_clips of the config

    Returns
    -------
    the arrays of `embed_captions`, and for each movie ``{movie}/image`` float32 (n_clips, F, E)
    """
    arrays = embed_captions(captions, clip_model, text_encoder, settings.batch_size)
    for movie, clips in movies:
        arrays[f"{movie}/image"] = embed_movie(clips, clip_model, settings.batch_size)
    return arrays
