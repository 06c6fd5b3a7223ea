"""The sample sheet: what it yields, and how it is refused."""

from pathlib import Path
from typing import Any

import pytest

from neurocine.config import complete_config
from neurocine.datasets import LAYOUTS, data_set
from neurocine.datasets.base import Movie, Recording, pair
from neurocine.datasets.sheet import SampleSheet, read_sheet
from neurocine.errors import InputError, InputErrors
from neurocine.schema import merge
from neurocine.study import Study

HEADER = ("subject", "movie", "part", "run", "video", "tr", "clips", "first", "repeat", "lag", "confounds")
ROWS = (
    ("sub-01", "movie_A", "train", "a1.dtseries.nii", "a.mp4", "1.5", "36", "4", "", "", "a1.tsv"),
    ("sub-01", "movie-B", "validation", "b1.dtseries.nii", "b.mp4", "1.5", "44", "4", "", "2", ""),
    ("sub-01", "C", "test", "c1.dtseries.nii", "c.mp4", "2", "28", "", "1", "", ""),
    ("sub-01", "C", "test", "c2.dtseries.nii", "c.mp4", "2", "28", "", "2", "", ""),
    ("02", "movie_A", "train", "a2.dtseries.nii", "a.mp4", "1.5", "36", "4", "", "", "a2.tsv"),
    ("02", "movie-B", "validation", "b2.dtseries.nii", "b.mp4", "1.5", "44", "4", "", "", ""),
    ("02", "C", "test", "c3.dtseries.nii", "c.mp4", "2", "28", "", "1", "", ""),
)


def write_sheet(path: Path, rows: Any = ROWS, header: tuple[str, ...] = HEADER) -> Path:
    lines = ["# the lab's recordings", "\t".join(header), *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def with_sheet(folder: Path, rows: Any = ROWS, **changes: Any) -> dict[str, Any]:
    """A complete config of a study by a sheet, in whose folder all files lie."""
    import yaml

    published = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text())
    sheet = write_sheet(folder / "recordings.tsv", rows)
    for row in rows:
        for name in (row[3], row[4], row[10]):
            (folder / (name or "nothing")).touch()
    mine = {
        "dataset": "lab",
        "layout": "sheet",
        "sheet": {"file": str(sheet)},
        "data_dir": str(folder),
        "pretrain_on": "training_fmri",
        "prepare_stimuli": {"fps": 4},
    }
    config = merge(merge(published, mine), changes)
    return complete_config(config | data_set(config).own_keys(config))


def test_the_sheet_decides_subjects_movies_and_repeats(tmp_path: Path) -> None:
    config = with_sheet(tmp_path)
    assert config["subjects"] == ["01", "02"]
    assert config["movies"] == {"train": ["movie_A", "movie-B"], "validation": ["movie-B"], "test": ["C"]}
    assert config["repeats"] == {"train": 1, "test": 2}
    assert config["exclude_runs"] == []  # those of the published study are none of its business
    late = [{"subject": "sub-01", "movie": "C", "repeat": 2, "reason": "asleep"}]
    config = with_sheet(tmp_path, exclude_runs=late)
    assert [run["subject"] for run in config["exclude_runs"]] == ["01"]
    for wrong in ({"subject": "sub-10"}, {"movie": "D"}):  # the table names everybody and every movie
        with pytest.raises(InputErrors, match=rf"exclude_runs\[0\]\.{next(iter(wrong))}"):
            with_sheet(tmp_path, exclude_runs=[late[0] | wrong])
    study = Study.find(config, ("recordings",))
    assert study.excluded("01", ["C"]) == ["C:2"]
    assert study.runs("01", ["C"]) == [str(tmp_path / "c1.dtseries.nii")]


def test_rows_become_recordings(tmp_path: Path) -> None:
    config = with_sheet(tmp_path)
    found = SampleSheet().find(config)
    assert found.missing == []
    assert found.movies == {
        "movie_A": Movie("movie_A", 36, 1.5),
        "movie-B": Movie("movie-B", 44, 1.5),
        "C": Movie("C", 28, 2.0),
    }
    assert found.stimuli["movie-B"] == tmp_path / "b.mp4"
    first = found.runs[0]
    assert (first.subject, first.part, first.path) == ("01", "train", tmp_path / "a1.dtseries.nii")
    # 4 s are 2.67 volumes of 1.5 s
    trusted = {"header_tr": True, "first": 4}
    expected = Recording("movie_A", 1, 36, 1.5, lag=3, confounds=str(tmp_path / "a1.tsv"), **trusted)
    assert first.recording == expected
    assert found.runs[1].recording == Recording("movie-B", 1, 44, 1.5, lag=2, **trusted)
    assert found.runs[3].recording == Recording("C", 2, 28, 2.0, first=0, lag=2, header_tr=True)
    assert [Recording.read(run.recording.text()) for run in found.runs] == [r.recording for r in found.runs]
    wrong = with_sheet(tmp_path, sheet={"wrong_header_tr": True})
    assert not any(run.recording.header_tr for run in SampleSheet().find(wrong).runs)
    (tmp_path / "a2.tsv").unlink()
    (tmp_path / "c.mp4").unlink()
    assert SampleSheet().find(config).missing == [tmp_path / "c.mp4", tmp_path / "a2.tsv"]


def test_confounds_are_inputs_only_where_columns_are_named(tmp_path: Path) -> None:
    study = Study.find(with_sheet(tmp_path), ("recordings",))
    assert study.confounds("01", ["movie_A", "C"]) == []
    study = Study.find(with_sheet(tmp_path, sheet={"confounds": ["trans_x"]}), ("recordings",))
    assert study.confounds("01", ["movie_A", "C"]) == [str(tmp_path / "a1.tsv")]
    assert study.confound_columns == ["trans_x"]


def changed(row: int, column: str, value: str) -> list[tuple[str, ...]]:
    rows = [list(cells) for cells in ROWS]
    rows[row][HEADER.index(column)] = value
    return [tuple(cells) for cells in rows]


@pytest.mark.parametrize(
    ("row", "column", "value", "expected"),
    [
        (0, "subject", "sub 1", r"line 3: found subject 'sub 1'; expected letters and digits"),
        (0, "movie", "a/b", r"line 3: found movie 'a/b'"),
        (0, "movie", "mean", r"found movie 'mean'; expected .* and not mean, std"),
        (0, "part", "training", r"found part 'training'; expected train, validation, test"),
        (2, "tr", "2s", r"line 5: found tr '2s'; expected seconds"),
        (2, "tr", "nan", r"found tr 'nan'"),
        (2, "clips", "0", r"found clips '0'"),
        (2, "clips", "", r"found clips ''"),
        (2, "first", "-1", r"found first '-1'"),
        (2, "repeat", "0", r"found repeat '0'"),
        (2, "lag", "1.5", r"found lag '1.5'"),
        (2, "run", "", r"found run ''"),
        (4, "part", "test", r"part train and test of movie movie_A; expected one value for all its rows"),
        (4, "clips", "35", r"clips 36 and 35 of movie movie_A"),
        (3, "repeat", "1", r"subject 01, movie C, repeat 1 twice"),
        (3, "run", "c1.dtseries.nii", r"c1.dtseries.nii twice"),
        (1, "video", "a.mp4", r"video b.mp4 of movie|video a.mp4 and b.mp4|a.mp4 for movie_A and movie-B"),
    ],
)
def test_cells_that_cannot_be_used_are_named(
    tmp_path: Path, row: int, column: str, value: str, expected: str
) -> None:
    with pytest.raises(InputErrors, match=expected):
        read_sheet(write_sheet(tmp_path / "sheet.tsv", changed(row, column, value)))


def test_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table"):
        read_sheet(tmp_path / "absent.tsv")
    with pytest.raises(InputError, match="no rows"):
        read_sheet(write_sheet(tmp_path / "sheet.tsv", []))
    header = tuple("movi" if name == "movie" else name for name in HEADER)
    with pytest.raises(InputErrors, match=r"column 'movi'.*Did you mean movie\?") as raised:
        read_sheet(write_sheet(tmp_path / "sheet.tsv", header=header))
    assert "no column movie" in str(raised.value)
    with pytest.raises(InputErrors, match=r"no row of subject 02 for C"):
        read_sheet(write_sheet(tmp_path / "sheet.tsv", ROWS[:-1]))
    with pytest.raises(InputErrors, match="no movie of part test"):
        read_sheet(write_sheet(tmp_path / "sheet.tsv", [row for row in ROWS if row[2] != "test"]))


def test_a_study_without_its_sheet_is_told_which_key_names_it() -> None:
    with pytest.raises(InputError, match=r"sheet\.file: found None; expected a file, with layout sheet"):
        SampleSheet.own_keys({"layout": "sheet"})
    for other in ({"simulate": True}, {"fmri_from": "arrays"}):
        with pytest.raises(InputError, match="expected fmri_from: runs and simulate: false"):
            SampleSheet.own_keys({"layout": "sheet"} | other)


def test_frames_must_fit_into_the_tr_of_each_movie(tmp_path: Path) -> None:
    config = with_sheet(tmp_path, prepare_stimuli={"fps": 3})  # the last frame at 1.67 s
    with pytest.raises(InputError, match=r"6 frames at 3 per second; expected frames within 1.5 s"):
        SampleSheet().find(config)


def test_arguments_of_programs_are_checked() -> None:
    for text in ("[1]", "{", '{"movie": "a"}', '{"name": 1, "x": 2}'):
        with pytest.raises(InputError, match="--recordings"):
            Recording.read(text)
        with pytest.raises(InputError, match="--movies"):
            Movie.read(text)
    with pytest.raises(InputError, match="1 files; expected 0"):
        pair([Path("a")], [])


def test_every_data_set_says_what_it_is() -> None:
    assert list(LAYOUTS) == ["wen2018", "algonauts_2021", "hcp_7t", "sheet"]
    assert LAYOUTS["wen2018"].published
    assert not LAYOUTS["sheet"].published
    for kind in LAYOUTS.values():
        assert kind.title
    assert "10.1093/cercor/bhx268" in LAYOUTS["wen2018"].bibtex
