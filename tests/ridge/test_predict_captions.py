"""Clips by way of a caption that a regression chooses, against a slow search and the decoding of captions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import predict_captions
from neurocine.diffusion.decode import DecodeSettings
from neurocine.errors import InputError
from neurocine.io import read_arrays, write_arrays
from neurocine.models.pretrained import load_unet
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from ridge.tiny import TEST, TRAIN
from tiny_captions import clips_of_rows
from tiny_study import FRAMES, stable_diffusion

QUICK = DecodeSettings(steps=2, guidance=2.0, batch_size=5, every=2)


@pytest.fixture
def given(files: dict[str, Path], predict: Callable[..., dict[str, Path]], tmp_path: Path) -> dict[str, Any]:
    """Arguments of the program, in a folder of their own."""
    diffusion = stable_diffusion(tmp_path / "sd")
    torch.manual_seed(1)
    unet = VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4))
    unet.save_pretrained(tmp_path / "prior/unet")
    stamp_weights(tmp_path / "prior/unet", TRAIN, "train_video_prior")
    return {
        "features": predict("fmri")["fmri"],
        "prior": tmp_path / "prior",
        "embeddings": [files["embeddings"]],
        "stable_diffusion": diffusion,
        "noise_ratio": 0.5,
        "seed": 3,
        "settings": QUICK,
        "state": tmp_path / "state",
        "device": "cpu",
    }


def slow_rows(given: dict[str, Any]) -> dict[str, list[int]]:
    """The row of the table of states of the caption nearest to each prediction, one by one, both centred."""
    predicted, arrays = read_arrays(given["features"])[0], read_arrays(given["embeddings"][0])[0]
    pairs = [
        (arrays[f"{movie}/text"][clip, caption].astype(float), int(row))
        for movie in TRAIN
        for clip, rows in enumerate(arrays[f"{movie}/state_index"])
        for caption, row in enumerate(rows)
    ]
    mean = sum(text for text, _ in pairs) / len(pairs)
    nearest = {}
    for movie in TEST:
        nearest[movie] = []
        for one in predicted[f"{movie}/embedding"].astype(float):
            cosines = [(one - mean) @ (text - mean) / np.linalg.norm(text - mean) for text, _ in pairs]
            nearest[movie].append(pairs[int(np.argmax(cosines))][1])
    return nearest


def test_clips_are_those_of_the_nearest_captions(given: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    predict_captions.main(**given, out=out)
    arrays, meta = read_arrays(out)
    assert (meta["condition"], meta["step"]) == ("fmri", "predict_captions")
    assert not (tmp_path / "state").exists()
    chosen = slow_rows(given)
    assert len({row for rows in chosen.values() for row in rows}) > 1
    expected = clips_of_rows(given, chosen, tmp_path)
    for movie in TEST:
        np.testing.assert_array_equal(arrays[movie], expected[movie])


def test_captions_of_the_decoded_movies_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    arrays, meta = read_arrays(given["embeddings"][0])
    seen = tmp_path / "seen.safetensors"
    write_arrays(seen, arrays, {**meta, "computed_from": [*TRAIN, TEST[0]]})
    with pytest.raises(InputError, match=f"computed from {TEST[0]}"):
        predict_captions.main(**{**given, "embeddings": [seen]}, out=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
