"""Files of a tiny study for ridge regression, and its features of test clips."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import predict_features as program
from neurocine.io import write_arrays
from neurocine.ridge.features import PredictFeaturesSettings
from ridge.tiny import TEST, TOKENS, TRAIN
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, TR, write_fmri, write_latents

SETTINGS = PredictFeaturesSettings(shift_tr=2, n_penalties=4, largest_penalty=1e3)


def embeddings(path: Path, movies: list[str]) -> Path:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {
        "text_states": random.normal(size=(5, N_TOKENS, WIDTH)).astype(np.float16),
        "null_states": np.full((N_TOKENS, WIDTH), 0.5, np.float16),
    }
    arrays["text_states"][:, 0] = 0.5  # the first state is the same for all texts
    for movie in movies:
        arrays[f"{movie}/state_index"] = random.integers(0, 5, (TR, 1))
        arrays[f"{movie}/text"] = random.normal(size=(TR, 1, 8)).astype(np.float32)
        arrays[f"{movie}/image"] = random.normal(size=(TR, FRAMES, 8)).astype(np.float32)
    write_arrays(path, arrays, {"movies": movies, "computed_from": movies})
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    frames = {
        movie: np.arange(TR).repeat(FRAMES * 8 * 8 * 3).reshape(TR, FRAMES, 8, 8, 3).astype(np.uint8)
        + 10 * number
        for number, movie in enumerate(TRAIN)
    }
    write_arrays(tmp_path / "stimuli.safetensors", frames, {"movies": TRAIN, "computed_from": TRAIN})
    return {
        "fmri_train": write_fmri(tmp_path / "train.safetensors", TRAIN, seed=1),
        "fmri_test": write_fmri(tmp_path / "test.safetensors", TEST, seed=2),
        "embeddings": embeddings(tmp_path / "embeddings.safetensors", TRAIN),
        "latents": write_latents(tmp_path / "latents.safetensors", TRAIN),
        "stimuli": tmp_path / "stimuli.safetensors",
    }


@pytest.fixture
def predict(files: dict[str, Path], tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Predict features under conditions; returns condition -> file."""
    return lambda *conditions, **changes: run(files, tmp_path, *conditions, **changes)


def run(files: dict[str, Path], folder: Path, *conditions: str, **changes: object) -> dict[str, Path]:
    out = {name: folder / f"{name}.safetensors" for name in conditions}
    given = {"train_movies": TRAIN, "conditions": list(conditions), "tokens": TOKENS, "seed": 0} | changes
    program.main(
        fmri_train=files["fmri_train"], fmri_test=files["fmri_test"], embeddings=[files["embeddings"]],
        latents=[files["latents"]], settings=SETTINGS, out=list(out.values()), **given,
    )  # fmt: skip
    return out
