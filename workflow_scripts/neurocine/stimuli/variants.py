"""CLIP embeddings of varied captions and of crops, made once, to draw from in a training."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from neurocine.errors import InputError
from neurocine.io import open_arrays, read_table
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, CountOrZero, Settings, Unit
from neurocine.stimuli.augment import COLUMNS
from neurocine.stimuli.cached import CachedClips
from neurocine.stimuli.embed import embed_images, embed_texts

log = logging.getLogger(__name__)


class EmbedVariantsSettings(Settings):
    """How varied captions and crops are embedded; CLIP is named in ``models``."""

    crops: Annotated[Count, Unit("crops")] = 8
    """Each clip gets this many random crops, of which a training draws one."""
    crop_side: Annotated[float, Field(gt=0, le=1)] = 0.78125
    """The side of a crop is this fraction of the frame's; 400 of 512 pixels as published."""
    frame: CountOrZero = 3
    """This frame of a clip is cropped, counted from 0 (frame 24 of 60 at 8 frames a clip)."""
    batch_size: Annotated[Count, Unit("items")] = 64
    """This many texts or crops are embedded at once."""


def random_crops(frames: np.ndarray, n_crops: int, side: float, generator: np.random.Generator) -> np.ndarray:
    """Cut random pieces of frames.

    Parameters
    ----------
    frames : (n, H, W, 3) uint8
    n_crops : pieces of each frame
    side : of a piece, as a share of the frame's
    generator : draws where they lie

    Returns
    -------
    (n, n_crops, side H, side W, 3) uint8
    """
    height, width = (max(1, round(side * size)) for size in frames.shape[1:3])
    tops = generator.integers(frames.shape[1] - height + 1, size=(len(frames), n_crops))
    lefts = generator.integers(frames.shape[2] - width + 1, size=(len(frames), n_crops))
    return np.stack(
        [
            [frame[top : top + height, left : left + width] for top, left in zip(*corners, strict=True)]
            for frame, *corners in zip(frames, tops, lefts, strict=True)
        ]
    )


def read_variants(path: Path, captions: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, list[str]]:
    """Read the variants of captions from a table of augment_captions.

    Raises
    ------
    InputError : a caption without variants, or captions with different numbers of them
    """
    table = read_table(path, COLUMNS)
    groups: dict[str, list[str]] = {}
    for caption, text in zip(table["caption"].astype(str), table["text"].astype(str), strict=True):
        groups.setdefault(caption, []).append(text)
    wanted = {text for rows in captions.values() for texts in rows for text in texts}
    missing = sorted(wanted - set(groups))
    counts = {len(texts) for texts in groups.values()}
    if missing or len(counts) != 1:
        found = f"no variants of {missing[0]!r}" if missing else f"{sorted(counts)} variants"
        raise InputError(path, found, "as many variants for every caption", "Run augment_captions again.")
    return groups


def embed_variants(
    captions: Mapping[str, Sequence[Sequence[str]]],
    variants: Mapping[str, Sequence[str]],
    clips: Mapping[str, np.ndarray],
    clip_model: tuple[Any, Any, Any],
    settings: EmbedVariantsSettings,
    seed: int,
) -> dict[str, np.ndarray]:
    """Embed the varied captions and the crops of movies; each different text goes through CLIP once.

    Parameters
    ----------
    captions : movie -> (n_clips, K) captions
    variants : caption -> its texts
    clips : movie -> frames (n_clips, F, H, W, 3) uint8
    clip_model : network, image processor, tokenizer (``load_clip``)
    settings : section embed_variants
    seed : of the crops, with the name of the movie

    Returns
    -------
    ``texts`` float16 (n_different, E); for each movie ``{movie}/variant_index`` int64 (n_clips, K variants),
    rows of ``texts``, and ``{movie}/image_crops`` float16 (n_clips, crops, E)

    Raises
    ------
    InputError : clips without the frame asked for
    """
    model, processor, tokenizer = clip_model
    different = sorted({text for texts in variants.values() for text in texts})
    number = {text: index for index, text in enumerate(different)}
    embedded = embed_texts(model, tokenizer, different, settings.batch_size)
    arrays = {"texts": embedded.half().numpy()}
    for movie, frames in clips.items():
        if settings.frame >= frames.shape[1]:
            todo = "Correct embed_variants.frame."
            raise InputError(f"frames of {movie}", str(frames.shape[1]), f"a frame {settings.frame}", todo)
        arrays[f"{movie}/variant_index"] = np.array(
            [[number[text] for caption in texts for text in variants[caption]] for texts in captions[movie]],
            np.int64,
        )
        generator = numpy_generator(seed, "embed_variants", movie)
        crops = random_crops(frames[:, settings.frame], settings.crops, settings.crop_side, generator)
        flat = embed_images(model, processor, crops.reshape(-1, *crops.shape[2:]), settings.batch_size)
        arrays[f"{movie}/image_crops"] = flat.half().numpy().reshape(*crops.shape[:2], -1)
    log.info("%d captions, %d different texts", len(variants), len(different))
    return arrays


@dataclasses.dataclass(frozen=True)
class Variants:
    """Embeddings to draw from.

    Parameters
    ----------
    texts : (n_texts, E) float16
    index : rows (n_clips, K variants) i64 of ``texts``
    crops : rows (n_clips, C, E) float16
    """

    texts: np.ndarray
    index: CachedClips
    crops: CachedClips

    @classmethod
    def read(cls, files: Sequence[Path], movies: Sequence[str]) -> Self:
        """Read files of embed_variants.

        Raises
        ------
        InputError : see `CachedClips.read`; another number of clips with texts than with crops
        """
        tables: list[np.ndarray] = []
        parts: list[CachedClips] = []
        start = 0
        for path in files:
            with open_arrays(path) as handle:
                tables.append(handle.get_tensor("texts"))
                here = [movie for movie in movies if f"{movie}/variant_index" in handle.keys()]  # noqa: SIM118
            if here:
                cached = CachedClips.read([path], "variant_index", here)
                parts.append(dataclasses.replace(cached, rows=cached.rows + start))
            start += len(tables[-1])
        crops = CachedClips.read(files, "image_crops", movies)
        clips = tuple(clip for part in parts for clip in part.clips)
        if set(clips) != set(crops.clips) or len(clips) != len(crops.clips):
            where = ", ".join(map(str, files))
            raise InputError(
                where,
                f"{len(clips)} clips with texts",
                f"the {len(crops.clips)} with crops",
                "Make them again.",
            )
        return cls(np.concatenate(tables), CachedClips(clips, np.concatenate([p.rows for p in parts])), crops)

    def of(self, movies: Sequence[str]) -> Self:
        """Take the clips of movies, one movie after the other."""
        return dataclasses.replace(self, index=_only(self.index, movies), crops=_only(self.crops, movies))

    def require_width(self, width: int) -> None:
        """Refuse embeddings of another CLIP.

        Raises
        ------
        InputError : another width
        """
        widths = {self.texts.shape[1], self.crops.rows.shape[2]}
        if widths != {width}:
            text = " and ".join(map(str, sorted(widths)))
            raise InputError(
                "embed_variants",
                f"embeddings {text} wide",
                f"{width}, as embed_clips has",
                "Embed both with the same CLIP.",
            )

    def draw_text(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one varied caption of each clip: its embedding, (n, E) f32."""
        return torch.from_numpy(self.texts[self._draw(self.index, rows, generator)]).float()

    def draw_image(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one crop of each clip: its embedding, (n, E) f32."""
        return torch.from_numpy(self._draw(self.crops, rows, generator)).float()

    @staticmethod
    def _draw(cached: CachedClips, rows: Tensor, generator: torch.Generator) -> np.ndarray:
        drawn = torch.randint(cached.rows.shape[1], (len(rows),), generator=generator)
        return cached.rows[rows.numpy(), drawn.numpy()]


def _only(cached: CachedClips, movies: Sequence[str]) -> CachedClips:
    rows = np.concatenate([cached.rows_of([movie]) for movie in movies])
    return CachedClips(tuple(cached.clips[row] for row in rows), cached.rows[rows])
