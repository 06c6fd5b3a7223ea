"""Finding the files of a data set by their names, in every layout that is accepted."""

from pathlib import Path

import pytest

from neurocine.datasets.base import Found, MissingFiles
from neurocine.datasets.hcp_rest import find_rest, rest_run, rest_subjects
from neurocine.datasets.packages import package_files
from neurocine.datasets.wen2018 import Wen2018, wen2018_run, wen2018_stimulus

REPEATS = {"seg2": 1, "seg10": 2}


def wen2018_study(
    root: Path,
    subjects: list[str],
    repeats: dict[str, int],
    excluded: tuple[tuple[str, str, int], ...] | list[tuple[str, str, int]] = (),
    simulated: bool = False,
    space: str = "cifti",
) -> Found:
    """What is found of a study whose movies all are training movies, as often repeated as the first says."""
    found = Found()
    for movie, count in repeats.items():  # the config has one number for all training movies
        config = {
            "data_dir": str(root),
            "subjects": subjects,
            "movies": {"train": [movie], "validation": [], "test": []},
            "repeats": {"train": count, "test": 1},
            "exclude_runs": [dict(zip(("subject", "movie", "repeat"), run, strict=True)) for run in excluded],
            "prepare_stimuli": {"clips_per_movie": 240, "tr": 2.0},
            "space": space,
            "simulate": simulated,
        }
        one = Wen2018().find(config)
        for mine, its in (
            (found.stimuli, one.stimuli),
            (found.movies, one.movies),
        ):
            mine.update(its)
        found.runs.extend(one.runs)
        found.missing.extend(one.missing)
    return found


def runs_of(found: Found, subject: str, movie: str) -> dict[int, Path]:
    """Repeat -> file."""
    rows = [run for run in found.runs if (run.subject, run.recording.movie) == (subject, movie)]
    return {run.recording.repeat: run.path for run in rows}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def write_published(root: Path) -> None:
    for movie, count in REPEATS.items():
        touch(wen2018_stimulus(root, movie))
        for repeat in range(1, count + 1):
            touch(wen2018_run(root, "1", movie, repeat))


def test_published_layout(tmp_path: Path) -> None:
    write_published(tmp_path)
    study = wen2018_study(tmp_path, ["1"], REPEATS)
    assert study.missing == []
    assert study.stimuli["seg10"] == tmp_path / "video_fmri_dataset/stimuli/seg10.mp4"
    folder = tmp_path / "video_fmri_dataset/subject1/fmri/seg10/cifti"
    assert runs_of(study, "1", "seg10") == {k: folder / f"seg10_{k}_Atlas.dtseries.nii" for k in (1, 2)}


def test_volumes_lie_beside_the_surfaces(tmp_path: Path) -> None:
    write_published(tmp_path)
    folder = tmp_path / "video_fmri_dataset/subject1/fmri"
    study = wen2018_study(tmp_path, ["1"], REPEATS, space="mni")
    assert folder / "seg2/mni/seg2_1_mni.nii.gz" in study.missing
    assert len(study.missing) == 3
    touch(folder / "seg2/mni/seg2_1.mni.nii.gz")  # named like one published file
    touch(folder / "seg10/mni/seg10_2_mni.nii")
    study = wen2018_study(tmp_path, ["1"], REPEATS, space="mni")
    assert runs_of(study, "1", "seg2") == {1: folder / "seg2/mni/seg2_1.mni.nii.gz"}
    assert study.missing == [folder / "seg10/mni/seg10_1_mni.nii.gz"]


def test_archives_unpacked_on_a_mac_in_parts_and_in_capitals(tmp_path: Path) -> None:
    for movie, part in (("seg2", "part1"), ("seg10", "part2")):
        touch(wen2018_run(tmp_path / part, "1", movie, 1))
        touch(tmp_path / "films/video_fmri_dataset/stimuli" / f"{movie}.MP4")
    twin = wen2018_run(tmp_path / "__MACOSX", "1", "seg2", 1)
    touch(twin.with_name(f"._{twin.name}"))
    touch(wen2018_run(tmp_path / "__MACOSX", "1", "seg10", 1))
    study = wen2018_study(tmp_path, ["1"], {"seg2": 1, "seg10": 1})
    assert study.missing == []
    assert study.stimuli["seg2"].name == "seg2.MP4"
    assert runs_of(study, "1", "seg10") == {1: wen2018_run(tmp_path / "part2", "1", "seg10", 1)}


def test_packages_are_found_under_their_authors_names(tmp_path: Path) -> None:
    usual = tmp_path / "preprocessed/fmri_train_subject2.npy"
    assert package_files(tmp_path, "mind_video", "2")["train"] == usual
    flat = touch(tmp_path / "fmri_train_subject2.npy")
    assert package_files(tmp_path, "mind_video", "2", "masks/2.npy") == {
        "train": flat,
        "test": tmp_path / "preprocessed/fmri_test_subject2.npy",
        "vertex": Path("masks/2.npy"),
    }
    assert package_files(tmp_path, "neuroclips", "2") == {
        "train": tmp_path / "subj02_train_fmri.pt",
        "test": tmp_path / "subj02_test_fmri.pt",
    }
    folder = tmp_path / "sub-2"
    for name in ("fmri_test.npy", "fmri_test_rep.npy", "roi.npy"):
        touch(folder / name)
    assert package_files(tmp_path, "arrays", "2") == {
        "train": folder / "fmri_train.npy",
        "test": folder / "fmri_test_rep.npy",
        "vertex": folder / "vertex_index.npy",
        "roi": folder / "roi.npy",
    }


@pytest.mark.parametrize("archive", ["Subject01", "Subject1"])
def test_one_folder_per_archive(tmp_path: Path, archive: str) -> None:
    write_published(tmp_path)
    (tmp_path / archive).mkdir()
    (tmp_path / "Stimuli").mkdir()
    (tmp_path / "video_fmri_dataset/stimuli").rename(
        touch(tmp_path / "Stimuli/video_fmri_dataset/x").with_name("stimuli")
    )
    (tmp_path / "video_fmri_dataset").rename(tmp_path / archive / "video_fmri_dataset")
    study = wen2018_study(tmp_path, ["1"], REPEATS)
    assert study.missing == []
    assert archive in runs_of(study, "1", "seg2")[1].parts
    assert study.stimuli["seg2"] == tmp_path / "Stimuli/video_fmri_dataset/stimuli/seg2.mp4"


@pytest.mark.parametrize(
    "around",
    [
        "10_4231_R7X63K3M/bundle",
        "10_4231_R7X63K3M",
        "10_4231_R7X63K3M/10_4231_R7X63K3M/bundle",
        "subject1",
        "subject1/subject1",
        "",
    ],
)
def test_what_unzipping_puts_around_the_archives(tmp_path: Path, around: str) -> None:
    root = tmp_path / around
    write_published(root)
    hidden = wen2018_run(root, "1", "seg2", 1)
    touch(hidden.with_name(f"._{hidden.name}"))
    study = wen2018_study(tmp_path, ["1"], REPEATS)
    assert study.missing == []
    assert study.stimuli["seg2"] == wen2018_stimulus(root, "seg2")
    assert runs_of(study, "1", "seg2") == {1: hidden}


def test_folders_further_down_are_not_searched(tmp_path: Path) -> None:
    write_published(tmp_path / "a/b/c/d")
    assert len(wen2018_study(tmp_path, ["1"], REPEATS).missing) == 5


def test_movies_of_other_kinds_are_found_after_mp4(tmp_path: Path) -> None:
    write_published(tmp_path)
    usual = wen2018_stimulus(tmp_path, "seg2")
    other = touch(usual.with_suffix(".mkv"))
    assert wen2018_study(tmp_path, ["1"], REPEATS).stimuli["seg2"] == usual
    usual.unlink()
    assert wen2018_study(tmp_path, ["1"], REPEATS).stimuli["seg2"] == other


def test_compressed_and_misnamed_runs_are_found_and_plain_files_win(tmp_path: Path) -> None:
    write_published(tmp_path)
    first = wen2018_run(tmp_path, "1", "seg10", 1)
    compressed = touch(first.with_name(first.name + ".gz"))
    assert runs_of(wen2018_study(tmp_path, ["1"], REPEATS), "1", "seg10")[1] == first
    first.unlink()
    assert runs_of(wen2018_study(tmp_path, ["1"], REPEATS), "1", "seg10")[1] == compressed
    second = wen2018_run(tmp_path, "1", "seg10", 2)
    dotted = second.rename(second.with_name("seg10_2.Atlas.dtseries.nii"))
    study = wen2018_study(tmp_path, ["1"], REPEATS)
    assert runs_of(study, "1", "seg10")[2] == dotted
    assert study.missing == []


def test_a_movie_never_takes_the_runs_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "video_fmri_dataset/subject1/fmri/seg1/cifti"
    touch(folder / "seg10_1_Atlas.dtseries.nii")
    touch(folder / "seg1_1_Atlas.dtseries.nii.part")
    study = wen2018_study(tmp_path, ["1"], {"seg1": 1})
    assert wen2018_run(tmp_path, "1", "seg1", 1) in study.missing


def test_what_is_missing_is_named_unless_it_is_excluded(tmp_path: Path) -> None:
    write_published(tmp_path)
    gone = wen2018_run(tmp_path, "1", "seg10", 2)
    gone.unlink()
    assert wen2018_study(tmp_path, ["1"], REPEATS).missing == [gone]
    study = wen2018_study(tmp_path, ["1"], REPEATS, excluded=[("1", "seg10", 2)])
    assert study.missing == []
    assert list(runs_of(study, "1", "seg10")) == [1]


def test_simulated_study_names_the_usual_places_without_looking(tmp_path: Path) -> None:
    study = wen2018_study(tmp_path, ["1"], REPEATS, excluded=[("1", "seg10", 2)], simulated=True)
    assert study.missing == []
    assert runs_of(study, "1", "seg10")[2] == wen2018_run(tmp_path, "1", "seg10", 2)


def test_missing_files_make_one_message(tmp_path: Path) -> None:
    missing = [tmp_path / f"{number}.mp4" for number in range(7)]
    text = str(MissingFiles("cc2017", missing, [tmp_path], "Set data_dir."))
    assert "cc2017: 7 files are missing" in text
    assert "... and 2 more" in text
    assert str(missing[4]) in text
    assert str(missing[5]) not in text
    assert text.endswith("Set data_dir.")


def test_rest_runs_with_and_without_surface_registration(tmp_path: Path) -> None:
    registered = touch(rest_run(tmp_path, "100307", "rfMRI_REST1_LR"))
    plain = touch(
        tmp_path / "100408/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR_Atlas_hp2000_clean.dtseries.nii"
    )
    (tmp_path / "notes").mkdir()
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == registered
    assert find_rest(tmp_path, "100408", "rfMRI_REST1_LR") == plain
    assert rest_subjects(tmp_path) == ["100307", "100408"]


def test_rest_of_younger_and_older_subjects(tmp_path: Path) -> None:
    """HCP-D cuts runs of children in halves, a and b; its subjects have letters in their names."""
    run = "rfMRI_REST1a_AP"
    folder = tmp_path / "HCD0001305_V1_MR/MNINonLinear/Results" / run
    path = touch(folder / f"{run}_Atlas_MSMAll_hp0_clean.dtseries.nii")
    assert rest_subjects(tmp_path) == ["HCD0001305_V1_MR"]
    assert find_rest(tmp_path, "HCD0001305_V1_MR", run) == path


def test_both_namings_of_rest_runs_are_found_and_the_newer_wins(tmp_path: Path) -> None:
    old = touch(rest_run(tmp_path, "100307", "rfMRI_REST1_LR"))
    new = old.with_name(old.name.replace("_clean", "_clean_rclean_tclean"))
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == old
    touch(new)
    assert new.name == "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii"
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == new
    old.unlink()
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == new
    packed = new.rename(f"{new}.gz")
    touch(old)
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == packed
    touch(new)
    assert find_rest(tmp_path, "100307", "rfMRI_REST1_LR") == new


REST_FILES = [
    ("rfMRI_REST1_LR", "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii"),
    ("rfMRI_REST1_LR", "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii"),
    ("rfMRI_REST2_RL", "rfMRI_REST2_RL_Atlas_hp2000_clean.dtseries.nii.gz"),
    ("rfMRI_REST1_AP", "rfMRI_REST1_AP_Atlas_MSMAll_hp0_clean.dtseries.nii"),
    ("rfMRI_REST2_PA", "rfMRI_REST2_PA_Atlas_hp0_clean_rclean_tclean.dtseries.nii"),
    ("rfMRI_REST", "rfMRI_REST_Atlas_MSMAll_hp0_clean_rclean_tclean.dtseries.nii"),
    ("rfMRI_REST", "rfMRI_REST_Atlas_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii"),
    ("rfMRI_REST_7T", "rfMRI_REST_7T_Atlas_MSMAll_hp2000_clean.dtseries.nii"),
    ("rfMRI_REST3_7T_PA", "rfMRI_REST3_7T_PA_Atlas_hp2000_clean.dtseries.nii"),
]


@pytest.mark.parametrize(("run", "name"), REST_FILES)
def test_what_is_found_of_hcp_is_what_the_step_reads(tmp_path: Path, run: str, name: str) -> None:
    path = touch(tmp_path / "100307/MNINonLinear/Results" / run / name)
    assert find_rest(tmp_path, "100307", run) == path
    assert find_rest(tmp_path, "100307", "rfMRI_REST4") is None


@pytest.mark.parametrize(
    "name",
    [
        "rfMRI_REST_7T_Atlas_1.6mm_MSMAll_hp2000_clean_rclean_tclean.dtseries.nii",
        "rfMRI_REST_7T_Atlas_MSMAll.dtseries.nii",
        "._rfMRI_REST_7T_Atlas_MSMAll_hp2000_clean.dtseries.nii",
        "rfMRI_REST_7T_Atlas_MSMAll_hp2000_clean.dtseries.nii\n",
        "rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii",
    ],
)
def test_other_files_of_hcp_are_not_taken(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "100307/MNINonLinear/Results/rfMRI_REST_7T" / name)
    assert find_rest(tmp_path, "100307", "rfMRI_REST_7T") is None


def test_the_stronger_high_pass_wins(tmp_path: Path) -> None:
    weak = touch(tmp_path / "1/MNINonLinear/Results/rfMRI_REST" / REST_FILES[5][1])
    assert find_rest(tmp_path, "1", "rfMRI_REST") == weak
    strong = touch(weak.with_name(REST_FILES[6][1]))
    assert find_rest(tmp_path, "1", "rfMRI_REST") == strong


def test_a_row_says_all_that_the_steps_must_know(tmp_path: Path) -> None:
    write_published(tmp_path)
    found = wen2018_study(tmp_path, ["1"], REPEATS, excluded=[("1", "seg10", 2)])
    assert [(run.subject, run.part, run.excluded) for run in found.runs] == [
        ("1", "train", False),
        ("1", "train", False),
        ("1", "train", True),
    ]
    recording = found.runs[1].recording
    assert recording.text() == '{"movie": "seg10", "repeat": 1, "n_clips": 240, "tr": 2.0}'
    assert recording.first is None  # by preprocess_run.crop
    assert not recording.header_tr
    assert found.movies["seg2"].text() == '{"name": "seg2", "n_clips": 240, "tr": 2.0}'
