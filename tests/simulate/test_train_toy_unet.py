"""The toy diffusion model: complete on disk, trained with and without captions."""

import json
from pathlib import Path

import pytest
import torch

import train_toy_unet
from neurocine.models.pretrained import load_scheduler, load_text_encoder, load_unet, load_vae
from neurocine.simulate.toy_models.clip import new_clip, text_tower
from neurocine.simulate.toy_models.pool import draw_pools
from neurocine.simulate.toy_models.unet import ToyUnetTask
from neurocine.simulate.toy_models.vae import new_vae, signed_pixels
from neurocine.simulate.toy_models.words import clip_tokenizer
from simulate.quick import QUICK


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Untrained autoencoder, text encoder and tokenizer."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    new_vae(QUICK.size, QUICK.latent_channels).save_pretrained(tmp_path / "vae")
    text_tower(new_clip(QUICK.size, tokenizer)).save_pretrained(tmp_path / "text_encoder")
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path


def test_program_completes_the_folder(parts: Path) -> None:
    train_toy_unet.main(stable_diffusion=parts, settings=QUICK, seed=5, state=parts / ".state", out=parts)
    index = json.loads((parts / "model_index.json").read_text())
    named = {name for name, value in index.items() if isinstance(value, list) and value[0]}
    assert named == {"scheduler", "text_encoder", "tokenizer", "unet", "vae"}
    assert all((parts / name).is_dir() for name in named)
    unet = load_unet(parts)
    assert unet.config["sample_size"] == QUICK.size // 8
    assert unet.config["cross_attention_dim"] == 128
    assert load_scheduler(parts).config["num_train_timesteps"] == 1000


def test_latents_and_states_are_those_of_the_other_parts(parts: Path) -> None:
    pool, held_out = draw_pools(QUICK, 5)
    vae, (encoder, tokenizer) = load_vae(parts), load_text_encoder(parts)
    task = ToyUnetTask(pool, held_out, vae, encoder, tokenizer)
    with torch.no_grad():
        latent = vae.encode(signed_pixels(pool.frames[3][1:2])).latent_dist.mode()[0]
        ids = tokenizer([pool.captions[3]], padding="max_length", return_tensors="pt").input_ids
        states = encoder(ids).last_hidden_state[0]
    scaled = latent * vae.config["scaling_factor"]
    torch.testing.assert_close(task.latents[3, 1], scaled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(task.states[task.labels[3]], states, rtol=1e-4, atol=1e-5)
    assert task.validate(task.model) == task.validate(task.model)  # the same noise every time
