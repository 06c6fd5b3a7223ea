"""The profile of one workstation: jobs that use its one card take turns."""

import re
from pathlib import Path

from workflow_copy import ROOT, snakemake

JOBS = """
rule all:
    input: expand("{kind}{number}", kind=["gpu", "cpu"], number=range(3))

rule card:
    output: "gpu{number}"
    resources: gpu=1
    shell: "date +%s.%N > {output}; sleep 1; date +%s.%N >> {output}"

rule beside:
    output: "cpu{number}"
    shell: "date +%s.%N > {output}; sleep 1; date +%s.%N >> {output}"
"""


def test_jobs_on_the_card_take_turns_and_others_run_beside_them(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(JOBS)
    run = snakemake(tmp_path, "--profile", str(ROOT / "local-gpu"), "--cores", "6")
    assert run.returncode == 0, run.stdout + run.stderr
    times = {
        kind: sorted(tuple(map(float, path.read_text().split())) for path in tmp_path.glob(f"{kind}?"))
        for kind in ("gpu", "cpu")
    }
    assert len(times["gpu"]) == len(times["cpu"]) == 3
    assert all(ended <= began for (_, ended), (began, _) in zip(times["gpu"], times["gpu"][1:], strict=False))
    beside = [(start, end) for start, end in times["cpu"] if start < times["gpu"][-1][1]]
    assert beside  # nobody waited for the card without need of it


def test_every_rule_that_computes_on_a_card_asks_for_it() -> None:
    """What asks for no card would start beside a training and take its memory."""
    asking = 0
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for body in re.split(r"^ *rule ?\w*:$", path.read_text(), flags=re.MULTILINE)[1:]:
            if "--device {resources.device:q}" in body:
                assert "gpu=ONE_GPU" in body or "**ON_GPUS" in body, body
                asking += 1
    assert asking > 10
