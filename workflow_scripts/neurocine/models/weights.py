"""Check folders of networks from headers and sizes, without loading anything."""

import json
import struct
import zipfile
from pathlib import Path

from neurocine.errors import InputError
from neurocine.models.catalogue import (
    BESIDE_WEIGHTS,
    CLIP_TOKENIZER,
    LFS_POINTER,
    SCHEDULE_FILE,
    absent_files,
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
    InputError : the header is not one, as in a file that was cut short
    """
    with open(path, "rb") as handle:
        start = handle.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        header = handle.read(length) if length <= MAX_HEADER else b""
    try:
        entries = json.loads(header)
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        found = "a file without a safetensors header"
        raise InputError(path, found, "a safetensors file", DOWNLOAD_AGAIN) from None
    return 8 + length + max(ends, default=0)


def _check_weights(path: Path) -> None:
    """Check one file of weights, or the index of several, without loading it."""
    with open(path, "rb") as handle:
        start = handle.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise InputError(path, "a Git LFS pointer", "weights", "Fetch the weights with: git lfs pull")
    if path.suffix == ".json":
        try:
            named = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, TypeError, KeyError, AttributeError):
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


def check_model(folder: Path) -> list[Path]:
    """Check a model folder without loading it: configs, complete weights, and what belongs beside them.

    Returns
    -------
    the files of weights

    Raises
    ------
    InputError : a file is absent or cut short
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
        weights = weight_files(part)
        if not weights:
            raise InputError(part, "no weights (*.safetensors)", MODEL_FILES, DOWNLOAD_AGAIN)
        files += weights
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
    try:
        return str(json.loads(config.read_text(encoding="utf-8")).get("model_type", ""))
    except (ValueError, AttributeError):
        raise InputError(
            config, "a file that is no JSON object", "the config of a network", DOWNLOAD_AGAIN
        ) from None
