"""What Snakemake would do, for every study that comes with the workflow. Nothing is run here."""

import itertools
import re
import shutil
import textwrap
from pathlib import Path

import pytest
from plans import TOY, planned

from neurocine.conditions import CONDITIONS
from neurocine.datasets import wen2018
from workflow_copy import ROOT, copy_workflow, snakemake


def test_toy_study_stays_small(checkout: Path) -> None:
    jobs = planned(checkout, *TOY)
    assert sum(jobs.values()) == 79
    assert jobs["train_encoder"] == jobs["train_decoder"] == 2
    assert jobs["train_video_prior"] == jobs["pretrain_encoder"] == 1


def test_the_graph_in_the_readme_is_the_workflows(checkout: Path) -> None:
    run = snakemake(checkout, *TOY, "--rulegraph", "mermaid-js")
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]$", run.stdout, re.MULTILINE))
    pairs = re.findall(r"^\s*(id\d+) --> (id\d+)$", run.stdout, re.MULTILINE)
    arrows = {(names[first], names[second]) for first, second in pairs}
    assert len(arrows) > 50
    drawn = (ROOT / "README.md").read_text().partition("flowchart LR\n")[2].partition("```")[0]
    chains = [line.split(" --> ") for line in drawn.strip().split("\n")]
    shown = {pair for chain in chains for pair in itertools.pairwise(map(str.strip, chain))}
    assert len(shown) >= 15
    assert shown <= arrows


def test_ablation_shares_trainings(checkout: Path) -> None:
    jobs = planned(checkout, "ablation", *TOY)
    subjects = 2
    assert jobs["train_encoder"] == 8 * subjects
    assert jobs["train_video_prior"] == 4
    assert jobs["train_decoder"] == 11 * subjects
    assert jobs["pretrain_encoder"] == 1
    assert jobs["score"] == 11 * subjects


def test_all_conditions_and_seeds_are_one_list_each(checkout: Path, tmp_path: Path) -> None:
    every = [name for name in CONDITIONS if name != "features"]  # of Mind-Animator
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"conditions: [{', '.join(every)}]\ngeneration_seeds: [1, 2]\n")
    jobs = planned(checkout, *TOY, str(mine))
    subjects = 2
    assert jobs["decode"] == (5 + 2) * subjects
    assert jobs["decode_captions"] == jobs["make_baselines"] == 2
    assert jobs["retrieve_clips"] == jobs["decode_nearest"] == jobs["score"] == subjects
    jobs = planned(checkout, *TOY, "--config", "conditions=[fmri]", "generation_seeds=[]")
    assert jobs["decode"] == subjects
    assert not jobs.keys() & {"decode_captions", "decode_nearest", "make_baselines", "retrieve_clips"}


EVALUATED = {"test_order", "agree_fmri", "plot_agreement", "rank_areas", "plot_areas"}


def test_only_the_evaluations_asked_for_are_run(checkout: Path, tmp_path: Path) -> None:
    assert set(planned(checkout, *TOY)) >= EVALUATED
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text("evaluate: [test_order]\n")
    jobs = planned(checkout, *TOY, str(fewer))
    assert EVALUATED & set(jobs) == {"test_order"}
    assert {"score", "export_maps", "build_browser"} <= set(jobs)  # exports are then those of attention


def test_the_first_page_of_the_demo_waits_for_no_encoder(checkout: Path) -> None:
    jobs = planned(checkout, "results/toy/sub-1/browser", *TOY, "studies/toy/first.yaml")
    assert {name for name in jobs if name.startswith("train_")} == {"train_video_prior"}
    assert {"predict_captions", "score", "build_subject_browser"} <= set(jobs)
    assert not EVALUATED & set(jobs)


def test_what_is_made_beside_the_first_page_is_there_for_the_rest_of_the_demo(checkout: Path) -> None:
    """Files that the Makefile names, by the other core."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    beside = re.search(r"^MEANWHILE := (.+)$", makefile, re.MULTILINE)
    assert beside
    jobs = planned(checkout, *beside[1].split(), *TOY, "studies/toy/first.yaml")
    assert jobs["pretrain_encoder"] == jobs["assemble_train"] == jobs["simulate_rest"] == 1
    assert jobs["decode_captions"] == 1
    assert {name for name in jobs if name.startswith("train_")} == {"train_video_prior"}


def test_one_subject_needs_nothing_of_the_others(checkout: Path) -> None:
    jobs = planned(checkout, "sub_3", *TOY)
    assert jobs["train_decoder"] == 1
    assert jobs["preprocess_run"] == 2
    assert "build_browser" not in jobs


def test_adding_a_subject_is_one_word(checkout: Path) -> None:
    jobs = planned(checkout, *TOY, "--config", "subjects=[1,2,3]")
    assert jobs["train_decoder"] == 3
    assert jobs["train_video_prior"] == 1


def test_checks_alone(checkout: Path) -> None:
    jobs = planned(checkout, "check_data", *TOY)
    assert jobs["check_data"] == 1
    assert all(name.startswith(("check_data", "simulate_")) for name in jobs)


def test_a_check_waits_for_all_that_is_simulated_for_it(checkout: Path) -> None:
    """It takes one file as input, so one job has to make all files that it looks at."""
    for part, job, looked_at in (
        ("check_rest", "simulate_rest", r"data/toy/HCP/\S*\.nii"),
        ("check_stimuli", "simulate_movies", r"data/toy/\S*\.mp4"),
        ("sub-1/check_subject", "simulate_subject_1", r"data/toy/\S*subject1/\S*\.nii"),
    ):
        report = f"results/toy/{part}/report.tsv"
        assert planned(checkout, report, *TOY)[job] == 1
        text = snakemake(checkout, report, *TOY, "-n").stdout
        outputs = re.search(rf"^rule {job}:.*?output: (.*?)$", text, re.MULTILINE | re.DOTALL)
        assert outputs
        assert len(re.findall(looked_at, outputs[1])) > 1


def test_pretraining_on_the_study_itself_needs_no_rest(checkout: Path) -> None:
    jobs = planned(checkout, *TOY, "--config", "pretrain_on=training_fmri")
    assert "preprocess_hcp" not in jobs
    assert jobs["pretrain_encoder"] == 1


def test_a_rest_subject_is_left_out_by_name(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("rest: {exclude: [100002]}\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    assert "preprocess_hcp/100001.safetensors" in run.stdout + run.stderr
    assert "100002" not in run.stdout + run.stderr


@pytest.mark.parametrize(("per_job", "jobs"), [(1, 2), (2, 1)])
def test_rest_subjects_share_jobs(checkout: Path, tmp_path: Path, per_job: int, jobs: int) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"rest: {{subjects_per_job: {per_job}}}\n")
    assert planned(checkout, *TOY, str(mine))["preprocess_hcp"] == jobs


# The first steps that read a part, and the check that they wait for.
CHECKS = {
    "prepare_stimuli": "results/toy/check_stimuli/report.tsv",
    "preprocess_run": "results/toy/sub-{}/check_subject/report.tsv",
    "preprocess_hcp": "results/toy/check_rest/report.tsv",
    "caption_clips": "results/toy/check_models/blip.tsv",
    "embed_clips": "results/toy/check_models/clip.tsv",
    "encode_latents": "results/toy/check_models/stable_diffusion.tsv",
    "score": "results/toy/check_models/video_classifier.tsv",
}


# Steps whose inputs grow with the subjects, the experiments or the rest runs.
GROWING = "tabulate_scores|compare_results|write_methods|build_browser|check_data|pretrain_encoder"


def test_no_command_line_grows_with_the_study(checkout: Path) -> None:
    run = snakemake(checkout, "-n", "-p", *TOY)
    commands = re.findall(rf"Shell command: (.*/?(?:{GROWING})\.py.*)", run.stdout + run.stderr)
    assert len(commands) >= 12
    for command in commands:
        words = command.replace("'", " ").split()
        named = {
            word
            for word in words
            if re.match(r"(results|data)/toy/.*\.(tsv|safetensors|png|mp4|nii|jsonl)$", word)
        }
        assert len(named) <= 3, named  # what it writes


def test_nothing_is_computed_from_a_part_before_its_check(checkout: Path) -> None:
    run = snakemake(checkout, "-n", *TOY)
    said = run.stdout + run.stderr
    for name, report in CHECKS.items():
        jobs = re.findall(rf"^rule {name}:\n +input: (.*)\n +output: (.*)", said, re.MULTILINE)
        assert jobs
        for inputs, outputs in jobs:
            subject = re.search(r"/sub-(\w+)/", outputs)
            wanted = report.format(subject[1] if subject else "")
            checks = {path for path in inputs.split(", ") if "/check_subject/" in path}
            assert wanted in inputs.split(", ")
            assert checks <= {wanted}  # of no other subject


@pytest.mark.parametrize("pretrain_on", ["rest", "training_fmri"])
def test_reliable_vertices_are_chosen_per_subject(checkout: Path, tmp_path: Path, pretrain_on: str) -> None:
    """All that depends on the vertices is made per subject; what does not is still shared."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"select_vertices: {{roi_set: rel4500, every: 8}}\npretrain_on: {pretrain_on}\n")
    jobs = planned(checkout, *TOY, str(mine))
    assert jobs["select_vertices"] == jobs["pretrain_encoder"] == jobs["train_decoder"] == 2
    assert jobs.get("preprocess_hcp", 0) == (2 if pretrain_on == "rest" else 0)
    assert jobs["train_video_prior"] == 1
    run = snakemake(checkout, "-n", "sub_3", *TOY, str(mine))
    inputs = re.findall(r"rule select_vertices:\n +input: (.*)", run.stdout + run.stderr)
    assert len(inputs) == 1
    assert "subject3/fmri/seg1" in inputs[0]
    assert "subject1" not in inputs[0]
    assert "test" not in inputs[0]


def test_lag_sweep_needs_no_training(checkout: Path) -> None:
    jobs = planned(checkout, "lag_sweep", *TOY)
    assert jobs["sweep_lags"] == 1
    assert jobs["assemble_train"] == jobs["assemble_test"] == 2
    assert not any(name.startswith(("train_", "pretrain_", "decode")) for name in jobs)


def test_a_lag_sweep_is_shown_once_it_was_made(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    assert "sweep_lags" not in planned(checkout, *TOY)
    table = checkout / "results/toy/tables/lag_sweep.tsv"
    table.parent.mkdir(parents=True)
    table.touch()
    run = snakemake(checkout, "-n", *TOY)
    inputs = re.findall(r"rule build_browser:\n +input: (.*)", run.stdout + run.stderr)
    assert len(inputs) == 1
    assert "results/toy/tables/lag_sweep.tsv" in inputs[0].split(", ")


def test_volumes_need_an_atlas_and_no_rest(checkout: Path, tmp_path: Path) -> None:
    """One run tells the grid of all; everything else is planned as for surfaces."""
    data = tmp_path / "data"
    runs = {"seg1": 2, "seg2": 2, "test1": 2}
    for movie, count in runs.items():
        for path in [
            wen2018.wen2018_stimulus(data, movie),
            *(wen2018.wen2018_run(data, "1", movie, repeat + 1, "mni") for repeat in range(count)),
        ]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / "atlas.nii.gz").touch()
    mine = tmp_path / "mine.yaml"
    text = f"""
        dataset: mine
        data_dir: {data}
        subjects: [1]
        movies: {{train: [seg1, seg2], validation: [seg2], test: [test1]}}
        repeats: {{train: 2, test: 2}}
        simulate: false
        space: mni
        select_vertices: {{roi_set: all}}
        """
    mine.write_text(textwrap.dedent(text))
    run = snakemake(checkout, "-n", *TOY, str(mine))
    assert "atlas: found null; expected a file, with space mni" in run.stdout + run.stderr
    assert "pretrain_on: found rest; expected training_fmri or published" in run.stdout + run.stderr
    mine.write_text(mine.read_text() + f"atlas: {tmp_path}/atlas.nii.gz\npretrain_on: training_fmri\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    assert run.returncode == 0, run.stdout + run.stderr
    said = run.stdout + run.stderr
    inputs = re.findall(r"rule select_vertices:\n +input: (.*)", said)
    assert inputs[0].split(", ") == [
        str(tmp_path / "atlas.nii.gz"),
        str(wen2018.wen2018_run(data, "1", "seg1", 1, "mni")),
    ]
    assert "seg2_2_mni.nii.gz" in said
    assert "rule plot_surface" in said


def test_slurm_profile_is_found_as_typed(checkout: Path) -> None:
    jobs = planned(checkout, "--profile", "slurm", *TOY)
    assert sum(jobs.values()) == 79


@pytest.mark.parametrize("arguments", [("-n",), ("--cores", "1"), ("check_data", "-n")])
def test_absent_data_make_one_message(checkout: Path, arguments: tuple[str, ...]) -> None:
    run = snakemake(checkout, *arguments)
    assert run.returncode != 0
    said = run.stdout + run.stderr
    assert "cc2017: 280 files are missing" in said
    assert "data/cc2017/video_fmri_dataset/stimuli/seg1.mp4" in said
    assert "data/cc2017/video_fmri_dataset/subject1" in said
    assert "5 networks are missing" in said
    assert "models.clip: found no model in models/clip-vit-large-patch14" in said
    assert "about 4.3 GB, licence CreativeML OpenRAIL-M" in said
    assert "snakemake fetch_models --cores 1" in said
    assert "make demo" in said
    assert "Traceback" not in said
    assert not (checkout / "results").exists()


def test_resources_may_be_expressions(checkout: Path) -> None:
    given = ("--set-resources", "train_decoder:mem_mb=300 * attempt")
    run = snakemake(checkout, "-n", *TOY, *given)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "mem_mb=300," in run.stdout + run.stderr


def test_requests_are_held_against_the_partitions_in_dry_runs_too(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    partitions = "{cpu: {max_runtime: 1440}, gpu: {max_runtime: 1440, max_mem_mb: 100000, max_gpu: 1}}"
    (checkout / "slurm/site.local.yaml").write_text(f"partitions: {partitions}\n")
    mine = checkout / "mine.yaml"
    mine.write_text("compute: {gpus: 1, time_share: 3, memory_share: 1}\n")
    run = snakemake(checkout, "-n", "--profile", "slurm", *TOY, str(mine))
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    # Decoding saves each group of clips and trainings their state, so both go on in the next job.
    assert "No partition of slurm/site.yaml takes rule train_decoder" not in said
    decoder = said[said.index("rule train_decoder:") :]
    assert "runtime=1440" in decoder[: decoder.index("\n\n")]
    mine.write_text("compute: {gpus: 2, time_share: 1, memory_share: 1}\n")
    run = snakemake(checkout, "-n", "--profile", "slurm", *TOY, str(mine))
    said = run.stdout + run.stderr
    expected = (
        "takes rule train_decoder: found a request of 2 GPUs per node; expected at most 1 GPUs per node"
    )
    assert expected in said
    assert "compute.gpus" in said
    here = snakemake(checkout, "-n", "--cores", "1", *TOY, str(mine))
    assert "No partition" not in here.stdout + here.stderr


def test_unknown_subject_is_no_target(checkout: Path) -> None:
    run = snakemake(checkout, "results/toy/sub-7/neurocine/paper_main/scores.tsv", "-n", *TOY)
    assert run.returncode != 0
    assert "sub-7" in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train_encoder: {stepz: 3}", "train_encoder.stepz: found an unknown key"),
        ("train_encoder: {stepz: 3}", "Did you mean steps?"),
        ("experiments: {mine: {spatial_ratio: 1.5}}", "experiments.mine.spatial_ratio: found 1.5"),
        ("decode: {steps: 5}\ndecode: {every: 2}", "mine.yaml: decode: found the key again in line 2"),
    ],
)
def test_wrong_config_ends_before_any_job(checkout: Path, tmp_path: Path, text: str, expected: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    before = set((checkout / "results").rglob("*"))  # another test's run may have left its costs
    run = snakemake(checkout, "--cores", "1", *TOY, str(mine))
    assert run.returncode != 0
    assert expected in run.stdout + run.stderr
    assert set((checkout / "results").rglob("*")) == before


def test_number_of_gpus_is_no_reason_to_train_again(checkout: Path) -> None:
    """Params are rerun triggers, so nothing about the machine may stand in them."""
    text = "".join(path.read_text() for path in (checkout / "rules").glob("*.smk"))
    for block in re.findall(r"    params:\n((?:        .*\n)+)", text):
        assert not re.search(r"\b(ON_GPUS|ONE_GPU|DEVICE|memory|minutes)\b", block)


def test_several_nodes_are_for_slurm(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("compute: {gpus: 4, nodes: 2}\n")
    run = snakemake(checkout, "-n", "-p", "--profile", "slurm", *TOY, str(mine))
    commands = re.findall(r"(.*) \"\$NEUROCINE/(?:pretrain|train)_\w+\.py\"", run.stdout + run.stderr)
    assert len(commands) == 6  # two trainings that the subjects share, two of each subject
    for command in commands:
        assert "srun --nodes 2 --ntasks 2 " in command
        assert " torchrun --nnodes 2 --nproc-per-node 4 " in command
    run = snakemake(checkout, "--cores", "1", *TOY, str(mine))
    assert run.returncode != 0
    assert "compute.nodes: found 2 in a run on this machine alone" in run.stdout + run.stderr


def test_hostile_names_do_not_run_as_code(checkout: Path, tmp_path: Path) -> None:
    """Real rules, with a python that does nothing, so that only the shell could run what a name holds."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python").chmod(0o755)
    hostile = tmp_path / "my study $(touch ran1) ;touch ran2;'`touch ran3`"
    shutil.copytree(checkout, hostile)
    mine = hostile / "mine.yaml"
    mine.write_text(
        'data_dir: "data $(touch ran4);`touch ran5`/x"\nrest: {dir: "hcp;touch ran6&&touch ran7"}\n'
    )
    wanted = ("--cores", "1", "--keep-going", "check_data")
    run = snakemake(hostile, *wanted, *TOY, str(mine), programs=(programs,))
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert {"simulate_movies", "simulate_rest"} <= set(re.findall(r"Error in rule (\w+)", said))
    assert not [path for path in hostile.rglob("ran*") if path.name[3:].isdigit()]
