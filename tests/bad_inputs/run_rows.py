"""Runs: headers, values, lengths and what they are recordings of."""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bad_inputs.table import (
    RECORDING,
    RUN,
    VOLUMES,
    Row,
    changed,
    cut,
    folder_for,
    given,
    patch,
    replace,
    write,
)


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
