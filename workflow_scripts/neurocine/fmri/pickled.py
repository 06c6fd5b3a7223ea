"""Arrays that others share as Python pickles, read without running anything that is pickled in them.

A pickle names functions and classes to call. Here some names of NumPy and of bytes are known, and each
stands for a small class of this module that keeps what it is given: not even NumPy's own code gets to see a
value before it is checked. Every other name ends the reading. The unpickler is the one in Python: that in C
reserves as much memory as a number in the file says.
"""

import io
import math
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neurocine.errors import InputError

MOST_BYTES = 8 << 30  # of one file; the largest that are shared have 0.9 GB
KINDS = "fiub"  # of numbers: real, whole, without sign, truth values
TODO = "Download the file again from its authors; other objects than arrays are not read."


class _Type:
    """A data type as it is pickled: a code such as ``f4``, and a byte order."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = _text(code), "="

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else "?"

    def dtype(self) -> np.dtype:
        """Return the type of numbers that this means; ValueError where it means none."""
        if self.code[:1] not in KINDS or not self.code[1:].isdigit() or self.order not in "<>=|":
            raise ValueError(f"values of type {self.code[:20]!r}")
        return np.dtype((self.order if self.order != "|" else "") + self.code)


class _Array:
    """An array as it is pickled: shape, type, order of axes, bytes."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def values(self) -> np.ndarray:
        """Return the array; ValueError where its parts do not fit together."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ValueError("an array without values")
        _, shape, kind, by_column, raw = self.state
        if not isinstance(kind, _Type) or not isinstance(shape, tuple):
            raise ValueError("an array of unknown type or shape")
        if not all(type(length) is int and 0 <= length < 1 << 40 for length in shape):
            raise ValueError(f"an array of shape {shape}")
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        dtype = kind.dtype()
        if not isinstance(data, (bytes, bytearray)) or len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"an array of shape {shape} with other bytes than that")
        flat = np.frombuffer(data, dtype)
        return flat.reshape(shape, order="F" if by_column else "C")


def _rebuilt(*_: Any) -> _Array:
    """Stand for NumPy's function that makes an empty array, whose state follows."""
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    """Stand for NumPy's function that makes an array of bytes (pickles of protocol 5)."""
    array = _Array()
    array.state = (1, shape, kind, order == "F", raw)
    return array


def _encoded(text: Any, codec: Any) -> bytes:
    """Stand for the codec by which Python 3 pickles bytes for Python 2."""
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in {codec!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Stand for the type of bytes, which older protocols call for empty ones."""
    return b""


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


_CORES = ("numpy.core", "numpy._core")
KNOWN: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    **{(f"{core}.multiarray", "_reconstruct"): _rebuilt for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
}


class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of NumPy, and nothing else."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:200])
        return KNOWN[module, name]

    def load_bytearray8(self: Any) -> None:
        """Take the bytes that are there, before memory is reserved for those that the file says there are."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    def persistent_load(self, pid: Any) -> Any:
        """Refuse objects that lie elsewhere."""
        raise pickle.UnpicklingError("it asks for an object outside the file")


def read_pickled_array(path: Path, key: str) -> np.ndarray:
    """Read one array of numbers from a pickled dictionary, of Python 2 or 3.

    Parameters
    ----------
    path : file
    key : of the dictionary

    Returns
    -------
    the array, of any shape and of a type of real numbers, read-only

    Raises
    ------
    InputError : no such file, no pickle, one that asks for more than arrays of numbers, another content
    """
    expected = f"a pickled dictionary with an array of numbers under {key!r}"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(path, f"{path.stat().st_size} bytes", f"less than {MOST_BYTES}", TODO)
        content = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if not isinstance(content, dict) or key not in content:
            kind = (
                f"keys {', '.join(map(str, content))}"
                if isinstance(content, dict)
                else type(content).__name__
            )
            raise InputError(path, f"an object with {kind[:100]}", expected, TODO)
        if not isinstance(content[key], _Array):
            raise InputError(path, f"a {type(content[key]).__name__} under {key!r}", expected, TODO)
        return content[key].values()
    except InputError:
        raise
    except Exception as error:  # whatever bytes make the unpickler or the classes above raise
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(path, f"a file that cannot be read ({reason})", expected, TODO) from None


def read_area_pickles(folder: Path, areas: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the responses of areas, each from the key train of its pickle ``{area}.pkl``.

    Returns
    -------
    area -> (videos, repeats, voxels) float32

    Raises
    ------
    InputError : no area, a bad file, another shape, or other videos or repeats than in the first area
    """
    if not areas:
        raise InputError(folder, "no area", "at least one", "Name areas in algonauts_2021.areas.")
    responses: dict[str, np.ndarray] = {}
    for area in areas:
        path = folder / f"{area}.pkl"
        values = read_pickled_array(path, "train")
        like = next(iter(responses.values())).shape[:2] if responses else values.shape[:2]
        if values.ndim != 3 or 0 in values.shape or values.shape[:2] != like:
            axes = f"{like[0]} videos and {like[1]} repeats" if responses else "videos, repeats, voxels"
            raise InputError(path, f"shape {values.shape}", f"three axes: {axes}", TODO)
        responses[area] = values.astype(np.float32)
    return responses
