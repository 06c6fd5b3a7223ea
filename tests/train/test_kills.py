"""Every training, killed at any moment and continued, ends with the bits of one that was not."""

import json
import random
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch

from tiny_trainings import TRAININGS, change, fork_server, start, weights, write_trainings

STEPS = 12
MOMENTS = 10
# A state after every step, so that kills hit the writing of states too.
LOOP = {"steps": STEPS, "checkpoint_minutes": 0, "validate_every": 4}


@pytest.fixture(scope="module")
def server() -> ForkServerContext:
    return fork_server()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return write_trainings(tmp_path_factory.mktemp("trainings"), **LOOP)


def states(folder: Path) -> list[Path]:
    return sorted((folder / "state").glob("step-*[0-9]"))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def kill_and_continue(
    server: ForkServerContext, name: str, command: list[str], folder: Path, seconds: float, damage: bool
) -> int:
    """Kill a training after so many seconds, break its newest state if there is another, and finish it.

    Returns
    -------
    step it went on from, -1 if it had ended before it could be killed
    """
    process = start(server, name, command, folder)
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode == 0:
        return -1
    found = states(folder)
    expected = None
    if damage and len(found) > 1:
        (cut if len(found) % 2 else flip_a_bit)(found[-1] / "tensors.safetensors")
        expected = int(found[-2].name.split("-")[1])
    process = start(server, name, command, folder)
    process.join()
    assert process.exitcode == 0
    resumed = json.loads((folder / "out/done.json").read_text())["report"]["resumed_from"]
    assert expected in (None, resumed)
    assert not (folder / "state").exists()
    return resumed


def check_kills(
    server: ForkServerContext, name: str, command: list[str], folder: Path, moments: int
) -> list[int]:
    """Kill at random moments, each time from the start; compare weights; return where it went on from."""
    began = time.monotonic()
    whole = start(server, name, command, folder / "whole")
    whole.join()
    length = time.monotonic() - began
    assert whole.exitcode == 0
    expected = weights(folder / "whole/out")
    assert expected
    draw, resumed = random.Random(f"kills/{name}"), []
    for number in range(100):
        if len(resumed) == moments:
            break
        seconds = draw.uniform(0.1, 0.95) * length
        trial = folder / str(number)
        step = kill_and_continue(server, name, command, trial, seconds, damage=number % 2 == 1)
        if step < 0:
            length *= 0.9  # this machine became faster
            continue
        resumed.append(step)
        assert weights(trial / "out") == expected, f"killed after {seconds:.2f} s, went on from step {step}"
    print(f"{name}: {length:.1f} s whole; killed {len(resumed)} times, went on from steps {resumed}")
    return resumed


@pytest.mark.parametrize("name", TRAININGS)
def test_a_killed_training_ends_with_the_same_bits(
    server: ForkServerContext, commands: dict[str, list[str]], tmp_path: Path, name: str
) -> None:
    assert len(check_kills(server, name, commands[name], tmp_path, 1)) == 1


@pytest.mark.kills
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", TRAININGS)
def test_ten_kills_at_random_moments(
    server: ForkServerContext, commands: dict[str, list[str]], tmp_path: Path, name: str, device: str
) -> None:
    command = commands[name]
    if device == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no GPU here: that it ends with the same bits on one was not checked")
        command = change(command, "--settings", deterministic=True, precision="bf16")
        command[command.index("--device") + 1] = device
    resumed = check_kills(server, name, command, tmp_path, MOMENTS)
    assert len(resumed) == MOMENTS
    assert len(set(resumed)) > 2, "kills at about the same moment"
