"""Files between steps, movies, tables and lists of captions, and folders of networks."""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bad_inputs.table import (
    CAPTIONS,
    COMMANDS,
    MODEL,
    MOVIE,
    STIMULI,
    VERTICES,
    Arguments,
    Row,
    cut,
    flip,
    folder_for,
    given,
    write,
)
from neurocine.datasets.base import Movie


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
        unknown = b'{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}'
        brain_float = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
        for text in (b"[" * 9999, unknown, brain_float, b"{}{}"):
            content = struct.pack("<Q", len(text)) + text + bytes(4)
            yield Row(f"{name} header {text[:19]!r}", command, write(name, content), f"{name}: found")


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


def listed(file: str, *movies: str) -> Arguments:
    """Take captions from a list that follows movies of two clips each."""
    settings = {"backend": "file", "lists": [{"file": file, "movies": list(movies)}]}
    return {"settings": settings, "listed_movies": [Movie(movie, 2, 2.0).text() for movie in movies]}


def caption_list_rows() -> Iterator[Row]:
    """Lists of captions as authors release them, which say nothing of movies and clips."""
    lists: dict[str, tuple[str, bytes, str]] = {
        "too short": ("a.txt", b"a\n", "1 captions; expected 2, one for each clip of seg1 .2."),
        "too long": ("a.json", b'["a", "b", "c"]', "3 captions; expected 2.*Name in caption_clips.lists all"),
        "empty": ("a.txt", b"", "0 captions; expected 2"),
        "a line empty": ("a.txt", b"a\n \n", 'caption 2 of 2 is " "; expected a text for every clip'),
        "null": ("a.json", b'["a", null]', "caption 2 of 2 is null"),
        "a number": ("a.json", b'["a", 7]', "caption 2 of 2 is 7"),
        "an object": ("a.json", b'{"seg1": "a"}', "no list"),
        "JSON cut": ("a.json", b'["a", "b', "cannot be read"),
        "Latin-1": ("a.txt", b"\xe9\nb\n", "cannot be read"),
        "UTF-16": ("a.csv", "caption\na\nb\n".encode("utf-16"), "cannot be read"),
        "another column": ("a.csv", b"text\na\nb\n", "columns text, not one named caption"),
        "two columns": ("a.tsv", b"caption\tcaption\na\tb\n", "columns caption, caption"),
        "fields": ("a.csv", b"caption\na,b\nb\n", "row 2 has 2 of 1 fields"),
        "open quote": ("a.csv", b'caption\n"a\nb\n', "cannot be read"),
        "pickle": ("a.npy", npy(np.array(["a", "b"], dtype=object)), "cannot be read .*allow_pickle"),
        "numbers": ("a.npy", npy(np.arange(2)), "no array of one axis of texts"),
        "two axes": ("a.npy", npy(np.array([["a", "b"]])), "no array of one axis of texts"),
        "cut": ("a.npy", npy(np.array(["a", "b"]))[:-3], "cannot be read"),
        "HDF5": ("a.h5", b"no HDF5", "pip install h5py|cannot be read"),
        "another ending": ("a.pkl", b"a\nb\n", r"a file \.pkl; expected \.txt, \.json"),
    }
    for name, (file, content, told) in lists.items():
        yield Row(f"list {name}", "caption_clips", write(file, content, **listed(file, "seg1")), told)
    yield Row("list absent", "caption_clips", given(**listed("a.txt", "seg1")), "No such file")
    yield Row("list a folder", "caption_clips", folder_for("a.txt", **listed("a.txt", "seg1")), "cannot be")
    other = write("a.txt", b"a\nb\n", **listed("a.txt", "seg2"))
    yield Row("list of another movie", "caption_clips", other, "0 captions of seg1; expected 2")
    longer = write("a.txt", b"a\nb\nc\n", **listed("a.txt", "seg1"))

    def of_three(folder: Path) -> Arguments:
        return longer(folder) | {"listed_movies": [Movie("seg1", 3, 2.0).text()]}

    yield Row("list of a longer movie", "caption_clips", of_three, "3 captions of seg1; expected 2")


def npy(array: np.ndarray) -> bytes:
    """Save an array as bytes."""
    handle = io.BytesIO()
    np.save(handle, array, allow_pickle=True)
    return handle.getvalue()


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
