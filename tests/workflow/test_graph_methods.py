"""What Snakemake would do for the rows of each method. Nothing is run here."""

import json
import re
from pathlib import Path

import pytest
import yaml
from plans import TOY, planned

from workflow_copy import ROOT, copy_workflow, snakemake

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
    assert both["predict_clips"] == 2 * 2 * 2  # conditions from fMRI
    assert both["predict_captions"] == 2 * 2


def test_all_rows_of_the_second_method_share_trainings(checkout: Path) -> None:
    """What is left out in drawing trains nothing; the variant, tokens and a blind generator do."""
    jobs = planned(checkout, *ANIMATOR, "studies/toy/animator_rows.yaml")
    assert jobs["train_semantic"] == jobs["train_structure"] == 2 * 2
    assert jobs["train_motion"] == jobs["score_features"] == 4 * 2
    assert jobs["score"] == 12 * 2


def test_training_seeds_train_again_what_depends_on_chance_and_nothing_else(
    checkout: Path, tmp_path: Path
) -> None:
    """Three trainings of each experiment that is trained; one pretraining, one set of controls, one page."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "train_seeds: [7, 8]\ngeneration_seeds: [1]\nsubjects: [1]\n"
        "conditions: [fmri, shifted, caption, nearest_caption, vae]\n"
        "run_experiments: [paper_main, animator, ridge_latents, ridge_caption]\n"
    )
    run = snakemake(checkout, *ANIMATOR, str(mine), "-n", "-p")
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    commands = [line for line in said.splitlines() if line.startswith("Shell command:")]

    def of(step: str) -> list[str]:
        return [line for line in commands if f"/{step}.py" in line]

    for step in ("train_semantic", "train_structure", "train_motion"):
        seeds = sorted(int(re.findall(r"--seed (\d+)", line)[0]) for line in of(step))
        assert seeds == [7, 8, 3407], step
        for line in of(step):
            seed, out = (re.findall(rf"--{key} (\S+)", line)[0] for key in ("seed", "out"))
            assert out.endswith("" if seed == "3407" else f"_train{seed}")
            assert f"_train{7 if seed == '8' else 8}" not in line
    for step in ("train_encoder", "train_video_prior", "train_decoder"):  # ridge_caption has the same prior
        seeds = sorted(int(re.findall(r"--seed (\d+)", line)[0]) for line in of(step))
        assert seeds == [7, 8, 3407], step
        for line in of(step):
            others = {f"_train{seed}" for seed in (7, 8) if f"--seed {seed} " not in line}
            assert not [name for name in others if f"{name}/" in line], line
    assert len(of("pretrain_encoder")) == 1
    assert len(of("decode")) == 3 * 2 + 1  # three trainings, two generations each; shifted once
    assert len(of("decode_nearest")) == 3
    assert len(of("score")) == 3 + 3 + 1 + 3
    again = [line for line in of("score") if "--experiment paper_main_train7" in line]
    assert len(again) == 1
    assert re.search(r"--latents +--stable-diffusion", again[0])  # the image compressor is scored once
    assert "shifted" not in again[0]
    assert "caption.safetensors" not in again[0]
    for step in ("agree_fmri", "test_order", "show_clips"):
        assert len(of(step)) == 4
    compared = of("compare_results")[0]
    assert '"paper_main_train8": {"experiment": "paper_main", "train_seed": 8' in compared


def test_the_turned_world_is_a_study_of_its_own(checkout: Path) -> None:
    jobs = planned(checkout, *ANIMATOR, "studies/toy/turned.yaml")
    assert jobs["simulate_movies"] == jobs["train_structure"] == 1
    assert jobs["train_motion"] == 2  # with fMRI and without
    assert not jobs.keys() & {"train_encoder", "train_video_prior", "pretrain_encoder"}


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
    # Its layers fit no other prior, such as the one that the embedded study starts from.
    starts = {one["temporal_position"]: line for one, line in zip(given, priors, strict=True)}
    assert "--start studies/toy/models/video_prior" in starts["after_self"]
    assert "--start studies/toy/models/stable_diffusion" in starts["block_end"]
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
