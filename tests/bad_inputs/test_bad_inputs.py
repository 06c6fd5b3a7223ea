"""Every row of the table ends in one message, exit code 2, nothing written and earlier results untouched."""

import importlib
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bad_inputs.config_rows import READ, config
from bad_inputs.data_set_rows import VIDEOS, algonauts, array_package, hcp, volumes
from bad_inputs.rows import ROWS
from bad_inputs.table import (
    CAPTIONS,
    MODEL,
    MOVIE,
    RUN,
    STIMULI,
    VERTICES,
    VOLUMES,
    Row,
    as_words,
    completed,
    given,
)
from neurocine.errors import EXIT_BAD_INPUT
from neurocine.fmri.cifti import write_dtseries
from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import write_arrays
from neurocine.stimuli.video import write_video
from small_data_sets import AREA_VOXELS, responses, write_pickle
from tiny_animator import write_subject
from tiny_study import write_fmri, write_latents
from tiny_trainings import MOVIES, tiny_structure

EARLIER = b"an earlier result"


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good files, small enough to be copied for every row."""
    folder = tmp_path_factory.mktemp("good")
    generator = np.random.default_rng(0)
    write_dtseries(folder / RUN, generator.standard_normal((VOLUMES, GRAYORDINATES), dtype=np.float32), 2.0)
    selection = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=1))
    # The first grayordinate is among them, so that a job meets what is wrong there.
    vertex = np.concatenate([[0], selection.vertex[1:]])
    arrays = selection.arrays() | {"vertex": vertex}
    write_arrays(folder / VERTICES, arrays, selection.meta() | {"computed_from": []})
    write_video(folder / MOVIE, generator.integers(0, 255, (30, 16, 16, 3)).astype(np.uint8), 10)
    clips = generator.integers(0, 255, (2, 2, 8, 8, 3)).astype(np.uint8)
    write_arrays(folder / STIMULI, {"seg1": clips}, {"movies": ["seg1"], "computed_from": ["seg1"]})
    (folder / CAPTIONS).write_text("movie\tclip\tcaption\nseg1\t0\ta\nseg1\t1\tb\n")
    (folder / MODEL).mkdir()
    (folder / MODEL / "config.json").write_text(json.dumps({"model_type": "clip"}))
    for name in ("tokenizer.json", "preprocessor_config.json"):
        (folder / MODEL / name).write_text("{}")
    save_file({"a": np.zeros((3, 4), np.float32)}, folder / MODEL / "model.safetensors")
    for area in AREA_VOXELS:
        write_pickle(folder / "sub01" / f"{area}.pkl", {"train": responses(area, VIDEOS, 0)})
    (folder / "synonyms.tsv").write_text("red\tcrimson, scarlet\n")
    for part in ("animator", "training"):
        (folder / part).mkdir()
    write_subject(folder / "animator")
    write_fmri(folder / "training/fmri.safetensors", MOVIES)
    write_latents(folder / "training/latents.safetensors", MOVIES)
    tiny_structure(folder / "training/structure")
    return folder


@pytest.fixture(autouse=True)
def keep_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program sends its log to standard error; other tests have theirs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def run(row: Row, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int | str | None, Path]:
    """Run a row's command in this process as its command line would; return exit code and output."""
    out = folder / "out" / "result"
    out.parent.mkdir()
    out.write_bytes(EARLIER)
    words = as_words(completed(row.command, row.make(folder)), folder)
    monkeypatch.setattr(sys, "argv", [f"{row.command}.py", *words, "--out", str(out)])
    try:
        importlib.import_module(row.command).main()
    except SystemExit as ended:
        return ended.code, out
    return 0, out


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= 200
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    "row",
    [
        Row("run", "preprocess_run", given(), ""),
        Row("movie", "prepare_stimuli", given(), ""),
        Row("captions", "caption_clips", given(), ""),
        Row(
            "door",
            "check_data",
            given(runs=[RUN], stimuli=[MOVIE], models=[MODEL], model_names=["clip"]),
            "",
        ),
        Row("volumes", "check_data", volumes(), ""),
        Row("pickles", "import_fmri", given(), ""),
        Row("package", "import_fmri", array_package((2, 2, 2, 5)), ""),
        Row("synonyms", "augment_captions", given(), ""),
        Row("features", "decode_features", given(), ""),
        Row("config", READ, config("seed: 7"), ""),
        Row("HCP 7T", READ, hcp(), ""),
        Row("Algonauts", READ, algonauts(), ""),
    ],
    ids=lambda row: row.name,
)
def test_good_files_pass(
    row: Row, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "row"
    shutil.copytree(good, folder)
    code, out = run(row, folder, monkeypatch)
    assert not code, capfd.readouterr().err
    assert out.read_bytes() != EARLIER


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_one_message_and_nothing_lost(
    row: Row, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "row"
    shutil.copytree(good, folder)
    code, out = run(row, folder, monkeypatch)
    said = capfd.readouterr().err
    assert code == EXIT_BAD_INPUT, said
    assert said.count("ERROR") == 1
    assert "Traceback" not in said
    message = said.partition("ERROR ")[2]
    assert re.search(row.told, message), message
    # Missing files have a message of their own, which lists them and where they were looked for.
    assert re.search(r"\S: found .+; expected .+\. \S|\d files are missing", message), message
    assert out.read_bytes() == EARLIER
    assert list(out.parent.iterdir()) == [out]
