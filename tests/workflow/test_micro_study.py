"""The whole workflow on a study as small as can be: run, run again, damaged, repaired. Minutes."""

import re
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import stand_in_conda
from neurocine.io import read_arrays
from neurocine.provenance import movies_behind
from workflow_copy import ROOT, copy_workflow, snakemake

pytestmark = pytest.mark.workflow
PLAN = ("-n", "--quiet", "rules")
RESULTS = "results/micro"
RESULT = f"{RESULTS}/sub-3/neurocine/paper_main"


def run_micro(folder: Path, *arguments: str, configs: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run each step in its own environment of envs/; ``configs`` are further config files."""
    words = ["--configfile", "tests/micro/config.yaml", *configs, "--cores", "2", "--sdm", "conda"]
    return snakemake(folder, *arguments, *words, programs=(folder / "conda/bin",))


def said(run: subprocess.CompletedProcess[str]) -> str:
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The micro study, run to its end."""
    folder = copy_workflow(tmp_path_factory.mktemp("micro"))
    stand_in_conda.install(folder / "conda")
    run = run_micro(folder)
    assert run.returncode == 0, said(run)[-5000:]
    return folder


def planned(folder: Path, *more: str) -> set[str]:
    """Rules that a run would run; ``more`` are further config files."""
    run = run_micro(folder, *PLAN, configs=more)
    assert run.returncode == 0, said(run)
    return set(re.findall(r"^(\w+) +\d+$", said(run), flags=re.MULTILINE)) - {"all", "total"}


def test_everything_a_person_looks_for_is_there(study: Path) -> None:
    for subject in ("1", "3"):
        folder = study / RESULTS / f"sub-{subject}/neurocine/paper_main"
        scores = pd.read_csv(folder / "scores.tsv", sep="\t")
        assert {"fmri", "shifted", "caption"} <= set(scores["condition"])
        assert (folder / "clips/test1.mp4").stat().st_size > 500
        assert (folder / "strips/random.png").is_file()
        assert (folder / "maps/overview.png").is_file()
        ceiling = pd.read_csv(study / RESULTS / f"sub-{subject}/noise_ceiling.tsv", sep="\t")
        # One of subject 3's two repeats is left out, so nothing is known of its noise.
        assert ceiling["ceiling_mean"].notna().any() == (subject == "1")
    for name in ("results", "comparisons", "published"):
        assert len(pd.read_csv(study / RESULTS / f"tables/{name}.tsv", sep="\t"))
    tables = pd.read_csv(study / RESULTS / "tables/scores.tsv", sep="\t")
    assert set(tables["subject"].astype(str)) == {"1", "3"}
    page = (study / RESULTS / "browser/index.html").read_text()
    assert "paper_main" in page


def test_the_page_tells_nobody_where_it_was_made(study: Path) -> None:
    """It is copied and shared: no folder of this machine, and no name of it, in any file."""
    files = [path for path in (study / RESULTS / "browser").rglob("*") if path.is_file()]
    assert len(files) > 20
    folders = rb"|".join(re.escape(name.encode()) for name in (str(study.parent), f"{Path.home()}/"))
    host = re.escape(socket.gethostname().encode())
    for path in files:
        content = path.read_bytes()
        assert not re.search(folders, content), path
        # Such letters may stand in compressed pictures by chance, where the name is short.
        if path.suffix not in (".png", ".jpg", ".mp4", ".nii"):
            assert not re.search(rb"\b" + host + rb"\b", content), path


def test_snakemakes_report_holds_the_page_and_what_it_shows(study: Path) -> None:
    run = run_micro(study, "--report", "report.zip")
    assert run.returncode == 0, said(run)[-3000:]
    names = zipfile.ZipFile(study / "report.zip").namelist()
    page = next(name for name in names if name.endswith("/index.html"))
    folder = page.removesuffix("index.html")
    shown = "assets/sub-3/neurocine/paper_main"
    for name in ("strips/best.mp4", "strips/best.png", "controls/shifted/best.mp4", "tables/clip_scores.tsv"):
        assert f"{folder}{shown}/{name}" in names


def test_every_step_ran_in_an_environment_that_has_what_it_asks_for(study: Path) -> None:
    """The environments of reading fMRI and of pictures have no torch, so nothing leaks in from outside."""
    pythons = list((study / ".snakemake/conda").glob("*/bin/python"))
    assert len(pythons) == len({"fmri", "report", "training"})
    with_torch = [
        subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0
        for python in pythons
    ]
    assert sorted(with_torch) == [False, False, True]


def test_every_array_on_disk_says_which_movies_it_was_computed_from(study: Path) -> None:
    made = [path for path in (study / RESULTS).rglob("*.safetensors") if ".state" not in path.parts]
    known = {path: movies_behind([path]) for path in made}
    trained = [movies for path, movies in known.items() if "train_" in path.as_posix()]
    assert len(trained) == 2 * 3 + 2
    assert all("test1" not in movies for movies in trained)
    assert known[study / RESULT / "decode/fmri.safetensors"] == ["seg1", "seg2", "test1"]


def test_every_job_left_a_log_and_a_benchmark(study: Path) -> None:
    steps = {path.name for path in (study / "logs/micro").iterdir()}
    assert {path.name for path in (study / "benchmarks/micro").iterdir()} == steps
    assert {"simulate_subject", "train_decoder", "score", "build_browser"} <= steps
    assert "done in" in (study / "logs/micro/decode/sub-3_paper_main_fmri.log").read_text()


def test_the_report_tells_of_every_raw_file(study: Path) -> None:
    names = ("check_stimuli/report", "check_rest/report", *(f"sub-{s}/check_subject/report" for s in "13"))
    paths = [study / RESULTS / f"{name}.tsv" for name in names]
    paths += list((study / RESULTS / "check_models").iterdir())
    report = pd.concat([pd.read_csv(path, sep="\t") for path in paths])
    assert report["ok"].all()
    # Subject 3 saw test1 twice; the second run is excluded and so not asked for.
    assert (report["kind"] == "run").sum() == 7
    assert (report["kind"] == "model").sum() == 5
    assert ((report["kind"] == "stimulus").sum(), (report["kind"] == "rest").sum()) == (3, 1)


def test_a_second_run_has_nothing_to_do(study: Path) -> None:
    run = run_micro(study)
    assert run.returncode == 0
    assert "Nothing to be done" in said(run)


def test_deleted_clips_are_made_again_and_nothing_else(study: Path) -> None:
    decoded = study / RESULT / "decode/fmri.safetensors"
    before = {path: path.read_bytes() for path in (decoded, study / RESULT / "scores.tsv")}
    others = [study / RESULTS / "sub-1/neurocine/paper_main/scores.tsv", study / RESULT / "maps/overview.png"]
    times = [path.stat().st_mtime_ns for path in others]
    decoded.unlink()
    assert planned(study) == {
        *("decode", "score", "show_clips", "test_order", "agree_fmri", "plot_agreement", "export_maps"),
        "build_subject_browser",
        *("tabulate_scores", "compare_results", "write_methods", "build_browser"),
    }
    run = run_micro(study)
    assert run.returncode == 0, said(run)
    assert [path.stat().st_mtime_ns for path in others] == times
    for path, content in before.items():
        assert path.read_bytes() == content, f"{path.name} differs in a second run"


def test_another_step_size_trains_the_decoders_again_and_what_depends_on_them(study: Path) -> None:
    (study / "mine.yaml").write_text("train_decoder: {learning_rate: 1.0e-3}\n")
    assert planned(study, "mine.yaml") == {
        *("train_decoder", "decode", "extract_attention", "plot_surface", "export_maps"),
        *("score", "show_clips", "tabulate_scores", "compare_results", "write_methods"),
        *("test_order", "agree_fmri", "plot_agreement", "build_browser", "build_subject_browser"),
    }


def reruns() -> list[tuple[str, str]]:
    """Commands of docs/reruns.md and what they are said to run."""
    rows = re.findall(
        r"^\| `(snakemake [^`]+)` \| (.+) \|$", (ROOT / "docs/reruns.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 6
    return rows


@pytest.mark.parametrize(("command", "steps"), reruns())
def test_documented_reruns_touch_what_they_say(study: Path, command: str, steps: str) -> None:
    words = command.replace("results/cc2017", RESULTS).split()[1:]
    run = run_micro(study, *words, "-n")
    assert run.returncode == 0, said(run)
    runs = set(re.findall(r"^(?:local)?rule (\w+):", said(run), re.MULTILINE))
    targets = {"all", "sub_1"}
    assert runs - targets == set(re.findall(r"\w+(?=,|$)", steps.rpartition(": ")[2]))
    if "sub" in command:
        assert "sub-3" not in said(run)


def test_touched_code_runs_nothing(study: Path) -> None:
    for name in ("Snakefile", "config.yaml", "rules", "schemas", "envs", "slurm", "workflow_scripts"):
        for path in (study / name, *(study / name).rglob("*")):
            path.touch()
    assert planned(study) == set()


def test_another_subject_is_added_without_touching_the_others(study: Path) -> None:
    (study / "mine.yaml").write_text("subjects: [1, 2, 3]\n")
    run = run_micro(study, *PLAN, configs=["mine.yaml"])
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", said(run), flags=re.MULTILINE))
    assert jobs["train_encoder"] == jobs["train_decoder"] == jobs["check_subject"] == "1"
    assert jobs["preprocess_run"] == "2"
    assert jobs["decode"] == "4"
    assert "prepare_stimuli" not in jobs
    assert "train_video_prior" not in jobs


SHARED = {
    *("prepare_stimuli", "caption_clips", "embed_clips", "encode_latents", "assemble_train", "assemble_test"),
    *("train_encoder", "train_video_prior", "train_decoder", "decode", "decode_captions"),
}


RIDGE_ROWS = ("ridge_retrieval", "ridge_latents", "ridge_caption")


def test_a_second_method_goes_on_from_the_finished_first(study: Path) -> None:
    """To the page; what both methods share is not made again, and the first method's scores stay."""
    config = "tests/micro/animator.yaml"
    first = study / RESULT / "scores.tsv"
    before = first.read_bytes()
    run = run_micro(study, *PLAN, configs=[config])
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", said(run), flags=re.MULTILINE))
    assert not jobs.keys() & SHARED
    # One each: what an experiment leaves out in drawing trains nothing of its own.
    assert [jobs[f"train_{part}"] for part in ("semantic", "structure", "motion")] == ["1"] * 3
    run = run_micro(study, configs=[config])
    assert run.returncode == 0, said(run)[-5000:]
    assert first.read_bytes() == before
    page = (study / RESULTS / "browser/index.html").read_text()
    made = {"animator": "mind_animator", "animator_no_motion": "mind_animator"}
    for experiment, method in (made | dict.fromkeys(RIDGE_ROWS, "ridge")).items():
        folder = study / RESULTS / f"sub-3/{method}/{experiment}"
        scores = pd.read_csv(folder / "scores.tsv", sep="\t")
        assert set(scores["method"]) == {method}
        assert {"fmri", "shifted"} <= set(scores["condition"])
        assert ("features" in set(scores["condition"])) == (experiment in made)
        assert (folder / "clips/test1.mp4").stat().st_size > 500
        assert experiment in page
    comparisons = pd.read_csv(study / RESULTS / "tables/comparisons.tsv", sep="\t")
    assert set(comparisons["kind"]) == {"condition", "experiment", "method", "to beat"}
    # keep.latents is false: what clips were drawn from is gone, its scores stay, nothing asks for it again.
    subject = study / RESULTS / "sub-3"
    assert len(list((subject / "score_features").glob("*.tsv"))) == 2
    for name in ("decode_features", "predict_features"):
        assert not list((subject / name).rglob("*.safetensors"))
    assert planned(study, config) == set()


# What no fMRI has a part in, so that a study from a package need not make it again.
OF_MOVIES = (
    "check_stimuli",
    "check_models",
    "prepare_stimuli",
    "caption_clips",
    "embed_clips",
    "encode_latents",
    "train_video_prior",
)


def test_a_study_goes_on_from_its_own_fmri_as_a_package(study: Path) -> None:
    """To the page, with one subject and one condition; what depends on the movies alone is copied."""
    runs, package = study / RESULTS, study / "results/package"
    for part, movies in (("train", ("seg1", "seg2")), ("test", ("test1",))):
        found: dict[str, np.ndarray] = {}
        for path in (runs / "sub-1/preprocess_run").iterdir():
            found |= read_arrays(path)[0]
        # As NeuroClips shares them: clips of all movies in a row, repeats, vertices.
        values = np.concatenate([found[movie].swapaxes(0, 1) for movie in movies])
        torch.save(torch.from_numpy(values), study / f"subj01_{part}_fmri.pt")
    for step in OF_MOVIES:
        shutil.copytree(runs / step, package / step)
    (study / "package.yaml").write_text(
        "dataset: package\nsubjects: [1]\nsimulate: false\nfmri_from: neuroclips\npackage: {dir: .}\n"
        "pretrain_on: training_fmri\nconditions: [fmri]\ngeneration_seeds: []\n"
    )
    run = run_micro(study, "all", "lag_sweep", configs=["package.yaml"])
    assert run.returncode == 0, said(run)[-5000:]
    # The same samples, of the same movies, as from the runs.
    for part in ("train", "test"):
        name = f"sub-1/assemble_{part}/fmri.safetensors"
        before, after = (read_arrays(folder / name)[0] for folder in (runs, package))
        assert before.keys() == after.keys()
        for movie, values in before.items():
            np.testing.assert_array_equal(after[movie], values)
        assert movies_behind([package / name]) == movies_behind([runs / name])
    columns = ["group", "area", "ceiling_mean"]
    ceilings = [pd.read_csv(f / "sub-1/noise_ceiling.tsv", sep="\t")[columns] for f in (package, runs)]
    # Of areas nothing is known, nor where a map would have to be drawn; the page says why.
    pd.testing.assert_frame_equal(ceilings[0], ceilings[1][:1])
    shown = package / "sub-1/neurocine/paper_main"
    assert len(pd.read_csv(shown / "scores.tsv", sep="\t"))
    assert (shown / "clips/test1.mp4").stat().st_size > 500
    assert not list((shown / "maps").glob("*.png"))
    page = (package / "browser/index.html").read_text()
    assert "preprocessed by others (neuroclips)" in page
    assert "nothing tells where the vertices lie" in page
    assert set(pd.read_csv(package / "tables/lag_sweep.tsv", sep="\t")["test_repeats"]) == {1, 2}
    report = pd.read_csv(package / "sub-1/check_subject/report.tsv", sep="\t")
    assert set(report["kind"]) == {"package", "disk"}
    # The page is out of date, for there is a lag sweep now.
    assert planned(study, "package.yaml") == {"build_browser"}
    # A file of another shape ends all before it begins.
    torch.save(torch.zeros(11, 2, 4), study / "subj01_test_fmri.pt")
    run = run_micro(study, "check_data", configs=["package.yaml"])
    assert run.returncode != 0
    assert "subj01_test_fmri.pt: found shape (11, 2, 4); expected shape (12, 2, V)" in said(run)
    assert "Traceback" not in said(run)


def test_a_truncated_run_ends_with_a_clear_message_before_any_training(study: Path) -> None:
    run_file = study / "data/micro/video_fmri_dataset/subject1/fmri/seg1/cifti/seg1_1_Atlas.dtseries.nii"
    content = bytearray(run_file.read_bytes())
    run_file.write_bytes(content[: len(content) // 2])
    other = study / f"{RESULTS}/sub-3/neurocine/paper_main/strips/best.png"
    other.unlink()
    run = run_micro(study, "--keep-going")
    assert run.returncode != 0
    assert "1 of 5 checks failed; nothing of subject 1 was computed" in said(run)
    assert other.is_file()  # the other subject goes on
    assert "seg1_1_Atlas.dtseries.nii: found a truncated or damaged file" in said(run)
    assert "Traceback" not in said(run)
    assert not re.search(r"\btrain_(encoder|decoder): ", said(run))
    assert (study / RESULT / "scores.tsv").is_file()
    # Another recording in its place: the subject is made again, but not the movies, rest or other subjects.
    content[-4000:] = content[-8000:-4000]
    run_file.write_bytes(content)
    run = run_micro(study, *PLAN)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", said(run), flags=re.MULTILINE))
    once = ("check_subject", "assemble_train", "train_encoder", "train_decoder")
    assert {jobs[name] for name in once} == {"1"}
    assert not jobs.keys() & {"prepare_stimuli", "preprocess_hcp", "pretrain_encoder", "train_video_prior"}
