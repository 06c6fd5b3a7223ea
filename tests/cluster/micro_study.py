"""The micro study as a person sets it up for the cluster, and what the drills do with its training."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from slurm_cluster import Cluster, wait_for

from workflow_copy import copy_workflow, workflow_environment

SCORES = "results/micro/sub-1/neurocine/paper_main/scores.tsv"
TRAINING = "train_decoder"
LOG = f"logs/micro/{TRAINING}"
SLOW = 240  # seconds that one step of a drill may take on a busy machine

# A part of the micro study, with a training of seconds that saves its state all the time.
PART = {
    "subjects": [1],
    "conditions": ["fmri"],
    "generation_seeds": [],
    "compute": {"gpus": 1},
    TRAINING: {"steps": 60, "checkpoint_minutes": 0.01, "validate_every": 30, "log_every": 5},
}
SITE = {
    "partitions": {
        "cpu": {"max_runtime": 1440, "max_mem_mb": 60000, "max_threads": 4},
        "gpu": {"max_runtime": 1440, "max_mem_mb": 60000, "max_threads": 4, "max_gpu": 2},
    },
    "account": "lab",
}
# GPUs that are not there: whatever would insist on one computes on the CPU.
ON_CPU = (
    "pretrain_encoder",
    "train_encoder",
    "train_video_prior",
    "train_decoder",
    "decode",
    "decode_captions",
    "decode_nearest",
    "caption_clips",
    "embed_clips",
    "encode_latents",
    "retrieve_clips",
    "extract_attention",
    "score",
    "test_order",
    "agree_fmri",
    "rank_areas",
)


def merged(*configs: dict[str, Any]) -> dict[str, Any]:
    """Merge configs as Snakemake does: the later wins, key by key."""
    out: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            both = isinstance(value, dict) and isinstance(out.get(key), dict)
            out[key] = merged(out[key], value) if both else value
    return out


class Study:
    """A checkout in which a person has edited what a site edits, and the runs in it."""

    def __init__(self, folder: Path, cluster: Cluster, log: str = "run.log") -> None:
        self.folder, self.cluster, self.log = folder, cluster, folder / log
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **settings: Any) -> None:
        """Write config.yaml: the micro study with these settings."""
        parts = [
            yaml.safe_load((self.folder / name).read_text())
            for name in ("base.yaml", "tests/micro/config.yaml")
        ]
        (self.folder / "config.yaml").write_text(yaml.safe_dump(merged(*parts, settings)))

    def site(self, **keys: Any) -> None:
        """Write slurm/site.yaml."""
        (self.folder / "slurm/site.yaml").write_text(yaml.safe_dump(SITE | keys))

    def resources(self, **of_training: Any) -> None:
        """Write the workflow's own profile: shorter pauses, no CUDA, and other resources for the training."""
        of_rules = {name: {"device": "cpu"} for name in ON_CPU}
        of_rules[TRAINING] |= of_training
        profile = self.folder / "profiles/default/config.yaml"
        profile.parent.mkdir(parents=True, exist_ok=True)
        pauses = {"slurm-init-seconds-before-status-checks": 2, "latency-wait": 10}
        profile.write_text(yaml.safe_dump(pauses | {"set-resources": of_rules}))

    def start(self, *targets: str, how: tuple[str, ...] = ("--profile", "slurm")) -> None:
        """Start `snakemake --profile slurm`, or otherwise."""
        command = [str(Path(sys.executable).parent / "snakemake"), *targets, *how]
        environment = self.cluster.environment | workflow_environment() | {"OMP_NUM_THREADS": "1"}
        environment["PATH"] += ":/usr/sbin:/sbin"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def said(self) -> str:
        """What the newest run has printed."""
        return self.log.read_text()

    def end(self, seconds: float = 2 * SLOW) -> int:
        """Wait for the run; return its exit code."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            raise AssertionError(f"still running after {seconds} s:\n{self.tell()}") from None

    def run(
        self, *targets: str, seconds: float = 2 * SLOW, how: tuple[str, ...] = ("--profile", "slurm")
    ) -> int:
        """Start and wait."""
        self.start(*targets, how=how)
        return self.end(seconds)

    def tell(self) -> str:
        """What helps to understand a failure."""
        queue = self.cluster.call("squeue", "--states=all", check=False)
        return f"{self.said()[-4000:]}\n{queue}\n{self.training_log()[-2000:]}"

    def training_log(self) -> str:
        """What the newest attempt of the training has printed."""
        return "".join(path.read_text(errors="replace") for path in (self.folder / LOG).glob("sub-1_*.log"))

    def job(self) -> dict[str, str]:
        """The job of the training, once it runs."""
        wait_for(lambda: self.cluster.running(self.folder, TRAINING), SLOW, "no job runs", self.tell)
        job = self.cluster.running(self.folder, TRAINING)
        assert job is not None
        return job

    def processes(self) -> list[int]:
        """The training's own processes, without shells and launchers."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_text().split("\0")
                here = (path / "cwd").samefile(self.folder)  # its name depends on who looks
            except OSError:
                continue
            ours = here and any(word.endswith(f"workflow_scripts/{TRAINING}.py") for word in words[1:3])
            if ours and "python" in Path(words[0]).name:
                found.append(int(path.name))
        return found

    def states(self) -> set[str]:
        """Name the states of the training that lie there."""
        folder = self.folder / "results/micro/.state" / TRAINING
        return {path.name for path in folder.glob("sub-1_*/step-*")}

    def wait_for_state(self, seen: set[str]) -> None:
        """Wait until the training has saved another state than those."""
        wait_for(lambda: self.states() - seen, SLOW, "no state was saved", self.tell, every=0.05)

    def half_way(self) -> dict[str, str]:
        """Wait until the training has saved its state, let it stand still, and return its job."""
        self.wait_for_state(set())
        self.send(signal.SIGSTOP)
        return self.job()

    def send(self, number: int) -> None:
        """Send a signal to the training's processes."""
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)


def checkout(folder: Path, cluster: Cluster, **settings: Any) -> Study:
    """A fresh copy of the workflow, set up for the cluster and these settings."""
    copy_workflow(folder)
    shutil.copy(folder / "config.yaml", folder / "base.yaml")
    study = Study(folder, cluster)
    study.configure(**settings)
    study.site()
    study.resources()
    return study
