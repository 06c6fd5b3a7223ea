"""The methods of a study as text: what two configurations and their runs make of it."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

import write_methods as program
from neurocine import __version__
from neurocine.config import complete_config
from neurocine.costs import Cost
from neurocine.io import write_arrays
from neurocine.report.methods import (
    Ran,
    plain,
    references,
    step_counts,
    words,
    write_methods,
)
from neurocine.report.sections import methods_section
from neurocine.report.study import TrainingLog

ROOT = Path(__file__).parents[2]
TRAININGS = ("pretrain_encoder", "train_encoder", "train_video_prior", "train_decoder")


def study(*changes: dict[str, Any]) -> dict[str, Any]:
    """The published study with changes, complete."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    for change in changes:
        update_config(config, change)
    return dict(complete_config(config))


def make_logs(last: int) -> list[TrainingLog]:
    return [
        TrainingLog(step, "", "", f'{{"step": 10}}\n{{"step": {last}, "loss": 1}}\n') for step in TRAININGS
    ]


def test_the_published_study_in_sentences() -> None:
    costs = [Cost("decode", "1", 2, 3.5, 3.5, 3.5), Cost("score", "1", 1, 1.5)]
    ran = Ran({"all": 8153}, make_logs(900), costs, {"openai/clip-vit-large-patch14": "0123abcd"}, 1114)
    text, bibliography, _ = write_methods(study(), ["paper_main"], ran)
    for sentence in (
        "We used CC2017 [@wen2018]: the fMRI of 3 subjects (1, 2 and 3), recorded at 3 T with a TR of 2 s",
        "18 movies of 8 min were used for training (each shown twice), of which seg17 and seg18 were",
        "Left out: subject 3, test2, repeat 9 (fMRI about 10 s late).",
        "(of 245 volumes the first 1 and the last 4, of 246 volumes the first 2 and the last 4)",
        "8153 vertices were decoded (the set visual27 of the HCP-MMP atlas [@glasser2016]).",
        "CLIP ViT-L/14 [@radford2021clip] (openai/clip-vit-large-patch14@0123abcd, licence MIT)",
        "rest runs of 1114 subjects of the Human Connectome Project [@vanessen2013hcp]",
        "(900 steps of 250 samples, mask ratio 0.75, learning rate 0.00025)",
        "DDIM [@song2021ddim] in 200 steps, with a guidance scale of 12.5",
        "Clips were decoded from fMRI 3 times from different initial noise",
        "of its own for each vertex (13 candidates from 1 to 1000000, chosen on 5 held-out parts",
        "Areas were ranked by occlusion: all vertices of an area were set to their training mean",
        "turned about the sphere 1000 times",
        "Its 3 jobs took 5 hours in sum and 3.5 GPU hours.",
    ):
        assert sentence in text
    assert set(re.findall(r"^@\w+{(\w+),", bibliography, re.MULTILINE)) == set(
        re.findall(r"\[@(\w+)\]", text)
    )
    assert bibliography.count("{") == bibliography.count("}")


def test_another_study_is_told_otherwise() -> None:
    toy = yaml.safe_load((ROOT / "studies/toy/config.yaml").read_text())
    unused = {"subject": "2", "movie": "seg18", "repeat": 1, "reason": "asleep"}  # a movie that toy lacks
    change = {"pretrain_on": "training_fmri", "exclude_runs": [unused], "decode": {"fast": True}}
    config = study(toy, change)
    text, bibliography, described = write_methods(
        config, ["exp00", "paper_main"], Ran({"1": 900, "3": 800}, make_logs(50))
    )
    for sentence in (
        "All data were simulated",
        "900 vertices of subject 1, 800 vertices of subject 3 were decoded",
        "each 8th vertex",
        "In place of published networks",
        "Its fMRI encoder was pretrained on the training runs as a masked autoencoder",
        "- Experiment exp00: no augmented views, noise ratio 0.\n- Experiment paper_main: 0.2 of the tokens",
        "DPM-Solver++ [@lu2022dpm] in 25 steps",
    ):
        assert sentence in text
    for other in ("CC2017", "Human Connectome", "Left out", "DDIM", "hours"):
        assert other not in text
    assert "wen2018" not in bibliography
    assert described["SourceDatasets"] == described["Networks"] == []


def test_all_methods_of_a_study_have_their_paragraph() -> None:
    files = ("config.yaml", "animator.yaml")
    config = study(*(yaml.safe_load((ROOT / "studies/toy" / name).read_text()) for name in files))
    ran = Ran({"all": 1046}, [*make_logs(50), TrainingLog("train_motion", "", "", '{"step": 630}\n')])
    rows = ["paper_main", "animator", "animator_no_renoise", "animator_blind"]
    rows += ["ridge_retrieval", "ridge_latents", "ridge_caption"]
    text, bibliography, _ = write_methods(config, rows, ran)
    for sentence in (
        "Clips were decoded by NeuroCine [@sun2024neurocine] (experiment paper_main)",
        "by Mind-Animator [@lu2025animate] (experiments animator, animator_no_renoise and animator_blind)",
        "captions were varied in 12 ways and frames cropped in 4",
        "Experiments ridge_retrieval, ridge_latents and ridge_caption stand for what a linear map reaches",
        "chosen among 13 from 1 to 1000000 on training movies held out in turn (5 parts at most)",
        "- Experiment ridge_retrieval: the training clip whose frames have the embedding nearest",
        "- Experiment ridge_latents: the predicted latents of all frames, decoded by the VAE.",
        "- Experiment ridge_caption: the training caption whose embedding is nearest to the predicted",
        "the frames that follow (630 steps of 64 clips)",
        "- Experiment animator: trained as the paper describes, 1 fMRI token, inverted latents noised up to",
        "animator_no_renoise: trained as the paper describes, 1 fMRI token, inverted latents not noised",
        "1 fMRI token, motion predicted without fMRI, inverted",
        "DDIM [@song2021ddim] in 10 steps each, with a guidance scale of 3 [@ho2022guidance] away from",
    ):
        assert sentence in text
    assert "@inproceedings{lu2025animate," in bibliography


def test_evaluations_are_told_only_where_they_were_made() -> None:
    only = ("Areas were ranked by occlusion", "linear encoding model", "in the order of the original clip")
    steps = ("rank_areas", "agree_fmri", "test_order")
    files = [
        yaml.safe_load((ROOT / "studies/toy" / name).read_text()) for name in ("config.yaml", "animator.yaml")
    ]
    ridge, *_ = write_methods(study(*files), ["ridge_retrieval"], Ran({"all": 10}))
    assert [words in ridge for words in only] == [False, True, True]  # its networks do not tell areas
    for evaluate in (["rank_areas"], ["agree_fmri"], ["test_order"], []):
        some = study({"evaluate": evaluate})
        text, *_ = write_methods(some, ["paper_main"], Ran({"all": 10}, make_logs(5)))
        told = [step for step, words in zip(steps, only, strict=True) if words in text]
        assert told == evaluate
    nulls = study({"rank_areas": {"permuted": 19}})
    text, *_ = write_methods(nulls, ["paper_main"], Ran({"all": 10}, make_logs(5)))
    assert "where none of 19 decoders trained on fMRI of other times lost as much" in text


def test_paragraphs_and_sentences_do_not_run_into_each_other() -> None:
    for changes in ({}, {"fmri_from": "neuroclips", "pretrain_on": "published"}):
        text, *_ = write_methods(study(changes), ["paper_main"], Ran({"all": 10}, make_logs(5)))
        assert not re.search(r"[a-z)\]]\.[A-Z0-9]\w+ |  |\n\n\n|[^\n]\n#|None|\[\]", text)
        assert all(block.endswith(".") or block.startswith("#") for block in text.strip().split("\n\n"))


def test_a_citation_without_its_reference_is_an_error() -> None:
    with pytest.raises(KeyError, match="nobody2020"):
        references("As shown [@nobody2020].")


def test_small_pieces() -> None:
    assert [words([]), words(["a"]), words("abc")] == ["", "a", "a, b and c"]
    assert [plain(2.0), plain(0.000053), plain(1234.5)] == ["2", "5.3e-05", "1234"]
    logs = [TrainingLog("train_encoder", "", s, f'{{"step": {n}}}\n') for s, n in (("1", 80), ("2", 120))]
    assert step_counts(logs) == {"train_encoder": "80 to 120"}


def test_the_page_shows_the_text_escaped() -> None:
    shown = str(methods_section("# Methods\n\n## Data\n\nWe used <b>.\n\n- one\n- two\n"))
    assert "<h3>Data</h3>" in shown
    assert "<p>We used &lt;b&gt;.</p>" in shown
    assert "<ul><li>one</li><li>two</li></ul>" in shown
    assert "Not written" in methods_section("")


def test_program_reads_what_was_run(tmp_path: Path) -> None:
    config = study({"fetch_models": {"lock": str(tmp_path / "models.lock.json")}})
    lock = {"openai/clip-vit-large-patch14": {"revision": "feed", "files": {}}}
    (tmp_path / "models.lock.json").write_text(json.dumps(lock))
    write_arrays(tmp_path / "sub-1/vertices.safetensors", {"vertex": np.arange(7)}, {})
    for training in TRAININGS:
        path = tmp_path / f"sub-1/{training}/key/log.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text('{"step": 42, "loss": 1.0}\n')
    pd.DataFrame({"metric": ["ssim_mv", "psnr255", "ssim_mv"]}).to_csv(tmp_path / "scores.tsv", sep="\t")
    program.main(
        config=json.dumps(config),
        experiments=["paper_main"],
        scores=tmp_path / "scores.tsv",
        vertices=[tmp_path / "sub-1/vertices.safetensors"],
        logs=sorted(tmp_path.rglob("log.jsonl")),
        rest_subjects=5,
        out=tmp_path / "methods.md",
        references=tmp_path / "methods.bib",
        description=tmp_path / "dataset_description.json",
    )
    described = json.loads((tmp_path / "dataset_description.json").read_text())
    assert described["DatasetType"] == "derivative"
    assert {"Name", "BIDSVersion", "GeneratedBy"} <= set(described)
    assert described["GeneratedBy"][0]["Version"].startswith(__version__)
    assert [source.get("DOI") for source in described["SourceDatasets"]] == ["doi:10.4231/R7X63K3M", None]
    assert described["Networks"][0] == {
        "Name": "CLIP ViT-L/14",
        "Source": "openai/clip-vit-large-patch14@feed",
        "License": "MIT",
    }
    text = (tmp_path / "methods.md").read_text()
    assert "7 vertices of subject 1 were decoded" in text
    assert "42 steps of 64 clips" in text
    assert "clip-vit-large-patch14@feed" in text
    assert "Metrics are ssim_mv and psnr255, defined in" in text
    assert "{wen2018," in (tmp_path / "methods.bib").read_text()
