"""The manifest of the toy models: what is scored, and the hashes of what was scored."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import score_toy_models as program
from neurocine.models.pretrained import load_clip
from neurocine.seeds import numpy_generator
from neurocine.simulate.toy_models.blip import new_blip
from neurocine.simulate.toy_models.classifiers import (
    new_image_classifier,
    new_processor,
    new_video_classifier,
)
from neurocine.simulate.toy_models.clip import CLIP_MEAN, CLIP_STD, new_clip, text_tower
from neurocine.simulate.toy_models.pool import draw_pool
from neurocine.simulate.toy_models.scores import ScoreToyModelsSettings, clip_retrieval, word_accuracy
from neurocine.simulate.toy_models.unet import new_scheduler, new_unet
from neurocine.simulate.toy_models.vae import new_vae
from neurocine.simulate.toy_models.words import blip_tokenizer, clip_tokenizer
from neurocine.simulate.world import held_out_combinations

SIZE = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained networks of the toy study, in its folders."""
    from transformers import BlipImageProcessorPil, CLIPImageProcessorPil

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    statistics = {"image_mean": list(CLIP_MEAN), "image_std": list(CLIP_STD)}
    side = {"height": SIZE, "width": SIZE}
    clip, judge = new_clip(SIZE, clip_tokenizer()), new_image_classifier(SIZE)
    for part in (clip, clip_tokenizer(), CLIPImageProcessorPil(size=side, crop_size=side, **statistics)):
        part.save_pretrained(folder / "clip")
    blip = new_blip(SIZE, blip_tokenizer(), judge)
    end = blip.config.text_config.eos_token_id
    blip.text_decoder.cls.predictions.decoder.bias.data[end] = 100  # untrained, it would write on for ever
    for part in (blip, blip_tokenizer(), BlipImageProcessorPil(size=side, **statistics)):
        part.save_pretrained(folder / "blip")
    for name, network in (("image", judge), ("video", new_video_classifier(SIZE))):
        network.save_pretrained(folder / f"{name}_classifier")
        new_processor(SIZE, name == "video").save_pretrained(folder / f"{name}_classifier")
    diffusion = folder / "stable_diffusion"
    new_vae(SIZE, 4).save_pretrained(diffusion / "vae")
    new_unet(SIZE, 4, 128).save_pretrained(diffusion / "unet")
    new_scheduler().save_pretrained(diffusion / "scheduler")
    text_tower(clip).save_pretrained(diffusion / "text_encoder")
    clip_tokenizer().save_pretrained(diffusion / "tokenizer")
    return folder


def test_manifest_names_every_weight_and_scores_every_model(models: Path, tmp_path: Path) -> None:
    settings = ScoreToyModelsSettings(n_clips=16, size=SIZE, steps=1)
    program.main(
        models=models, seed=5, settings=settings, out=tmp_path / "m.json", out_pictures=tmp_path / "p.png"
    )
    manifest = json.loads((tmp_path / "m.json").read_text())
    weights = sorted(models.rglob("*.safetensors"))
    assert list(manifest["weights"]) == [str(path.relative_to(models)) for path in weights]
    for path, entry in zip(weights, manifest["weights"].values(), strict=True):
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    values = manifest["scores_on_held_out_combinations"]
    assert {"vae", "blip", "clip", "image_classifier", "video_classifier", "samples"} <= set(values)
    assert 0 <= values["image_classifier"]["all"] <= values["image_classifier"]["colour"] <= 1
    with Image.open(tmp_path / "p.png") as sheet:
        assert sheet.size == (16 * SIZE, SIZE)  # 16 pictures in a row


def test_words_are_counted_each_and_together() -> None:
    labels = ["red car up", "red car left", "blue fish up"]
    logits = np.eye(3)[[0, 1, 2, 0]]
    wanted = [("red", "car", "up"), ("red", "car", "up"), ("red", "fish", "up"), ("blue", "fish", "left")]
    assert word_accuracy(logits, labels, wanted) == {
        "colour": 2 / 4, "shape": 3 / 4, "direction": 2 / 4, "all": 1 / 4,
    }  # fmt: skip


def test_retrieval_against_a_slow_loop(models: Path) -> None:
    pool = draw_pool(6, SIZE, numpy_generator(5, "score"), "only")
    assert all((s.colour, s.shape, s.direction) in held_out_combinations() for s in pool.scenes)
    model, processor, tokenizer = load_clip(models / "clip")
    right = 0
    for frames, own in zip(pool.frames, pool.captions, strict=True):
        likeness = {}
        for caption in set(pool.captions):
            ids = tokenizer([caption], padding="max_length", return_tensors="pt").input_ids
            pixels = processor([frames[2]], return_tensors="pt")["pixel_values"]
            with torch.no_grad():
                likeness[caption] = float(model(input_ids=ids, pixel_values=pixels).logits_per_image)
        right += max(likeness, key=likeness.__getitem__) == own
    assert clip_retrieval(models / "clip", pool) == pytest.approx(right / 6)
