"""Files on disk: arrays with metadata, tables and JSON, each written under a temporary name and renamed."""

import contextlib
import functools
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from neurocine.errors import InputError

META_KEY = "neurocine"
SEAL = "content_sha256"  # key of the metadata under which the hash of the whole file stands
UNSEALED = "0" * 64
# In the header the metadata are JSON within JSON, so their quotes are escaped.
SEALED = re.compile(rb'content_sha256\\": \\"(.{64})', re.DOTALL)
# Types of safetensors that NumPy has as well.
NUMPY_TYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors format
NAME_SHOWN = 60  # letters of a file's name in that of the folder it is written in
MAKE_AGAIN = "Delete it and run again."


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove_leftovers(path: Path, beginning: str) -> None:
    """Remove what killed processes left when they wrote this file."""
    for left in path.parent.glob(f"{glob.escape(beginning)}*.part"):
        process = re.fullmatch(r"(\d{1,9})\.[^.]*\.part", left.name.removeprefix(beginning))
        if process and not _is_running(int(process[1])):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; rename it to ``path`` when the block ends well, else remove it.

    The file is written in a new folder beside ``path`` that nobody else can enter or foresee, so that no link
    that another user planted is followed. The next run removes it where this one is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beginning = f".{path.name[:NAME_SHOWN]}."
    _remove_leftovers(path, beginning)
    folder = Path(tempfile.mkdtemp(prefix=f"{beginning}{os.getpid()}.", suffix=".part", dir=path.parent))
    temporary = folder / path.name  # the whole name, because writers choose the format by its end
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        # safetensors makes files that only their owner may read; a group shares results.
        mask = os.umask(0)  # it can only be read by setting it
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_unwritable(path: Path) -> None:
    """Refuse a file that could not be written, before hours are spent on what it should hold.

    Raises
    ------
    InputError : a folder stands there, or its place is not a folder one may write to
    """
    place = next((folder for folder in Path(path).absolute().parents if folder.exists()), Path("/"))
    if Path(path).is_dir() or not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        found = "a folder" if Path(path).is_dir() else f"a place that cannot be written to ({place})"
        raise InputError(path, found, "a file that can be written", "Give another name.")


def _hash_sealed(handle: IO[bytes]) -> tuple[int, str, str] | None:
    """Hash an opened safetensors file as if its seal were zeros.

    Returns
    -------
    place of the seal in the file, the seal as it stands there, the hash; None in a file without a seal
    """
    start = handle.read(8)
    length = int.from_bytes(start, "little")
    header = handle.read(length) if length <= MAX_HEADER else b""
    seal = SEALED.search(header)
    if seal is None:
        return None
    blank = header[: seal.start(1)] + UNSEALED.encode() + header[seal.end(1) :]
    digest = hashlib.sha256(start + blank)
    while block := handle.read(1 << 20):
        digest.update(block)
    return 8 + seal.start(1), seal[1].decode("latin-1"), digest.hexdigest()


def seal(path: Path) -> None:
    """Write the hash of a safetensors file into its header, where its metadata holds ``UNSEALED``."""
    with open(path, "r+b") as handle:
        hashed = _hash_sealed(handle)
        if hashed is None or hashed[1] != UNSEALED:
            raise ValueError(f"{path} has no place for a seal")
        handle.seek(hashed[0])
        handle.write(hashed[2].encode())


@functools.lru_cache(maxsize=4096)
def _is_as_written(path: Path, size: int, changed: int, inode: int) -> bool:
    """Compare a file with its seal; once per process and file."""
    with open(path, "rb") as handle:
        hashed = _hash_sealed(handle)
    return hashed is None or hashed[1] == hashed[2]


def check_seal(path: Path) -> None:
    """Compare a file with the hash in its header; files of others, which have none, pass.

    Raises
    ------
    InputError : bits that are not those that were written
    """
    about = os.stat(path)
    if not _is_as_written(path, about.st_size, about.st_mtime_ns, about.st_ino):
        raise InputError(
            path, "other content than was written: a damaged file", "the hash in its header", MAKE_AGAIN
        )


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write named arrays of any shape as safetensors; ``meta`` goes into the header as JSON.

    Equal arrays and meta give equal bytes: safetensors writes several metadata keys in hash order, so
    there is only one.
    """
    header = {META_KEY: sealable(meta)}
    with replacing(Path(path)) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, temporary, metadata=header)
        seal(temporary)


def refuse_nonfinite(arrays: Mapping[str, np.ndarray], made_by: str | Path) -> None:
    """Refuse arrays with NaN or infinite numbers before they are written.

    Parameters
    ----------
    arrays : of any shape and kind; integers pass
    made_by : what computed them, such as the folder of a network, for the message

    Raises
    ------
    InputError : the first array that is not finite
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            found = f"{count} of {array.size} numbers of {name} that are NaN or infinite"
            todo = "Download it again: its weights or its settings are damaged."
            raise InputError(made_by, found, "finite numbers from this network", todo)


def sealable(meta: Mapping[str, Any]) -> str:
    """Write metadata as JSON with a place for the hash of the file."""
    return json.dumps({**meta, SEAL: UNSEALED}, sort_keys=True)


def read_arrays(path: Path, names: list[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read named arrays, of any shape (all by default), and the metadata.

    Raises
    ------
    InputError : the file is missing, truncated or lacks an array
    """
    with open_arrays(path) as handle:
        stored = list(handle.keys())
        for name in names or []:
            if name not in stored:
                raise InputError(
                    path, f"arrays {', '.join(stored)}", f"an array {name}", "Make the file again."
                )
        arrays = {name: handle.get_tensor(name) for name in (names or stored)}
        return arrays, read_meta(handle)


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """Open a safetensors file memory-mapped, for partial reads with ``get_slice(name)[rows]``.

    Raises
    ------
    InputError : the file is missing, truncated, damaged, or its metadata are no JSON object
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a safetensors file", "Run the step that makes it.")
    expected = "a complete safetensors file"
    try:
        check_seal(Path(path))
        handle = safe_open(path, framework="np")
    except (SafetensorError, OSError, OverflowError) as error:
        raise InputError(path, f"a file that cannot be read ({error})", expected, MAKE_AGAIN) from None
    with handle as opened:
        try:
            read_meta(opened)
        except (ValueError, RecursionError) as error:
            raise InputError(
                path, f"metadata that are no JSON object ({error})", expected, MAKE_AGAIN
            ) from None
        _refuse_unreadable_types(path, opened)
        yield opened


def _refuse_unreadable_types(path: Path, handle: Any) -> None:
    """Raise InputError where an opened file has an array of a type that NumPy does not know, such as BF16."""
    for name in handle.keys():  # noqa: SIM118  (no mapping)
        kind = handle.get_slice(name).get_dtype()
        if kind not in NUMPY_TYPES:
            expected = f"one of {', '.join(NUMPY_TYPES)}"
            raise InputError(path, f"array {name} of type {kind}", expected, MAKE_AGAIN)


def read_meta(handle: Any) -> dict[str, Any]:
    """Read the metadata of an opened file as JSON values.

    Raises
    ------
    ValueError : no JSON object
    """
    meta = json.loads((handle.metadata() or {}).get(META_KEY, "{}"))
    if not isinstance(meta, dict):
        raise ValueError(f"a {type(meta).__name__}")
    meta.pop(SEAL, None)
    return meta


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as TSV without its index."""
    with replacing(Path(path)) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="nan", lineterminator="\n")


def fixed_digits(table: pd.DataFrame) -> pd.DataFrame:
    """Write fractions with six decimals, so that equal runs give equal files."""
    columns = [name for name in table.columns if table[name].dtype.kind == "f"]
    return table.assign(**{name: table[name].map("{:.6f}".format) for name in columns})


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a TSV; text columns stay text (empty stays empty).

    Raises
    ------
    InputError : the file is missing, no table, or a named column is missing
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a TSV table", "Run the step that makes it.")
    try:
        table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["nan", "NaN"])
    except (OSError, ValueError) as error:  # pandas' errors of parsing are ValueErrors, as that of encoding
        found = f"a file that is no table ({' '.join(str(error).split())})"
        raise InputError(path, found, "a TSV table in UTF-8", MAKE_AGAIN) from None
    missing = [name for name in columns or [] if name not in table.columns]
    if missing:
        raise InputError(
            path, f"columns {', '.join(table.columns)}", f"columns {', '.join(missing)}", "Add them."
        )
    return table


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, keys in order."""
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path: Path, expected: str, todo: str) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path : file in UTF-8
    expected, todo : what it should be and what to do, for messages

    Raises
    ------
    InputError : no such file, one that cannot be read, or no JSON object
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(path, f"a file that is no JSON object ({reason})", expected, todo) from None
    if not isinstance(value, dict):
        raise InputError(path, f"a file that is no JSON object but a {type(value).__name__}", expected, todo)
    return value


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
