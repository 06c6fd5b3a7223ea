"""Costs summed by hand and by the library."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from neurocine.costs import COLUMNS, Asked, sum_costs, write_costs
from neurocine.version import code_version

ASKED = {"train_decoder": Asked(gpus=4, memory_gb=64.0)}
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(folder: Path, name: str, seconds: object, rss: object, cpu: object) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:00\t{rss}\t-\t-\t-\t-\t-\t-\t{cpu}\n")


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    write(folder, "train_decoder/sub-1_spa0.2_beta0.75.tsv", 7200, 4000, 3600)
    write(folder, "train_decoder/sub-1_spa0.4_beta0.75.tsv", 3600, 6000, 1800)
    write(folder, "train_decoder/sub-3_spa0.2_beta0.75.tsv", 1800, 5000, 900)
    write(folder, "simulate_subject/sub-3.tsv", 36, "NA", "-")
    write(folder, "train_video_prior/beta0.75.tsv", 360, 1000, 36)
    return folder


def test_costs_per_stage_and_subject(benchmarks: Path) -> None:
    rows = [dataclasses.astuple(cost) for cost in sum_costs(benchmarks, ASKED)]
    assert rows == [
        ("simulate_subject", "3", 1, 0.01, 0.0, 0.0, 0.0, 0.0),
        ("train_decoder", "1", 2, 3.0, 1.5, 12.0, 6.0, 64.0),
        ("train_decoder", "3", 1, 0.5, 0.25, 2.0, 5.0, 64.0),
        ("train_video_prior", "all", 1, 0.1, 0.01, 0.0, 1.0, 0.0),
    ]


def test_table_and_its_sum(benchmarks: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/costs.tsv"
    line = write_costs(benchmarks, ASKED, out)
    assert line == f"All steps so far: 5 jobs, 3.6 hours, 14.0 GPU hours ({out})"
    lines = out.read_text().splitlines()
    assert lines[0] == "\t".join([*COLUMNS, "version", "packages"])
    line = "train_decoder\t1\t2\t3.0000\t1.5000\t12.0000\t6.0000\t64.0000\t" + code_version()
    assert lines[2].startswith(f"{line}\t")
    assert f"numpy {np.__version__}" in lines[2].rpartition("\t")[2].split(", ")


def test_no_benchmarks_make_an_empty_table(tmp_path: Path) -> None:
    assert write_costs(tmp_path / "none", {}, tmp_path / "costs.tsv").startswith("All steps so far: 0 jobs")
