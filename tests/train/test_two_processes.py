"""Data-parallel training: two processes do what one does, only the first writes, and signals reach all."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.models.decoder import JointDecoder
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.motion import MotionGenerator
from neurocine.models.structure import StructureDecoder
from neurocine.models.video_unet import VideoUNet
from neurocine.train.launch import LAUNCHER_ENVIRONMENT
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, VERTICES, WINDOW
from tiny_trainings import (
    PROGRAMS,
    TRAININGS,
    change,
    fork_server,
    losses,
    start,
    start_pair,
    weights,
    write_trainings,
)

STEPS = 6
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
# The draws of a step belong to the parts its batch is computed in, so one process computes in as many parts
# as two processes do. A batch that is contrasted is one draw of each process, in however many parts, so
# phase 1 is compared without draws, and phase 0 without its contrasts.
SAME_DRAWS: dict[str, dict[str, Any]] = {
    "pretrain_encoder": {"self_weight": 0.0, "cross_weight": 0.0, "gradient_accumulation": 2},
    "train_encoder": {"gradient_accumulation": 2},
    "train_video_prior": {"gradient_accumulation": 2},
    "train_decoder": {"gradient_accumulation": 2},
    "train_structure": {"gradient_accumulation": 2},
    "train_motion": {"gradient_accumulation": 2},
}


def run(launcher: list[str], name: str, arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    places = ["--state", str(folder / "state"), "--out", str(folder / "out")]
    command = [*launcher, str(PROGRAMS / f"{name}.py"), *arguments, *places]
    environment = os.environ | LAUNCHER_ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)


def outputs(name: str, out: Path) -> torch.Tensor:
    """What a trained network computes: weights alone may differ where nothing depends on them."""
    draw = torch.Generator().manual_seed(0)
    bold = torch.randn(4, WINDOW, VERTICES, generator=draw)
    clips = torch.randn(2, 4, FRAMES, 4, 4, generator=draw)
    states = torch.randn(2, N_TOKENS, WIDTH, generator=draw)
    with torch.no_grad():
        if name == "train_video_prior":
            return VideoUNet.from_pretrained(out / "unet")(clips, 7, states).sample
        if name == "train_decoder":
            return JointDecoder.from_pretrained(out)(clips, 7, bold[:2]).sample
        if name == "train_structure":
            return StructureDecoder.from_pretrained(out / "decoder")(bold[:, 0])
        if name == "train_motion":
            return MotionGenerator.from_pretrained(out / "decoder").roll_out(bold[:2, 0], clips[:, :, 0])
        encoder = FmriEncoder.from_pretrained(out / "encoder")
        return encoder.encode(encoder.tokenize(bold[:, :1])) if name == "pretrain_encoder" else encoder(bold)


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    return fork_server()


# Of the decoders of single TRs, one whose items are contrasted draws texts per process.
@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "train_semantic"])
def test_two_processes_train_as_one(server: ForkServerContext, tmp_path: Path, name: str) -> None:
    commands = write_trainings(tmp_path, n_frames=1, steps=STEPS, validate_every=3)
    alone = change(commands[name], "--settings", **SAME_DRAWS[name])
    if name == "train_encoder":
        alone = change(alone, "--experiment", augment=False)
    pair = change(alone, "--settings", gradient_accumulation=2 if name == "train_encoder" else 1)
    processes = [start(server, name, alone, tmp_path / "one")]
    processes += start_pair(server, name, pair, tmp_path / "two")
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    one, two = losses(tmp_path / "one/out"), losses(tmp_path / "two/out")
    assert [step for step, _ in two] == [step for step, _ in one] == list(range(1, STEPS + 1))
    np.testing.assert_allclose([loss for _, loss in two], [loss for _, loss in one], rtol=1e-4)
    expected, found = (outputs(name, tmp_path / folder / "out") for folder in ("one", "two"))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-4)


@pytest.mark.kills
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_to_the_launcher_save_the_state_of_all_processes(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Slurm signals the whole step, the launcher with its processes; here only the launcher gets one."""
    command = write_trainings(tmp_path, steps=250, checkpoint_minutes=60)["train_encoder"]
    whole = run(LAUNCH, "train_encoder", command, tmp_path / "whole")
    folder = tmp_path / "cut"
    log = folder / "state/log.jsonl"
    process = run(LAUNCH, "train_encoder", command, folder)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.is_file() and log.stat().st_size > 500):
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert len(list((folder / "state").glob("step-*"))) == 1, said
    again = run(LAUNCH, "train_encoder", command, folder)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    resumed = json.loads((folder / "out/done.json").read_text())["report"]["resumed_from"]
    assert 0 < resumed < 250
    said, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, said
    assert weights(folder / "out") == weights(tmp_path / "whole/out")
