"""Captions of clips: by BLIP, or from files."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from neurocine.cli import progress
from neurocine.errors import InputError
from neurocine.section_checks import file_of_captions, two_frames_by_transformers
from neurocine.seeds import numpy_generator
from neurocine.settings import Check, Count, CountOrZero, Settings, Unit
from neurocine.stimuli.caption_files import CaptionList, caption_table, copy_captions, share_lists

Backend = Literal["transformers", "lavis", "file"]
CaptionUnit = Literal["clip", "frame", "two_frames"]
# Two captions whose cosines with the middle frame differ by no more tell the same (Mind-Animator).
ALIKE = 0.05

# Captions (n of two texts) and frames (n, H, W, 3) -> cosines of both texts with the frame, (n, 2)
CaptionJudge = Callable[[Sequence[Sequence[str]], np.ndarray], np.ndarray]

log = logging.getLogger(__name__)


class CaptionClipsSettings(Settings):
    """Who captions what. NeuroCine has BLIP caption each clip; beams and length are LAVIS's defaults."""

    checks: ClassVar[tuple[Check, ...]] = (file_of_captions, two_frames_by_transformers)

    backend: Backend = "transformers"
    """Captions come from BLIP by transformers (models.blip) or by lavis (models.lavis), or from a file.

    By transformers, models.blip may also be BLIP-2, with which Mind-Animator captions.
    NeuroCine used LAVIS, which runs in an environment of its own (`--sdm conda` or `make lavis-env`).
    """
    file: str = ""
    """Name a TSV with the columns movie, clip, caption and, for captions per frame, frame; with backend file.
    """
    lists: tuple[CaptionList, ...] = ()
    """Name lists of captions without names of movies, as authors release them; with backend file, for file.
    """
    unit: CaptionUnit = "clip"
    """Each clip has one caption, or each of its frames has one, or the first and last frame make one.

    With two_frames, as in Mind-Animator, both captions are joined by ", and then"; where CLIP finds them
    about equally like the middle frame, one of them is drawn.
    """
    frame: CountOrZero = 2
    """The clip is captioned by this frame, counted from 0, where unit is clip."""
    prompt: str = ""
    """Captions continue this text, which is not part of the result; if empty, LAVIS has one of its own."""
    num_beams: Annotated[Count, Unit("beams")] = 3
    """The beam search is this wide; 1 is greedy."""
    max_new_tokens: Annotated[Count, Unit("tokens")] = 30
    """Captions have at most this many tokens."""
    batch_size: Annotated[Count, Unit("frames")] = 32
    """This many frames are captioned at once."""


def _search(settings: CaptionClipsSettings) -> dict[str, int]:
    return {"num_beams": settings.num_beams, "max_new_tokens": settings.max_new_tokens}


def _in_batches(
    frames: np.ndarray, batch_size: int, generate: Callable[[list[np.ndarray]], Tensor], tokenizer: Any
) -> list[str]:
    """Caption frames (n, H, W, 3); ``generate`` gives the tokens of a batch without those of the prompt."""
    captions: list[str] = []
    starts = range(0, len(frames), batch_size)
    for start in progress(starts, len(starts), "caption batch"):
        tokens = generate(list(frames[start : start + batch_size]))
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        captions.extend(" ".join(text.split()) for text in texts)
    return captions


@torch.inference_mode()
def caption_frames(
    captioner: tuple[Any, Any, Any], frames: np.ndarray, settings: CaptionClipsSettings
) -> list[str]:
    """Caption pictures with BLIP.

    Parameters
    ----------
    captioner : network, image processor, tokenizer, as ``load_blip`` returns them
    frames : (n, H, W, 3) uint8 RGB
    settings : prompt, beams, length, batch

    Returns
    -------
    n captions, in lower case as BLIP writes them
    """
    model, processor, tokenizer = captioner

    def generate(batch: list[np.ndarray]) -> Tensor:
        inputs = dict(processor(batch, return_tensors="pt"))
        prompt_length = 1
        if settings.prompt:
            prompt = tokenizer(
                [settings.prompt] * len(batch), return_tensors="pt", return_token_type_ids=False
            )
            inputs |= dict(prompt)
            prompt_length = prompt["input_ids"].shape[1] - 1  # generation drops the closing [SEP]
        inputs = {name: value.to(model.device) for name, value in inputs.items()}
        return model.generate(**inputs, **_search(settings))[:, prompt_length:]

    return _in_batches(frames, settings.batch_size, generate, tokenizer)


@torch.inference_mode()
def caption_frames_blip2(
    captioner: tuple[Any, Any, Any], frames: np.ndarray, settings: CaptionClipsSettings
) -> list[str]:
    """Caption pictures with BLIP-2, whose language model answers a prompt.

    Parameters
    ----------
    captioner : network, image processor, tokenizer, as ``load_blip2`` returns them
    frames : (n, H, W, 3) uint8 RGB
    settings : prompt, beams, length, batch

    Returns
    -------
    n captions
    """
    model, processor, tokenizer = captioner
    prompt = tokenizer(settings.prompt)["input_ids"]
    start = [model.config.image_token_index] * model.config.num_query_tokens + prompt
    # A language model without an encoder repeats what it was given.
    given = 0 if model.config.text_config.is_encoder_decoder else len(start)

    def generate(batch: list[np.ndarray]) -> Tensor:
        tokens = model.generate(
            pixel_values=processor(batch, return_tensors="pt")["pixel_values"].to(model.device),
            input_ids=torch.tensor([start] * len(batch), device=model.device),
            **_search(settings),
        )
        return tokens[:, given:]

    return _in_batches(frames, settings.batch_size, generate, tokenizer)


def make_judge(folder: Path, device: torch.device | str, batch_size: int) -> CaptionJudge:
    """Load a CLIP that tells how well captions describe frames.

    Parameters
    ----------
    folder : CLIP
    device : where it is put
    batch_size : texts or frames that go through it together
    """
    from neurocine.models.pretrained import load_clip
    from neurocine.stimuli.embed import embed_images, embed_texts

    model, processor, tokenizer = load_clip(folder, device)

    def cosines(captions: Sequence[Sequence[str]], frames: np.ndarray) -> np.ndarray:
        flat = [text for texts in captions for text in texts]
        texts = embed_texts(model, tokenizer, flat, batch_size).numpy().astype(np.float64)
        images = embed_images(model, processor, frames, batch_size).numpy().astype(np.float64)
        texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
        images /= np.linalg.norm(images, axis=-1, keepdims=True)
        return np.einsum("nke,ne->nk", texts.reshape(len(captions), -1, images.shape[1]), images)

    return cosines


def join_captions(
    captions: Sequence[Sequence[str]], cosines: np.ndarray, generator: np.random.Generator
) -> list[str]:
    """Make one caption of those of the first and the last frame (Mind-Animator's preparation of CC2017).

    Parameters
    ----------
    captions : n of two texts
    cosines : (n, 2), of both with the middle frame
    generator : draws one of two that tell the same

    Returns
    -------
    n texts: one of the two where their cosines differ by `ALIKE` or less, else both, joined by ", and then"
    """
    drawn = generator.integers(2, size=len(captions))
    alike = np.abs(cosines[:, 0] - cosines[:, 1]) <= ALIKE
    return [
        texts[choice] if same else f"{texts[0]}, and then {texts[1]}"
        for texts, choice, same in zip(captions, drawn, alike, strict=True)
    ]


def make_captioner(
    settings: CaptionClipsSettings, folder: Path, device: torch.device | str
) -> Callable[[np.ndarray], list[str]]:
    """Load the captioner of ``settings.backend``; it takes (n, H, W, 3) uint8 RGB and returns n captions.

    Parameters
    ----------
    settings : section caption_clips
    folder : BLIP in the layout of the backend
    device : where the network is put
    """
    if settings.backend == "lavis":
        from neurocine.stimuli.lavis import caption_frames_lavis, load_lavis

        lavis = load_lavis(folder, settings.prompt, device)
        sizes = settings.num_beams, settings.max_new_tokens, settings.batch_size
        return lambda frames: caption_frames_lavis(lavis, frames, *sizes)
    from neurocine.models.pretrained import is_blip2, load_blip, load_blip2

    if is_blip2(folder):
        blip2 = load_blip2(folder, device)
        return lambda frames: caption_frames_blip2(blip2, frames, settings)
    blip = load_blip(folder, device)
    return lambda frames: caption_frames(blip, frames, settings)


def caption_movie(
    movie: str,
    clips: np.ndarray,
    captioner: Callable[[np.ndarray], list[str]],
    settings: CaptionClipsSettings,
    judge: CaptionJudge | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Caption the clips of a movie with BLIP.

    Parameters
    ----------
    movie : name, for the table
    clips : (n_clips, F, H, W, 3) uint8 RGB
    captioner : as ``make_captioner`` returns it
    settings : one caption per clip, from its frame ``settings.frame`` or from two, or one per frame
    judge : as ``make_judge`` returns it, where captions of two frames are joined
    seed : of the study, likewise

    Returns
    -------
    table with columns movie, clip, frame (-1 for the whole clip), caption

    Raises
    ------
    InputError : clips have no frame ``settings.frame``; no judge where captions are joined
    """
    n_frames = clips.shape[1]
    if settings.unit == "clip" and settings.frame >= n_frames:
        todo = f"Choose 0 to {n_frames - 1}, or change frames_per_tr of prepare_stimuli."
        raise InputError("caption_clips.frame", str(settings.frame), f"one of {n_frames} frames", todo)
    frames = {"frame": range(n_frames), "clip": [settings.frame], "two_frames": [0, n_frames - 1]}
    chosen = clips[:, list(frames[settings.unit])]
    captions = captioner(chosen.reshape(-1, *clips.shape[2:]))
    if empty := sum(not text for text in captions):
        log.warning("%s: %d of %d captions are empty", movie, empty, len(captions))
    n_captions = chosen.shape[1]
    of_clips = [captions[row : row + n_captions] for row in range(0, len(captions), n_captions)]
    if settings.unit == "two_frames":
        if judge is None:
            raise InputError("caption_clips.unit", "two_frames, without a CLIP", "--clip", "Give its folder.")
        cosines = judge(of_clips, clips[:, n_frames // 2])
        joined = join_captions(of_clips, cosines, numpy_generator(seed, "caption_clips", movie))
        of_clips = [[text] for text in joined]
    return caption_table(movie, of_clips)


def caption_clips(
    shapes: Mapping[str, tuple[int, int]],
    read: Callable[[str], np.ndarray],
    folder: Path,
    settings: CaptionClipsSettings,
    device: str = "auto",
    clip: Path | None = None,
    seed: int = 0,
    listed: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Caption the clips of all movies, or take their captions from the files that the settings name.

    Parameters
    ----------
    shapes : movie -> (n_clips, F)
    read : a movie to its clips (n_clips, F, H, W, 3) uint8 RGB; not called where captions come from files
    folder : BLIP in the layout of the backend; not read where captions come from files
    settings : section caption_clips of the config
    device : auto, cpu or cuda; unused where captions come from files
    clip : folder of CLIP, which compares captions of two frames
    seed : of the study; one of two captions that tell the same is drawn
    listed : movie -> number of its clips, for all movies of ``settings.lists``

    Returns
    -------
    table with columns movie, clip, frame (-1 for the whole clip), caption

    Raises
    ------
    InputError : a frame that clips do not have, or files that do not fit the movies
    """
    if settings.lists:
        return share_lists(settings.lists, listed or {}, shapes)
    if settings.backend == "file":
        return copy_captions(Path(settings.file), shapes)
    from neurocine.models.pretrained import pick_device

    where = pick_device(device)
    captioner = make_captioner(settings, folder, where)
    judge = make_judge(clip, where, settings.batch_size) if clip else None
    tables = [caption_movie(movie, read(movie), captioner, settings, judge, seed) for movie in shapes]
    return pd.concat(tables, ignore_index=True)
