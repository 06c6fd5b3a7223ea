"""What Snakemake would do, for every study that comes with the workflow. Nothing is run here."""

import itertools
import json
import re
import shutil
import textwrap
from pathlib import Path

import pytest
import yaml

from neurocine.conditions import CONDITIONS
from neurocine.datasets import wen2018
from tiny_models import write_clip
from workflow_copy import ROOT, copy_workflow, snakemake

TOY = ("--configfile", "studies/toy/config.yaml")


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs per rule of a dry run."""
    run = snakemake(folder, *arguments, "-n", "-q", "rules")
    assert run.returncode == 0, run.stderr
    rows = re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, flags=re.MULTILINE)
    return {name: int(count) for name, count in rows}


def test_toy_study_stays_small(checkout: Path) -> None:
    jobs = planned(checkout, *TOY)
    assert jobs["total"] == 83
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
    assert all(name.startswith(("check_data", "simulate_", "total")) for name in jobs)


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


SECOND_METHOD = """

class Second(NeuroCine):
    name = "second"


METHODS["second"] = Second()
"""


def test_a_second_method_shares_rules_and_a_path_names_the_method_of_its_experiment(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    with (checkout / "workflow_scripts/neurocine/methods/__init__.py").open("a") as file:
        file.write(SECOND_METHOD)
    (checkout / "rules/second.smk").write_text(
        '"""Rules of the second method: its own step is done already."""\n'
    )
    schema = checkout / "schemas/config.schema.yaml"
    schema.write_text(schema.read_text().replace("enum: [neurocine]", "enum: [neurocine, second]"))
    mine = checkout / "mine.yaml"
    mine.write_text("experiments: {two: {method: second}}\n")
    folder = "results/toy/sub-1"
    run = snakemake(checkout, f"{folder}/neurocine/two/scores.tsv", "-n", *TOY, str(mine))
    assert "experiment two is of method second" in run.stdout + run.stderr
    run = snakemake(checkout, f"{folder}/neurocine/two/decode/fmri.safetensors", "-n", *TOY, str(mine))
    assert "Ask for a file in second/two/" in run.stdout + run.stderr
    # All but the second method's own step is there already.
    for name in ("fmri", "shifted", "shuffled", "mean", "noise"):
        path = checkout / f"{folder}/second/two/decode/{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("caption", "training_caption"):
        path = checkout / f"results/toy/second/two/decode/{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    jobs = planned(checkout, f"{folder}/second/two/strips/best.png", *TOY, str(mine))
    assert jobs["score"] == jobs["show_clips_second"] == jobs["retrieve_clips"] == 1
    assert "train_decoder" not in jobs


ANIMATOR = (*TOY, "studies/toy/animator.yaml")
OF_BOTH = ("prepare_stimuli", "caption_clips", "embed_clips", "encode_latents", "preprocess_run")


@pytest.mark.parametrize("folder", ["studies/toy", "tests/micro"])
def test_the_second_method_adds_one_condition_to_those_of_the_study(folder: str) -> None:
    """Lists replace lists: a condition that its file forgot would make the first method's scores anew."""
    usual, both = (
        yaml.safe_load((ROOT / folder / f"{name}.yaml").read_text()) for name in ("config", "animator")
    )
    assert set(both["conditions"]) == {*usual["conditions"], "features"}


def test_all_methods_share_what_is_not_their_own(checkout: Path) -> None:
    alone, both = planned(checkout, *TOY), planned(checkout, *ANIMATOR)
    assert {name: both[name] for name in alone if name.startswith(("train_", "pretrain_"))} == {
        name: alone[name] for name in alone if name.startswith(("train_", "pretrain_"))
    }
    assert [both[name] for name in OF_BOTH] == [alone[name] for name in OF_BOTH]
    assert both["augment_captions"] == both["embed_variants"] == 1
    # A subject each; one regression serves all its rows.
    for name in ("train_semantic", "train_structure", "train_motion", "predict_features"):
        assert both[name] == both["assemble_train"] == 2
    assert both["score_features"] == both["score_ridge_features"] == 2
    assert both["score"] == 5 * 2
    assert both["predict_clips"] == 2 * 3 * 2  # conditions from fMRI
    assert both["predict_captions"] == 3 * 2


def test_all_rows_of_the_second_method_share_trainings(checkout: Path) -> None:
    """What is left out in drawing trains nothing; the variant, tokens and a blind generator do."""
    jobs = planned(checkout, *ANIMATOR, "studies/toy/animator_rows.yaml")
    assert jobs["train_semantic"] == jobs["train_structure"] == 2 * 2
    assert jobs["train_motion"] == jobs["score_features"] == 4 * 2
    assert jobs["score"] == 12 * 2


def test_the_turned_world_is_a_study_of_its_own(checkout: Path) -> None:
    jobs = planned(checkout, *ANIMATOR, "studies/toy/turned.yaml")
    assert jobs["simulate_movies"] == jobs["train_structure"] == 1
    assert jobs["train_motion"] == 2  # with fMRI and without
    assert not jobs.keys() & {"train_encoder", "train_video_prior", "pretrain_encoder"}


def test_slurm_profile_is_found_as_typed(checkout: Path) -> None:
    jobs = planned(checkout, "--profile", "slurm", *TOY)
    assert jobs["total"] == 83


def test_toy_models_are_a_target_of_their_own(checkout: Path) -> None:
    jobs = planned(checkout, "toy_models", *TOY)
    assert jobs["train_toy_image_classifier"] == jobs["train_toy_video_classifier"] == 1
    assert "check_data" not in jobs


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


def test_an_absent_published_encoder_is_told_as_other_networks_are(checkout: Path) -> None:
    run = snakemake(checkout, "-n", "--config", "pretrain_on=published")
    said = run.stdout + run.stderr
    assert "6 networks are missing" in said
    assert "models.fmri_encoder: found no model in models/fmri_encoder.pth" in said
    assert "MissingInputException" not in said


def test_networks_are_fetched_before_there_is_any_data(checkout: Path) -> None:
    jobs = planned(checkout, "fetch_models")
    assert jobs == {"fetch_models": 1, "total": 1}


def test_only_fetch_models_may_ask_the_hub(checkout: Path, tmp_path: Path) -> None:
    """The switch is on in every job's environment, and one command turns it off."""
    snakefile = checkout / "show.smk"  # beside the Snakefile, where the workflow looks for its files
    rule = f'rule show:\n    output: "{tmp_path}/hub"\n    shell: "echo $HF_HUB_OFFLINE > {{output}}"\n'
    snakefile.write_text(f'configfile: "config.yaml"\ninclude: "Snakefile"\n{rule}')
    run = snakemake(checkout, "show", "-s", str(snakefile), "--cores", "1", *TOY)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "hub").read_text() == "1\n"
    text = "".join(path.read_text() for path in (checkout / "rules").glob("*.smk"))
    assert re.findall(r'HF_HUB_OFFLINE=0 python "\$NEUROCINE/(\w+)', text) == ["fetch_models"]


def test_a_published_encoder_takes_the_place_of_pretraining(checkout: Path, tmp_path: Path) -> None:
    weights = tmp_path / "encoder.pth"
    weights.touch()
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"pretrain_on: published\nmodels: {{fmri_encoder: {weights}}}\n")
    jobs = planned(checkout, *TOY, str(mine))
    assert jobs["import_encoder"] == 1
    assert not jobs.keys() & {"pretrain_encoder", "preprocess_hcp"}


def test_vifi_is_used_and_checked_where_its_weights_are_given(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    target = "results/toy/sub-1/neurocine/paper_main/scores.tsv"
    run = snakemake(checkout, target, "-n", "-p", *TOY)
    assert run.returncode == 0, run.stderr
    assert "vifi=" not in run.stdout + run.stderr
    mine = checkout / "mine.yaml"
    mine.write_text("models: {vifi: models/vifi}\n")
    run = snakemake(checkout, target, "-n", *TOY, str(mine))
    assert run.returncode != 0
    assert "models/vifi/config.json" in run.stdout + run.stderr  # the workflow makes none
    write_clip(checkout / "models/vifi")
    run = snakemake(checkout, target, "-n", "-p", *TOY, str(mine))
    assert run.returncode == 0, run.stderr
    said = run.stdout + run.stderr
    assert " vifi=models/vifi " in said
    assert "output: results/toy/check_models/vifi.tsv" in said
    (inputs,) = re.findall(r"^rule score:\n +input: (.*)", said, re.MULTILINE)
    assert "results/toy/check_models/vifi.tsv" in inputs.split(", ")
    run = snakemake(checkout, "fetch_models", "-n", "-p", *TOY, str(mine))
    assert "models/vifi" not in run.stdout + run.stderr


def test_captions_by_lavis_need_its_network_and_not_the_other(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("caption_clips: {backend: lavis}\n")
    run = snakemake(checkout, "-n", "--configfile", str(mine))
    assert "models.lavis: found no model in models/lavis-blip" in run.stdout + run.stderr


def write_package(folder: Path, names: tuple[str, ...]) -> Path:
    """Files that a dry run looks for and does not open."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


MIND_VIDEO = tuple(f"preprocessed/fmri_{part}_subject{s}.npy" for part in ("train", "test") for s in (1, 3))
OF_RUNS = {"preprocess_run", "select_vertices", "simulate_subject_1", "simulate_subject_3"}
OF_PLACES = {"extract_attention", "plot_surface", "export_maps"}


def test_a_package_takes_the_place_of_runs(checkout: Path, tmp_path: Path) -> None:
    """All of a subject is its own, for vertices differ; there are no maps where nobody knows the vertices."""
    package = write_package(tmp_path / "package", MIND_VIDEO)
    mine = tmp_path / "mine.yaml"
    # Its training runs are means of two repeats, of which the toy study takes a random one.
    text = f"fmri_from: mind_video\npackage: {{dir: {package}}}\nassemble_train: {{repeats: mean}}\n"
    mine.write_text(text)
    run = snakemake(checkout, "-n", *TOY, str(mine))
    assert "pretrain_on: found rest; expected training_fmri or published" in run.stdout + run.stderr
    mine.write_text(text + "pretrain_on: training_fmri\n")
    jobs = planned(checkout, *TOY, str(mine))
    assert not jobs.keys() & (OF_RUNS | OF_PLACES | {"preprocess_hcp"})
    for name in (
        "import_fmri",
        "import_fmri_test",
        "assemble_test",
        "measure_noise_ceiling",
        "pretrain_encoder",
        "decode",
    ):
        assert name in jobs
    assert jobs["import_fmri"] == jobs["assemble_train"] == jobs["pretrain_encoder"] == 2
    assert jobs["train_video_prior"] == jobs["build_browser"] == 1
    assert planned(checkout, "sub_3", *TOY, str(mine))["import_fmri"] == 1


def test_a_package_with_a_mask_gives_maps_and_rest(checkout: Path, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package", (*MIND_VIDEO, "mask1.npy", "mask3.npy"))
    mine = tmp_path / "mine.yaml"
    masks = f"{{1: {package}/mask1.npy, 3: {package}/mask3.npy}}"
    mine.write_text(
        f"fmri_from: mind_video\npackage: {{dir: {package}, vertex_masks: {masks}}}\n"
        "assemble_train: {repeats: mean}\n"
    )
    jobs = planned(checkout, *TOY, str(mine))
    assert not jobs.keys() & OF_RUNS
    assert jobs["import_fmri"] == jobs["extract_attention"] == jobs["plot_surface"] == 2
    assert jobs["preprocess_hcp"] == 2
    run = snakemake(checkout, "-n", "sub_3", *TOY, str(mine))
    assert "package/mask3.npy" in run.stdout + run.stderr
    assert "package/mask1.npy" not in run.stdout.partition("rule import_fmri")[2].partition("output:")[0]


def test_arrays_bring_their_places_and_single_repeats(checkout: Path, tmp_path: Path) -> None:
    names = ("fmri_train.npy", "fmri_train_rep.npy", "fmri_test.npy", "vertex_index.npy", "roi.npy")
    package = write_package(tmp_path / "package", tuple(f"sub-{s}/{name}" for s in (1, 3) for name in names))
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"fmri_from: arrays\npackage: {{dir: {package}}}\nsubjects: [1]\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    places = ["vertex_index.npy", "roi.npy"]
    for rule, names in (("import_fmri", ["fmri_train_rep.npy"]), ("import_fmri_test", ["fmri_test.npy"])):
        (inputs,) = re.findall(rf"rule {rule}:\n +input: (.*)", said)
        of_package = [Path(path).name for path in inputs.split(", ") if str(package) in path]
        assert of_package == [*names, *places]
    assert "rule plot_surface" in said


def test_absent_packages_make_one_message(checkout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("fmri_from: neuroclips\npretrain_on: training_fmri\n")
    run = snakemake(checkout, "-n", *TOY, str(mine))
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "package neuroclips: 4 files are missing" in said
    assert "data/package/subj03_test_fmri.pt" in said
    assert "Traceback" not in said


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


def test_the_recipe_of_mind_video_trains_its_own_prior_and_no_other_encoder(
    checkout: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("run_experiments: [exp00, mind_video]\nsubjects: [1]\n")
    run = snakemake(checkout, *TOY, str(mine), "-n", "-p")
    said = run.stdout + run.stderr
    priors = [line for line in said.splitlines() if "train_video_prior.py" in line]
    given = [json.loads(re.findall(r"--settings '(\{.*?\})'", line)[0]) for line in priors]
    assert sorted(one["temporal_position"] for one in given) == ["after_self", "block_end"]
    assert sorted(one["sc_include_self"] for one in given) == [False, True]
    assert "train_decoder/plain_beta0_prev2_others_block-end/unet" in said
    assert said.count('/train_encoder.py"') == 1


CC2017_ANIMATOR = "studies/cc2017_animator/config.yaml"


def test_mind_animators_own_protocol_is_planned_to_its_end(checkout: Path, tmp_path: Path) -> None:
    """On simulated recordings and with the toy networks, because the published ones are not there."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("models: {clip: studies/toy/models/clip, blip: studies/toy/models/blip}\n")
    given = (*TOY, CC2017_ANIMATOR, str(mine))
    jobs = planned(checkout, *given)
    for name in ("select_vertices", "train_semantic", "train_structure", "train_motion", "predict_features"):
        assert jobs[name] == 2  # of each subject, who have vertices of their own
    assert jobs["caption_clips"] == jobs["embed_variants"] + 1  # training and test movies
    assert jobs["score"] == 3 * 2
    assert not jobs.keys() & {"train_encoder", "train_video_prior", "pretrain_encoder", "preprocess_hcp"}
    run = snakemake(checkout, *given, "-n", "-p")
    captioned = [line for line in (run.stdout + run.stderr).splitlines() if "caption_clips.py" in line]
    judged = "--model studies/toy/models/blip --clip studies/toy/models/clip --seed 3407"
    assert captioned
    assert all(judged in line for line in captioned)


def test_mind_animators_own_networks_are_asked_for_by_their_folders(checkout: Path) -> None:
    run = snakemake(checkout, "-n", "--configfile", CC2017_ANIMATOR)
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert "models.clip: found no model in models/clip-vit-base-patch32" in said
    assert "models.blip: found no model in models/blip2-flan-t5-xxl" in said


def test_captions_of_one_frame_ask_for_no_judge(checkout: Path) -> None:
    run = snakemake(checkout, *TOY, "-n", "-p")
    captioned = [line for line in (run.stdout + run.stderr).splitlines() if "caption_clips.py" in line]
    assert captioned
    assert all("--clip  --seed" in line for line in captioned)
