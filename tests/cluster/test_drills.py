"""The micro study on a real Slurm, by the command of the README, and everything that goes wrong on clusters.

Each drill trains the decoder of one subject again and disturbs it half way. It must end with the bytes of the
undisturbed run, or with a message that names job and log, after which the same command goes on.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from micro_study import LOG, PART, SCORES, SITE, SLOW, TRAINING, Study, checkout
from slurm_cluster import BRIEF, Cluster, wait_for

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One subject of the micro study, run by the literal command without any accident."""
    study = checkout(tmp_path_factory.mktemp("cluster") / "study", cluster, **PART)
    assert study.run(seconds=1500) == 0, study.tell()
    return study


@pytest.fixture
def drill(undisturbed: Study, tmp_path: Path) -> Iterator[Study]:
    """A finished study without the subject's decoder and what came out of it."""
    folder = tmp_path / "study"
    shutil.copytree(undisturbed.folder, folder, symlinks=True)
    # What was decoded as well: Snakemake makes a lost file again only if what is asked for needs it.
    for name in (TRAINING, "neurocine"):
        shutil.rmtree(folder / "results/micro/sub-1" / name)
    study = Study(folder, undisturbed.cluster)
    yield study
    study.send(signal.SIGCONT)
    if study.process is not None and study.process.poll() is None:
        study.process.send_signal(signal.SIGINT)
        study.process.wait(60)


def weights_of(study: Study) -> list[Path]:
    """List the weights of the decoder."""
    weights = sorted((study.folder / f"results/micro/sub-1/{TRAINING}").rglob("*.safetensors"))
    assert len(weights) == 2
    return weights


def same_scores(drill: Study, undisturbed: Study, *, trained_only: bool = False) -> None:
    """Check that a drill ended with the bytes of the undisturbed run."""
    scores = [] if trained_only else [undisturbed.folder / SCORES]
    for path in [*scores, *weights_of(undisturbed)]:
        name = path.relative_to(undisturbed.folder)
        assert (drill.folder / name).read_bytes() == path.read_bytes(), f"{name} differs\n{drill.tell()}"


@pytest.mark.short
def test_the_literal_command_runs_the_study(undisturbed: Study) -> None:
    assert (undisturbed.folder / "results/micro/browser/index.html").is_file()
    jobs = [job for job in undisturbed.cluster.jobs() if job["folder"] == str(undisturbed.folder)]
    assert all(job["state"] == "COMPLETED" for job in jobs)
    # Some of the steps run beside Snakemake, and some share a job.
    assert not any(word in job["rule"] for job in jobs for word in ("tabulate", "browser", "select_vertices"))
    steps = len(list((undisturbed.folder / "benchmarks/micro").rglob("*.tsv")))
    assert len(jobs) <= steps - 7, f"{len(jobs)} jobs, {steps} steps"
    assert undisturbed.run() == 0
    assert "Nothing to be done" in undisturbed.said()


def test_the_whole_study_has_the_results_of_this_machine_alone(cluster: Cluster, tmp_path: Path) -> None:
    there, here = checkout(tmp_path / "there", cluster), checkout(tmp_path / "here", cluster)
    assert there.run(seconds=1800) == 0, there.tell()
    here.start(how=("--cores", "2"))
    assert here.end(1800) == 0, here.tell()
    tables = [
        path.relative_to(here.folder) for path in here.folder.glob("results/micro/sub-*/**/*scores.tsv")
    ]
    tables += [path.relative_to(here.folder) for path in here.folder.glob("results/micro/tables/*.tsv")]
    assert len(tables) >= 8
    for name in tables:
        assert (there.folder / name).read_bytes() == (here.folder / name).read_bytes(), name


@pytest.mark.short
def test_nodes_have_no_network(cluster: Cluster) -> None:
    program = "import socket; socket.create_connection(('198.51.100.1', 80), 3)"
    command = ["srun", "--partition=gpu", "--gpus=1", sys.executable, "-c", program]
    done = subprocess.run(
        command, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Network is unreachable" in done.stderr


@pytest.mark.short
def test_cancelled_job_is_tried_again_and_goes_on(drill: Study, undisturbed: Study) -> None:
    drill.start(SCORES)
    drill.cluster.call("scancel", drill.half_way()["id"])
    assert drill.end() == 0, drill.tell()
    assert "CANCELLED" in drill.said()
    assert "resuming from step" in drill.training_log()
    same_scores(drill, undisturbed)


@pytest.mark.short
def test_node_that_dies_loses_no_training(drill: Study, undisturbed: Study) -> None:
    drill.start(SCORES)
    job = drill.half_way()
    drill.cluster.node_down(job["node"])
    try:
        wait_for(
            lambda: (again := drill.cluster.running(drill.folder, TRAINING)) and again["node"] != job["node"],
            SLOW, "not started on another node", drill.tell,
        )  # fmt: skip
        assert drill.end() == 0, drill.tell()
    finally:
        drill.cluster.node_up(job["node"])
    assert "resuming from step" in drill.training_log()
    same_scores(drill, undisturbed)


def test_preempted_training_goes_on_later(drill: Study, undisturbed: Study) -> None:
    drill.start(SCORES)
    job = drill.half_way()
    urgent = ["sbatch", "--parsable", "--partition=urgent", "--exclusive", "--nodes=2", "--wrap=sleep 5"]
    other = drill.cluster.call(*urgent, "--output=/dev/null").strip()
    wait_for(
        lambda: any(one["id"] == other and one["state"] == "RUNNING" for one in drill.cluster.jobs()),
        SLOW, "the urgent job does not start", drill.tell,
    )  # fmt: skip
    assert drill.end() == 0, drill.tell()
    assert "Restarts=1" in drill.cluster.call("scontrol", "show", "job", job["id"])
    assert "resuming from step" in drill.training_log()
    same_scores(drill, undisturbed)


def test_time_limit_in_a_training_costs_no_step(drill: Study, undisturbed: Study) -> None:
    # Slurm warns up to a minute early, and looks at its clock twice a minute.
    drill.resources(runtime="2 if attempt == 1 else 30", slurm_extra="'--signal=USR1@45'")
    drill.start(SCORES)
    drill.half_way()  # standing still, it is a long training as far as Slurm can tell
    (process,) = drill.processes()

    def warned() -> bool:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except FileNotFoundError:  # Slurm may also wake whom it warns: the training has saved and ended
            return True
        return any(int(mask, 16) >> (signal.SIGUSR1 - 1) & 1 for mask in re.findall(r"Pnd:\s+(\w+)", status))

    wait_for(warned, SLOW, "Slurm gave no warning", drill.tell)
    drill.send(signal.SIGCONT)
    assert drill.end() == 0, drill.tell()
    logs = sorted((drill.folder / "logs/slurm" / f"rule_{TRAINING}").rglob("*.log"), key=os.path.getmtime)
    assert "signal SIGUSR1: saving after this step" in logs[-2].read_text()
    assert "resuming from step" in logs[-1].read_text()
    same_scores(drill, undisturbed)


def of_training(drill: Study) -> list[dict[str, str]]:
    """List the training's jobs, the oldest first."""
    jobs = [job for job in drill.cluster.jobs() if job["folder"] == str(drill.folder)]
    return sorted((job for job in jobs if TRAINING in job["rule"]), key=lambda job: int(job["id"]))


def wait_for_timeouts(drill: Study, number: int) -> None:
    """Wait until so many jobs of the training have run out of time."""

    def ended() -> bool:
        return sum(job["state"] == "TIMEOUT" for job in of_training(drill)) >= number

    wait_for(ended, SLOW, f"job {number} does not run out of time", drill.tell, every=1)


def brief_partition(drill: Study, mem_mb: int) -> None:
    """Let a site have GPUs in no partition but that of a minute."""
    brief = {"max_runtime": BRIEF, "max_mem_mb": mem_mb, "max_threads": 4, "max_gpu": 2}
    drill.site(partitions={"cpu": SITE["partitions"]["cpu"], "brief": brief})


def test_training_that_takes_three_time_limits_of_its_partition(drill: Study, undisturbed: Study) -> None:
    brief_partition(drill, 60000)
    drill.resources(slurm_extra="''")  # a warning would come before the training listens
    (decoder,) = (undisturbed.folder / f"results/micro/sub-1/{TRAINING}").iterdir()
    target = f"results/micro/sub-1/{TRAINING}/{decoder.name}/done.json"
    drill.start(target, how=("--profile", "slurm", "--retries", "5"))
    for number in (1, 2):
        drill.wait_for_state(drill.states())
        drill.send(signal.SIGSTOP)  # standing still, it is a long training as far as Slurm can tell
        wait_for_timeouts(drill, number)
    assert drill.end() == 0, drill.tell()
    jobs = of_training(drill)
    assert len(jobs) >= 3, drill.tell()
    assert [job["state"] for job in jobs] == [*["TIMEOUT"] * (len(jobs) - 1), "COMPLETED"], drill.tell()
    assert {(job["partition"], job["limit"], job["memory"]) for job in jobs} == {
        ("brief", f"{BRIEF}:00", "6400M")
    }
    assert "resuming from step" in drill.training_log()
    same_scores(drill, undisturbed, trained_only=True)


# In the place of the training: it uses its time at its first try, and 1.3 GB at all others.
GREEDY = """
import pathlib, time
tries = pathlib.Path("tries")
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
eaten = b"" if tries.read_text() == "x" else b"x" * 1_300_000_000
time.sleep(300)
"""


def test_six_tries_ask_for_more_memory_only_after_a_shortage(drill: Study, undisturbed: Study) -> None:
    brief_partition(drill, 1000)
    drill.resources(mem_mb=800, slurm_extra="''")
    (drill.folder / f"workflow_scripts/{TRAINING}.py").write_text(GREEDY)
    (decoder,) = (undisturbed.folder / f"results/micro/sub-1/{TRAINING}").iterdir()
    target = f"results/micro/sub-1/{TRAINING}/{decoder.name}/done.json"
    assert drill.run(target, seconds=4 * SLOW, how=("--profile", "slurm", "--retries", "5")) == 1
    jobs = of_training(drill)
    shortages = [job["state"] != "TIMEOUT" for job in jobs]
    assert len(jobs) == 6, drill.tell()
    assert any(shortages), drill.tell()
    assert not shortages[0], drill.tell()
    # Twice 800 MB would be more than the partition has.
    expected = ["1000M" if any(shortages[:number]) else "800M" for number in range(6)]
    assert [job["memory"] for job in jobs] == expected, drill.tell()


def test_too_little_memory_is_asked_again_with_more(drill: Study, undisturbed: Study) -> None:
    drill.resources(mem_mb="300 * 10 ** (attempt - 1)")
    assert drill.run(SCORES) == 0, drill.tell()
    assert re.search(r"failed, SLURM status is: '(OUT_OF_MEMORY|FAILED|CANCELLED)'", drill.said())
    same_scores(drill, undisturbed)


def test_controller_may_be_away(drill: Study, undisturbed: Study) -> None:
    drill.start(SCORES)
    drill.half_way()
    drill.cluster.controller_down()
    try:
        drill.send(signal.SIGCONT)
        time.sleep(20)
    finally:
        drill.cluster.controller_up()
    assert drill.end() == 0, drill.tell()
    same_scores(drill, undisturbed)


@pytest.mark.short
def test_refused_submission_is_told_and_the_rest_is_done(drill: Study, undisturbed: Study) -> None:
    drill.resources(constraint="absent")
    other = "results/micro/make_baselines/static.safetensors"
    assert drill.run(SCORES, other) == 1
    assert "SLURM sbatch failed" in drill.said()
    assert "Invalid feature specification" in drill.said()
    assert f"Error in rule {TRAINING}" in drill.said()
    assert (drill.folder / other).is_file()
    drill.resources()
    assert drill.run(SCORES) == 0, drill.tell()
    same_scores(drill, undisturbed)


@pytest.mark.short
def test_second_run_waits_for_the_jobs_of_a_killed_one(drill: Study, undisturbed: Study) -> None:
    drill.start(SCORES)
    job = drill.half_way()  # standing still, it is at work when the second run starts
    assert drill.process is not None
    drill.process.kill()
    drill.process.wait()
    assert drill.run(SCORES) == 1
    assert "LockException" in drill.said()
    assert drill.run("--unlock") == 0
    before = len(drill.cluster.jobs())
    assert drill.run(SCORES) == 1
    assert f"found jobs of an earlier run of micro at work: {job['id']} ({TRAINING}" in drill.said()
    assert len(drill.cluster.jobs()) == before
    drill.send(signal.SIGCONT)
    wait_for(
        lambda: not drill.cluster.running(drill.folder, TRAINING), SLOW, "the job does not end", drill.tell
    )
    assert drill.run(SCORES) == 0, drill.tell()
    same_scores(drill, undisturbed)


def test_two_studies_at_once_leave_each_other_alone(drill: Study, undisturbed: Study) -> None:
    keys = {"dataset": "other", "data_dir": "data/other", "rest": {"dir": "data/other/HCP"}}
    (drill.folder / "other.yaml").write_text(yaml.safe_dump(keys))
    other = Study(drill.folder, drill.cluster, "other.log")
    drill.start(SCORES)
    job = drill.half_way()  # it stands still as long as the other study is at work
    assert drill.process is not None
    baselines = "results/other/make_baselines/static.safetensors"
    other.start(baselines, how=("--profile", "slurm", "--configfile", "other.yaml"))

    def others() -> list[str]:
        return [one["id"] for one in drill.cluster.jobs() if one["run"].startswith("other.")]

    wait_for(others, SLOW, "the other study submits nothing", other.said)
    # Started again, the first one speaks of its own job alone.
    drill.process.kill()
    drill.process.wait()
    assert drill.run("--unlock") == 0
    assert drill.run(SCORES) == 1
    assert f"found jobs of an earlier run of micro at work: {job['id']} ({TRAINING}" in drill.said()
    assert f"end them (scancel {job['id']})" in drill.said()
    assert other.end() == 0, other.said()
    assert (drill.folder / baselines).is_file()
    drill.send(signal.SIGCONT)
    wait_for(
        lambda: not drill.cluster.running(drill.folder, TRAINING), SLOW, "the job does not end", drill.tell
    )
    assert drill.run(SCORES) == 0, drill.tell()
    same_scores(drill, undisturbed)
    assert all(one["state"] == "COMPLETED" for one in drill.cluster.jobs() if one["id"] in others())


def test_full_disk_is_told_and_loses_nothing(drill: Study, undisturbed: Study) -> None:
    disk = drill.cluster.small_disk
    (drill.folder / f"results/micro/sub-1/{TRAINING}").symlink_to(disk, target_is_directory=True)
    filler = disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], capture_output=True, check=False)
    assert drill.run(SCORES) == 1
    assert f"Error in rule {TRAINING}" in drill.said()
    assert re.search(rf"log: .*{LOG}/sub-1_\S+\.log", drill.said())
    assert "No space left on device" in drill.training_log()
    filler.unlink()
    assert drill.run(SCORES) == 0, drill.tell()
    # The training itself had ended before the disk was found full, and is not repeated.
    assert "resuming from step 60" in drill.training_log()
    same_scores(drill, undisturbed)


@pytest.mark.short
def test_two_gpus_are_two_processes_of_one_job_on_one_node(drill: Study) -> None:
    drill.configure(**PART | {"compute": {"gpus": 2}})
    # One GPU of each node is taken, so that two free ones do not lie on one node at first.
    hold = ["sbatch", "--parsable", "--partition=gpu", "--gpus=1", "--nodes=1", "--output=/dev/null"]
    for node in ("gpu1", "gpu2"):
        drill.cluster.call(*hold, f"--nodelist={node}", "--wrap=sleep 15")
    before = {job["id"] for job in drill.cluster.jobs()}
    drill.start(SCORES)
    job = drill.half_way()
    assert len(drill.processes()) == 2
    detail = drill.cluster.call("scontrol", "show", "job", job["id"])
    assert "NumNodes=1 " in detail
    assert "gres/gpu=2" in detail
    drill.send(signal.SIGCONT)
    assert drill.end() == 0, drill.tell()
    new = [one for one in drill.cluster.jobs() if one["id"] not in before and TRAINING in one["rule"]]
    assert len(new) == 1
    assert drill.training_log().count("state of step 60 saved") == 1


@pytest.mark.parametrize("accident", ["a node dies", "time is nearly up"])
def test_two_nodes_train_one_model(drill: Study, accident: str) -> None:
    drill.configure(**PART | {"compute": {"gpus": 1, "nodes": 2}})
    drill.start(SCORES)
    job = drill.half_way()
    assert len(drill.processes()) == 2
    detail = drill.cluster.call("scontrol", "show", "job", job["id"])
    assert "NumNodes=2 " in detail
    assert "TresPerNode=gres:gpu:1" in detail
    steps = drill.cluster.call("squeue", "--steps", f"--jobs={job['id']}", "--noheader", "--format=%N")
    assert "gpu[1-2]" in steps
    if accident == "a node dies":
        drill.cluster.node_down("gpu2")
        try:
            wait_for(lambda: not drill.processes(), SLOW, "half of a training goes on", drill.tell)
        finally:
            drill.cluster.node_up("gpu2")
    else:
        drill.cluster.call("scancel", "--signal=USR1", job["id"])  # as Slurm does: steps only
        drill.send(signal.SIGCONT)
    assert drill.end() == 0, drill.tell()
    log = drill.training_log()
    assert "resuming from step" in log
    assert log.count("state of step 60 saved") == 1, log


@pytest.mark.parametrize(
    ("flavour", "asked"),
    [
        ({"gpu_type": "fake"}, "TresPerJob=gres:gpu:fake:1"),
        ({"ask_gpus_by": "gres"}, "TresPerNode=gres:gpu:1"),
        ({"ask_gpus_by": "gres", "gpu_type": "fake"}, "TresPerNode=gres:gpu:fake:1"),
    ],
    ids=["gpus with a type", "gres", "gres with a type"],
)
def test_sites_ask_for_gpus_in_their_own_way(drill: Study, flavour: dict[str, str], asked: str) -> None:
    drill.site(**flavour)
    (encoder,) = (drill.folder / "results/micro/sub-1/train_encoder").iterdir()
    assert drill.run(f"results/micro/sub-1/retrieve_clips/{encoder.name}.safetensors") == 0, drill.tell()
    (job,) = [one for one in drill.cluster.jobs() if one["folder"] == str(drill.folder)]
    detail = drill.cluster.call("scontrol", "show", "job", job["id"])
    assert asked in detail
    assert "gres/gpu=1" in detail


def test_site_without_accounting(drill: Study, undisturbed: Study) -> None:
    """The last of all, because the cluster starts afresh."""
    drill.site(account=None)
    drill.cluster.start(accounting=False)
    drill.start(SCORES)
    drill.cluster.call("scancel", drill.half_way()["id"])
    assert drill.end() == 0, drill.tell()
    assert "CANCELLED" in drill.said()
    same_scores(drill, undisturbed)
