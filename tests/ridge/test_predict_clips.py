"""Clips of predicted features: the nearest training clips, and what the VAE decodes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import predict_clips
from neurocine.animator.features import Features
from neurocine.errors import InputError
from neurocine.io import read_arrays
from neurocine.models.pretrained import load_vae
from neurocine.models.vae import decode_latents
from neurocine.ridge.clips import PredictClipsSettings, nearest_clips
from ridge.tiny import TEST, TRAIN
from tiny_study import TR, stable_diffusion


def clips(files: dict[str, Path], features: Path, target: str, every: int, sd: Path) -> dict[str, np.ndarray]:
    out = features.with_name(f"{target}_clips.safetensors")
    predict_clips.main(
        features=features, target=target, embeddings=[files["embeddings"]], stimuli=[files["stimuli"]],
        stable_diffusion=sd, every=every, seed=0, settings=PredictClipsSettings(), out=out, device="cpu",
    )  # fmt: skip
    return read_arrays(out)[0]


def test_nearest_clips_equal_a_loop_over_directions_from_the_mean() -> None:
    random = np.random.default_rng(0)
    candidates = random.normal(size=(20, 5)).astype(np.float32) + 4
    predicted = candidates[[3, 7, 7]] * 0.1 + 0.9 * candidates.mean(0)  # shrunk to the mean
    assert nearest_clips(predicted, candidates).tolist() == [3, 7, 7]
    other = random.normal(size=(6, 5)).astype(np.float32) + 4
    mean = candidates.mean(0)
    for row, found in enumerate(nearest_clips(other, candidates)):
        products = [(other[row] - mean) @ (one - mean) / np.linalg.norm(one - mean) for one in candidates]
        assert found == int(np.argmax(products))


def test_clips_are_those_of_the_training_movies_or_what_the_vae_decodes(
    files: dict[str, Path], predict: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    features = predict("fmri")["fmri"]
    sd = stable_diffusion(tmp_path / "sd")
    every = 3
    shown = clips(files, features, "clip", every, sd)
    stimuli = read_arrays(files["stimuli"])[0]
    known = {clip.tobytes() for movie in TRAIN for clip in stimuli[movie]}
    assert shown["test1/clip"].tolist() == list(range(0, TR, every))
    assert {clip.tobytes() for movie in TEST for clip in shown[movie]} <= known
    given = Features.read(features)
    made = clips(files, features, "latents", every, sd)
    rows = [given.clips.index(("test2", clip)) for clip in range(0, TR, every)]
    assert np.array_equal(made["test2"], decode_latents(load_vae(sd, "cpu"), given.latents[rows]))
    with pytest.raises(InputError, match="clip or latents"):
        clips(files, features, "video", every, sd)
