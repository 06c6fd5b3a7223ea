"""Data-parallel training: two processes do what one does, and only the first writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import write_arrays
from neurocine.models.fmri_encoder import FmriEncoder

PROGRAM = Path(__file__).parents[2] / "workflow_scripts" / "train_encoder.py"
SETTINGS = {
    "steps": 5, "batch_size": 8, "warmup_steps": 0, "learning_rate": 1e-3, "head_learning_rate": 1e-3,
    "precision": "no", "validate_every": 2, "log_every": 1, "tensorboard": False,
    "patch": 4, "depth": 1, "width": 8, "heads": 2,
}  # fmt: skip


def write_study(folder: Path) -> list[str]:
    """Write a study without random choices (one frame per clip), and return the program's arguments."""
    draw = np.random.default_rng(0)
    bold = {movie: draw.standard_normal((12, 20), np.float32) for movie in ("seg1", "seg2", "seg3")}
    write_arrays(folder / "train.safetensors", SubjectFmri(bold=bold).arrays(), {"movies": list(bold)})
    arrays = {"null_states": np.zeros((3, 5), np.float16)}
    for movie in bold:
        arrays[f"{movie}/text"], arrays[f"{movie}/image"] = draw.standard_normal((2, 12, 1, 6)).astype(
            np.float32
        )
    write_arrays(folder / "embeddings.safetensors", arrays, {})
    given = ["--fmri", folder / "train.safetensors", "--embeddings", folder / "embeddings.safetensors"]
    given += ["--settings", json.dumps(SETTINGS), "--experiment", '{"augment": false}', "--seed", "0"]
    return [*map(str, given), "--validation", "seg3", "--device", "cpu"]


def run(launcher: list[str], arguments: list[str], folder: Path) -> tuple[dict, FmriEncoder]:
    command = [
        *launcher,
        str(PROGRAM),
        *arguments,
        "--state",
        str(folder / "state"),
        "--out",
        str(folder / "out"),
    ]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "out" / "done.json").read_text())["report"]
    return report, FmriEncoder.from_pretrained(folder / "out" / "encoder")


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    arguments = write_study(tmp_path)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    one, alone = run([sys.executable], arguments, tmp_path / "one")
    two, pair = run(launch, arguments, tmp_path / "two")
    assert two["best_step"] == one["best_step"]
    assert abs(two["loss"] - one["loss"]) < 1e-4
    # Compared by what they compute: a key's bias changes nothing, so its gradient is rounding noise.
    bold = torch.randn(4, 2, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(pair(bold), alone(bold), rtol=1e-3, atol=1e-4)
    lines = (tmp_path / "two" / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
