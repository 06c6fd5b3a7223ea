"""The site's file and the jobs of earlier runs, without a cluster: a script stands for Slurm's commands."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from neurocine.cluster import (
    LOG_END,
    Shortages,
    Site,
    check_status_memory,
    name_jobs,
    read_site,
    refuse_second_run,
    site_resources,
)
from neurocine.errors import InputError
from neurocine.partitions import Partition, Request, memory_of_try

ROOT = Path(__file__).parents[1]
PARTITIONS = {"partitions": {"gpu": {"max_gpu": 8}}}


def write(path: Path, **keys: object) -> Path:
    path.write_text(yaml.safe_dump(PARTITIONS | keys))
    return path


def test_the_file_that_comes_with_the_workflow_is_plain() -> None:
    assert read_site(ROOT / "slurm/site.yaml") == Site(ask_gpus_by="gpus", gpu_type=None, account=None)


def test_an_account_may_be_a_number(tmp_path: Path) -> None:
    assert read_site(write(tmp_path / "site.yaml", account=1234)).account == "1234"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"acount": "lab"}, r"acount: found an unknown key.*Did you mean account\?"),
        ({"ask_gpus_by": "gpu"}, "ask_gpus_by: found gpu; expected gpus or gres"),
        ({"gpu_type": "a100:2"}, "gpu_type: found a100:2"),
        ({"gpu_type": "A100-1g.5gb"}, r"Slurm plugin passes on no other name\. Leave gpu_type out"),
        ({"partitions": None}, "found no partitions"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_site(write(tmp_path / "site.yaml", **keys))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"site\.yaml.*No such file"):
        read_site(tmp_path / "site.yaml")


@pytest.mark.parametrize(
    ("site", "gpus", "expected"),
    [
        (Site(), 0, {}),
        (Site(account="lab"), 0, {"slurm_account": "lab"}),
        (Site(), 2, {"nodes": 1}),
        (Site(gpu_type="a100"), 2, {"nodes": 1, "gpu_model": "a100"}),
        (Site(ask_gpus_by="gres"), 2, {"nodes": 1, "gpu": 0, "gres": "gpu:2"}),
        (Site(ask_gpus_by="gres", gpu_type="a100"), 2, {"nodes": 1, "gpu": 0, "gres": "gpu:a100:2"}),
    ],
)
def test_gpus_are_asked_for_as_the_site_wants(site: Site, gpus: int, expected: dict[str, object]) -> None:
    assert site_resources(site, gpus) == expected


@pytest.mark.parametrize(
    ("site", "gpus", "expected"),
    [
        (Site(), 0, {}),
        (Site(), 4, {"nodes": 2, "gpu": 0, "gres": "gpu:4"}),
        (Site(gpu_type="a100"), 4, {"nodes": 2, "gpu": 0, "gres": "gpu:a100:4"}),
    ],
)
def test_gpus_of_several_nodes_are_asked_for_by_node(
    site: Site, gpus: int, expected: dict[str, object]
) -> None:
    by_hand = {"mpi": "srun", "tasks": 2, "tasks_per_gpu": 0}
    assert site_resources(site, gpus, nodes=2) == by_hand | expected


def test_jobs_with_gpus_may_have_another_account_and_quality_of_service() -> None:
    site = Site(
        account="lab", qos="normal", gpu_account="lab-gpu", gpu_qos="long", gpu_constraint="a100_80gb"
    )
    assert site_resources(site, 0) == {"slurm_account": "lab", "qos": "normal"}
    assert site_resources(site, 1) == {
        "slurm_account": "lab-gpu", "qos": "long", "constraint": "a100_80gb", "nodes": 1
    }  # fmt: skip
    assert site_resources(Site(account="lab", qos="normal"), 1)["qos"] == "normal"


def test_a_local_file_wins_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "site.yaml", account="lab", qos="normal")
    (tmp_path / "site.local.yaml").write_text("qos: high\n")
    site = read_site(tmp_path / "site.yaml")
    assert (site.account, site.qos, site.own_partitions) == ("lab", "high", False)
    assert [partition.name for partition in site.partitions] == ["gpu"]
    (tmp_path / "site.local.yaml").write_text("partitions: {big: {max_runtime: 12h}}\n")
    site = read_site(tmp_path / "site.yaml")
    assert site.own_partitions
    assert [(partition.name, partition.runtime) for partition in site.partitions] == [("big", 720)]


def stand_in(folder: Path, name: str, prints: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command on the path that prints a text."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


RUN = "0e4be1c2-3d4f-4a5b-8c6d-7e8f9a0b1c2d"


def test_jobs_of_this_study_in_this_folder_stop_a_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        f"1|RUNNING|toy.{RUN}|rule_train_decoder_wildcards_1|{tmp_path}",
        f"2|PENDING|toy.{RUN}|rule_score|{tmp_path}",
        f"3|COMPLETED|toy.{RUN}|rule_decode|{tmp_path}",
        f"4|RUNNING|toy.{RUN}|my own job|{tmp_path}",
        f"5|RUNNING|toy.{RUN}|rule_score|/elsewhere",
        f"6|RUNNING|toy.my_{RUN}|rule_score|{tmp_path}",
    ]
    stand_in(tmp_path, "squeue", "\n".join(lines), monkeypatch)
    with pytest.raises(InputError, match=r"1 \(train_decoder_wildcards_1\), 2 \(score\), .*scancel 1 2 6\)"):
        refuse_second_run(tmp_path, "toy")
    for other in ("cc2017", "toy_my", "to"):
        refuse_second_run(tmp_path, other)
    refuse_second_run(tmp_path / "other", "toy")
    stand_in(tmp_path, "squeue", f"7|RUNNING|{RUN}|rule_score|{tmp_path}", monkeypatch)
    with pytest.raises(InputError, match=r"scancel 7\)"):  # nobody knows whose it is
        refuse_second_run(tmp_path, "cc2017")


def test_jobs_are_called_by_their_study() -> None:
    slurm, local = SimpleNamespace(run_uuid=RUN), SimpleNamespace()
    name_jobs(slurm, "toy")
    name_jobs(local, "toy")
    assert slurm.run_uuid == f"toy.{RUN}"
    assert not vars(local)


def slurm_job(rule: str, **wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(job=SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards_dict=wildcards))


def test_memory_grows_only_after_a_shortage_in_six_tries(tmp_path: Path) -> None:
    passed_on: list[str | None] = []
    executor = SimpleNamespace(
        run_uuid=RUN, report_job_error=lambda job, msg=None, **details: passed_on.append(msg)
    )
    shortages = Shortages()
    shortages.watch(executor)
    site = [Partition("gpu", runtime=1440, mem_mb=100_000, gpus=4)]
    request = Request("train_decoder", runtime=1440, mem_mb=64_000, gpus=1, resumes=True)
    job, other = slurm_job("train_decoder", subject="1"), slurm_job("train_decoder", subject="2")
    log = tmp_path / "job.log"
    log.write_text(
        "x" * 2 * LOG_END + "slurmstepd: error: StepId=7.0 exceeded memory limit (99 > 64), being killed\n"
        # A log ends with commands, which are long.
        f"shell: {'word ' * 10_000}"
    )
    ends: list[tuple[str, list[str]]] = [
        ("SLURM status is: 'TIMEOUT'", []),
        ("SLURM status is: 'NODE_FAIL'", [str(tmp_path / "absent.log")]),
        ("SLURM status is: 'OUT_OF_MEMORY'", []),
        ("SLURM status is: 'TIMEOUT'", []),
        ("SLURM status is: 'CANCELLED'", [str(log)]),
    ]
    asked = []
    for attempt in range(1, 7):
        tries = [shortages.tries("train_decoder", each.job.wildcards_dict, attempt) for each in (job, other)]
        asked.append([memory_of_try(request, site, n) for n in tries])
        if attempt <= len(ends):
            message, logs = ends[attempt - 1]
            executor.report_job_error(job, msg=message, aux_logs=logs)
    first, grown = [64_000, 64_000], [100_000, 64_000]
    assert asked == [first, first, first, grown, grown, grown]
    assert passed_on == [message for message, _ in ends]


def test_jobs_of_a_group_share_its_shortage_and_other_executors_tell_of_none() -> None:
    shortages = Shortages()
    local = SimpleNamespace(report_job_error=None)
    shortages.watch(local)
    assert local.report_job_error is None
    assert shortages.tries("embed_clips", {}, 3) == 3
    slurm = SimpleNamespace(run_uuid=RUN, report_job_error=lambda *_, **__: None)
    shortages.watch(slurm)
    members = [slurm_job(name, batch="a").job for name in ("caption_clips", "embed_clips")]
    slurm.report_job_error(SimpleNamespace(job=SimpleNamespace(jobs=members)), msg="'OUT_OF_MEMORY'")
    assert [shortages.tries(name, {"batch": "a"}, 4) for name in ("caption_clips", "embed_clips")] == [2, 2]
    assert shortages.tries("embed_clips", {"batch": "b"}, 4) == 1


def test_without_slurm_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refuse_second_run(tmp_path, "toy")
    check_status_memory()


def test_a_cluster_that_forgets_jobs_soon_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "scontrol", "MinJobAge               = 60 sec", monkeypatch)
    with pytest.raises(InputError, match="forgets a job 60 s after its end"):
        check_status_memory()
    stand_in(tmp_path, "scontrol", "MinJobAge               = 300 sec", monkeypatch)
    check_status_memory()
