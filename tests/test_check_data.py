"""Checks of raw files: every kind of damage is told, all of it in one message."""

import json
import re
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import check_data as program
from neurocine.check import CheckDataSettings, check_data, check_model_folder
from neurocine.datasets.base import Movie, Recording
from neurocine.errors import InputError, InputErrors
from neurocine.fmri.cifti import write_dtseries
from neurocine.fmri.grayordinates import CORTEX, GRAYORDINATES
from neurocine.fmri.package import Package, PackageLayout
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import PreprocessRunSettings, preprocess_run
from neurocine.models.catalogue import PIPELINE_TYPES
from neurocine.models.weights import check_model, safetensors_size, weights_of
from neurocine.stimuli.prepare import PrepareStimuliSettings
from neurocine.stimuli.video import write_video

SETTINGS = CheckDataSettings(min_free_gb=0.001, min_rest_volumes=5)
MOVIE, RUN = Movie("seg1", 3, 2.0), Recording("seg1", 1, 3, 2.0)
PREPARE = PrepareStimuliSettings(clips_per_movie=3)  # last frame at 4 + 5/3 s
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
PREPROCESS = PreprocessRunSettings(crop={8: (1, 4)})


REST = "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii"


def fake_bold(n_volumes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_volumes, GRAYORDINATES), dtype=np.float32)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good file of each kind."""
    folder = tmp_path_factory.mktemp("raw")
    write_video(folder / "seg1.mp4", [np.zeros((16, 16, 3), np.uint8)] * 60, 10)
    write_dtseries(folder / "seg1_1_Atlas.dtseries.nii", fake_bold(8), 2.0)
    write_dtseries(folder / REST, fake_bold(5), 0.72)
    write_model(folder / "model")
    return folder


def write_model(folder: Path, kind: str = "clip") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    for name in ("tokenizer.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(2, np.int64)}, folder / "model.safetensors")
    return folder


def look(
    folder: Path, stimulus: Path | None = None, run: Path | None = None, model: Path | None = None
) -> pd.DataFrame:
    stimuli = [(stimulus or folder / "seg1.mp4", MOVIE)]
    runs = [(run or folder / "seg1_1_Atlas.dtseries.nii", RUN)]
    models = [model or folder / "model"]
    rest = [folder / REST]
    return check_data(stimuli, runs, rest, models, folder, SETTINGS, PREPARE, PREPROCESS)


def test_good_files_make_a_report(good: Path, tmp_path: Path) -> None:
    program.main(
        stimuli=[good / "seg1.mp4"],
        movies=[MOVIE.text()],
        runs=[good / "seg1_1_Atlas.dtseries.nii"],
        recordings=[RUN.text()],
        rest=[good / REST],
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


def test_wrong_length_is_found(good: Path, tmp_path: Path) -> None:
    short = tmp_path / "seg1.mp4"
    write_video(short, [np.zeros((16, 16, 3), np.uint8)] * 50, 10)
    with pytest.raises(InputErrors, match=r"movie of 5.00 s; expected more than 5.67 s"):
        look(good, stimulus=short)
    long = tmp_path / "seg1_2_Atlas.dtseries.nii"
    write_dtseries(long, np.zeros((9, GRAYORDINATES), np.float32), 2.0)
    with pytest.raises(InputErrors, match="found 9 volumes; expected 8"):
        look(good, run=long)


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
    for part, kinds in PIPELINE_TYPES.items():
        write_model(folder / part, kinds[0])
    for name in ("tokenizer/tokenizer.json", "scheduler/scheduler_config.json"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("{}")


def test_the_report_names_the_content_of_a_network_wherever_it_lies(tmp_path: Path) -> None:
    """Rules that read a network depend on the report alone."""
    one, copy = write_model(tmp_path / "one"), tmp_path / "elsewhere/copy"
    shutil.copytree(one, copy)
    found = check_model_folder(one).found
    assert re.fullmatch("1 files of weights, sha256 [0-9a-f]{64}", found)
    assert check_model_folder(copy).found == found
    (copy / ".cache").mkdir()  # of a download
    (copy / ".cache/notes.json").write_text("{}")
    assert check_model_folder(copy).found == found
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert check_model_folder(copy).found != found
    (one / "tokenizer.json").write_text('{"version": "1.0"}')
    assert check_model_folder(one).found != found


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
    with pytest.raises(InputError, match=r"no weights but diffusion_pytorch_model\.non_ema\.bin, which"):
        check_model(folder)


@pytest.mark.parametrize("variant", ["bf16", "fp16"])
def test_weights_of_half_precision_are_taken_where_there_are_no_others(tmp_path: Path, variant: str) -> None:
    folder = write_model(tmp_path / "model")
    half = shutil.copyfile(folder / "model.safetensors", folder / f"model.{variant}.safetensors")
    assert check_model(folder) == [folder / "model.safetensors"]
    (folder / "model.safetensors").unlink()
    assert check_model(folder) == [half]


def test_an_old_index_beside_whole_weights(tmp_path: Path) -> None:
    """transformers takes the whole file, diffusers the index: its folders are refused."""
    folder = write_model(tmp_path / "model")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert check_model(folder) == [folder / "model.safetensors"]
    write_stable_diffusion(tmp_path / "diffusion")
    unet = tmp_path / "diffusion" / "unet"
    (unet / f"{weights_of(unet, True)[0].name}.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index\.json beside .*Remove the one that is left"):
        check_model(tmp_path / "diffusion")


def test_a_folder_of_another_network_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    assert check_model(folder, ("clip",))
    with pytest.raises(InputError, match="a network of type clip; expected one of type vit"):
        check_model(folder, ("vit",))


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": null}}',
        b'{"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}',
        b"[" * 100_000,
        b"{}",
    ],
)
def test_headers_of_weights_that_are_none(tmp_path: Path, header: bytes) -> None:
    folder = write_model(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match=r"model\.safetensors: found (a file without|values of type)"):
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
    table = check_data(*arguments, [Package({"train": train, "test": test}, layout)])
    assert list(table["kind"]) == ["package", "disk"]
    assert table["found"][0] == "2 and 1 movies of 3 clips, 7 vertices at unknown places"
    np.save(test, np.zeros((1, 4, 7), np.float32))
    with pytest.raises(
        InputErrors, match=r"fmri_test_subject1.npy: found shape \(1, 4, 7\); expected shape \(1, 3, V\)"
    ):
        check_data(*arguments, [Package({"train": train, "test": test}, layout)])


def test_a_full_disk_is_told(good: Path) -> None:
    settings = CheckDataSettings(min_free_gb=1e9, min_rest_volumes=5)
    with pytest.raises(InputErrors, match="GB free; expected at least 1e"):
        check_data([], [], [], [], good, settings, PREPARE, PREPROCESS)


def check_runs(folder: Path, *runs: Path) -> pd.DataFrame:
    return check_data([], [(path, RUN) for path in runs], [], [], folder, SETTINGS, PREPARE, PREPROCESS)


@pytest.mark.parametrize(
    ("tr", "told"), [(2.0, ""), (2000.0, "2000 s"), (0.72, "0.72 s"), (1.0, "1 s"), (0.0, "0 s")]
)
def test_another_tr_in_the_header_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tr: float, told: str
) -> None:
    path = tmp_path / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, fake_bold(8), tr)
    table = check_runs(tmp_path, path)
    expected = f"a TR of {told} in its header where the study has 2 s, which is used"
    assert (expected in caplog.text) == (expected in table["found"][0]) == bool(told)


def test_a_sidecar_tells_the_tr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = "sub-01_task-seg1_run-1_space-fsLR_den-91k_bold"
    path, sidecar = tmp_path / f"{name}.dtseries.nii", tmp_path / f"{name}.json"
    write_dtseries(path, fake_bold(8), 1.0)
    sidecar.write_text(json.dumps({"RepetitionTime": 2.0}))
    check_runs(tmp_path, path)
    assert "a TR of" not in caplog.text
    sidecar.write_text(json.dumps({"RepetitionTime": 1.5}))
    check_runs(tmp_path, path)
    assert f"a TR of 1.5 s in its {name}.json" in caplog.text
    for bad in ("{", "[]", '{"RepetitionTime": "two"}'):
        sidecar.write_text(bad)
        with pytest.raises(InputErrors, match=r"bold\.json: found no sidecar.*RepetitionTime"):
            check_runs(tmp_path, path)


def test_vertices_that_were_not_recorded_are_counted_by_area(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bold = fake_bold(8)
    v1 = area_vertices()[0, "V1"]
    bold[:, v1[:40]] = np.nan
    bold[:, v1[40:50]] = 7
    bold[:, area_vertices()[1, "MT"][:3]] = 0
    path = tmp_path / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, bold, 2.0)
    check_runs(tmp_path, path)
    assert "53 of 59412 vertices without signal (constant or NaN in all volumes): V1 50, MT 3" in caplog.text
    cleaned = preprocess_run(
        [path],
        [RUN],
        np.concatenate([v1[:60]]),
        PreprocessRunSettings(crop={8: (1, 4)}, extra_lag_tr=0, detrend_order=0),
    )
    assert not cleaned["seg1"][0, :, :50].any()
    assert cleaned["seg1"][0, :, 50:].any(0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_some_volumes_lack_is_refused(tmp_path: Path, value: float) -> None:
    bold = fake_bold(8)
    bold[3, :7] = value
    path = tmp_path / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, bold, 2.0)
    with pytest.raises(InputErrors, match="NaN or infinite values in 7 of 59412 vertices"):
        check_runs(tmp_path, path)


@pytest.mark.parametrize("filled", [0, 20_000])
def test_runs_full_of_zeros_are_refused(tmp_path: Path, filled: int) -> None:
    bold = fake_bold(8)
    bold[:, filled:] = 0  # what a download that was broken off leaves
    path = tmp_path / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, bold, 2.0)
    rest = tmp_path / REST
    write_dtseries(rest, bold, 0.72)
    with pytest.raises(InputErrors) as raised:
        check_data([], [(path, RUN)], [rest], [], tmp_path, SETTINGS, PREPARE, PREPROCESS)
    found = [problem.found for problem in raised.value.problems]
    assert found[0] == f"{CORTEX - filled} of {CORTEX} vertices constant or NaN in all volumes"
    assert "of 513 vertices constant" in found[1]


def test_copies_of_a_run_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "seg1_1_Atlas.dtseries.nii" for folder in ("subject1", "subject2")]
    paths.append(tmp_path / "subject1" / "seg1_2_Atlas.dtseries.nii")
    for path in paths:
        write_dtseries(path, fake_bold(8), 2.0)
    with pytest.raises(InputErrors) as raised:
        check_runs(tmp_path, *paths)
    assert [problem.where for problem in raised.value.problems] == list(map(str, paths[1:]))
    assert all(problem.found == f"the same values as in {paths[0]}" for problem in raised.value.problems)
    with pytest.raises(InputError, match="the same values as repeat 1 of seg1"):
        preprocess_run(
            [paths[0], paths[2]],
            [RUN, Recording("seg1", 2, 3, 2.0)],
            np.arange(9),
            PreprocessRunSettings(crop={8: (1, 4)}, extra_lag_tr=0, detrend_order=0),
        )


def test_one_odd_file_does_not_hide_the_others(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reading a file may raise, all problems are told."""

    def fail(path: Path) -> None:
        raise MemoryError("Unable to allocate 4 TiB")

    monkeypatch.setattr("neurocine.check.video_info", fail)
    with pytest.raises(InputErrors) as raised:
        look(good, run=good / "absent_1_Atlas.dtseries.nii")
    assert len(raised.value.problems) == 2
    assert "MemoryError: Unable to allocate 4 TiB" in raised.value.problems[0].found
