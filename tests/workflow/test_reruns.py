"""What a change of a finished study plans, by dry runs: nothing that it does not concern.

Each row of the table in docs/reruns.md has a test here, which plans by hand and by the profile of Slurm.
"""

import functools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from finished import copy_without_programs, finish, write
from plans import TOY, planned

from neurocine.datasets.hcp_rest import rest_run
from workflow_copy import ROOT, snakemake

DATA = "data/toy/video_fmri_dataset"
TRAININGS = {"pretrain_encoder", "train_encoder", "train_video_prior", "train_decoder"}
MADE_ANEW = re.compile(r"(pre)?train_|encode_latents|embed_|caption_")
OFF = "simulate: false\n"
PAGES = {"tabulate_scores", "compare_results", "write_methods", "build_browser", "build_subject_browser"}
BY_PROFILE = ("--profile", "slurm")
DOCUMENTED: set[str] = set()  # rows of docs/reruns.md that a test is about
EXCLUDED = "{subject: 3, movie: test2, repeat: 3, reason: fMRI 10 s late}"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy study, finished, with raw files of another subject and of further movies beside it."""
    folder = copy_without_programs(tmp_path_factory.mktemp("finished"))
    finish(folder, *TOY)
    data = folder / DATA
    for movie, other in (("test1", "test3"), ("seg1", "seg6")):
        (data / f"stimuli/{other}.mp4").touch()
        for subject in ("1", "3"):
            for run in (data / f"subject{subject}/fmri/{movie}/cifti").iterdir():
                to = data / f"subject{subject}/fmri/{other}/cifti" / run.name.replace(movie, other)
                to.parent.mkdir(parents=True, exist_ok=True)
                to.touch()
    shutil.copytree(data / "subject1", data / "subject2")
    return folder


def documented(change: str) -> Callable[[Any], Any]:
    """Mark the test of a row of docs/reruns.md."""
    DOCUMENTED.add(change)
    return lambda test: test


def planned_both_ways(study: Path, *arguments: str) -> dict[str, int]:
    """Jobs that a run plans by hand, which are those that it plans by the profile of Slurm."""
    jobs = planned(study, *arguments)
    assert planned(study, *arguments, *BY_PROFILE) == jobs
    return jobs


@functools.cache
def change(study: Path, text: str) -> dict[str, int]:
    """Jobs that a change of the config plans; the raw files are recorded ones now."""
    return planned_both_ways(study, *TOY, write(study, "mine.yaml", OFF + text))


def test_every_documented_change_has_a_test() -> None:
    """Those of the table; its neighbour's commands are run in test_micro_study.py."""
    section = (
        (ROOT / "docs/reruns.md").read_text().partition("\n## What a change runs\n")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE)
    assert set(rows) - {"change", "---"} == DOCUMENTED


def test_a_finished_study_has_nothing_to_do(study: Path) -> None:
    assert planned_both_ways(study, *TOY) == {}


@pytest.mark.parametrize("page", ["browser", "sub-3/browser"])
def test_a_page_waits_for_one_file_of_each_result_and_is_given_all(study: Path, page: str) -> None:
    """Snakemake looks at all inputs at every start, and most files of a study are chosen clips."""
    shown = re.compile(r"/(strips|controls|clips)/")
    run = snakemake(study, f"results/toy/{page}", *TOY, "-n", "-f")
    (inputs,) = re.findall(r"^rule build_\w*browser:\n +input: (.*)", run.stdout + run.stderr, re.MULTILINE)
    results = study / "results/toy"
    folders = [path.parent for path in results.glob(f"{page.removesuffix('browser')}**/clip_scores.tsv")]
    assert len(folders) == (1 if "sub" in page else 2)
    waits = [path for path in inputs.split(", ") if shown.search(path)]
    assert sorted(waits) == sorted(str(path.relative_to(study) / "strips/random.png") for path in folders)
    given = json.loads((results / f".state/arguments/{page}.json").read_text())
    made = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    names = {str(path.relative_to(study)) for path in made if shown.search(str(path))}
    assert {*given["strips"], *given["controls"], *given["clips"]} == names
    assert len(names) > 50 * len(folders)


@documented("another test movie, a test run in `exclude_runs`, `assemble_test.repeats`")
@pytest.mark.parametrize(
    "text",
    [
        "movies: {test: [test1, test2, test3]}",
        f"exclude_runs: [{EXCLUDED}, {{subject: 1, movie: test1, repeat: 2, reason: noise}}]",
        "assemble_test: {repeats: 1}",
        "exclude_runs: []",
    ],
)
@pytest.mark.parametrize("pretrain_on", ["rest", "training_fmri"])
def test_what_concerns_test_movies_alone_trains_nothing(study: Path, text: str, pretrain_on: str) -> None:
    before = change(study, f"pretrain_on: {pretrain_on}")
    jobs = change(study, f"pretrain_on: {pretrain_on}\n{text}")
    assert jobs["assemble_test"] >= 1
    assert "assemble_train" not in jobs
    for name, count in jobs.items():
        assert not MADE_ANEW.match(name) or count <= before.get(name, 0) + ("test3" in text), name
    assert {name: jobs.get(name) for name in TRAININGS} == {name: before.get(name) for name in TRAININGS}


def test_trainings_of_the_second_method_do_not_depend_on_test_runs(study: Path) -> None:
    """What they wait for is no file of a test movie."""
    animator = ("studies/toy/animator.yaml", write(study, "both.yaml", "simulate: false"))
    run = snakemake(study, "-n", *TOY, *animator)
    said = run.stdout + run.stderr
    inputs = re.findall(r"^rule (train_(?:semantic|structure|motion)):\n +input: (.*)", said, re.MULTILINE)
    assert {name for name, _ in inputs} == {"train_semantic", "train_structure", "train_motion"}
    assert not [names for _, names in inputs if "test" in names]
    needed = re.findall(r"^rule assemble_train:\n +input: (.*)", said, re.MULTILINE)
    assert not needed


@documented("`movies_per_job`, `rest.subjects_per_job`")
def test_how_many_movies_or_subjects_a_job_takes_changes_nothing(study: Path) -> None:
    same = change(study, "")
    assert change(study, "movies_per_job: 1\nrest: {subjects_per_job: 1}") == same
    assert not any(MADE_ANEW.match(name) for name in same)


@documented("another training movie")
def test_a_further_training_movie_leaves_what_was_made_of_the_others(study: Path) -> None:
    jobs = change(study, "movies: {train: [seg1, seg2, seg3, seg4, seg5, seg6]}")
    assert jobs["prepare_stimuli"] == jobs["caption_clips"] == jobs["encode_latents"] == 1
    assert jobs["preprocess_run"] == 2
    assert jobs["train_encoder"] == jobs["train_decoder"] == 2
    assert not jobs.keys() & {"preprocess_hcp", "pretrain_encoder", "check_stimuli", "check_subject"}


@documented("a seed more in `train_seeds`")
def test_a_further_seed_trains_beside_what_was_trained_with_others(study: Path) -> None:
    jobs = change(study, "train_seeds: [7]")
    assert jobs["train_encoder"] == jobs["train_decoder"] == jobs["score"] == 2  # one of each subject
    assert not jobs.keys() & {"prepare_stimuli", "embed_clips", "assemble_train", "pretrain_encoder"}


@documented("another subject in `subjects`")
def test_another_subject_is_made_alone(study: Path) -> None:
    jobs = change(study, "subjects: [1, 2, 3]")
    one = ("check_subject", "assemble_train", "assemble_test", "train_encoder", "train_decoder", "score")
    assert {jobs[name] for name in one} == {1}
    assert jobs["preprocess_run"] == 2
    shared = {"check_stimuli", "check_models", "check_rest", "prepare_stimuli", "train_video_prior"}
    assert not jobs.keys() & (shared | {"pretrain_encoder"})


@documented("another subject, with `pretrain_on: training_fmri`")
def test_another_subject_trains_all_where_the_study_itself_is_pretrained_on(study: Path) -> None:
    jobs = change(study, "pretrain_on: training_fmri\nsubjects: [1, 2, 3]")
    assert (jobs["pretrain_encoder"], jobs["train_encoder"], jobs["train_decoder"]) == (1, 3, 3)
    assert jobs["assemble_train"] == 1


@documented("a rest subject in `rest.exclude`")
def test_a_rest_subject_less_is_pretrained_without(study: Path) -> None:
    jobs = change(study, "rest: {exclude: [100002]}")
    assert jobs["preprocess_hcp"] == jobs["pretrain_encoder"] == 1
    assert not jobs.keys() & {"assemble_train", "train_video_prior", "prepare_stimuli"}


def test_a_touched_run_and_touched_networks_run_nothing(study: Path) -> None:
    """Their content is compared."""
    paths = [study / DATA / "subject1/fmri/seg1/cifti/seg1_1_Atlas.dtseries.nii"]
    paths += [path for path in (study / "models").rglob("*") if path.is_file()]
    for path in paths:
        path.touch()
    assert planned_both_ways(study, *TOY) == {}


def test_large_networks_with_new_dates_run_nothing_once_their_content_is_looked_at(tmp_path: Path) -> None:
    """They are too large to be compared by content at each start; reports of their checks are not."""
    study = copy_without_programs(tmp_path)
    # Smaller than weights, larger than the reports, which are empty here.
    large = ("--max-checksum-file-size", "1000")
    few = (*TOY, write(study, "mine.yaml", "subjects: [1]\nconditions: [fmri]\n"), *large)
    finish(study, *few)
    for path in (study / "models").rglob("*.safetensors"):
        path.touch()
    assert planned_both_ways(study, *few).keys() >= TRAININGS - {"pretrain_encoder"}  # which sees no network
    finish(study, *few, "--until", "check_models")
    assert planned_both_ways(study, *few) == {}
    # Others in the same place.
    (study / "results/toy/check_models/clip.tsv").write_text("another hash")
    jobs = planned_both_ways(study, *few)
    assert jobs["embed_clips"] == 2
    assert "check_models" not in jobs


@documented("another config of the same `dataset`, and back")
def test_another_config_and_back_runs_what_differs_each_time(tmp_path: Path) -> None:
    study = copy_without_programs(tmp_path)
    few = "conditions: [fmri]\nsubjects: [1]\n"
    one, other = (write(study, f"{steps}.yaml", f"{few}decode: {{steps: {steps}}}\n") for steps in ("3", "4"))
    finish(study, *TOY, one)
    there = planned_both_ways(study, *TOY, other)
    assert there["decode"] == there["score"] == 1
    assert not [name for name in there if MADE_ANEW.match(name)]
    finish(study, *TOY, other)
    assert planned_both_ways(study, *TOY, other) == {}
    assert planned_both_ways(study, *TOY, one) == there
    # Side by side, where the dataset is another one.
    beside = planned_both_ways(study, *TOY, write(study, "beside.yaml", f"{few}dataset: beside\n"))
    assert beside["train_decoder"] == 1
    assert planned_both_ways(study, *TOY, other) == {}


@documented("another rest subject in the folder")
def test_a_rest_subject_that_arrives_later_runs_nothing_until_it_is_asked_for(tmp_path: Path) -> None:
    study = copy_without_programs(tmp_path)
    rest = study / "data/toy/HCP"
    for subject in ("100001", "100002"):
        for run in ("LR", "RL"):
            path = rest_run(rest, subject, f"rfMRI_REST1_{run}")
            path.parent.mkdir(parents=True)
            path.touch()
    text = "rest: {subjects: all}\nsubjects: [1]\nconditions: [fmri]\n"
    mine = write(study, "mine.yaml", text)
    finish(study, *TOY, mine)
    write(study, "mine.yaml", OFF + text)  # all files are recorded ones now
    finish(study, *TOY, mine)
    shutil.copytree(rest / "100001", rest / "100000")
    (study / "results/toy/.state/rest_files.json").unlink()
    assert planned_both_ways(study, *TOY, mine) == {}
    first = study / "results/toy/first_run.json"
    decided = json.loads(first.read_text())
    del decided["rest_subjects"]
    first.write_text(json.dumps(decided))
    jobs = planned_both_ways(study, *TOY, mine)
    assert jobs["preprocess_hcp"] == jobs["pretrain_encoder"] == 1
    assert "check_rest" not in jobs
    finish(study, *TOY, mine)
    assert planned_both_ways(study, *TOY, mine) == {}


@pytest.mark.parametrize("what", ["decoded", "cleaned", "latents"])
@documented("`keep: {decoded: false}`")
@documented("`keep: {cleaned: false}`")
@documented("`keep: {latents: false}`")
def test_to_keep_less_of_a_finished_study_writes_its_text_and_pages_again(study: Path, what: str) -> None:
    assert change(study, f"keep: {{{what}: false}}").keys() == PAGES


def test_moved_data_are_as_before_once_they_are_declared_so(tmp_path: Path) -> None:
    """As docs/reruns.md advises. Other triggers for once would leave the next run to make all again."""
    study = copy_without_programs(tmp_path)
    small = "subjects: [1]\nconditions: [fmri]\n"
    finish(study, *TOY, write(study, "mine.yaml", small))
    (study / "data/toy").rename(study / "data/there")
    where = "simulate: false\ndata_dir: data/there\nrest: {dir: data/there/HCP}\n"
    moved = (*TOY, write(study, "moved.yaml", small + where))
    assert planned_both_ways(study, *moved).keys() >= TRAININGS
    finish(study, *moved, "--rerun-triggers", "mtime")
    assert planned_both_ways(study, *moved).keys() >= TRAININGS
    finish(study, *moved, "--touch")
    assert planned_both_ways(study, *moved) == {}


def test_a_deleted_intermediate_is_not_made_again_and_a_target_is(study: Path) -> None:
    for name in ("sub-1/preprocess_run", "caption_clips", "sub-1/check_subject"):
        (study / "results/toy" / name).rename(study / "results/toy/away")
        assert planned_both_ways(study, *TOY) == {}
        (study / "results/toy/away").rename(study / "results/toy" / name)
    scores = study / "results/toy/sub-1/neurocine/paper_main/scores.tsv"
    scores.rename(scores.with_suffix(".away"))
    jobs = planned_both_ways(study, *TOY)
    scores.with_suffix(".away").rename(scores)
    assert jobs["score"] == 1
    assert not jobs.keys() & {"train_decoder", "decode"}


def test_the_default_profile_and_that_of_slurm_agree() -> None:
    default, slurm = (
        yaml.safe_load((ROOT / name / "config.yaml").read_text()) for name in ("profiles/default", "slurm")
    )
    assert default.items() <= slurm.items()
    assert "rerun-triggers" in default


def test_clips_that_are_not_kept_are_deleted_and_no_later_run_makes_them_again(tmp_path: Path) -> None:
    study = copy_without_programs(tmp_path)
    text = "keep: {decoded: false, cleaned: false}\nconditions: [fmri, noise, caption, static]\n"
    finish(study, *TOY, write(study, "mine.yaml", text))
    for subject in ("1", "3"):
        folder = study / f"results/toy/sub-{subject}/neurocine/paper_main"
        assert (folder / "scores.tsv").is_file()
        assert not list((folder / "decode").glob("*.safetensors"))
        assert not list((study / f"results/toy/sub-{subject}/preprocess_run").glob("*.safetensors"))
    assert not list((study / "results/toy/preprocess_hcp").glob("*.safetensors"))
    assert (study / "results/toy/neurocine/paper_main/decode/caption.safetensors").is_file()
    assert planned(study, *TOY, "mine.yaml") == {}
    jobs = planned(study, *TOY, write(study, "more.yaml", f"{text}subjects: [1, 2, 3]\n"))
    assert jobs["score"] == jobs["train_decoder"] == 1
    assert jobs["decode"] == 2
    assert not jobs.keys() & {"preprocess_hcp", "pretrain_encoder", "train_video_prior"}
    movie = planned(study, *TOY, write(study, "repeats.yaml", f"{text}assemble_test: {{repeats: 1}}\n"))
    assert movie["preprocess_run"] == 2
    assert not movie.keys() & {"assemble_train", "train_encoder", "train_decoder"}
    asked = "results/toy/sub-1/neurocine/paper_main/decode/fmri.safetensors"
    assert planned(study, asked, *TOY, "mine.yaml") == {"decode": 1}


def features_of(study: Path, subject: str) -> set[str]:
    """Name what lies there of the latents that other methods decode."""
    folder = study / f"results/toy/sub-{subject}"
    found = [*folder.glob("decode_features/**/*.safetensors"), *folder.glob("predict_features/*.safetensors")]
    return {str(path.relative_to(folder)) for path in found}


def test_latents_that_are_not_kept_are_deleted_and_no_later_run_makes_them_again(tmp_path: Path) -> None:
    study = copy_without_programs(tmp_path)
    text = "keep: {latents: false}\nconditions: [fmri, shifted, features, caption]\n"
    rows = "run_experiments: [paper_main, animator, ridge_latents]\n"
    both = (*TOY, "studies/toy/animator.yaml")
    finish(study, *both, write(study, "mine.yaml", text + rows))
    results = study / "results/toy/sub-1"
    assert features_of(study, "1") == features_of(study, "3") == set()
    assert (results / "mind_animator/animator/reconstruct/fmri.safetensors").is_file()
    assert (results / "ridge/ridge_latents/scores.tsv").is_file()
    assert (results / "score_features/ridge.tsv").is_file()
    assert planned_both_ways(study, *both, "mine.yaml") == {}
    # Another subject: its own alone.
    jobs = planned(study, *both, write(study, "more.yaml", f"{text}{rows}subjects: [1, 2, 3]\n"))
    assert jobs["predict_features"] == jobs["train_motion"] == 1
    assert jobs["decode_features"] == 3
    # An experiment that shares them asks for them, and so has the clips of both drawn; it trains nothing.
    rows = "run_experiments: [paper_main, animator, animator_no_motion, ridge_latents]\n"
    jobs = planned(study, *both, write(study, "sharing.yaml", text + rows))
    assert jobs["decode_features"] == 6
    assert jobs["reconstruct"] == 12
    assert not [name for name in jobs if MADE_ANEW.match(name) or name in ("predict_features", "decode")]
    # By name.
    (decoders,) = (results / "train_motion").iterdir()
    asked = f"results/toy/sub-1/decode_features/{decoders.name}/fmri.safetensors"
    assert planned(study, asked, *both, "mine.yaml") == {"decode_features": 1}


def test_latents_are_kept_unless_the_config_says_otherwise(tmp_path: Path) -> None:
    study = copy_without_programs(tmp_path)
    text = "conditions: [fmri, shifted]\nrun_experiments: [ridge_latents]\nsubjects: [1]\n"
    finish(study, *TOY, "studies/toy/animator.yaml", write(study, "mine.yaml", text))
    assert features_of(study, "1") == {
        "predict_features/fmri.safetensors",
        "predict_features/shifted.safetensors",
    }
