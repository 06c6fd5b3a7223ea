"""Embeddings, against the networks' own forward pass and diffusers' pipeline."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from PIL import Image
from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

import embed_clips as program
from neurocine.io import read_arrays, write_arrays, write_table
from neurocine.models.pretrained import load_clip, load_text_encoder, load_unet, load_vae
from neurocine.stimuli.embed import EmbedClipsSettings, embed_images, embed_texts, text_states
from tiny_models import N_TOKENS, SIZE, WIDTH

TEXTS = ["a red circle", "", "a blue square moving left over dark", "zebra", "a red circle " * 5]
FRAMES = np.random.default_rng(1).integers(0, 255, (5, SIZE, SIZE + 6, 3), dtype=np.uint8)


def test_texts_equal_the_projected_text_tower(models: dict[str, Path]) -> None:
    model, _, tokenizer = load_clip(models["clip"])
    embedded = embed_texts(model, tokenizer, TEXTS, batch_size=2)
    tower = CLIPTextModelWithProjection.from_pretrained(models["clip"]).eval()
    for text, row in zip(TEXTS, embedded, strict=True):  # one by one and without padding
        tokens = tokenizer(text, truncation=True, max_length=N_TOKENS, return_tensors="pt")
        with torch.no_grad():
            expected = tower(**tokens).text_embeds[0]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    norms = embedded.norm(dim=1)
    assert embedded.shape == (5, 8)
    assert not torch.allclose(norms, torch.ones(5), atol=0.05)


def test_images_equal_the_projected_image_tower(models: dict[str, Path]) -> None:
    model, processor, _ = load_clip(models["clip"])
    embedded = embed_images(model, processor, FRAMES, batch_size=2)
    tower = CLIPVisionModelWithProjection.from_pretrained(models["clip"]).eval()
    for frame, row in zip(FRAMES, embedded, strict=True):
        pixels = processor(Image.fromarray(frame), return_tensors="pt").pixel_values
        with torch.no_grad():
            expected = tower(pixel_values=pixels).image_embeds[0]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(embedded[0], embedded[1])


def test_states_equal_the_pipeline(models: dict[str, Path]) -> None:
    folder = models["stable_diffusion"]
    encoder, tokenizer = load_text_encoder(folder)
    pipeline = StableDiffusionPipeline(
        vae=load_vae(folder),
        unet=load_unet(folder),
        text_encoder=encoder,
        tokenizer=tokenizer,
        scheduler=PNDMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with torch.no_grad():
        expected, null = pipeline.encode_prompt(TEXTS, "cpu", 1, do_classifier_free_guidance=True)
    states = text_states(encoder, tokenizer, TEXTS, batch_size=2)
    assert states.shape == (5, N_TOKENS, WIDTH)
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(states[1], null[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_captions", [1, 2])
def test_program_embeds_each_caption_once(tmp_path: Path, models: dict[str, Path], n_captions: int) -> None:
    movies = {
        "seg10": FRAMES[:4].reshape(2, 2, *FRAMES.shape[1:]),
        "seg2": FRAMES[1:5].reshape(2, 2, *FRAMES.shape[1:]),
    }
    texts = {
        "seg10": ["a circle", "a square", "a circle", "dark"],
        "seg2": ["dark", "dark", "a circle", "left"],
    }
    rows = [
        (movie, clip, frame if n_captions == 2 else -1, texts[movie][2 * clip + frame])
        for movie in movies
        for clip in range(2)
        for frame in range(n_captions)
    ]
    write_arrays(tmp_path / "s.safetensors", movies, {"movies": ["seg2", "seg10"]})
    write_table(tmp_path / "c.tsv", pd.DataFrame(rows, columns=["movie", "clip", "frame", "caption"]))
    program.main(
        stimuli=tmp_path / "s.safetensors",
        captions=tmp_path / "c.tsv",
        clip=models["clip"],
        stable_diffusion=models["stable_diffusion"],
        settings=EmbedClipsSettings(batch_size=3),
        out=tmp_path / "e.safetensors",
    )
    arrays, meta = read_arrays(tmp_path / "e.safetensors")
    assert meta["movies"] == ["seg2", "seg10"]
    assert arrays["text_states"].dtype == arrays["null_states"].dtype == np.float16
    assert len(arrays["text_states"]) == len({row[3] for row in rows})
    encoder, clip = load_text_encoder(models["stable_diffusion"]), load_clip(models["clip"])
    np.testing.assert_allclose(arrays["null_states"], text_states(*encoder, [""])[0], rtol=2e-3, atol=1e-3)
    for movie, clip_number, frame, text in rows:
        column = max(frame, 0)
        state = arrays["text_states"][arrays[f"{movie}/state_index"][clip_number, column]]
        np.testing.assert_allclose(state, text_states(*encoder, [text])[0], rtol=2e-3, atol=1e-3)
        expected = embed_texts(clip[0], clip[2], [text])[0]
        np.testing.assert_allclose(
            arrays[f"{movie}/text"][clip_number, column], expected, rtol=1e-4, atol=1e-5
        )
    for movie, clips in movies.items():
        assert arrays[f"{movie}/text"].shape == (2, n_captions, 8)
        assert arrays[f"{movie}/image"].dtype == np.float32
        expected = embed_images(clip[0], clip[1], clips[1])
        np.testing.assert_allclose(arrays[f"{movie}/image"][1], expected, rtol=1e-4, atol=1e-5)


def test_cut_captions_are_told(models: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    from neurocine.stimuli.embed import embed_captions

    parts = load_clip(models["clip"]), load_text_encoder(models["stable_diffusion"])
    embed_captions({"seg1": [[text] for text in TEXTS]}, *parts)
    assert f"1 captions have more than {N_TOKENS} tokens" in caplog.text
