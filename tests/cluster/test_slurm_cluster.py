"""The cluster itself, with jobs of one line: what the drills rely on."""

from pathlib import Path

import pytest
from slurm_cluster import Cluster, ClusterError, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.short]


def submit(cluster: Cluster, out: Path, command: str, *options: str) -> str:
    """Submit a line of shell and return the number of the job."""
    return cluster.call("sbatch", "--parsable", f"--output={out}", *options, f"--wrap={command}").strip()


def one(cluster: Cluster, number: str) -> dict[str, str]:
    """What the controller knows of a job."""
    return next(job for job in cluster.jobs() if job["id"] == number)


def reaches(cluster: Cluster, number: str, state: str, seconds: float = 90) -> None:
    """Wait for a state of a job."""
    wait_for(
        lambda: one(cluster, number)["state"] == state, seconds, f"job {number} not {state}", cluster.logs
    )


def test_jobs_get_the_gpus_they_ask_for_and_no_network(cluster: Cluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reach = "bash -c 'exec 3<>/dev/tcp/198.51.100.1/80'"
    number = submit(cluster, out, f"srun env | grep CUDA_VIS; {reach}; hostname", "-pgpu", "--gpus=fake:2")
    reaches(cluster, number, "COMPLETED")
    assert "CUDA_VISIBLE_DEVICES=0,1" in out.read_text()
    assert "Network is unreachable" in out.read_text()
    accounts = ["sacct", "--noheader", "--allocations", "--format=JobID"]
    wait_for(lambda: number in cluster.call(*accounts).split(), 60, "no account of it", cluster.logs)


def test_impossible_wishes_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="Requested node configuration is not available"):
        submit(cluster, tmp_path / "out", "true", "-pgpu", "--gpus=9")


def test_job_of_a_dead_node_starts_again_on_another(cluster: Cluster, tmp_path: Path) -> None:
    number = submit(cluster, tmp_path / "out", "sleep 8; echo done", "-pgpu", "--gpus=1", "--requeue")
    reaches(cluster, number, "RUNNING")
    node = one(cluster, number)["node"]
    cluster.node_down(node)
    try:
        wait_for(lambda: not cluster.node_is_up(node), 60, "nobody noticed", cluster.logs)
        reaches(cluster, number, "COMPLETED")
        assert one(cluster, number)["node"] != node
    finally:
        cluster.node_up(node)


def test_urgent_jobs_push_others_aside_for_a_while(cluster: Cluster, tmp_path: Path) -> None:
    number = submit(cluster, tmp_path / "out", "sleep 8; echo done", "-pgpu", "--gpus=1", "--requeue")
    reaches(cluster, number, "RUNNING")
    urgent = submit(cluster, tmp_path / "urgent", "sleep 1", "-purgent", "--exclusive", "--nodes=2")
    reaches(cluster, urgent, "COMPLETED")
    reaches(cluster, number, "COMPLETED")
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", number)


def test_jobs_survive_the_controller(cluster: Cluster, tmp_path: Path) -> None:
    number = submit(cluster, tmp_path / "out", "sleep 5; echo done")
    reaches(cluster, number, "RUNNING")
    cluster.controller_down()
    with pytest.raises(ClusterError):
        cluster.call("scontrol", "ping")
    cluster.controller_up()
    reaches(cluster, number, "COMPLETED")
    assert "done" in (tmp_path / "out").read_text()


def test_greedy_job_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    eat = "srun perl -e '$x = chr(65) x 300_000_000; sleep 60'"
    number = submit(cluster, tmp_path / "out", eat, "--mem=100")
    wait_for(lambda: one(cluster, number)["state"] not in ("PENDING", "RUNNING"), 60, "it goes on")
    assert one(cluster, number)["state"] in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")


def test_warning_reaches_every_process_of_a_step(cluster: Cluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inner = '$SIG{USR1} = sub { print "warned\\n"; exit 0 }; sleep 1 while 1'
    (tmp_path / "inner.pl").write_text(inner)
    (tmp_path / "outer.sh").write_text(f"trap '' USR1; perl {tmp_path}/inner.pl; echo rc $?\n")
    number = submit(cluster, out, f"srun bash {tmp_path}/outer.sh", "--time=2", "--signal=USR1@60")
    reaches(cluster, number, "COMPLETED", 150)
    assert out.read_text().splitlines()[-2:] == ["warned", "rc 0"]


def test_full_disks_are_seen_by_nodes(cluster: Cluster, tmp_path: Path) -> None:
    # No more than a little above the size of the disk, should it not be there.
    write = f"dd if=/dev/zero of={cluster.small_disk}/file bs=1M count=20"
    number = submit(cluster, tmp_path / "out", write)
    reaches(cluster, number, "FAILED")
    assert "No space left on device" in (tmp_path / "out").read_text()
    (cluster.small_disk / "file").unlink()


def test_cluster_without_accounting(cluster: Cluster, tmp_path: Path) -> None:
    """The last of all, because the cluster starts afresh."""
    cluster.start(accounting=False)
    number = submit(cluster, tmp_path / "out", "true")
    reaches(cluster, number, "COMPLETED")
    with pytest.raises(ClusterError, match="accounting storage is disabled"):
        cluster.call("sacct")
