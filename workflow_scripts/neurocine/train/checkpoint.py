"""Resumable training state: whole directories, renamed into place, hashed, the last two kept.

A state lives in ``{state_dir}/step-00001234`` and holds ``tensors.safetensors`` (weights, optimiser moments,
moving average, best weights) and ``state.json`` (step, hashes, whatever the loop wants to remember). It is
independent of the outputs a workflow declares, because Snakemake deletes those before a job starts again.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from neurocine.io import file_sha256, write_json

STATES_KEPT = 2
TENSORS, NOTES = "tensors.safetensors", "state.json"
log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """What a training needs to go on: ``step`` steps are done.

    ``tensors`` are named ``{kind}/{parameter}``, ``notes`` are JSON values.
    """

    step: int
    tensors: dict[str, Tensor]
    notes: dict[str, Any]


def fingerprint(value: Any) -> str:
    """Hash JSON values (dataclasses and paths allowed): two runs with equal hashes are the same training."""
    text = json.dumps(value, sort_keys=True, default=lambda other: repr(other))
    return hashlib.sha256(text.encode()).hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _states(state_dir: Path) -> list[Path]:
    """List complete states, newest first."""
    return sorted(state_dir.glob("step-*[0-9]"), key=lambda path: int(path.name.split("-")[1]), reverse=True)


def save_state(state_dir: Path, state: TrainingState, identity: str) -> Path:
    """Write a state under a temporary name, rename it, then delete all but the newest two.

    Parameters
    ----------
    state_dir : directory of the states of this training
    state : what a training resumes from
    identity : fingerprint of the training; only a run with the same one will load this state

    Raises
    ------
    OSError, SafetensorError : the disk refuses; the states before are kept, nothing of this one is
    """
    path = state_dir / f"step-{state.step:08d}"
    part = state_dir / f".{path.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        # clone: safetensors refuses tensors that share memory, and slices of one buffer do
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.tensors.items()}
        save_file(tensors, part / TENSORS)
        with open(part / TENSORS, "rb") as handle:
            os.fsync(handle.fileno())
        notes = {"step": state.step, "identity": identity, "notes": state.notes}
        write_json(part / NOTES, notes | {"sha256": file_sha256(part / TENSORS)})
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # there is one only where the disk refused
    _sync_directory(state_dir)
    for old in _states(state_dir)[STATES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return path


def _read_state(path: Path) -> tuple[TrainingState, str]:
    """Read and verify one state; ValueError says what is wrong with it."""
    try:
        notes = json.loads((path / NOTES).read_text())
        if file_sha256(path / TENSORS) != notes["sha256"]:
            raise ValueError(f"{TENSORS} does not have the hash noted in {NOTES}")
        return TrainingState(notes["step"], load_file(path / TENSORS), notes["notes"]), notes["identity"]
    except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
        raise ValueError(str(error)) from None


def load_state(state_dir: Path, identity: str) -> TrainingState | None:
    """Load the newest state that is whole; a broken one is skipped with a warning.

    Returns
    -------
    The state, or None when there is none. A state of another training (other settings, data or network) is
    not used either, with a warning: that training starts from its beginning.
    """
    for path in _states(state_dir):
        try:
            state, stored = _read_state(path)
        except ValueError as error:
            log.warning("%s is damaged (%s): going back to the previous state", path, error)
            continue
        if stored != identity:
            log.warning(
                "%s belongs to a training with other settings or data: starting from the beginning", path
            )
            remove_states(state_dir)
            return None
        return state
    return None


def remove_states(state_dir: Path) -> None:
    """Delete every state, complete or not; other files in the directory stay."""
    for path in [*state_dir.glob("step-*"), *state_dir.glob(".step-*.part")]:
        shutil.rmtree(path, ignore_errors=True)


def _remove_host_names(folder: Path) -> None:
    """Rename TensorBoard's files, which carry the name of the computer; results are shared."""
    for path in list(folder.rglob("events.out.tfevents.*")):
        path.rename(path.with_name(re.sub(r"(tfevents\.[0-9]+)\..*?(\.[0-9]+\.[0-9]+)$", r"\1\2", path.name)))


def finish_training(state_dir: Path, out: Path, report: Mapping[str, Any]) -> None:
    """Close a training whose results are written: logs move to ``out``, ``done.json`` is written, states go.

    Call it last: as long as the states exist, a failure while writing results costs nothing.

    Parameters
    ----------
    state_dir : where the loop kept its states and its log (``log.jsonl``, ``tensorboard/``)
    out : results directory
    report : JSON values for ``done.json``
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in ("log.jsonl", "tensorboard"):
        source, target = state_dir / name, out / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
            _remove_host_names(target)
        elif source.is_file():
            shutil.copyfile(source, target)
    for leftover in list(out.rglob(".*.part")):  # of a process that was killed while it wrote results
        shutil.rmtree(leftover, ignore_errors=True)
    write_json(out / "done.json", dict(report))
    shutil.rmtree(state_dir, ignore_errors=True)
