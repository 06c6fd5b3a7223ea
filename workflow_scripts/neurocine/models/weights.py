"""Check folders of networks from headers and sizes, without loading anything."""

import json
import operator
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from neurocine.errors import InputError
from neurocine.io import read_json
from neurocine.models.catalogue import (
    BESIDE_WEIGHTS,
    CLIP_TOKENIZER,
    LFS_POINTER,
    PIPELINE_TYPES,
    SCHEDULE_FILE,
    absent_files,
    other_weights,
    stale_index,
    weight_files,
)

DOWNLOAD_AGAIN = "Download the model again, or correct its folder in the config section models."
MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors format
MODEL_FILES = "config.json and complete weights"
PIPELINE_PARTS = ("unet", "vae", "text_encoder")
PIPELINE_FILES = {"tokenizer": CLIP_TOKENIZER, "scheduler": SCHEDULE_FILE}


def safetensors_size(path: Path) -> int:
    """Return how many bytes a safetensors file must have, from its header alone.

    Raises
    ------
    InputError : the header is not one, as in a file that was cut short, or its weights are no real numbers
    """
    with open(path, "rb") as handle:
        start = handle.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = handle.read(length) if length <= MAX_HEADER else b""
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        ends = [operator.index(entry["data_offsets"][1]) for entry in entries.values()]
        types = {str(entry["dtype"]) for entry in entries.values()}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        found = "a file without a safetensors header"
        raise InputError(path, found, "a safetensors file", DOWNLOAD_AGAIN) from None
    if not any(kind.startswith(("F", "BF")) for kind in types):
        found = f"values of type {', '.join(sorted(types)) or 'none'}"
        raise InputError(path, found, "weights as floating-point numbers", DOWNLOAD_AGAIN)
    return 8 + length + max(ends, default=0)


def _check_weights(path: Path) -> None:
    """Check one file of weights, or the index of several, without loading it."""
    with open(path, "rb") as handle:
        start = handle.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise InputError(path, "a Git LFS pointer", "weights", "Fetch the weights with: git lfs pull")
    if path.suffix == ".json":
        try:
            named = set(map(_file_name, json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InputError(path, "no weight_map", "an index of files of weights", DOWNLOAD_AGAIN) from None
        absent = sorted(name for name in named if not (path.parent / name).is_file())
        if absent:
            raise InputError(
                path.parent, f"no {', '.join(absent)}", f"all files that {path.name} names", DOWNLOAD_AGAIN
            )
    elif path.suffix == ".safetensors":
        wanted, size = safetensors_size(path), path.stat().st_size
        if size != wanted:
            raise InputError(path, f"{size} bytes", f"{wanted} bytes, as its header says", DOWNLOAD_AGAIN)
    elif start.startswith(b"PK") and not zipfile.is_zipfile(path):  # its table of contents is at the end
        raise InputError(path, "a file that is cut short", "a PyTorch file", DOWNLOAD_AGAIN)


def _file_name(value: object) -> str:
    if not isinstance(value, str) or Path(value).name != value:
        raise ValueError("no name of a file")
    return value


def weights_of(folder: Path, by_diffusers: bool) -> list[Path]:
    """List a network's files of weights, as door and loader take them.

    Parameters
    ----------
    folder : of the network
    by_diffusers : whether diffusers loads it, which takes pieces before whole weights

    Raises
    ------
    InputError : no weights, those of a variant alone that is not read, or whole ones beside an old index
    """
    weights = weight_files(folder)
    if not weights:
        other = other_weights(folder)
        found = f"no weights but {other}, which is not read" if other else "no weights (*.safetensors)"
        raise InputError(folder, found, MODEL_FILES, DOWNLOAD_AGAIN)
    index = stale_index(folder)
    if by_diffusers and index is not None:
        found, todo = (
            f"{index.name} beside {weights[0].name}",
            "Remove the one that is left from an older download.",
        )
        raise InputError(folder, found, "weights whole or in pieces, not both", todo)
    return weights


def check_type(config: Path, types: Sequence[str]) -> None:
    """Check which network a config.json is of.

    Raises
    ------
    InputError : no JSON object, or another network
    """
    model_type = _model_type(config)
    if types and model_type not in types:
        expected = f"one of type {' or '.join(types)}"
        raise InputError(
            config.parent, f"a network of type {model_type or 'unknown'}", expected, DOWNLOAD_AGAIN
        )


def check_model(folder: Path, types: Sequence[str] = ()) -> list[Path]:
    """Check a model folder without loading it: configs, complete weights, and what belongs beside them.

    Parameters
    ----------
    folder : of a network, or of Stable Diffusion with its parts
    types : that config.json may state; any by default

    Returns
    -------
    the files of weights

    Raises
    ------
    InputError : a file is absent or cut short, or the network is another
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", MODEL_FILES, DOWNLOAD_AGAIN)
    parts = [folder / name for name in PIPELINE_PARTS]
    pipeline = (folder / "model_index.json").is_file() or any(part.is_dir() for part in parts)
    files = []
    for part in parts if pipeline else [folder]:
        if not (part / "config.json").is_file():
            raise InputError(
                part, "no config.json" if part.is_dir() else "no such folder", MODEL_FILES, DOWNLOAD_AGAIN
            )
        check_type(part / "config.json", PIPELINE_TYPES[part.name] if pipeline else types)
        files += weights_of(part, by_diffusers=part.name in ("unet", "vae"))
    if pipeline:
        beside = [(folder / name, sets) for name, sets in PIPELINE_FILES.items()]
    else:
        beside = [(folder, sets) for sets in BESIDE_WEIGHTS.get(_model_type(folder / "config.json"), ())]
    for place, sets in beside:
        absent = absent_files(place, sets)
        if absent:
            raise InputError(place, f"no {absent}", "all files of the published network", DOWNLOAD_AGAIN)
    for path in files:
        _check_weights(path)
    return files


def _model_type(config: Path) -> str:
    """Return what a config.json says of its network's architecture; empty where it says nothing.

    Raises
    ------
    InputError : not a JSON object
    """
    values = read_json(config, "the config of a network", DOWNLOAD_AGAIN)
    return str(values.get("model_type") or values.get("_class_name") or "")
