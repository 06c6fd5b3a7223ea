"""Captions of clips in files: the table that steps exchange, and lists that others wrote."""

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.errors import InputError
from neurocine.settings import Settings, Unique

WHOLE_CLIP = -1  # frame number of a caption that holds for the whole clip
COLUMNS = ["movie", "clip", "frame", "caption"]


def caption_table(movie: str, captions: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Make the table movie, clip, frame, caption from (n_clips, K) captions; K = 1 means the whole clip."""
    rows = [
        (movie, clip, frame if len(texts) > 1 else WHOLE_CLIP, text)
        for clip, texts in enumerate(captions)
        for frame, text in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def read_captions(path: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, list[list[str]]]:
    """Read captions from a table and check that every clip has its own.

    Parameters
    ----------
    path : TSV with columns movie, clip (from 0), caption and optionally frame (from 0, or -1 for the whole
        clip). Rows may come in any order; movies that are not asked for are passed over.
    shapes : movie -> (n_clips, F)

    Returns
    -------
    movie -> n_clips lists of one caption, or of F captions

    Raises
    ------
    InputError : columns, clips or frames are missing, double or too many
    """
    table = _read_rows(path)
    captions = {}
    for movie, (n_clips, n_frames) in shapes.items():
        rows = [(clip, frame, text) for name, clip, frame, text in table if name == movie]
        given = {(clip, frame): text for clip, frame, text in rows}
        frames = [WHOLE_CLIP] if all(frame == WHOLE_CLIP for _, frame in given) else list(range(n_frames))
        wanted = [(clip, frame) for clip in range(n_clips) for frame in frames]
        if len(rows) != len(wanted) or set(given) != set(wanted):
            raise _wrong_captions(path, movie, len(rows), given.keys(), wanted)
        captions[movie] = [[given[clip, frame] for frame in frames] for clip in range(n_clips)]
    return captions


def _read_rows(path: Path) -> list[tuple[str, int, int, str]]:
    """Read movie, clip, frame and caption of each row; a caption stays as it was written.

    Raises
    ------
    InputError : no such file, no UTF-8, quotation marks or columns that do not add up, clips without numbers
    """
    expected = "columns movie, clip, caption and perhaps frame, with tabs between them, in UTF-8"
    todo = "Save it as text with tabs in UTF-8, without quotation marks at the start of a caption."
    try:
        with open(path, encoding="utf-8-sig", newline="") as handle:
            rows = list(csv.reader(handle, delimiter="\t", strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, f"a table that cannot be read ({reason})", expected, todo) from None
    columns = rows[0] if rows else []
    if not {"movie", "clip", "caption"} <= set(columns) or len(set(columns)) < len(columns):
        raise InputError(path, f"columns {', '.join(columns) or 'none'}", expected, "Add or rename columns.")
    read = []
    for number, row in enumerate(rows[1:], 2):
        if not row:  # an empty line
            continue
        entry = dict(zip(columns, row, strict=False))
        where = f"{path} line {number}"
        if len(row) != len(columns) or "\0" in "".join(row):
            found = f"{len(row)} fields" if len(row) != len(columns) else "a NUL byte"
            raise InputError(where, found, f"{len(columns)} fields of text, as the first line has", todo)
        numbers = [entry["clip"], entry.get("frame", str(WHOLE_CLIP))]
        if not all(re.fullmatch(r"-?[0-9]{1,9}", text) for text in numbers):
            found = f"clip {entry['clip']}" + (f", frame {entry['frame']}" if "frame" in entry else "")
            raise InputError(where, found, "whole numbers, from 0", "Correct the line.")
        read.append((entry["movie"], int(numbers[0]), int(numbers[1]), entry["caption"]))
    return read


def _wrong_captions(
    path: Path, movie: str, n_rows: int, given: Any, wanted: list[tuple[int, int]]
) -> InputError:
    missing, spare = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    details = [f"{n_rows} captions of {movie}"]
    for name, pairs in (("missing", missing), ("not in the movie", spare)):
        if pairs:
            clip, frame = pairs[0]
            details.append(f"{name}: clip {clip}" + (f" frame {frame}" if frame != WHOLE_CLIP else ""))
    if not missing and not spare:
        details.append("some given twice")
    todo = "Correct the table, or prepare_stimuli.clips_per_movie and frames_per_tr."
    return InputError(path, "; ".join(details), f"{len(wanted)}, one for each clip or frame, from 0", todo)


def copy_captions(path: Path, shapes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Take captions from the user's table (see ``read_captions``), in the order of movies and clips.

    Raises
    ------
    InputError : counts that disagree with the movies, or an empty caption
    """
    tables = [caption_table(movie, texts) for movie, texts in read_captions(path, shapes).items()]
    table = pd.concat(tables, ignore_index=True)
    empty = table[table["caption"].str.strip() == ""]
    if len(empty):
        first = empty.iloc[0]
        found = f"{len(empty)} empty captions, the first for {first['movie']} clip {first['clip']}"
        raise InputError(path, found, "a caption for every clip", "Write the missing captions.")
    return table


class CaptionList(Settings):
    """A list of captions, and the movies that it follows."""

    file: Annotated[str, Field(min_length=1)]
    """Name a file with a caption for each clip: .txt (a line each), .json, .csv, .tsv, .npy or .h5."""
    movies: Annotated[tuple[str, ...], Field(min_length=1), Unique()]
    """Name all movies that the list covers, in its order; those that the study leaves out are passed over."""


def _lines(path: Path) -> list[Any]:
    """Read one caption a line."""
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    return lines if lines[-1] else lines[:-1]


def _json_list(path: Path) -> list[Any]:
    """Read a JSON list of texts."""
    values = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(values, list):
        raise ValueError("no list")
    return values


def _column(path: Path) -> list[Any]:
    """Read the column caption of a table, which has commas or, as .tsv, tabs between its columns."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with open(path, encoding="utf-8-sig", newline="") as handle:
        rows = [row for row in csv.reader(handle, delimiter=delimiter, strict=True) if row]
    columns = rows[0] if rows else []
    if columns.count("caption") != 1:
        raise ValueError(f"columns {', '.join(columns) or 'none'}, not one named caption")
    place = columns.index("caption")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} of {len(columns)} fields")
    return [row[place] for row in rows[1:]]


def _array(path: Path) -> list[Any]:
    """Read an array of texts; one of objects, which would be unpickled, is refused."""
    values = np.load(path, allow_pickle=False)
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "US":
        raise ValueError("no array of one axis of texts")
    return list(values.tolist())


def _hdf5(path: Path) -> list[Any]:
    """Read the only data set of an HDF5 file."""
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError:
        todo = "pip install h5py, or write the captions into a text file, one a line."
        raise InputError(path, "an HDF5 file", "the package h5py, which reads it", todo) from None
    with h5py.File(path, "r") as handle:
        names = list(handle)
        if len(names) != 1 or not isinstance(handle[names[0]], h5py.Dataset):
            raise ValueError(f"{len(names)} entries ({', '.join(names[:5])}), not one data set")
        values = np.asarray(handle[names[0]])
    if values.ndim != 1:
        raise ValueError(f"a data set of {values.ndim} axes")
    return list(values)


READERS: Mapping[str, Callable[[Path], list[Any]]] = {
    ".txt": _lines,
    ".json": _json_list,
    ".csv": _column,
    ".tsv": _column,
    ".npy": _array,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
LIST_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    csv.Error,
)  # of reading; UnicodeError and JSON's are ValueErrors


def read_list(path: Path) -> list[str]:
    """Read a list of captions, whose names of movies and clips are left to whoever knows its order.

    Parameters
    ----------
    path : .txt (UTF-8, a line each), .json (a list), .csv or .tsv (a column caption), .npy (text, no
        objects), .h5 or .hdf5 (one data set of texts, as Mind-Animator's authors release them; needs h5py)

    Returns
    -------
    captions in the order of the file, with single spaces

    Raises
    ------
    InputError : another kind of file, one that cannot be read, an entry that is no text or an empty one
    """
    todo = "Write the captions into a text file (.txt, UTF-8), one a line."
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(path, f"a file {path.suffix or 'without an ending'}", ", ".join(READERS), todo)
    try:
        values = reader(path)
        texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values]
    except InputError:
        raise
    except LIST_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(path, f"a list that cannot be read ({reason})", "captions in order", todo) from None
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str) or not text.strip():
            found = f"caption {number} of {len(texts)} is {json.dumps(text, default=repr)}"
            raise InputError(path, found, "a text for every clip", "Write the missing captions.")
    return [" ".join(text.split()) for text in texts]


def share_list(path: Path, clips: Mapping[str, int]) -> dict[str, list[str]]:
    """Share the captions of a list among the movies that it follows.

    Parameters
    ----------
    path : as ``read_list`` takes it
    clips : movie -> number of its clips, in the order of the list

    Returns
    -------
    movie -> its captions

    Raises
    ------
    InputError : what ``read_list`` raises, or another number of captions than of clips
    """
    texts = read_list(path)
    wanted = sum(clips.values())
    if len(texts) != wanted:
        movies = ", ".join(f"{movie} ({n})" for movie, n in clips.items())
        todo = (
            "Name in caption_clips.lists all movies that the list covers, in its order, or write a table of "
            "the movies that you use (caption_clips.file)."
        )
        raise InputError(path, f"{len(texts)} captions", f"{wanted}, one for each clip of {movies}", todo)
    ends = np.cumsum(list(clips.values()))
    return {movie: texts[end - n : end] for (movie, n), end in zip(clips.items(), ends, strict=True)}


def share_lists(
    lists: Iterable[CaptionList], clips: Mapping[str, int], shapes: Mapping[str, tuple[int, int]]
) -> pd.DataFrame:
    """Take the captions of movies from lists.

    Parameters
    ----------
    lists : files, and the movies that each covers; read only if it covers one that is asked for
    clips : movie -> number of its clips, for all movies of these lists
    shapes : movie that is asked for -> (n_clips, F)

    Returns
    -------
    table with columns movie, clip, frame (-1), caption, in the order of ``shapes``

    Raises
    ------
    InputError : a movie that no list covers, or of another length than it was cut into; what ``share_list``
        raises
    """
    captions: dict[str, list[str]] = {}
    for one in lists:
        if set(one.movies) & set(shapes):
            captions |= share_list(Path(one.file), {movie: clips[movie] for movie in one.movies})
    for movie, (n_clips, _) in shapes.items():
        given = len(captions.get(movie, ()))
        if given != n_clips:
            todo = "Name it in caption_clips.lists, after the movies whose captions come before."
            raise InputError("caption_clips.lists", f"{given} captions of {movie}", f"{n_clips}", todo)
    tables = [caption_table(movie, [[text] for text in captions[movie]]) for movie in shapes]
    return pd.concat(tables, ignore_index=True)
