"""Files on disk: sealed, written under an unforeseeable name, and refused in one message when damaged."""

import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from neurocine import io
from neurocine.errors import InputError
from neurocine.io import open_arrays, read_arrays, read_json, read_meta, read_table, replacing, write_arrays

ARRAYS = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array([1, 2], np.int64)}
META = {"step": "x", "movies": ["seg1"]}


def test_arrays_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_arrays(path, ARRAYS, META)
    arrays, meta = read_arrays(path)
    assert meta == META
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    write_arrays(tmp_path / "y.safetensors", ARRAYS, META)
    assert path.read_bytes() == (tmp_path / "y.safetensors").read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.safetensors", "y.safetensors"]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_arrays(path, ARRAYS, META)
    good = path.read_bytes()
    about = path.stat()
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
        io._is_as_written.cache_clear()
        start = good.index(io.SEAL.encode())
        if not start <= place < start + len(io.SEAL) + 6:  # without its key there is no seal
            with pytest.raises(InputError, match="Delete it and run again"):
                read_arrays(path)


def test_files_without_a_seal_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path, metadata={"neurocine": json.dumps(META)})
    assert read_arrays(path)[1] == META
    save_file(ARRAYS, path)
    with open_arrays(path) as handle:
        assert read_meta(handle) == {}


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000, "nonsense"])
def test_metadata_that_are_no_json_object_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file(ARRAYS, path, metadata={"neurocine": text})
    with pytest.raises(InputError, match="metadata that are no JSON object"):
        read_arrays(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"1234567", struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 5) + b"{}", b"\0" * 99],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.safetensors: found a file that cannot be read"):
        read_arrays(path)


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("untouched")
    for planted in (f".x.{os.getpid()}.part.txt", f".x.txt.{os.getpid()}.part"):
        (tmp_path / planted).symlink_to(victim)
    with replacing(tmp_path / "x.txt") as temporary:
        assert stat.S_IMODE(temporary.parent.stat().st_mode) == 0o700
        temporary.write_text("new")
    assert victim.read_text() == "untouched"
    assert (tmp_path / "x.txt").read_text() == "new"


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from neurocine.io import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    path = tmp_path / "x.txt"
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with replacing(path) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_running_process_writes_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert first.read_text() == "first"
    assert path.read_text() == "first"


def test_long_names_can_be_written(tmp_path: Path) -> None:
    with replacing(tmp_path / ("x" * 255)) as temporary:
        temporary.write_text("text")
    assert (tmp_path / ("x" * 255)).read_text() == "text"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0a\tb\n", b'a\tb\n"open\t1\n'])
def test_tables_that_cannot_be_read_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tsv").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.tsv: found (a file that is no table|columns)"):
        read_table(tmp_path / "x.tsv", ["a", "b"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff{}", b"[" * 100_000])
def test_json_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json: .* expected settings\. Write it"):
        read_json(tmp_path / "x.json", "settings", "Write it.")
    with pytest.raises(InputError, match="No such file"):
        read_json(tmp_path / "absent.json", "settings", "Write it.")
