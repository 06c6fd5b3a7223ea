"""Lists of captions that others wrote: every kind of file, and which caption belongs to which clip."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import caption_clips as program
from neurocine.datasets.base import Movie
from neurocine.errors import InputError
from neurocine.io import read_table, write_arrays
from neurocine.stimuli.caption import CaptionClipsSettings
from neurocine.stimuli.caption_files import CaptionList, read_list, share_list, share_lists

TEXTS = ['a bee on a flower, and then a "star"', "a man in front of a café", "a cave"]
CLIPS = {"seg1": 3, "seg2": 1, "seg3": 2}
CAPTIONS = [f"{movie} clip {clip}" for movie, n in CLIPS.items() for clip in range(n)]


def write_lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def write_columns(path: Path, texts: list[str], delimiter: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(
            [("number", "caption"), *((str(number), text) for number, text in enumerate(texts))]
        )


def write_list(path: Path, texts: list[str]) -> Path:
    """Write a list in the kind of file that its ending names."""
    kind = path.suffix
    if kind == ".txt":
        write_lines(path, texts)
    elif kind == ".json":
        path.write_text(json.dumps(texts))
    elif kind == ".npy":
        np.save(path, np.array(texts))
    else:
        write_columns(path, texts, "\t" if kind == ".tsv" else ",")
    return path


@pytest.mark.parametrize("kind", ["txt", "json", "csv", "tsv", "npy"])
def test_every_kind_of_file_gives_the_same_list(tmp_path: Path, kind: str) -> None:
    assert read_list(write_list(tmp_path / f"a.{kind}", TEXTS)) == TEXTS


def test_spaces_and_line_ends_are_tidied(tmp_path: Path) -> None:
    (tmp_path / "a.TXT").write_bytes("\ufeffa  bee \r\n two\tmen".encode())
    assert read_list(tmp_path / "a.TXT") == ["a bee", "two men"]
    np.save(tmp_path / "bytes.npy", np.array([b"a bee", "café".encode()]))
    assert read_list(tmp_path / "bytes.npy") == ["a bee", "café"]


def test_hdf5_holds_one_list(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["Test_captions"] = TEXTS
    assert read_list(tmp_path / "a.h5") == TEXTS
    with h5py.File(tmp_path / "b.h5", "w") as handle:
        handle["numbers"] = [1, 2]
    with pytest.raises(InputError, match="caption 1 of 2 is"):
        read_list(tmp_path / "b.h5")
    with h5py.File(tmp_path / "c.h5", "w") as handle:
        handle["one"], handle["two"] = TEXTS, TEXTS
    with pytest.raises(InputError, match=r"2 entries \(one, two\), not one data set"):
        read_list(tmp_path / "c.h5")


def test_hdf5_without_its_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"expected the package h5py.*pip install h5py, or write"):
        read_list(tmp_path / "a.h5")


def test_movies_follow_each_other(tmp_path: Path) -> None:
    """Against a loop that takes one caption after the other."""
    path = write_lines(tmp_path / "a.txt", CAPTIONS)
    left = iter(CAPTIONS)
    expected = {movie: [next(left) for _ in range(n)] for movie, n in CLIPS.items()}
    assert share_list(path, CLIPS) == expected
    swapped = share_list(path, {"seg3": 2, "seg1": 3, "seg2": 1})
    assert swapped == {"seg3": CAPTIONS[:2], "seg1": CAPTIONS[2:5], "seg2": CAPTIONS[5:]}


@pytest.mark.parametrize("number", [0, 5, 7])
def test_another_number_of_clips_is_refused(tmp_path: Path, number: int) -> None:
    path = write_lines(tmp_path / "a.txt", (CAPTIONS * 2)[:number])
    found = rf"found {number} captions; expected 6, one for each clip of seg1 \(3\), seg2 \(1\), seg3 \(2\)"
    with pytest.raises(InputError, match=found):
        share_list(path, CLIPS)


def test_a_job_reads_the_lists_of_its_movies_alone(tmp_path: Path) -> None:
    train = CaptionList(file=str(write_lines(tmp_path / "train.txt", CAPTIONS[:4])), movies=("seg1", "seg2"))
    absent = CaptionList(file=str(tmp_path / "absent.txt"), movies=("seg3",))
    table = share_lists([train, absent], CLIPS, {"seg2": (1, 4)})
    assert table.to_dict("records") == [{"movie": "seg2", "clip": 0, "frame": -1, "caption": "seg2 clip 0"}]
    with pytest.raises(InputError, match="No such file"):
        share_lists([train, absent], CLIPS, {"seg2": (1, 4), "seg3": (2, 4)})
    with pytest.raises(InputError, match="0 captions of seg4; expected 3"):
        share_lists([train, absent], CLIPS, {"seg4": (3, 4)})
    with pytest.raises(InputError, match="1 captions of seg2; expected 2"):
        share_lists([train, absent], CLIPS, {"seg2": (2, 4)})


def test_program_takes_captions_from_lists(tmp_path: Path) -> None:
    frames = np.zeros((3, 2, 8, 8, 3), np.uint8)
    stimuli = tmp_path / "stimuli.safetensors"
    write_arrays(stimuli, {"seg3": frames[:2], "seg1": frames}, {"movies": ["seg3", "seg1"]})
    path = write_lines(tmp_path / "all.txt", CAPTIONS)
    lists = (CaptionList(file=str(path), movies=tuple(CLIPS)),)
    program.main(
        stimuli=stimuli,
        model=tmp_path / "none",
        settings=CaptionClipsSettings(backend="file", lists=lists),
        listed_movies=[Movie(movie, n, 2.0).text() for movie, n in CLIPS.items()],
        out=tmp_path / "captions.tsv",
    )
    table = read_table(tmp_path / "captions.tsv")
    assert table["movie"].tolist() == ["seg3"] * 2 + ["seg1"] * 3
    assert table["caption"].tolist() == [*CAPTIONS[4:], *CAPTIONS[:3]]
    assert table["frame"].tolist() == [-1] * 5
