"""Clips decoded from captions: whose states they are made of, and what the program writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import decode_captions as program
from neurocine.diffusion.captions import drawn_rows
from neurocine.diffusion.decode import DecodeSettings, make_sampler
from neurocine.errors import InputError
from neurocine.io import read_arrays
from neurocine.models.pretrained import load_scheduler, load_unet, load_vae
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from neurocine.stimuli.cached import TextStates
from tiny_study import FRAMES, TR, stable_diffusion, write_embeddings

SETTINGS = DecodeSettings(steps=2, batch_size=2, every=3, precision="no", guidance=3.0)
CLIPS = [(movie, index) for movie in ("test1", "test2") for index in range(TR)]


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Any]:
    """A video prior and the captions of two test movies."""
    diffusion = stable_diffusion(tmp_path / "sd")
    VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4)).save_pretrained(
        tmp_path / "prior/unet"
    )
    stamp_weights(tmp_path / "prior/unet", ["seg1", "seg2"], "train_video_prior")
    return {
        "prior": tmp_path / "prior",
        "embeddings": [write_embeddings(tmp_path / "embeddings.safetensors", ["test1", "test2"], 2)],
        "stable_diffusion": diffusion,
        "noise_ratio": 0.5,
        "seed": 3,
        "settings": SETTINGS,
        "training": [write_embeddings(tmp_path / "training.safetensors", ["seg1", "seg2"], 2, seed=8)],
    }


@pytest.mark.parametrize("condition", ["caption", "training_caption"])
def test_each_clip_is_sampled_from_the_states_of_its_caption(
    study: dict[str, Any], tmp_path: Path, condition: str
) -> None:
    out = tmp_path / "out.safetensors"
    program.main(**study, condition=condition, out=out)
    arrays, meta = read_arrays(out)
    behind = {"test1", "test2", "seg1", "seg2"}
    assert (meta["condition"], set(meta["computed_from"])) == (condition, behind)
    assert arrays["test2"].shape == (2, FRAMES, 16, 16, 3)
    assert arrays["test2/clip"].tolist() == [0, 3]

    own, training = TextStates.read(study["embeddings"]), TextStates.read(study["training"])
    row = CLIPS.index(("test2", 3))
    if condition == "caption":
        states = own.states[own.index.rows[row, 0]]
    else:
        drawn = drawn_rows(CLIPS, len(training.index.clips), 3)[row]
        states = training.states[training.index.rows[drawn, 0]]
    sampler = make_sampler(
        VideoUNet.from_pretrained(study["prior"] / "unet"),
        load_scheduler(study["stable_diffusion"]).config,
        load_vae(study["stable_diffusion"]),
        torch.from_numpy(own.null).float(),
        0.5,
        SETTINGS,
        3,
    )
    with torch.no_grad():
        frames = sampler.frames([[("test2", 3)]], torch.from_numpy(states)[None].float())
    assert np.abs(frames[0].astype(int) - arrays["test2"][1]).max() <= 1  # of a batch of another size


def test_other_conditions_and_absent_training_captions_are_refused(
    study: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match="caption or training_caption"):
        program.main(**study, condition="text", out=out)
    with pytest.raises(InputError, match="at least one"):
        program.main(**study | {"training": []}, condition="training_caption", out=out)
    assert not out.exists()


def test_drawn_captions_depend_on_the_clip_only() -> None:
    every = drawn_rows(CLIPS, 480, 3)
    assert drawn_rows(CLIPS[3:5], 480, 3).tolist() == every[3:5].tolist()
    assert len(set(every)) > TR
    assert every.max() < 480
