"""The table of bad inputs: what is wrong, the command that meets it, and what it must say.

A row changes one thing of a good set of files. ``make`` gets the folder of the row, which holds copies of
them, and returns the arguments that differ from those of `COMMANDS`.
"""

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurocine.datasets.base import Movie, Recording

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
}


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


def cifti_rows() -> Iterator[Row]:
    """Headers and values of runs, met by the job and by the door."""
    # The first volume is dropped, so what is wrong lies in the second.
    run, bold = RUN, -4 * VOLUMES * 91_282
    values = np.full(VOLUMES, np.nan, "<f4").tobytes()
    damage: list[tuple[str, Callable[..., Any], str]] = [
        ("empty", lambda **k: write(run, b"", **k), "truncated or damaged"),
        ("text", lambda **k: write(run, b"no image" * 99, **k), "no NIfTI-2 header"),
        ("zeros", lambda **k: write(run, bytes(9999), **k), "no NIfTI-2 header"),
        ("cut in header", lambda **k: cut(run, 300, **k), "truncated or damaged"),
        ("cut in extension", lambda **k: cut(run, 9000, **k), "truncated or damaged"),
        ("cut in XML", lambda **k: cut(run, 300_000, **k), "truncated or damaged"),
        ("cut in matrix", lambda **k: cut(run, -4000, **k), r"truncated.*6 volumes"),
        ("one byte short", lambda **k: cut(run, -1, **k), "truncated or damaged"),
        ("folder", lambda **k: folder_for(run, **k), "no such file"),
        ("absent", lambda **k: write(run, None, **k), "no such file"),
        (
            "offset missing",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexXffset="29696"', **k),
            "from no row",
        ),
        (
            "offset zero",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexOffset="00000"', **k),
            "CORTEX_RIGHT",
        ),
        (
            "offset overlaps",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexOffset="29695"', **k),
            "CORTEX_RIGHT",
        ),
        (
            "offset negative",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexOffset="-2969"', **k),
            "from -2969",
        ),
        (
            "offset huge",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexOffset="99999"', **k),
            "from 99999",
        ),
        (
            "offset text",
            lambda **k: replace(run, b'IndexOffset="29696"', b'IndexOffset="right"', **k),
            "from right",
        ),
        (
            "count too small",
            lambda **k: replace(run, b'IndexCount="29716"', b'IndexCount="29715"', **k),
            "rows from 59412",
        ),
        (
            "count text",
            lambda **k: replace(run, b'IndexCount="29716"', b'IndexCount="many!"', **k),
            "damaged",
        ),
        (
            "structure twice",
            lambda **k: replace(run, b"STRUCTURE_CORTEX_RIGHT", b"STRUCTURE_CORTEX_LEFT ", **k),
            "found",
        ),
        ("other mesh", lambda **k: replace(run, b'Vertices="32492"', b'Vertices="59292"', **k), "meshes of"),
        ("unit", lambda **k: replace(run, b'"SECOND"', b'"HERTZ "', **k), "series in HERTZ"),
        ("points", lambda **k: replace(run, b'SeriesPoints="6"', b'SeriesPoints="7"', **k), "series points"),
        ("exponent", lambda **k: replace(run, b'Exponent="0"', b'Exponent="x"', **k), "damaged"),
        (
            "version",
            lambda **k: replace(run, b'CIFTI Version="2', b'CIFTI Version="1', **k),
            "wb_command -file-convert",
        ),
        ("XML broken", lambda **k: replace(run, b"</CIFTI>", b"</CIFT!>", **k), "damaged"),
        (
            "map of another kind",
            lambda **k: replace(run, b"TYPE_SERIES", b"TYPE_LABELS", **k),
            "time series by brain",
        ),
        ("data type unknown", lambda **k: patch(run, 12, struct.pack("<h", 9999), **k), "data type 9999"),
        ("data type RGB", lambda **k: patch(run, 12, struct.pack("<h", 128), **k), "data type 128"),
        ("data type complex", lambda **k: patch(run, 12, struct.pack("<h", 32), **k), "data type 32"),
        (
            "matrix offset negative",
            lambda **k: patch(run, 168, struct.pack("<q", -5), **k),
            "header of -5 bytes",
        ),
        ("matrix offset huge", lambda **k: patch(run, 168, struct.pack("<q", 2**60), **k), "a header of"),
        ("dimensions", lambda **k: patch(run, 56, struct.pack("<q", 2**40), **k), "a matrix"),
        (
            "NaN in a volume",
            lambda **k: patch(run, bold + 4, values[:4], **k),
            "NaN or infinite values in 1 of",
        ),
        (
            "infinite",
            lambda **k: patch(run, bold + 4, struct.pack("<f", np.inf), **k),
            "NaN or infinite values in 1 of",
        ),
        ("all zero", lambda **k: patch(run, bold, bytes(4 * VOLUMES * 91_282), **k), "vertices constant"),
    ]
    for name, make, told in damage:
        yield Row(f"run: {name}", "preprocess_run", make(), told)
        yield Row(f"run at the door: {name}", "check_data", make(runs=[RUN]), told)


def run_rows() -> Iterator[Row]:
    """Recordings, lengths and exclusions of runs."""
    for name, text, told in (
        ("no JSON", "seg1_1", "--recordings: found seg1_1"),
        ("a list", "[]", r"--recordings: found \[\] \(no object"),
        ("without repeat", json.dumps({"movie": "seg1", "n_clips": 4, "tr": 2.0}), "--recordings.*'repeat'"),
        ("of another key", json.dumps(RECORDING | {"run": 1}), "--recordings.*'run'"),
        ("of more clips", json.dumps(RECORDING | {"n_clips": 5}), "4 samples after the crop; expected 5"),
        ("that ends early", json.dumps(RECORDING | {"first": 3}), "6 volumes; expected at least 7"),
        ("of another TR", json.dumps(RECORDING | {"tr": 1.5, "header_tr": True}), "a TR of 2 s"),
    ):
        yield Row(f"recording {name}", "preprocess_run", given(recordings=[text]), told)
        make = given(runs=[RUN], recordings=[text])
        yield Row(f"recording at the door {name}", "check_data", make, told)
    for name, texts in (("fewer", []), ("more", [json.dumps(RECORDING)] * 2)):
        told = f"1 files; expected {len(texts)}"
        yield Row(f"{name} recordings than runs", "preprocess_run", given(recordings=texts), told)
        make = given(runs=[RUN], recordings=texts)
        yield Row(f"{name} recordings than runs at the door", "check_data", make, told)
    for name, entry in enumerate(("test2", ":9", "test2:x", "test2:0", "seg1:²", "seg1:99999999")):
        yield Row(f"excluded {name}", "preprocess_run", given(excluded=[entry]), "movie:repeat")
    yield Row("run twice", "preprocess_run", given(runs=[RUN, RUN]), "one file for seg1 repeat 1")
    yield Row("every run excluded", "preprocess_run", given(excluded=["seg1:1"]), "every run excluded")
    yield Row("no run", "preprocess_run", given(runs=[]), "at least one run")
    for crop, told in (
        ({"7": [1, 1]}, "6 volumes"),
        ({}, "crop"),
        ({"6": [5, 5]}, "crop"),
        ({"6": [-1, 1]}, "crop"),
        ({"6": 4}, "crop"),
        ({"many": [1, 4]}, "crop"),
    ):
        yield Row(f"crop {crop}", "preprocess_run", changed("preprocess_run", "settings", crop=crop), told)
    for key, value in (
        ("detrend_order", -1),
        ("detrend_order", 99),
        ("ddof", 2),
        ("extra_lag_tr", 50),
        ("detrnd", 1),
    ):
        make = changed("preprocess_run", "settings", **{key: value})
        yield Row(f"{key} {value}", "preprocess_run", make, key)


def arrays_rows() -> Iterator[Row]:
    """Files between steps: cut, with flipped bits, of other kinds."""
    for name in (STIMULI, VERTICES):
        command = {STIMULI: "caption_clips", VERTICES: "preprocess_run"}[name]
        for kept in (0, 7, 8, 50, 200, -1):
            yield Row(
                f"{name} cut at {kept}",
                command,
                cut(name, kept),
                rf"{name}: found .*cannot be read|other content",
            )
        for place in (90, 180, -1, -9, -60):
            yield Row(
                f"{name} bit flipped at {place}",
                command,
                flip(name, place),
                "other content than was written|cannot be read",
            )
        yield Row(f"{name} absent", command, write(name, None), "no such file")
        yield Row(f"{name} a folder", command, folder_for(name), "no such file")
        yield Row(f"{name} text", command, write(name, b"movie\tclip\n" * 9), "cannot be read")
        header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        other = struct.pack("<Q", len(header)) + header + bytes(4)
        yield Row(f"{name} of others", command, write(name, other), f"{name}: found")
        for text in (b"[" * 9999, b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}', b"{}{}"):
            content = struct.pack("<Q", len(text)) + text + bytes(4)
            yield Row(f"{name} header {text[:12]!r}", command, write(name, content), f"{name}: found")


def flip(name: str, place: int) -> Callable[[Path], Arguments]:
    """Flip one bit of a byte."""

    def make(folder: Path) -> Arguments:
        raw = bytearray((folder / name).read_bytes())
        raw[place] ^= 1
        (folder / name).write_bytes(raw)
        return {}

    return make


def movie_rows() -> Iterator[Row]:
    """Movies, met by the job and by the door."""
    for name, make, told in (
        ("absent", lambda **k: write(MOVIE, None, **k), "no such file"),
        ("empty", lambda **k: write(MOVIE, b"", **k), "an empty file"),
        ("text", lambda **k: write(MOVIE, b"no movie" * 99, **k), "cannot be read as a movie"),
        (
            "random",
            lambda **k: write(MOVIE, np.random.default_rng(0).bytes(4000), **k),
            "cannot be read as a movie",
        ),
        ("cut", lambda **k: cut(MOVIE, 700, **k), "seg1.mp4: found"),
        ("half", lambda **k: cut(MOVIE, 1500, **k), "seg1.mp4: found"),
        ("folder", lambda **k: folder_for(MOVIE, **k), "no such file"),
        ("picture", lambda **k: write(MOVIE, b"\x89PNG\r\n\x1a\n" + bytes(99), **k), "seg1.mp4: found"),
        ("playlist", lambda **k: write(MOVIE, b"#EXTM3U\n/etc/passwd\n", **k), "seg1.mp4: found"),
    ):
        yield Row(f"movie {name}", "prepare_stimuli", make(), told)
        yield Row(f"movie at the door {name}", "check_data", make(stimuli=[MOVIE]), told)
    settings = COMMANDS["prepare_stimuli"]["settings"]
    for key, value in (
        ("clips_per_movie", 99),
        ("clips_per_movie", 0),
        ("fps", 0),
        ("fps", -1),
        ("fps", "fast"),
        ("tr", 0),
        ("height", -8),
        ("width", 0),
        ("frames_per_tr", 99),
        ("frames_per_tr", 2.5),
        ("resize", "crop"),
        ("hight", 8),
    ):
        told = "clips of 1 s" if (key, value) == ("clips_per_movie", 99) else key
        yield Row(f"{key} {value}", "prepare_stimuli", given(settings=settings | {key: value}), told)
    for name, text in enumerate(
        ("{", "[]", "nonsense", "", '{"fps": NaN}', '{"fps": Infinity}', "@absent.json")
    ):
        yield Row(f"settings {name}", "prepare_stimuli", given(settings=text), "settings|fps|absent")


def caption_rows() -> Iterator[Row]:
    """Tables of captions, which users write by hand."""
    head = "movie\tclip\tcaption\n"
    good = "seg1\t0\ta\nseg1\t1\tb\n"
    tables: dict[str, tuple[bytes | None, str]] = {
        "absent": (None, "No such file"),
        "empty": (b"", "columns none"),
        "UTF-16": ((head + good).encode("utf-16"), "cannot be read"),
        "Latin-1": ((head + good.replace("a\n", "é\n")).encode("latin-1"), "cannot be read"),
        "binary": (bytes(range(256)), "cannot be read"),
        "commas": ((head + good).replace("\t", ",").encode(), "columns"),
        "no caption": (b"movie\tclip\nseg1\t0\n", "columns movie, clip"),
        "two captions": (b"movie\tclip\tcaption\tcaption\nseg1\t0\ta\tb\n", "columns"),
        "clip text": ((head + "seg1\tone\ta\nseg1\t1\tb\n").encode(), "line 2: found clip one"),
        "clip nan": ((head + "seg1\tnan\ta\nseg1\t1\tb\n").encode(), "clip nan"),
        "clip fraction": ((head + "seg1\t0.5\ta\nseg1\t1\tb\n").encode(), "clip 0.5"),
        "clip huge": ((head + f"seg1\t{'9' * 20}\ta\n").encode(), "whole numbers"),
        "open quote": ((head + 'seg1\t0\t"a\nseg1\t1\tb\n').encode(), "cannot be read"),
        "inner quote": ((head + 'seg1\t0\t"Stop" says he\nseg1\t1\tb\n').encode(), "cannot be read"),
        "NUL": ((head + "seg1\t0\ta\0b\nseg1\t1\tb\n").encode(), "NUL|cannot be read"),
        "fields": ((head + "seg1\t0\ta\tb\nseg1\t1\tb\n").encode(), "4 fields"),
        "few fields": ((head + "seg1\t0\n").encode(), "2 fields"),
        "one missing": ((head + "seg1\t0\ta\n").encode(), "missing: clip 1"),
        "one twice": ((head + good + "seg1\t1\tb\n").encode(), "some given twice"),
        "one too many": ((head + good + "seg1\t2\tc\n").encode(), "not in the movie: clip 2"),
        "other movie": ((head + good.replace("seg1", "seg2")).encode(), "0 captions of seg1"),
        "empty caption": ((head + "seg1\t0\t\nseg1\t1\tb\n").encode(), "empty captions"),
    }
    for name, (content, told) in tables.items():
        yield Row(f"captions {name}", "caption_clips", write(CAPTIONS, content), told)
    yield Row("captions a folder", "caption_clips", folder_for(CAPTIONS), "cannot be read")


def model_rows() -> Iterator[Row]:
    """Folders of networks at the door."""
    weights, config = f"{MODEL}/model.safetensors", f"{MODEL}/config.json"
    door: Arguments = {"models": [MODEL], "model_names": ["clip"]}

    def header(text: bytes) -> bytes:
        return struct.pack("<Q", len(text)) + text

    for name, make, told in (
        ("no folder", given(models=["nowhere"], model_names=["clip"]), "no such folder"),
        (
            "of another name",
            given(models=[MODEL], model_names=["image_classifier"]),
            "a network of type clip",
        ),
        ("config absent", write(config, None, **door), r"no config\.json"),
        ("config cut", write(config, b'{"model_type": "cl', **door), "no JSON object"),
        ("config a list", write(config, b"[]", **door), "no JSON object"),
        ("config Latin-1", write(config, b'{"a": "\xe9"}', **door), "no JSON object"),
        ("config nested", write(config, b"[" * 99_999, **door), "no JSON object"),
        ("config of nothing", write(config, b"{}", **door), "type unknown"),
        ("config of BERT", write(config, b'{"model_type": "bert"}', **door), "type bert"),
        ("weights absent", write(weights, None, **door), "no weights"),
        ("weights empty", write(weights, b"", **door), "without a safetensors header"),
        (
            "weights a pointer",
            write(weights, b"version https://git-lfs.github.com/spec/v1\n", **door),
            "git lfs pull",
        ),
        ("weights cut", cut(weights, -9, **door), "as its header says"),
        ("weights cut in header", cut(weights, 40, **door), "without a safetensors header"),
        ("weights longer", write(weights, header(b"{}") + bytes(9), **door), "floating-point"),
        (
            "weights header text",
            write(weights, header(b"words") + bytes(9), **door),
            "without a safetensors header",
        ),
        (
            "weights offsets null",
            write(weights, header(b'{"a":{"dtype":"F32","data_offsets":null}}'), **door),
            "without",
        ),
        (
            "weights offsets text",
            write(weights, header(b'{"a":{"dtype":"F32","data_offsets":["0","4"]}}'), **door),
            "without",
        ),
        ("weights nested", write(weights, header(b"[" * 99_999), **door), "without a safetensors header"),
        (
            "weights integers",
            write(weights, header(b'{"a":{"dtype":"I64","data_offsets":[0,8]}}') + bytes(8), **door),
            "I64",
        ),
        ("header size", write(weights, struct.pack("<Q", 2**62), **door), "without a safetensors header"),
        ("tokenizer absent", write(f"{MODEL}/tokenizer.json", None, **door), r"no tokenizer\.json"),
        (
            "processor absent",
            write(f"{MODEL}/preprocessor_config.json", None, **door),
            "no preprocessor_config",
        ),
    ):
        yield Row(f"network {name}", "check_data", make, told)
    for content in (
        b"[]",
        b"{",
        b'{"weight_map": {"a": 3}}',
        b'{"weight_map": {"a": "../../x"}}',
        b'{"weight_map": {"a": "b"}}',
    ):
        yield Row(f"index {content!r}", "check_data", _index(weights, content, door), "weight_map|no b")


def _index(weights: str, content: bytes, door: Arguments) -> Callable[[Path], Arguments]:
    def make(folder: Path) -> Arguments:
        (folder / weights).unlink()
        (folder / f"{weights}.index.json").write_bytes(content)
        return door

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


ROWS = [
    *cifti_rows(),
    *run_rows(),
    *arrays_rows(),
    *movie_rows(),
    *caption_rows(),
    *model_rows(),
]


def as_words(arguments: Arguments, folder: Path) -> list[str]:
    """Write arguments as the words of a command line; files lie in the folder."""

    def text(key: str, value: Any) -> str:
        if isinstance(value, dict):
            if "file" in value:
                value = value | {"file": str(folder / value["file"])}
            return json.dumps(value)
        is_file = key in ("runs", "vertices", "videos", "stimuli", "model", "models")
        return str(folder / value) if is_file else str(value)

    words = []
    for key, value in arguments.items():
        entries = value if isinstance(value, list) else [value]
        words += [f"--{key.replace('_', '-')}", *(text(key, entry) for entry in entries)]
    return words
