"""Algonauts 2021: which videos and responses become which clips and samples, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import import_fmri
from neurocine.check import check_stimulus
from neurocine.datasets import data_set
from neurocine.datasets.base import Found
from neurocine.errors import InputError
from neurocine.fmri.ceiling import list_parts
from neurocine.fmri.package import ImportFmriSettings, PackageLayout
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import read_arrays
from neurocine.stimuli.prepare import PrepareStimuliSettings, prepare_movie
from small_data_sets import AREA_VOXELS, FPS, moving_squares, responses, write_algonauts_2021, write_pickle

VIDEOS, PER_MOVIE = 12, 3
SMALL = PrepareStimuliSettings(fps=2, frames_per_tr=2, height=32, width=32, tr=3.0)


def config_of(root: Path, **changes: Any) -> dict[str, Any]:
    section = {"areas": list(AREA_VOXELS), "videos": VIDEOS, "per_movie": PER_MOVIE}
    config = {"layout": "algonauts_2021", "data_dir": str(root), "subjects": ["1"]}
    return config | {"algonauts_2021": section | changes}


def complete(config: dict[str, Any]) -> dict[str, Any]:
    return config | data_set(config).own_keys(config)


def found_in(config: dict[str, Any]) -> Found:
    return data_set(config).find(complete(config))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("algonauts")
    write_algonauts_2021(folder, (1,), VIDEOS)
    return folder


def test_published_size() -> None:
    own = data_set({"layout": "algonauts_2021"}).own_keys({"prepare_stimuli": {"height": 64}})
    movies = own["movies"]
    assert (movies["train"][0], len(movies["train"])) == ("videos1", 9)
    assert (movies["validation"], movies["test"]) == (["videos9"], ["videos10"])
    assert own["repeats"] == {"train": 3, "test": 3}
    assert own["prepare_stimuli"] == {"height": 64, "tr": 3.0, "clips_per_movie": 100}
    assert own["train_encoder"]["window"] == 1
    assert own["fmri_from"] == "algonauts_2021"


def test_clips_are_videos_in_the_order_of_their_names(root: Path) -> None:
    found = found_in(config_of(root))
    movie = found.movies["videos2"]
    assert movie.files == ("0004_abc.mp4", "0005_abc.mp4", "0006_abc.mp4")
    assert found.missing == []
    clips = prepare_movie(found.stimuli["videos2"], movie, SMALL)
    wanted = np.stack([moving_squares(3, number)[[0, FPS // 2]] for number in (3, 4, 5)])
    assert clips.shape == wanted.shape
    assert np.abs(clips.astype(int) - wanted).mean() < 6
    assert check_stimulus(found.stimuli["videos2"], movie, SMALL).found.startswith(
        "3 files, the last of 3.00 s"
    )


@pytest.mark.parametrize("track", ["mini_track", "", "full_track"])
def test_responses_are_found_in_every_layout(tmp_path: Path, track: str) -> None:
    write_algonauts_2021(tmp_path / "unpacked", (1,), 1, track)
    config = config_of(tmp_path)
    folder = tmp_path / "unpacked/participants_data_v2021" / track / "sub01"
    assert data_set(config).package_files(complete(config), "1") == {"train": folder, "test": folder}
    with pytest.raises(InputError, match=r"sub01: found no LOC\.pkl; expected .*WB is the whole brain"):
        data_set(config).package_files(complete(config_of(tmp_path, areas=["V1", "LOC"])), "1")


def layout() -> PackageLayout:
    return PackageLayout(
        kind="algonauts_2021",
        train_movies=("videos1", "videos2", "videos3"),
        test_movies=("videos4",),
        train_repeats=3,
        test_repeats=3,
        clips_per_movie=PER_MOVIE,
        areas=tuple(AREA_VOXELS),
    )


def imported(folder: Path, out: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Path]:
    paths = {name: out / f"{name}.safetensors" for name in ("train", "test", "vertices")}
    for part in ("train", "test"):
        places = {"vertices": paths["vertices"], "table": out / "vertices.tsv"} if part == "train" else {}
        import_fmri.main(
            fmri=folder,
            part=part,
            package=layout(),
            settings=ImportFmriSettings(),
            out=paths[part],
            **places,
        )
    return read_arrays(paths["train"])[0], read_arrays(paths["test"])[0], paths["vertices"]


def test_samples_are_responses_to_the_clips_areas_in_a_row(root: Path, tmp_path: Path) -> None:
    train, test, vertices = imported(root / "participants_data_v2021/mini_track/sub01", tmp_path)
    whole = np.concatenate([responses(area, VIDEOS, 10 + seed) for seed, area in enumerate(AREA_VOXELS)], 2)
    assert list(train) == ["videos1", "videos2", "videos3"]
    np.testing.assert_array_equal(train["videos2"], whole[3:6].swapaxes(0, 1))
    np.testing.assert_array_equal(test["videos4"], whole[9:12].swapaxes(0, 1))
    selection = VertexSelection.read(vertices)
    assert not selection.placed
    assert selection.areas == ("V1", "V2", "FFA")
    parts = {(part.group, part.area): len(part.members) for part in list_parts(selection)}
    areas = {("early", "V1"): 20, ("early", "V2"): 16, ("other", "FFA"): 12}
    assert parts == {("all", "all"): 48, ("early", "all"): 36, ("other", "all"): 12, **areas}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"train": np.zeros((12, 3))}, r"V2\.pkl: found shape \(12, 3\); expected three axes"),
        ({"train": np.zeros((11, 3, 4))}, "expected three axes: 12 videos and 3 repeats"),
        ({"test": np.zeros((12, 3, 4))}, r"an object with keys test; .*under 'train'"),
        ({"train": np.full((12, 3, 4), np.nan)}, "NaN or infinite values"),
    ],
)
def test_other_contents_are_refused(root: Path, tmp_path: Path, content: Any, told: str) -> None:
    folder = tmp_path / "sub01"
    for area in AREA_VOXELS:
        write_pickle(folder / f"{area}.pkl", {"train": responses(area, VIDEOS, 1)})
    write_pickle(folder / "V2.pkl", content)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(InputError, match=told):
        imported(folder, out)
    assert list(out.iterdir()) == []


def test_too_few_videos_are_told(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sub01"
    for area in AREA_VOXELS:
        write_pickle(folder / f"{area}.pkl", {"train": responses(area, 9, 1)})
    with pytest.raises(InputError, match="found responses to 9 videos; expected 12"):
        imported(folder, tmp_path)
    with pytest.raises(InputError, match=r"14 videos \(\*\.mp4\); expected at least 30"):
        found_in(config_of(root, videos=30))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"videos": 10}, "10 videos, 3 per movie; expected movies of equally many"),
        ({"test_movies": 3}, "4 movies, 1 to validate and 3 to test; expected movies to train on"),
        ({"per_movie": 0}, r"algonauts_2021\.per_movie: found 0"),
        ({"videos": "all"}, r"algonauts_2021\.videos: found all"),
    ],
)
def test_numbers_that_cannot_be_are_told(root: Path, changes: dict[str, Any], told: str) -> None:
    config = config_of(root, **changes)
    with pytest.raises(InputError, match=told):
        data_set(config).own_keys(config)


def test_windows_and_other_packages_are_refused(root: Path) -> None:
    config = config_of(root) | {"train_encoder": {"window": 2}, "fmri_from": "neuroclips"}
    with pytest.raises(InputError, match=r"(?s)fmri_from: found neuroclips.*window: found 2; expected 1"):
        data_set(config).own_keys(config)
    wen = {"layout": "wen2018", "fmri_from": "algonauts_2021", "package": {"dir": "x", "vertex_masks": {}}}
    with pytest.raises(InputError, match="fmri_from: found algonauts_2021; expected one of mind_video"):
        data_set(wen).package_files(wen, "1")
