"""Recordings of one's own: a table (TSV) with a row per run says all that a study must know of them."""

import csv
import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from neurocine.datasets.base import Config, DataSet, Found, Movie, Part, Recording, Run, excluded_runs
from neurocine.errors import InputError, InputErrors

PARTS = ("train", "validation", "test")
NEEDED = ("subject", "movie", "part", "run", "video", "tr", "clips")
USUAL = {
    "repeat": "1",
    "first": "0",
    "lag": "",
    "confounds": "",
}  # column -> what an empty or absent one means
DELAY = 4.0  # s from a clip to the middle of its response, where no lag is given; as in CC2017
SUBJECT = re.compile(r"(?:sub-)?([A-Za-z0-9]+)", re.ASCII)
MOVIE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*", re.ASCII)
RESERVED = ("mean", "std", "null_states", "text_states")  # names of other arrays in the files of movies

Row = dict[str, str]


class SampleSheet(DataSet):
    """A lab's own recordings, described by a table; see docs/data.md, "Your own recording"."""

    layout = "sheet"
    title = "recordings of a sample sheet"

    @classmethod
    def own_keys(cls, config: Config) -> dict[str, Any]:
        """Return subjects, movies and repeats as the table has them, and the exclusions that concern it.

        Raises
        ------
        InputErrors : a table that cannot be used
        """
        if config.get("fmri_from", "runs") != "runs" or config.get("simulate"):
            expected = "fmri_from: runs and simulate: false, with layout sheet"
            raise InputError(
                "layout", "sheet", expected, "A sheet describes recorded runs; change one of them."
            )
        rows = read_sheet(_sheet_file(config))
        parts = {row["movie"]: row["part"] for row in rows}
        of_part = {part: [movie for movie in parts if parts[movie] == part] for part in PARTS}
        repeats = {
            name: max((int(row["repeat"]) for row in rows if row["part"] in among), default=1)
            for name, among in (("train", PARTS[:2]), ("test", PARTS[2:]))
        }
        subjects = list(dict.fromkeys(row["subject"] for row in rows))
        excluded = [
            {**run, "subject": _label(str(run.get("subject")))} for run in config.get("exclude_runs", [])
        ]
        return {
            "subjects": subjects,
            "movies": {
                "train": [*of_part["train"], *of_part["validation"]],
                "validation": of_part["validation"],
                "test": of_part["test"],
            },
            "repeats": repeats,
            # Those of the published study are none of a table's business.
            "exclude_runs": [
                run for run in excluded if run["subject"] in subjects or str(run.get("movie")) in parts
            ],
        }

    def may_have(self, key: Literal["subject", "movie"], name: str) -> bool:
        """Nobody: the study uses all that the table names."""
        return False

    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find the files that the table names, below ``data_dir`` where they are not absolute."""
        folder, excluded = Path(config["data_dir"]), excluded_runs(config)
        sheet = _sheet_file(config)
        recordings = Found(
            looked_in=[folder], todo=f"Correct {sheet} or data_dir in the config (docs/data.md)."
        )
        rows = read_sheet(sheet)
        for row in rows:
            if row["movie"] not in recordings.movies:
                movie = Movie(row["movie"], int(row["clips"]), float(row["tr"]))
                _refuse_late_frames(movie, config)
                recordings.movies[movie.name] = movie
                recordings.stimuli[movie.name] = folder / row["video"]
            if not with_runs:
                continue
            run = (row["subject"], row["movie"], int(row["repeat"]))
            recording = _recording(row, folder, trusted=not config["sheet"]["wrong_header_tr"])
            recordings.runs.append(
                Run(row["subject"], cast(Part, row["part"]), folder / row["run"], recording, run in excluded)
            )
        files = [*recordings.stimuli.values(), *(run.path for run in recordings.runs if not run.excluded)]
        files += [Path(run.recording.confounds) for run in recordings.runs if run.recording.confounds]
        recordings.missing.extend(path for path in dict.fromkeys(files) if not path.is_file())
        return recordings


def _sheet_file(config: Config) -> Path:
    section = config.get("sheet")
    name = section.get("file") if isinstance(section, Mapping) else None
    if not isinstance(name, str) or not name:
        todo = "Name the table of your recordings (docs/data.md)."
        raise InputError("sheet.file", str(name), "a file, with layout sheet", todo)
    return Path(name)


def _label(subject: str) -> str:
    """Take the ``sub-`` off a subject's label, which all names of results have anyway."""
    match = SUBJECT.fullmatch(subject)
    return match[1] if match else ""


def _recording(row: Row, folder: Path, trusted: bool) -> Recording:
    tr = float(row["tr"])
    lag = int(row["lag"]) if row["lag"] else round(DELAY / tr)
    return Recording(
        movie=row["movie"],
        repeat=int(row["repeat"]),
        n_clips=int(row["clips"]),
        tr=tr,
        first=int(row["first"]),
        lag=lag,
        header_tr=trusted,
        confounds=str(folder / row["confounds"]) if row["confounds"] else "",
    )


def _refuse_late_frames(movie: Movie, config: Config) -> None:
    """Raise InputError where the frames of a clip do not fit into one TR of its movie."""
    stimuli = config["prepare_stimuli"]
    last = (stimuli["frames_per_tr"] - 1) / stimuli["fps"]
    if last >= movie.tr:
        found = f"{stimuli['frames_per_tr']} frames at {stimuli['fps']:g} per second"
        todo = "Set prepare_stimuli.fps higher or frames_per_tr lower."
        raise InputError(
            "prepare_stimuli", found, f"frames within {movie.tr:g} s, the TR of {movie.name}", todo
        )


def read_sheet(path: Path) -> list[Row]:
    """Read the table of recordings; a line that begins with # is left out.

    Parameters
    ----------
    path : tab-separated, with the columns ``NEEDED`` and any of ``USUAL``

    Returns
    -------
    one row per recording, column -> text, subjects without ``sub-``

    Raises
    ------
    InputError : no such file or no table
    InputErrors : all rows that cannot be used
    """
    table = _read_cells(path)
    if len(table) < 2:
        raise InputError(path, "no rows", "a header and a row per run", "Describe your recordings in it.")
    header = [name.strip() for name in table[0][1]]
    problems = list(_check_header(path, header))
    if problems:
        raise InputErrors("The sample sheet cannot be used", problems)
    rows = []
    for number, cells in table[1:]:
        if len(cells) > len(header):
            found, expected = f"{len(cells)} cells", f"at most {len(header)}, as in the header"
            problems.append(InputError(f"{path} line {number}", found, expected, "Correct the line."))
        row = USUAL | {key: cell.strip() for key, cell in zip(header, cells, strict=False) if cell.strip()}
        problems += _check_row(f"{path} line {number}", row)
        rows.append(row | {"subject": _label(row.get("subject", ""))})
    problems = problems or list(_check_table(path, rows))
    if problems:
        raise InputErrors("The sample sheet cannot be used", problems)
    return rows


def _read_cells(path: Path) -> list[tuple[int, list[str]]]:
    """Read the lines of a table that are not empty and no comments: the number of each, and its cells.

    Raises
    ------
    InputError : no such file, another encoding, a quotation that does not end in its line, a NUL
    """
    expected = "a TSV file of recordings in UTF-8"
    try:
        # Universal newlines; other marks that Unicode counts as ends of lines may stand in names.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"no table ({error})", expected, "Correct sheet.file in the config.") from None
    table = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            (cells,) = csv.reader([line], delimiter="\t", strict=True)
        except csv.Error as error:
            found = f"a line that cannot be read ({error})"
            raise InputError(f"{path} line {number}", found, expected, "Correct the line.") from None
        if "\0" in line:
            raise InputError(f"{path} line {number}", "a NUL character", expected, "Correct the line.")
        table.append((number, cells))
    return table


def _check_header(path: Path, header: list[str]) -> Iterator[InputError]:
    all_columns = (*NEEDED, *USUAL)
    for name in header:
        if name not in all_columns:
            near = difflib.get_close_matches(name, all_columns, n=1)
            todo = f"Did you mean {near[0]}?" if near else f"Known columns: {', '.join(all_columns)}."
            yield InputError(path, f"column {name!r}", "a known column", todo)
    absent = [name for name in NEEDED if name not in header]
    if absent:
        todo = "Add them; columns are separated by tabs."
        yield InputError(path, f"no column {', '.join(absent)}", f"columns {', '.join(NEEDED)}", todo)
    if len(set(header)) < len(header):
        yield InputError(path, "a column twice", "each column once", "Remove one.")


def _whole(text: str, least: int) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,6}", text)) and int(text) >= least


def _seconds(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False


# Column -> whether a value will do, and what would.
CELLS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "subject": (lambda text: bool(SUBJECT.fullmatch(text)), "letters and digits, such as sub-01"),
    "movie": (
        lambda text: bool(MOVIE.fullmatch(text)) and text not in RESERVED,
        f"letters, digits, _ and -, and not {', '.join(RESERVED)}",
    ),
    "part": (lambda text: text in PARTS, ", ".join(PARTS)),
    "run": (bool, "a file"),
    "video": (bool, "a file"),
    "tr": (_seconds, "seconds, such as 1.5"),
    "clips": (lambda text: _whole(text, 1), "a number of clips"),
    "repeat": (lambda text: _whole(text, 1), "a number from 1"),
    "first": (lambda text: _whole(text, 0), "a number of volumes"),
    "lag": (lambda text: not text or _whole(text, 0), "a number of volumes"),
}


def _check_row(where: str, row: Row) -> Iterator[InputError]:
    for column, (good, expected) in CELLS.items():
        text = row.get(column, "")
        if not good(text):
            yield InputError(where, f"{column} {text!r}", expected, "Correct the cell.")


def _check_table(path: Path, rows: list[Row]) -> Iterator[InputError]:
    """Find rows that contradict each other."""
    first: dict[tuple[str, ...], Row] = {}
    files: dict[str, Row] = {}
    for row in rows:
        movie = row["movie"]
        other = first.setdefault((movie,), row)
        for column in ("part", "video", "tr", "clips"):
            if row[column] != other[column]:
                found = f"{column} {other[column]} and {row[column]} of movie {movie}"
                yield InputError(path, found, "one value for all its rows", "Correct one of them.")
        run = (row["subject"], movie, row["repeat"])
        if first.setdefault(run, row) is not row:
            found = f"subject {run[0]}, movie {movie}, repeat {run[2]} twice"
            yield InputError(path, found, "each recording once", "Number the repeats, or remove a row.")
        if files.setdefault(row["run"], row) is not row:
            yield InputError(path, f"{row['run']} twice", "a file of its own per row", "Correct one of them.")
    videos: dict[str, str] = {}
    for row in rows:
        if videos.setdefault(row["video"], row["movie"]) != row["movie"]:
            found = f"{row['video']} for {videos[row['video']]} and {row['movie']}"
            yield InputError(path, found, "a video of its own per movie", "Correct the column video.")
            break
    seen = {(row["subject"], row["movie"]) for row in rows}
    for subject in dict.fromkeys(row["subject"] for row in rows):
        absent = [name for name in dict.fromkeys(row["movie"] for row in rows) if (subject, name) not in seen]
        if absent:
            found = f"no row of subject {subject} for {', '.join(absent)}"
            yield InputError(path, found, "every movie of every subject", "Take one of the two out.")
    for part in ("train", "test"):
        if part not in {row["part"] for row in rows}:
            yield InputError(path, f"no movie of part {part}", "at least one", "Correct the column part.")
