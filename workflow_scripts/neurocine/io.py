"""Files on disk: arrays with metadata, tables and JSON, each written under a temporary name and renamed."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from neurocine.errors import InputError

META_KEY = "neurocine"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; rename to it when the block ends well, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last, because writers such as PyAV and PIL choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
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
        temporary.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write named arrays as safetensors; ``meta`` goes into the header as JSON.

    Equal arrays and meta give equal bytes: safetensors writes several metadata keys in hash order, so
    there is only one.
    """
    header = {META_KEY: json.dumps(meta, sort_keys=True)}
    with replacing(Path(path)) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, temporary, metadata=header)


def read_arrays(path: Path, names: list[str] | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read named arrays (all by default) and the metadata.

    Raises
    ------
    InputError : the file is missing, truncated or lacks an array
    """
    with open_arrays(path) as handle:
        found = list(handle.keys())
        for name in names or []:
            if name not in found:
                raise InputError(
                    path, f"arrays {', '.join(found)}", f"an array {name}", "Make the file again."
                )
        arrays = {name: handle.get_tensor(name) for name in (names or found)}
        return arrays, read_meta(handle)


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """Open a safetensors file memory-mapped, for partial reads with ``get_slice(name)[rows]``."""
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a safetensors file", "Run the step that makes it.")
    try:
        handle = safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        raise InputError(
            path,
            f"a file that cannot be read ({error})",
            "a complete safetensors file",
            "Delete it and run again.",
        ) from None
    with handle as opened:
        yield opened


def read_meta(handle: Any) -> dict[str, Any]:
    """Read the metadata of an opened file as JSON values."""
    return json.loads((handle.metadata() or {}).get(META_KEY, "{}"))


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
    InputError : the file is missing or a named column is
    """
    if not Path(path).is_file():
        raise InputError(path, "no such file", "a TSV table", "Run the step that makes it.")
    table = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["nan", "NaN"])
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


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
