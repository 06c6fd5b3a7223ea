"""What a row of the table of bad inputs is, how its files are damaged, and the arguments of good runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurocine.datasets.base import Movie, Recording
from small_data_sets import AREA_VOXELS

Arguments = dict[str, Any]
VOLUMES = 6
CROP = {"crop": {"6": [1, 1]}, "detrend_order": 1}
# What a good run is a recording of: the crop leaves 4 of its volumes.
RECORDING: Arguments = {"movie": "seg1", "repeat": 1, "n_clips": 4, "tr": 2.0}
FRAMES: Arguments = {"clips_per_movie": 2, "tr": 1.0, "fps": 2.0, "frames_per_tr": 2, "height": 8, "width": 8}
RUN, MOVIE, STIMULI, VERTICES = (
    "seg1_1_Atlas.dtseries.nii",
    "seg1.mp4",
    "stimuli.safetensors",
    "vertices.safetensors",
)
CAPTIONS = "captions.tsv"
MODEL = "model"
# Arguments of good runs; names are files of the row's folder.
COMMANDS: dict[str, Arguments] = {
    "preprocess_run": {"runs": [RUN], "vertices": VERTICES, "settings": CROP},
    "prepare_stimuli": {
        "videos": [MOVIE],
        "settings": FRAMES,
    },
    "caption_clips": {
        "stimuli": STIMULI,
        "model": MODEL,
        "settings": {"backend": "file", "file": CAPTIONS},
    },
    "check_data": {
        "stimuli": [],
        "runs": [],
        "rest": [],
        "models": [],
        "settings": {"min_free_gb": 0.0},
        "prepare_stimuli": FRAMES,
        "preprocess_run": CROP,
        "package": {
            "kind": "runs",
            "train_movies": ["seg1"],
            "test_movies": ["test1"],
            "train_repeats": 1,
            "test_repeats": 1,
            "clips_per_movie": 2,
        },
    },
    "import_fmri": {
        "fmri": "sub01",
        "part": "train",
        "package": {
            "kind": "algonauts_2021",
            "train_movies": ["videos1", "videos2"],
            "test_movies": ["videos3", "videos4"],
            "train_repeats": 3,
            "test_repeats": 3,
            "clips_per_movie": 2,
            "areas": list(AREA_VOXELS),
        },
        "settings": {},
    },
    "augment_captions": {
        "stimuli": STIMULI,
        "captions": CAPTIONS,
        "seed": 0,
        "settings": {"synonyms": "synonyms.tsv"},
    },
    "decode_features": {
        "semantic": "animator/semantic",
        "structure": "animator/structure",
        "motion": "animator/motion",
        "fmri_train": "animator/train.safetensors",
        "fmri_test": "animator/test.safetensors",
        "embeddings": ["animator/embeddings.safetensors"],
        "latents": ["animator/latents.safetensors"],
        "condition": "fmri",
        "variant": "paper",
        "seed": 0,
        "settings": {"shift_tr": 2},
    },
    "train_motion": {
        "fmri": "training/fmri.safetensors",
        "latents": ["training/latents.safetensors"],
        "structure": "training/structure",
        "train_movies": ["seg1", "seg2", "seg3"],
        "validation": ["seg3"],
        "variant": "paper",
        "memory_tokens": 1,
        "motion_from": "fmri",
        "seed": 0,
        "settings": {
            "encoder_width": 8,
            "feedforward_width": 8,
            "steps": 2,
            "batch_size": 4,
            "validate_every": 1,
            "tensorboard": False,
        },
        "state": "state",
    },
    "bad_inputs.read_config": {"configfiles": []},
}
# Arguments that name files or folders of the row's folder.
FILES = frozenset(
    ["runs", "vertices", "videos", "stimuli", "model", "models", "rest", "fmri", "captions", "configfiles",
     "semantic", "structure", "motion", "fmri_train", "fmri_test", "embeddings", "latents", "state"]
)  # fmt: skip
SETTINGS_FILES = ("file", "synonyms")  # keys of settings that do


@dataclass(frozen=True)
class Row:
    """One bad input: its name, the command, what makes it, and a pattern of what must be said."""

    name: str
    command: str
    make: Callable[[Path], Arguments]
    told: str


def write(name: str, content: bytes | None, **arguments: Any) -> Callable[[Path], Arguments]:
    """Replace a file by other bytes, None to remove it."""

    def make(folder: Path) -> Arguments:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return arguments

    return make


def cut(name: str, kept: int, **arguments: Any) -> Callable[[Path], Arguments]:
    def make(folder: Path) -> Arguments:
        path = folder / name
        path.write_bytes(path.read_bytes()[:kept])
        return arguments

    return make


def patch(name: str, place: int, content: bytes, **arguments: Any) -> Callable[[Path], Arguments]:
    """Overwrite bytes at a place, counted from the end where negative."""

    def make(folder: Path) -> Arguments:
        raw = bytearray((folder / name).read_bytes())
        start = place % len(raw)
        raw[start : start + len(content)] = content
        (folder / name).write_bytes(raw)
        return arguments

    return make


def replace(name: str, old: bytes, new: bytes, **arguments: Any) -> Callable[[Path], Arguments]:
    """Exchange text of the same length."""
    assert len(old) == len(new)

    def make(folder: Path) -> Arguments:
        raw = (folder / name).read_bytes()
        assert old in raw
        (folder / name).write_bytes(raw.replace(old, new, 1))
        return arguments

    return make


def given(**arguments: Any) -> Callable[[Path], Arguments]:
    return lambda folder: arguments


def folder_for(name: str, **arguments: Any) -> Callable[[Path], Arguments]:
    """Put a folder where a file should be."""

    def make(folder: Path) -> Arguments:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()
        return arguments

    return make


def changed(command: str, key: str, **values: Any) -> Callable[[Path], Arguments]:
    """Change keys of a settings argument."""
    return given(**{key: COMMANDS[command][key] | values})


def flip(name: str, place: int) -> Callable[[Path], Arguments]:
    """Flip one bit of a byte."""

    def make(folder: Path) -> Arguments:
        raw = bytearray((folder / name).read_bytes())
        raw[place] ^= 1
        (folder / name).write_bytes(raw)
        return {}

    return make


def completed(command: str, arguments: Arguments) -> Arguments:
    """Add to the arguments of a good run those of a row, and describe each movie and run as the rules do."""
    words = COMMANDS[command] | arguments
    if "runs" in words:
        words = {"recordings": [Recording(**RECORDING).text()] * len(words["runs"])} | words
    if command in ("prepare_stimuli", "check_data"):
        videos = words["videos" if command == "prepare_stimuli" else "stimuli"]
        cut = words["settings" if command == "prepare_stimuli" else "prepare_stimuli"]
        cut = cut if isinstance(cut, dict) else FRAMES
        movies = [Movie(Path(video).stem, cut["clips_per_movie"], cut["tr"]).text() for video in videos]
        words = {"movies": movies} | words
    return words


def as_words(arguments: Arguments, folder: Path) -> list[str]:
    """Write arguments as the words of a command line; files lie in the folder."""

    def text(key: str, value: Any) -> str:
        if isinstance(value, dict):
            named = {name: str(folder / value[name]) for name in SETTINGS_FILES if value.get(name)}
            lists = [entry | {"file": str(folder / entry["file"])} for entry in value.get("lists", ())]
            return json.dumps(value | named | ({"lists": lists} if lists else {}))
        return str(folder / value) if key in FILES else str(value)

    words = []
    for key, value in arguments.items():
        entries = value if isinstance(value, list) else [value]
        entries = [] if value is True else entries
        words += [f"--{key.replace('_', '-')}", *(text(key, entry) for entry in entries)]
    return words
