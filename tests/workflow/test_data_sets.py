"""HCP 7T and Algonauts 2021: the configs of docs/data.md on small data, from files to scores."""

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from neurocine.io import read_arrays
from neurocine.provenance import movies_behind
from small_data_sets import AREA_VOXELS, WINDOWS, write_algonauts_2021, write_hcp_7t
from workflow_copy import ROOT, copy_workflow, small_networks, snakemake

pytestmark = pytest.mark.workflow


def study(checkout: Path, heading: str, small: dict[str, Any]) -> list[str]:
    """Write the config of a section of docs/data.md and what makes it small; return the arguments of both."""
    section = (ROOT / "docs/data.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]
    (config,) = (block for block in blocks if block.startswith("dataset:"))
    (checkout / "documented.yaml").write_text(config)
    (checkout / "small.yaml").write_text(yaml.safe_dump(small_networks() | small))
    return ["--configfile", "documented.yaml", "small.yaml", "--quiet", "all", "--cores", "2"]


def make(checkout: Path, arguments: list[str], *targets: str) -> None:
    run = snakemake(checkout, *targets, *arguments)
    assert run.returncode == 0, (run.stdout + run.stderr)[-5000:]


# Of a study as small as can be: one condition, one seed, and what would be shown beside the scores left out.
SMALL = {"conditions": ["fmri"], "generation_seeds": [], "decode": {"steps": 2, "guidance": 2, "every": 1}}


def scores_of(checkout: Path, arguments: list[str], subject: str, experiment: str) -> pd.DataFrame:
    """Go on to the scores of an experiment; check the clips behind them."""
    result = f"{subject}/neurocine/{experiment}"
    make(checkout, arguments, f"{result}/scores.tsv")
    scores = pd.read_csv(checkout / result / "scores.tsv", sep="\t")
    assert set(scores["condition"]) == {"fmri"}
    assert np.isfinite(scores["value"]).all()
    assert scores["chance"].notna().any()
    return scores


def test_hcp_7t_from_files_to_scores(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    write_hcp_7t(checkout / "data/hcp_7t", ("100610",))
    section = {"windows": WINDOWS, "validation": ["movie1_2"], "stimulus_versions": {100610: "post"}}
    small = SMALL | {"subjects": [100610], "hcp_7t": section, "preprocess_run": {"detrend_order": 1}}
    arguments = study(checkout, "HCP 7T movies", small)
    make(checkout, arguments, "-n")
    of_subject = "results/hcp_7t/sub-100610"
    report = "results/hcp_7t/check_data/recordings.tsv"
    stimuli = "results/hcp_7t/prepare_stimuli/repeated.safetensors"
    make(checkout, arguments, report, stimuli, f"{of_subject}/assemble_test/fmri.safetensors")
    train, _ = read_arrays(checkout / of_subject / "assemble_train/fmri.safetensors")
    test, _ = read_arrays(checkout / of_subject / "assemble_test/fmri.safetensors")
    lengths = {"movie1_1": 12, "movie1_2": 12, "movie2_1": 14, "movie3_1": 14, "movie4_1": 18}
    assert {movie: len(train[movie]) for movie in train if movie not in ("mean", "std")} == lengths
    assert len(test["repeated"]) == 8
    assert len(test["repeated/repeats"]) == 4
    assert movies_behind([checkout / of_subject / "assemble_train/fmri.safetensors"]) == sorted(lengths)
    frames, _ = read_arrays(checkout / stimuli)
    assert frames["repeated"].shape == (8, 6, 32, 32, 3)
    scores_of(checkout, arguments, of_subject, "paper_main")
    decoded = checkout / of_subject / "neurocine/paper_main/decode/fmri.safetensors"
    clips, _ = read_arrays(decoded)
    assert clips["repeated"].shape == (8, 6, 32, 32, 3)
    assert movies_behind([decoded]) == sorted([*lengths, "repeated"])


def test_algonauts_2021_from_files_to_scores(tmp_path: Path) -> None:
    checkout = copy_workflow(tmp_path)
    write_algonauts_2021(checkout / "data/algonauts_2021", (1,), 16)
    section = {"areas": list(AREA_VOXELS), "videos": 16, "per_movie": 4}
    small = SMALL | {"subjects": [1], "algonauts_2021": section}
    arguments = study(checkout, "Algonauts 2021", small)
    make(checkout, arguments, "-n")
    of_subject = "results/algonauts_2021/sub-1"
    report = "results/algonauts_2021/check_data/recordings.tsv"
    make(checkout, arguments, report, f"{of_subject}/assemble_test/fmri.safetensors")
    train, _ = read_arrays(checkout / of_subject / "assemble_train/fmri.safetensors")
    assert [movie for movie in train if movie.startswith("videos")] == ["videos1", "videos2", "videos3"]
    assert train["videos1"].shape == (4, sum(AREA_VOXELS.values()))
    assert np.isfinite(train["videos1"]).all()
    assert movies_behind([checkout / of_subject / "assemble_train/fmri.safetensors"]) == [
        "videos1",
        "videos2",
        "videos3",
    ]
    assert "4 files, the last of" in (checkout / report).read_text()
    scores_of(checkout, arguments, of_subject, "videos")
    decoded = checkout / of_subject / "neurocine/videos/decode/fmri.safetensors"
    clips, _ = read_arrays(decoded)
    assert clips["videos4"].shape[:2] == (4, 6)
    assert movies_behind([decoded]) == ["videos1", "videos2", "videos3", "videos4"]
