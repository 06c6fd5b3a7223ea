"""Checks of raw files: every kind of damage is told, all of it in one message."""

import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import check_data as program
from neurocine.check import CheckDataSettings, check_data
from neurocine.errors import InputError, InputErrors
from neurocine.fmri.cifti import write_dtseries
from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.fmri.package import Package, PackageLayout
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.models.weights import check_model, safetensors_size
from neurocine.stimuli.prepare import PrepareStimuliSettings
from neurocine.stimuli.video import write_video

SETTINGS = CheckDataSettings(min_free_gb=0.001, min_rest_volumes=5)
PREPARE = PrepareStimuliSettings(clips_per_movie=3)  # last frame at 4 + 5/3 s
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
PREPROCESS = PreprocessRunSettings(crop={8: (1, 4)})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good file of each kind."""
    folder = tmp_path_factory.mktemp("raw")
    write_video(folder / "seg1.mp4", [np.zeros((16, 16, 3), np.uint8)] * 60, 10)
    write_dtseries(folder / "seg1_1_Atlas.dtseries.nii", np.zeros((8, GRAYORDINATES), np.float32), 2.0)
    write_dtseries(folder / "rest.dtseries.nii", np.zeros((5, GRAYORDINATES), np.float32), 0.72)
    write_model(folder / "model")
    return folder


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    for name in ("tokenizer.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(2, np.int64)}, folder / "model.safetensors")
    return folder


def look(
    folder: Path, stimulus: Path | None = None, run: Path | None = None, model: Path | None = None
) -> pd.DataFrame:
    stimuli = [stimulus or folder / "seg1.mp4"]
    runs = [run or folder / "seg1_1_Atlas.dtseries.nii"]
    models = [model or folder / "model"]
    rest = [folder / "rest.dtseries.nii"]
    return check_data(stimuli, runs, rest, models, folder, SETTINGS, PREPARE, PREPROCESS)


def test_good_files_make_a_report(good: Path, tmp_path: Path) -> None:
    program.main(
        stimuli=[good / "seg1.mp4"],
        runs=[good / "seg1_1_Atlas.dtseries.nii"],
        rest=[good / "rest.dtseries.nii"],
        models=[good / "model"],
        settings=SETTINGS,
        prepare_stimuli=PREPARE,
        preprocess_run=PREPROCESS,
        package=PackageLayout(
            kind="runs",
            train_movies=("seg1",),
            test_movies=("test1",),
            train_repeats=1,
            test_repeats=1,
            clips_per_movie=3,
        ),
        out=tmp_path / "report" / "report.tsv",
    )
    table = pd.read_csv(tmp_path / "report" / "report.tsv", sep="\t")
    assert list(table.columns) == ["file", "kind", "found", "expected", "ok"]
    assert list(table["kind"]) == ["stimulus", "run", "rest", "model", "disk"]
    assert table["ok"].all()
    assert table["found"][1] == "8 volumes, 91k grid"


def cut(path: Path, target: Path, share: float) -> Path:
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def test_truncated_files_are_found(good: Path, tmp_path: Path) -> None:
    run = cut(good / "seg1_1_Atlas.dtseries.nii", tmp_path / "seg1_1_Atlas.dtseries.nii", 0.7)
    with pytest.raises(InputErrors, match=r"seg1_1_Atlas.*truncated"):
        look(good, run=run)
    model = write_model(tmp_path / "model")
    cut(model / "model.safetensors", model / "model.safetensors", 0.9)
    with pytest.raises(InputErrors, match=r"expected \d+ bytes, as its header says"):
        look(good, model=model)
    cut(model / "model.safetensors", model / "model.safetensors", 0.05)
    with pytest.raises(InputErrors, match="without a safetensors header"):
        look(good, model=model)


def test_wrong_length_and_name_are_found(good: Path, tmp_path: Path) -> None:
    short = tmp_path / "seg1.mp4"
    write_video(short, [np.zeros((16, 16, 3), np.uint8)] * 50, 10)
    with pytest.raises(InputErrors, match=r"movie of 5.00 s; expected more than 5.67 s"):
        look(good, stimulus=short)
    long = tmp_path / "seg1_2_Atlas.dtseries.nii"
    write_dtseries(long, np.zeros((9, GRAYORDINATES), np.float32), 2.0)
    with pytest.raises(InputErrors, match="found 9 volumes; expected 8 volumes"):
        look(good, run=long)
    other = long.rename(tmp_path / "run.dtseries.nii")
    with pytest.raises(InputErrors, match="a name of another form"):
        look(good, run=other)


def test_all_problems_are_in_one_message(good: Path, tmp_path: Path) -> None:
    with pytest.raises(InputErrors) as raised:
        look(good, tmp_path / "no.mp4", tmp_path / "seg1_1_Atlas.dtseries.nii", tmp_path / "no_model")
    assert [Path(problem.where).name for problem in raised.value.problems] == [
        "no.mp4",
        "seg1_1_Atlas.dtseries.nii",
        "no_model",
    ]
    assert str(raised.value).startswith("3 of 5 checks failed; nothing was computed:\n- ")


def write_stable_diffusion(folder: Path) -> None:
    for part in ("unet", "vae", "text_encoder"):
        write_model(folder / part)
    for name in ("tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("{}")


def test_parts_of_stable_diffusion_are_checked(tmp_path: Path) -> None:
    write_stable_diffusion(tmp_path)
    assert len(check_model(tmp_path)) == 3
    for name in ("tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        with pytest.raises(InputError, match=f"{Path(name).parent}: found no {Path(name).name}"):
            check_model(tmp_path)
        (tmp_path / name).write_bytes(content)
    shutil.rmtree(tmp_path / "text_encoder")
    with pytest.raises(InputError, match=r"text_encoder.*no such folder"):
        check_model(tmp_path)
    (tmp_path / "vae" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        check_model(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "preprocessor_config.json"])
def test_what_belongs_beside_weights_is_checked(tmp_path: Path, name: str) -> None:
    (write_model(tmp_path / "clip") / name).unlink()
    with pytest.raises(InputError, match=f"found no {name}"):
        check_model(tmp_path / "clip")


def test_weights_in_several_files_are_all_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    parts = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    for part in parts:
        shutil.copyfile(folder / "model.safetensors", folder / part)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": parts[0], "b": parts[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    check_model(folder)
    (folder / parts[0]).unlink()
    with pytest.raises(InputError, match=f"found no {parts[0]}"):
        check_model(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(InputError, match="weight_map"):
        check_model(folder)


def test_pytorch_files_are_checked_where_there_are_no_others(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(500))
    check_model(folder)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        check_model(folder)
    path.write_bytes(POINTER)
    with pytest.raises(InputError, match="git lfs pull"):
        check_model(folder)
    path.rename(folder / "diffusion_pytorch_model.non_ema.bin")
    with pytest.raises(InputError, match="no weights"):
        check_model(folder)


def test_safetensors_size_is_the_files_size(good: Path, tmp_path: Path) -> None:
    path = good / "model" / "model.safetensors"
    assert safetensors_size(path) == path.stat().st_size
    (write_model(tmp_path / "model") / "model.safetensors").write_bytes(POINTER)
    with pytest.raises(InputError, match="git lfs pull"):
        check_model(tmp_path / "model")
    broken = tmp_path / "model.safetensors"
    broken.write_bytes(struct.pack("<Q", 10**15) + b"{}")
    with pytest.raises(InputError, match="without a safetensors header"):
        safetensors_size(broken)


def test_packages_take_the_place_of_runs(good: Path, tmp_path: Path) -> None:
    layout = PackageLayout(
        kind="mind_video",
        train_movies=("seg1", "seg2"),
        test_movies=("test1",),
        train_repeats=2,
        test_repeats=2,
        clips_per_movie=3,
    )
    train, test = tmp_path / "fmri_train_subject1.npy", tmp_path / "fmri_test_subject1.npy"
    np.save(train, np.zeros((2, 3, 7), np.float32))
    np.save(test, np.zeros((1, 3, 7), np.float32))
    arguments = ([], [], [], [], good, SETTINGS, PREPARE, PREPROCESS)
    table = check_data(*arguments, [Package(train, test, layout)])
    assert list(table["kind"]) == ["package", "disk"]
    assert table["found"][0] == "2 and 1 movies of 3 clips, 7 vertices at unknown places"
    np.save(test, np.zeros((1, 4, 7), np.float32))
    with pytest.raises(
        InputErrors, match=r"fmri_test_subject1.npy: found shape \(1, 4, 7\); expected shape \(1, 3, V\)"
    ):
        check_data(*arguments, [Package(train, test, layout)])


def test_a_full_disk_is_told(good: Path) -> None:
    settings = CheckDataSettings(min_free_gb=1e9, min_rest_volumes=5)
    with pytest.raises(InputErrors, match="GB free; expected at least 1e"):
        check_data([], [], [], [], good, settings, PREPARE, PREPROCESS)
