"""Decoding by way of the nearest training caption, against a slow search and the decoding of captions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import decode_nearest
from neurocine.diffusion.decode import DecodeSettings
from neurocine.diffusion.nearest import nearest_captions
from neurocine.errors import InputError
from neurocine.fmri.windows import FmriWindows
from neurocine.io import read_arrays, write_arrays
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.pretrained import load_unet
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from neurocine.stimuli.cached import CachedClips, TextStates
from tiny_captions import clips_of_rows
from tiny_study import FRAMES, TR, stable_diffusion, tiny_encoder, write_embeddings, write_fmri

TRAIN, TEST = ["seg1", "seg2"], ["test1", "test2"]
CAPTIONS = 2
QUICK = DecodeSettings(steps=2, guidance=2.0, batch_size=5, every=2)


def write_texts(path: Path, movies: list[str], fmri: Path) -> Path:
    """Embeddings of two captions per clip; the second is near that of a window of fMRI."""
    write_embeddings(path, movies, CAPTIONS, seed=4)
    arrays, meta = read_arrays(path)
    random = np.random.default_rng(4)
    windows = FmriWindows.of_means(read_arrays(fmri)[0], 2).take(torch.arange(2 * TR))
    with torch.no_grad():
        encoder = tiny_encoder().eval()
        near = encoder.embedding(encoder(windows)).numpy().reshape(2, TR, 8)
    for movie, part in zip(movies, (*near, near[0]), strict=False):
        text = random.normal(size=(TR, CAPTIONS, 8))
        text[:, 1] = part + 1e-4 * text[:, 1]
        arrays[f"{movie}/text"] = text.astype(np.float32)
    write_arrays(path, arrays, meta)
    return path


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Arguments of the program, in a folder of their own."""
    diffusion = stable_diffusion(tmp_path / "sd")
    encoder = tiny_encoder().eval()
    encoder.save_pretrained(tmp_path / "encoder")
    stamp_weights(tmp_path / "encoder", TRAIN, "train_encoder")
    torch.manual_seed(1)
    unet = VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4))
    unet.save_pretrained(tmp_path / "prior/unet")
    stamp_weights(tmp_path / "prior/unet", TRAIN, "train_video_prior")
    fmri = write_fmri(tmp_path / "fmri.safetensors", TEST, seed=1)
    return {
        "encoder": tmp_path / "encoder",
        "prior": tmp_path / "prior",
        "fmri": fmri,
        "embeddings": [write_texts(tmp_path / "embeddings.safetensors", TRAIN, fmri)],
        "stable_diffusion": diffusion,
        "noise_ratio": 0.5,
        "seed": 3,
        "settings": QUICK,
        "state": tmp_path / "state",
        "device": "cpu",
    }


def slow_rows(given: dict[str, Any]) -> dict[str, list[int]]:
    """The row of the table of states of each test clip's nearest training caption, one by one."""
    encoder = FmriEncoder.from_pretrained(given["encoder"])
    bold, arrays = read_arrays(given["fmri"])[0], read_arrays(given["embeddings"][0])[0]
    found: dict[str, list[int]] = {}
    for movie in TEST:
        for tr in range(TR):
            window = torch.from_numpy(bold[movie][[tr, min(tr + 1, TR - 1)]])[None]
            with torch.no_grad():
                predicted = encoder.embedding(encoder(window))[0].double()
            best, nearest = -2.0, -1
            for shown in TRAIN:
                for clip in range(TR):
                    for caption in range(CAPTIONS):
                        key = torch.from_numpy(arrays[f"{shown}/text"][clip, caption]).double()
                        cosine = float(predicted @ key / predicted.norm() / key.norm())
                        if cosine > best:
                            best, nearest = cosine, int(arrays[f"{shown}/state_index"][clip, caption])
            found.setdefault(movie, []).append(nearest)
    return found


def test_captions_are_the_nearest_ones(given: dict[str, Any]) -> None:
    windows = FmriWindows.of_means(read_arrays(given["fmri"])[0], 2)
    texts = CachedClips.read(given["embeddings"], "text"), TextStates.read(given["embeddings"])
    found = nearest_captions(FmriEncoder.from_pretrained(given["encoder"]), windows, *texts)
    expected = slow_rows(given)
    assert found.tolist() == [*expected["test1"], *expected["test2"]]
    assert len(set(found.tolist())) > 1
    fewer = CachedClips(texts[0].clips, texts[0].rows[:, :1])
    with pytest.raises(InputError, match="as many captions"):
        nearest_captions(tiny_encoder(), windows, fewer, texts[1])


def test_clips_are_those_of_the_captions(given: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    decode_nearest.main(**given, out=out)
    arrays, meta = read_arrays(out)
    assert (meta["condition"], meta["step"]) == ("nearest_caption", "decode_nearest")
    assert arrays["test2/clip"].tolist() == [0, 2, 4]
    assert not (tmp_path / "state").exists()

    expected = clips_of_rows(given, slow_rows(given), tmp_path)
    for movie in TEST:
        np.testing.assert_array_equal(arrays[movie], expected[movie])


def test_captions_of_the_decoded_movies_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    seen = write_texts(tmp_path / "seen.safetensors", [*TRAIN, "test1"], given["fmri"])
    with pytest.raises(InputError, match="computed from test1"):
        decode_nearest.main(**{**given, "embeddings": [seen]}, out=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
