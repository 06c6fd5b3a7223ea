"""HCP 7T movies: which windows become movies, which volumes their samples are, and what is refused."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocine.check import check_stimulus
from neurocine.datasets import data_set
from neurocine.datasets.base import Found, Movie
from neurocine.datasets.hcp_7t import WINDOWS as PUBLISHED
from neurocine.errors import InputError
from neurocine.fmri.preprocess import PreprocessRunSettings, read_run, volumes_kept
from neurocine.stimuli.prepare import PrepareStimuliSettings, prepare_movie
from neurocine.stimuli.video import write_video
from small_data_sets import WINDOWS, dense_file, film, write_films, write_hcp_7t

SUBJECTS = ("100610", "102311")
SMALL = PrepareStimuliSettings(fps=4, frames_per_tr=2, height=32, width=32, tr=1.0)


def config_of(root: Path, **changes: Any) -> dict[str, Any]:
    section = {
        "stimulus_versions": dict.fromkeys(SUBJECTS, "post"),
        "windows": WINDOWS,
        "validation": ["movie1_2"],
    }
    config = {
        "layout": "hcp_7t",
        "data_dir": str(root),
        "subjects": list(SUBJECTS),
        "exclude_runs": [],
        "hcp_7t": section,
    }
    return config | changes


def found_in(config: dict[str, Any]) -> Found:
    data = data_set(config)
    return data.find(config | data.own_keys(config))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hcp")
    write_hcp_7t(folder, SUBJECTS[:1])
    for run in WINDOWS:  # of the other subject only names are looked at
        path = dense_file(folder, SUBJECTS[1], run)
        path.parent.mkdir(parents=True)
        path.touch()
    return folder


def test_published_windows_have_the_published_lengths() -> None:
    """Mind-Animator's clips of one second: 728, 792, 745 and 775 (the repeated one counted in each run)."""
    lengths = {run: sum(end - start for start, end in places) for run, places in PUBLISHED.items()}
    assert lengths == {"MOVIE1": 728, "MOVIE2": 792, "MOVIE3": 745, "MOVIE4": 775}
    own = data_set({"layout": "hcp_7t"}).own_keys(
        {"subjects": [1], "hcp_7t": {"stimulus_versions": {1: "pre"}}}
    )
    assert len(own["movies"]["train"]) == 14
    assert own["movies"]["validation"] == ["movie3_4", "movie4_3"]
    assert own["movies"]["test"] == ["repeated"]
    assert own["repeats"] == {"train": 1, "test": 4}


def test_windows_become_movies_and_the_repeated_clip_tests_alone(root: Path) -> None:
    config = config_of(root)
    own = data_set(config).own_keys(config)
    train = ["movie1_1", "movie1_2", "movie2_1", "movie3_1", "movie4_1"]
    assert own["movies"] == {"train": train, "validation": ["movie1_2"], "test": ["repeated"]}
    found = found_in(config)
    assert found.missing == []
    assert found.movies["movie1_2"] == Movie("movie1_2", 12, 1.0, 16.0)
    repeated = found.movies["repeated"]
    assert (repeated.start, repeated.n_clips) == (30.0, 8)
    assert [start for _, start in repeated.also] == [18.0, 18.0, 22.0]
    assert Movie.read(repeated.text()) == repeated
    runs = [run for run in found.runs if run.subject == SUBJECTS[0]]
    assert len(runs) == 5 + 4
    assert {run.part for run in runs if run.recording.movie == "repeated"} == {"test"}


def test_samples_are_the_volumes_four_seconds_after_the_clips(root: Path) -> None:
    """Volumes carry their number and that of their run at grayordinate 0."""
    for run in found_in(config_of(root, subjects=[SUBJECTS[0]])).runs:
        name, settings = run.recording.movie, PreprocessRunSettings()
        bold = read_run(run.path, run.recording, np.array([0]))[:, 0]
        kept = bold[volumes_kept(len(bold), run.recording, settings, "run")]
        number = run.recording.repeat if name == "repeated" else int(name[5])
        start, end = WINDOWS[f"MOVIE{number}"][-1 if name == "repeated" else int(name[7]) - 1]
        np.testing.assert_array_equal(kept, 1000 * (number - 1) + np.arange(start + 4, end + 4))


def test_clips_are_frames_of_the_window(root: Path) -> None:
    found = found_in(config_of(root))
    clips = prepare_movie(found.stimuli["movie1_2"], found.movies["movie1_2"], SMALL)
    wanted = film("MOVIE1", 0)[16 * 8 : 28 * 8].reshape(12, 8, 32, 32, 3)[:, [0, 2]]
    assert clips.shape == wanted.shape
    assert np.abs(clips.astype(int) - wanted).mean() < 6  # H.264 blurs colours


def test_the_repeated_clip_is_compared_by_its_frames(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = found_in(config_of(root))
    path, movie = found.stimuli["repeated"], found.movies["repeated"]
    assert check_stimulus(path, movie, SMALL).found.startswith("40.00 s")
    assert not caplog.records
    other = write_video_of(tmp_path / "other.mp4", film("MOVIE2", 1, repeated=98))
    with pytest.raises(InputError, match=r"other\.mp4: found other frames at 18 s than .*the same clip"):
        check_stimulus(path, Movie("repeated", 8, 1.0, 30.0, also=((str(other), 18.0),)), SMALL)
    late = write_video_of(tmp_path / "late.mp4", np.roll(film("MOVIE2", 1), 4, 0))
    check_stimulus(path, Movie("repeated", 8, 1.0, 30.0, also=((str(late), 18.0),)), SMALL)
    assert "repeated begins about +0.50 s from 18 s" in caplog.text
    with pytest.raises(InputError, match=r"ends before .*; expected the repeated clip in it"):
        check_stimulus(path, Movie("repeated", 8, 1.0, 30.0, also=((str(late), 25.0),)), SMALL)


def write_video_of(path: Path, frames: np.ndarray) -> Path:
    write_video(path, frames, 8)
    return path


def test_the_best_processing_that_all_runs_have_is_taken(tmp_path: Path) -> None:
    write_films(tmp_path)

    def touch(run: str, middle: str) -> Path:
        path = dense_file(tmp_path, "100610", run, middle)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    for run in WINDOWS:
        touch(run, "")
        touch(run, "_hp2000_clean")
        touch(run, "_1.6mm_MSMAll_hp2000_clean")
    touch("MOVIE1", "_MSMAll_hp2000_clean")
    config = config_of(tmp_path, subjects=["100610"])
    names = {run.path.name.partition("_Atlas")[2] for run in found_in(config).runs}
    assert names == {"_hp2000_clean.dtseries.nii"}
    for run in WINDOWS:
        touch(run, "_MSMAll_hp2000_clean_rclean_tclean")
    names = {run.path.name.partition("_Atlas")[2] for run in found_in(config).runs}
    assert names == {"_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii"}


def test_the_fine_grid_is_refused_with_the_right_name(tmp_path: Path) -> None:
    write_films(tmp_path)
    path = dense_file(tmp_path, "100610", "MOVIE3", "_1.6mm_MSMAll_hp2000_clean")
    path.parent.mkdir(parents=True)
    path.touch()
    right = "tfMRI_MOVIE3_7T_PA_Atlas_MSMAll_hp2000_clean.dtseries.nii"
    with pytest.raises(InputError, match=rf"the 1\.6 mm grid .*; expected {right}\. Download {right}"):
        found_in(config_of(tmp_path, subjects=["100610"]))


def test_movies_of_the_other_version_do_not_count(root: Path, tmp_path: Path) -> None:
    versions = dict.fromkeys(SUBJECTS, "pre")
    section = config_of(root)["hcp_7t"] | {"stimulus_versions": versions}
    missing = found_in(config_of(root, hcp_7t=section)).missing
    assert [path.name for path in missing] == [
        "7T_MOVIE1_CC1.mp4",
        "7T_MOVIE2_HO1.mp4",
        "7T_MOVIE3_CC2.mp4",
        "7T_MOVIE4_HO2.mp4",
    ]
    shutil.copytree(root / "100610", tmp_path / "100610")
    folder = write_films(tmp_path, "Pre_20140821_version")
    found = found_in(config_of(tmp_path, subjects=["100610"], hcp_7t=section))
    assert found.missing == []
    assert found.stimuli["movie2_1"] == folder / "7T_MOVIE2_HO1.mp4"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"stimulus_versions": {"100610": "post"}}, r"stimulus_versions: found nothing of 102311; .*pre"),
        ({"stimulus_versions": {}}, "nothing of 100610, 102311"),
        ({"stimulus_versions": {"100610": "post", "102311": "pre"}}, "one version .* study of each version"),
        ({"windows": {"MOVIE1": [[5, 3]]}}, r"hcp_7t\.windows: found .*whole seconds"),
        ({"windows": {"MOVIE1": [[0, 5], [4, 9]]}}, "none in another"),
        ({"windows": {"MOVIE5": [[0, 5], [6, 9]]}}, "runs MOVIE1 to MOVIE4"),
        ({"windows": {"MOVIE1": [[0, 5.5], [6, 9]]}}, "whole seconds"),
        ({"windows": {"MOVIE1": [[0, 5], [6, 9]], "MOVIE2": [[0, 5], [6, 10]]}}, "3 s in MOVIE1, 4 s in"),
        ({"windows": {"MOVIE1": [[0, 5]]}}, "only the repeated clip"),
        ({"windows": "all"}, "found all; expected runs"),
    ],
)
def test_what_cannot_be_is_told(root: Path, changes: dict[str, Any], told: str) -> None:
    config = config_of(root)
    config["hcp_7t"] = config["hcp_7t"] | changes
    with pytest.raises(InputError, match=told):
        data_set(config).own_keys(config)


def test_other_kinds_of_fmri_are_refused(root: Path) -> None:
    config = config_of(root, fmri_from="neuroclips", space="mni")
    with pytest.raises(InputError, match=r"(?s)fmri_from: found neuroclips.*space: found mni"):
        data_set(config).own_keys(config)
