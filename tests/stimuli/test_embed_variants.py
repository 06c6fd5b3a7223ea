"""Embeddings of varied captions and crops, and what a training draws from them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.io import write_arrays, write_table
from neurocine.models.pretrained import load_clip
from neurocine.stimuli.augment import AugmentCaptionsSettings, augment_captions
from neurocine.stimuli.embed import embed_images, embed_texts
from neurocine.stimuli.variants import (
    EmbedVariantsSettings,
    Variants,
    embed_variants,
    random_crops,
    read_variants,
)
from tiny_models import write_clip

CAPTIONS = {"seg1": [["a red circle"], ["a blue square"]], "seg2": [["a red circle"]]}
SETTINGS = EmbedVariantsSettings(crops=3, frame=1, batch_size=4)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    write_clip(folder)
    return load_clip(folder, torch.device("cpu"))


def table(path: Path) -> Path:
    write_table(path, augment_captions(CAPTIONS, AugmentCaptionsSettings(variants=2), {}, 0))
    return path


def clips() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        movie: random.integers(256, size=(len(rows), 2, 20, 24, 3), dtype=np.uint8)
        for movie, rows in CAPTIONS.items()
    }


def test_crops_are_pieces_of_the_frames_at_any_place() -> None:
    places = np.stack(np.meshgrid(range(20), range(24), indexing="ij"), -1)
    frames = np.concatenate([places, np.zeros((20, 24, 1), int)], -1).astype(np.uint8)[None]
    crops = random_crops(frames, 200, 0.75, np.random.default_rng(0))[0]
    assert crops.shape == (200, 15, 18, 3)
    corners = {tuple(crop[0, 0, :2]) for crop in crops}
    assert {top for top, _ in corners} == set(range(6))
    assert {left for _, left in corners} == set(range(7))
    for crop in crops[:5]:
        top, left = crop[0, 0, :2]
        assert np.array_equal(crop, frames[0, top : top + 15, left : left + 18])


def test_embeddings_are_those_of_clip(clip: tuple, tmp_path: Path) -> None:
    variants = read_variants(table(tmp_path / "variants.tsv"), CAPTIONS)
    frames = clips()
    arrays = embed_variants(CAPTIONS, variants, frames, clip, SETTINGS, seed=0)
    model, processor, tokenizer = clip
    for movie, rows in CAPTIONS.items():
        for number, (caption,) in enumerate(rows):
            expected = embed_texts(model, tokenizer, variants[caption]).numpy()
            made = arrays["texts"][arrays[f"{movie}/variant_index"][number]]
            assert np.allclose(made, expected, atol=2e-3)
    again = embed_variants(CAPTIONS, variants, frames, clip, SETTINGS, seed=0)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    whole = embed_variants(
        CAPTIONS, variants, frames, clip, EmbedVariantsSettings(crops=1, crop_side=1.0, frame=1), seed=0
    )
    expected = embed_images(model, processor, frames["seg1"][:, 1]).numpy()
    assert np.allclose(whole["seg1/image_crops"][:, 0], expected, atol=2e-3)


def test_draws_are_variants_of_the_own_clip(clip: tuple, tmp_path: Path) -> None:
    variants = read_variants(table(tmp_path / "variants.tsv"), CAPTIONS)
    arrays = embed_variants(CAPTIONS, variants, clips(), clip, SETTINGS, seed=0)
    path = tmp_path / "variants.safetensors"
    write_arrays(path, arrays, {"movies": list(CAPTIONS)})
    read = Variants.read([path], ["seg2", "seg1"]).of(["seg2", "seg1"])
    rows = torch.arange(3).repeat(40)
    text = read.draw_text(rows, torch.Generator().manual_seed(0))
    image = read.draw_image(rows, torch.Generator().manual_seed(0))
    texts = [
        arrays["texts"][arrays[f"{m}/variant_index"][r]] for m, r in (("seg2", 0), ("seg1", 0), ("seg1", 1))
    ]
    crops = [arrays[f"{m}/image_crops"][r] for m, r in (("seg2", 0), ("seg1", 0), ("seg1", 1))]
    for own, one_text, one_image in zip(rows.tolist(), text.numpy(), image.numpy(), strict=True):
        assert any(np.array_equal(one_text, row.astype(np.float32)) for row in texts[own])
        assert any(np.array_equal(one_image, row.astype(np.float32)) for row in crops[own])
    assert len({row.tobytes() for row in image[rows == 0].numpy()}) == 3
    read.require_width(8)
    with pytest.raises(InputError, match="embeddings 8 wide; expected 9"):
        read.require_width(9)


def test_a_caption_without_variants_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no variants of 'a green line'"):
        read_variants(table(tmp_path / "variants.tsv"), {"seg1": [["a green line"]]})


def test_a_frame_that_clips_lack_is_refused(clip: tuple) -> None:
    settings = EmbedVariantsSettings(frame=2)
    variants = {text: [text] for rows in CAPTIONS.values() for (text,) in rows}
    with pytest.raises(InputError, match="expected a frame 2"):
        embed_variants(CAPTIONS, variants, clips(), clip, settings, 0)
