"""Random damage to files: readers give what is there or an InputError, and nothing else."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurocine.config import complete_config
from neurocine.errors import InputError
from neurocine.fmri.cifti import check_dtseries, read_dtseries, write_dtseries
from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.io import read_arrays, write_arrays
from neurocine.models.weights import safetensors_size
from neurocine.stimuli.caption_files import read_captions

ROOT = Path(__file__).parents[1]
STUDY = yaml.safe_load((ROOT / "config.yaml").read_text())
bounded = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Where, and what is put there.
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3)


def problem_of(read: Callable[[], Any]) -> InputError | None:
    """What a reader says of a file; any other error than InputError ends the test."""
    try:
        read()
    except InputError as error:
        return error
    return None


def damage(raw: bytes, changes: list[tuple[float, bytes]], within: int) -> bytes:
    spoilt = bytearray(raw)
    for part, content in changes:
        place = int(part * (within - 1))
        spoilt[place : place + len(content)] = content
    return bytes(spoilt)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, np.ones((1, GRAYORDINATES), np.float32), 2.0)
    return path


@bounded
@given(DAMAGE, st.sampled_from([60, 348, 540, 2000, 600_000]))
def test_damaged_cifti(run: Path, tmp_path: Path, changes: list[tuple[float, bytes]], within: int) -> None:
    path = tmp_path / run.name
    path.write_bytes(damage(run.read_bytes(), changes, within))
    try:
        check_dtseries(path)
        bold, _ = read_dtseries(path, np.array([0, 29_695, 59_411]))
    except InputError:
        return
    assert bold.shape[1] == 3


@bounded
@given(DAMAGE, st.booleans())
def test_damaged_arrays(tmp_path: Path, changes: list[tuple[float, bytes]], sealed: bool) -> None:
    path = tmp_path / "x.safetensors"
    write_arrays(path, {"a": np.arange(6.0).reshape(2, 3)}, {"step": "x"})
    raw = path.read_bytes() if sealed else path.read_bytes().replace(b"content_sha256", b"content_sha257")
    path.write_bytes(damage(raw, changes, len(raw)))
    for read in (read_arrays, safetensors_size):
        problem = problem_of(lambda read=read: read(path))
        assert problem is None or str(path) in str(problem)


@bounded
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_random_bytes_as_safetensors(tmp_path: Path, content: bytes, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + content)
    for read in (read_arrays, safetensors_size):
        with pytest.raises(InputError):
            read(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@bounded
@given(st.sampled_from([*sorted(STUDY), "rest", "decode", "preprocess_run", "prepare_stimuli"]), VALUES)
def test_any_value_of_the_config(key: str, value: Any) -> None:
    problem = problem_of(lambda: complete_config({**STUDY, key: value}))
    assert problem is None or "found" in str(problem)


@bounded
@given(st.text(max_size=80) | st.binary(max_size=80))
def test_any_table_of_captions(tmp_path: Path, content: str | bytes) -> None:
    head = "movie\tclip\tcaption\n"
    raw = content if isinstance(content, bytes) else (head + content).encode("utf-8", "surrogatepass")
    (tmp_path / "x.tsv").write_bytes(raw)
    with pytest.raises(InputError):
        read_captions(tmp_path / "x.tsv", {"seg1": (2, 1)})
