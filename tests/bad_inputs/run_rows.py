"""Runs: headers, values, lengths and what they are recordings of."""

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
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
        ("empty", partial(write, run, b""), "truncated or damaged"),
        ("text", partial(write, run, b"no image" * 99), "no NIfTI-2 header"),
        ("zeros", partial(write, run, bytes(9999)), "no NIfTI-2 header"),
        ("cut in header", partial(cut, run, 300), "truncated or damaged"),
        ("cut in extension", partial(cut, run, 9000), "truncated or damaged"),
        ("cut in XML", partial(cut, run, 300_000), "truncated or damaged"),
        ("cut in matrix", partial(cut, run, -4000), r"truncated.*6 volumes"),
        ("one byte short", partial(cut, run, -1), "truncated or damaged"),
        ("folder", partial(folder_for, run), "no such file"),
        ("absent", partial(write, run, None), "no such file"),
        (
            "offset missing",
            partial(replace, run, b'IndexOffset="29696"', b'IndexXffset="29696"'),
            "from no row",
        ),
        (
            "offset zero",
            partial(replace, run, b'IndexOffset="29696"', b'IndexOffset="00000"'),
            "CORTEX_RIGHT",
        ),
        (
            "offset overlaps",
            partial(replace, run, b'IndexOffset="29696"', b'IndexOffset="29695"'),
            "CORTEX_RIGHT",
        ),
        (
            "offset negative",
            partial(replace, run, b'IndexOffset="29696"', b'IndexOffset="-2969"'),
            "from -2969",
        ),
        ("offset huge", partial(replace, run, b'IndexOffset="29696"', b'IndexOffset="99999"'), "from 99999"),
        ("offset text", partial(replace, run, b'IndexOffset="29696"', b'IndexOffset="right"'), "from right"),
        (
            "count too small",
            partial(replace, run, b'IndexCount="29716"', b'IndexCount="29715"'),
            "rows from 59412",
        ),
        ("count text", partial(replace, run, b'IndexCount="29716"', b'IndexCount="many!"'), "damaged"),
        (
            "structure twice",
            partial(replace, run, b"STRUCTURE_CORTEX_RIGHT", b"STRUCTURE_CORTEX_LEFT "),
            "found",
        ),
        ("other mesh", partial(replace, run, b'Vertices="32492"', b'Vertices="59292"'), "meshes of"),
        ("unit", partial(replace, run, b'"SECOND"', b'"HERTZ "'), "series in HERTZ"),
        ("points", partial(replace, run, b'SeriesPoints="6"', b'SeriesPoints="7"'), "series points"),
        ("exponent", partial(replace, run, b'Exponent="0"', b'Exponent="x"'), "damaged"),
        (
            "version",
            partial(replace, run, b'CIFTI Version="2', b'CIFTI Version="1'),
            "wb_command -file-convert",
        ),
        ("XML broken", partial(replace, run, b"</CIFTI>", b"</CIFT!>"), "damaged"),
        (
            "map of another kind",
            partial(replace, run, b"TYPE_SERIES", b"TYPE_LABELS"),
            "time series by brain",
        ),
        ("data type unknown", partial(patch, run, 12, struct.pack("<h", 9999)), "data type 9999"),
        ("data type RGB", partial(patch, run, 12, struct.pack("<h", 128)), "data type 128"),
        ("data type complex", partial(patch, run, 12, struct.pack("<h", 32)), "data type 32"),
        ("matrix offset negative", partial(patch, run, 168, struct.pack("<q", -5)), "header of -5 bytes"),
        ("matrix offset huge", partial(patch, run, 168, struct.pack("<q", 2**60)), "a header of"),
        ("dimensions", partial(patch, run, 56, struct.pack("<q", 2**40)), "a matrix"),
        ("NaN in a volume", partial(patch, run, bold + 4, values[:4]), "NaN or infinite values in 1 of"),
        (
            "infinite",
            partial(patch, run, bold + 4, struct.pack("<f", np.inf)),
            "NaN or infinite values in 1 of",
        ),
        ("all zero", partial(patch, run, bold, bytes(4 * VOLUMES * 91_282)), "vertices constant"),
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
