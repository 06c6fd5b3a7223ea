"""Pickled arrays: those of every Python and NumPy are read, and nothing else that is pickled is run."""

import collections
import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurocine.errors import InputError
from neurocine.fmri.pickled import read_pickled_array

# {"train": array([[1, 2], [3, 4]], "<f4")} as Python 2 writes it, protocol 0: bytes are strings.
PYTHON_2 = (
    b"(dp0\nS'train'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
    b"tp6\nRp7\n(I1\n(I2\nI2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNN"
    b"I-1\nI-1\nI0\ntp14\nbI00\nS'\\x00\\x00\\x80?\\x00\\x00\\x00@\\x00\\x00@@\\x00\\x00\\x80@'\np15\ntp16\nbs."
)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.zeros((0, 3), np.float16),
        np.array([True, False]),
        np.arange(12.0)[::3],
    ],
    ids=["float32", "by column", "big-endian", "empty", "bool", "strided"],
)
def test_arrays_come_back_whatever_wrote_them(tmp_path: Path, protocol: int, array: np.ndarray) -> None:
    path = write(tmp_path / "a.pkl", pickle.dumps({"train": array, "other": "text"}, protocol))
    read = read_pickled_array(path, "train")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_python_2_is_read(tmp_path: Path) -> None:
    read = read_pickled_array(write(tmp_path / "a.pkl", PYTHON_2), "train")
    np.testing.assert_array_equal(read, np.array([[1, 2], [3, 4]], np.float32))


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (Calls(os.system, "touch ran"), r"it asks for posix\.system"),
        ({"train": Calls(eval, "open('ran', 'w')")}, r"it asks for (builtins|__builtin__)\.eval"),
        ({"train": Calls(np.load, "ran")}, r"it asks for numpy.*\.load"),
        ({"train": collections.OrderedDict(a=1)}, r"it asks for collections\.OrderedDict"),
        ({"train": np.array([object], object)}, "it asks for|values of type 'O8'"),
        ({"train": np.array(["a"])}, "values of type 'U1'"),
        ({"train": np.zeros(1, [("a", "f4")])}, "values of type 'V4'"),
        ({"train": np.array(["2020"], "M8[Y]")}, "values of type 'M8'"),
        ({"train": [1, 2]}, "a list under 'train'"),
        ({"train": np.float32(1)}, r"it asks for numpy.*\.scalar"),
        ([1], "an object with list"),
        ({"test": np.zeros(1)}, "an object with keys test"),
    ],
    ids=lambda value: None if isinstance(value, str) else "content",
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_objects_are_refused_and_not_run(
    tmp_path: Path, content: Any, told: str, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.pkl", pickle.dumps(content, protocol))
    with pytest.raises(InputError, match=told):
        read_pickled_array(path, "train")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pkl"]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "cannot be read"),
        (b"<html>Please log in</html>", "cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "cannot be read"),
        (PYTHON_2[:120], "cannot be read"),
        (PYTHON_2.replace(b"(I2\nI2\n", b"(I2\nI3\n"), r"an array of shape \(2, 3\) with other bytes"),
        (PYTHON_2.replace(b"(I2\nI2\n", b"(I9999999\nI9999999\n"), "with other bytes"),
        (PYTHON_2.replace(b"(I2\nI2\n", b"(I-2\nI-2\n"), r"an array of shape \(-2, -2\)"),
        (PYTHON_2.replace(b"S'f4'", b"S'O8'"), "values of type 'O8'"),
        (PYTHON_2.replace(b"S'<'", b"S'x'"), "values of type 'f4'"),
        (PYTHON_2.replace(b"S'f4'", b"S'f7'"), "cannot be read"),
        (b"(" * 100000, "cannot be read"),
        (b"Pid\n.", "an object outside the file"),
        (b"}r\xff\xff\xff\xff.", "an object with keys"),
        (b"\x80\x05\x96" + (1 << 36).to_bytes(8, "little") + b"abc.", "cannot be read"),
        (b"\x80\x05\x8e" + (1 << 36).to_bytes(8, "little") + b"abc.", "cannot be read"),
        (b"\x80\x04\x95" + b"\xff" * 8, "cannot be read"),
        (b"(dp0\n" + b"S'train'\n" + b"cnumpy\nndarray\n" + b"s.", "a type under 'train'"),
        (b"(dp0\nS'train'\ncnumpy\nndarray\n)\x81s.", "an array without values"),
    ],
    ids=lambda value: "raw" if isinstance(value, bytes) else value[:20],
)
def test_damaged_files_are_told(tmp_path: Path, raw: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_pickled_array(write(tmp_path / "a.pkl", raw), "train")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pkl: found a file that cannot be read .*No such file"):
        read_pickled_array(tmp_path / "a.pkl", "train")


@given(place=st.integers(0, len(PYTHON_2) - 1), byte=st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_no_damage_does_worse_than_a_message(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    raw = bytearray(PYTHON_2)
    raw[place] = byte
    path = write(tmp_path_factory.getbasetemp() / "fuzz.pkl", bytes(raw))
    with contextlib.suppress(InputError):
        assert read_pickled_array(path, "train").size <= 4
