"""The training programs of Mind-Animator's decoders, from files to files, and movies that they refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train_motion
import train_structure
from fmri_runs import run_assemble, write_cleaned
from neurocine.errors import InputError
from neurocine.io import file_sha256, read_json
from neurocine.models.structure import StructureDecoder
from neurocine.provenance import movies_behind
from neurocine.train.motion import TrainMotionSettings
from neurocine.train.structure import TrainStructureSettings
from tiny_study import TR, VERTICES, write_latents

MOVIES = ["seg1", "seg2"]
LOOP: dict[str, Any] = {"steps": 2, "validate_every": 1, "batch_size": 4, "tensorboard": False}


def write_run(path: Path, movies: list[str]) -> Path:
    random = np.random.default_rng(0)
    arrays = {movie: random.normal(size=(2, TR, VERTICES)).astype(np.float32) for movie in movies}
    return write_cleaned(path, arrays)


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """What both programs are given: files of two movies, the second held out."""
    runs = [write_run(tmp_path / f"{name}.safetensors", movies) for name, movies in
            (("seg", MOVIES), ("test", ["test1"]))]  # fmt: skip
    fmri, _ = run_assemble(tmp_path / "assembled", runs[:1], runs[1:])
    latents = write_latents(tmp_path / "latents.safetensors", MOVIES)
    paths = {"fmri": fmri, "latents": [latents], "state": tmp_path / "state"}
    return {**paths, "train_movies": MOVIES, "validation": ["seg2"], "variant": "paper", "seed": 0}


def check_training(out: Path, files: list[Path]) -> dict[str, Any]:
    done = read_json(out / "done.json", "a record of the training", "Train.")
    assert done["inputs"] == {str(path): file_sha256(path) for path in files}
    assert {"error", "mean_error", "better_than_mean"} <= set(done["quality"])
    assert sorted(movies_behind([out / "decoder/model.safetensors"])) == MOVIES
    assert (out / "log.jsonl").is_file()
    return done


def test_programs_write_decoders_with_what_they_were_trained_on(
    given: dict[str, Any], tmp_path: Path
) -> None:
    structure, motion = tmp_path / "structure", tmp_path / "motion"
    train_structure.main(**given, settings=TrainStructureSettings(**LOOP, width=8), out=structure)
    done = check_training(structure, [given["fmri"], *given["latents"]])
    assert done["report"]["steps"] == 2
    assert StructureDecoder.from_pretrained(structure / "decoder").config.n_vertices == VERTICES
    sizes = {"encoder_width": 8, "feedforward_width": 8}
    of_motion = {"structure": structure / "decoder", "memory_tokens": 1, "motion_from": "frame"}
    train_motion.main(**given, **of_motion, settings=TrainMotionSettings(**LOOP, **sizes), out=motion)
    weights = structure / "decoder/model.safetensors"
    done = check_training(motion, [given["fmri"], *given["latents"], weights])
    assert done["motion_from"] == "frame"


def test_a_movie_that_is_none_of_the_training_movies_is_refused(
    given: dict[str, Any], tmp_path: Path
) -> None:
    settings = TrainStructureSettings(**LOOP, width=8)
    with pytest.raises(InputError, match="seg2"):
        train_structure.main(**given | {"train_movies": ["seg1"]}, settings=settings, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
