"""Which networks a study asks for, and what Snakemake would do with them. Nothing is run here."""

import re
from pathlib import Path

from plans import TOY, planned

from tiny_models import write_clip
from workflow_copy import copy_workflow, snakemake


def test_toy_models_are_a_target_of_their_own(checkout: Path) -> None:
    jobs = planned(checkout, "toy_models", *TOY)
    assert jobs["train_toy_image_classifier"] == jobs["train_toy_video_classifier"] == 1
    assert "check_data" not in jobs


def test_an_absent_published_encoder_is_told_as_other_networks_are(checkout: Path) -> None:
    run = snakemake(checkout, "-n", "--config", "pretrain_on=published")
    said = run.stdout + run.stderr
    assert "6 networks are missing" in said
    assert "models.fmri_encoder: found no model in models/fmri_encoder.pth" in said
    assert "MissingInputException" not in said


def test_networks_are_fetched_before_there_is_any_data(checkout: Path) -> None:
    jobs = planned(checkout, "fetch_models")
    assert jobs == {"fetch_models": 1}


def test_jobs_take_no_packages_of_a_home_folder_and_only_fetch_models_may_ask_the_hub(
    checkout: Path, tmp_path: Path
) -> None:
    """Both switches are on in every job's environment, and one command turns the second off."""
    snakefile = checkout / "show.smk"  # beside the Snakefile, where the workflow looks for its files
    shown = "echo $PYTHONNOUSERSITE $HF_HUB_OFFLINE > {output}"
    rule = f'rule show:\n    output: "{tmp_path}/hub"\n    shell: "{shown}"\n'
    snakefile.write_text(f'configfile: "config.yaml"\ninclude: "Snakefile"\n{rule}')
    run = snakemake(checkout, "show", "-s", str(snakefile), "--cores", "1", *TOY)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "hub").read_text() == "1 1\n"
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


def test_captions_of_one_frame_ask_for_no_judge(checkout: Path) -> None:
    run = snakemake(checkout, *TOY, "-n", "-p")
    captioned = [line for line in (run.stdout + run.stderr).splitlines() if "caption_clips.py" in line]
    assert captioned
    assert all("--clip  --seed" in line for line in captioned)
