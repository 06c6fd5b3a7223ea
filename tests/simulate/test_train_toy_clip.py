"""The toy CLIP: its text tower is the text encoder of the toy Stable Diffusion."""

from pathlib import Path

import pytest
import torch

import train_toy_clip
from neurocine.models.pretrained import load_clip, load_text_encoder
from neurocine.simulate.toy_models.clip import ToyClipTask, state_distances
from neurocine.simulate.toy_models.pool import draw_pools
from simulate.quick import QUICK

CAPTIONS = ["a red fish moving left in fog", "a blue car moving up at night"]


def test_text_encoder_gives_the_states_of_the_text_tower(tmp_path: Path) -> None:
    train_toy_clip.main(
        settings=QUICK, seed=5, state=tmp_path / "state", out=tmp_path / "clip", out_diffusion=tmp_path / "sd"
    )
    model, processor, tokenizer = load_clip(tmp_path / "clip")
    encoder, same_tokenizer = load_text_encoder(tmp_path / "sd")
    ids = tokenizer(CAPTIONS, padding="max_length", return_tensors="pt").input_ids
    assert torch.equal(ids, same_tokenizer(CAPTIONS, padding="max_length", return_tensors="pt").input_ids)
    with torch.no_grad():
        states = encoder(ids).last_hidden_state
        assert torch.equal(states, model.text_model(ids).last_hidden_state)
    assert not torch.equal(states[0], states[1])
    frames = draw_pools(QUICK, 5)[0].frames[0]
    assert processor(list(frames), return_tensors="pt")["pixel_values"].shape == (6, 3, 16, 16)


def test_distance_of_states_against_a_slow_reference() -> None:
    pool, held_out = draw_pools(QUICK, 5)
    task = ToyClipTask(pool, held_out, QUICK.size)
    far, none = state_distances(task, [(CAPTIONS[0], CAPTIONS[1]), (CAPTIONS[0], CAPTIONS[0])])
    states = []
    for caption in CAPTIONS:
        ids = task.tokenizer([caption], padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            states.append(task.model.text_model(ids).last_hidden_state[0].double().flatten())
    lengths = [float(sum(value**2 for value in state) ** 0.5) for state in states]
    apart = float(sum((a - b) ** 2 for a, b in zip(*states, strict=True)) ** 0.5)
    assert far == pytest.approx(apart / (sum(lengths) / 2), rel=1e-4)
    assert none == 0


def test_equal_captions_are_positives_of_each_other() -> None:
    pool, held_out = draw_pools(QUICK, 5)
    twice = type(pool)(pool.frames[[0, 1]], [pool.scenes[0]] * 2)
    task = ToyClipTask(twice, held_out, QUICK.size)
    loss, _ = task.loss(task.model, torch.arange(2), torch.Generator().manual_seed(0))
    # Two equal captions: each frame's best distribution over them is even, whatever the network says.
    with torch.no_grad():
        other = ToyClipTask(pool, held_out, QUICK.size)
        different, _ = other.loss(task.model, torch.arange(2), torch.Generator().manual_seed(0))
    assert pool.captions[0] != pool.captions[1]
    assert float(loss.detach()) == pytest.approx(0.6931, abs=0.05)
    assert float(different) != pytest.approx(float(loss.detach()), abs=1e-4)
