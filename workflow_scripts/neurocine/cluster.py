"""What a run on Slurm needs to know of the site, and of jobs that an earlier run left behind."""

import dataclasses
import difflib
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neurocine.errors import InputError
from neurocine.partitions import Partition, read_partitions

ASK_BY = ("gpus", "gres")
WHOLE_FILE = "docs/cluster.md shows the whole file."
LONGEST_PAUSE = 180  # seconds between two looks at the jobs (snakemake-executor-plugin-slurm)
# What Slurm, logs and Python say when memory ran out; without control groups the state alone does not tell.
OUT_OF_MEMORY = re.compile(r"OUT_OF_MEMORY|oom[-_ ]kill|memory limit|MemoryError", re.IGNORECASE)
LOG_END = 200_000  # bytes of a log that are looked at: long commands follow what Slurm says
ENDING = (
    "COMPLETED",
    "CANCELLED",
    "FAILED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "BOOT_FAIL",
)


@dataclasses.dataclass(frozen=True)
class Site:
    """What ``slurm/site.yaml`` says of a cluster.

    Attributes
    ----------
    ask_gpus_by, gpu_type : how jobs ask for GPUs
    account, gpu_account : that jobs are charged to, and those with GPUs where they have another
    qos, gpu_qos : quality of service of jobs, and of those with GPUs where they have another
    gpu_constraint : feature that nodes of jobs with GPUs must have
    partitions : with their limits
    own_partitions : whether they are of ``site.local.yaml``, which Snakemake's plugin does not read
    """

    ask_gpus_by: str = "gpus"
    gpu_type: str | None = None
    account: str | None = None
    gpu_account: str | None = None
    qos: str | None = None
    gpu_qos: str | None = None
    gpu_constraint: str | None = None
    partitions: tuple[Partition, ...] = dataclasses.field(default=(), compare=False)
    own_partitions: bool = False


TEXTS = tuple(
    field.name for field in dataclasses.fields(Site) if field.name not in ("partitions", "own_partitions")
)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(path, str(error), "a YAML file with partitions", WHOLE_FILE) from None
    return content if isinstance(content, dict) else {}


def read_site(path: Path) -> Site:
    """Read the site's file, and on top of it ``site.local.yaml`` beside it, which no update touches.

    Raises
    ------
    InputError : no such file, unknown key, or a value that no cluster understands
    """
    todo = WHOLE_FILE
    content = _read(path)
    local = path.with_suffix(".local.yaml")
    edits = _read(local) if local.is_file() else {}
    content |= edits
    if not isinstance(content.get("partitions"), dict):
        raise InputError(path, "no partitions", "the key partitions with a name for each", todo)
    fields = TEXTS
    for key in content:
        if key not in (*fields, "partitions"):
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"Did you mean {near[0]}?" if near else todo
            raise InputError(f"{path}: {key}", "an unknown key", ", ".join(["partitions", *fields]), hint)
    # An account may be a number, which YAML does not read as text.
    texts = {name: str(content[name]) for name in fields if content.get(name) is not None}
    partitions = tuple(read_partitions(content["partitions"], str(path)))
    site = Site(**texts, partitions=partitions, own_partitions="partitions" in edits)
    if site.ask_gpus_by not in ASK_BY:
        raise InputError(f"{path}: ask_gpus_by", site.ask_gpus_by, " or ".join(ASK_BY), todo)
    if site.gpu_type is not None and not re.fullmatch(r"[\w.]+", site.gpu_type):
        expected = "letters, digits, dots and underscores: Snakemake's Slurm plugin passes on no other name"
        todo = "Leave gpu_type out, and name the partition that has these GPUs (a MIG slice has a hyphen)."
        raise InputError(f"{path}: gpu_type", site.gpu_type, expected, todo)
    return site


def site_resources(site: Site, gpus: int, nodes: int = 1) -> dict[str, Any]:
    """Return the resources by which a job asks this site for nodes and their GPUs, its account and QOS.

    Parameters
    ----------
    site : what the cluster asks of jobs: accounts, QOS, how GPUs are requested
    gpus : number of GPUs of each node that the rule wants
    nodes : number of nodes; on several the rule's own command starts one process each with srun
    """
    account = site.gpu_account or site.account if gpus else site.account
    qos = site.gpu_qos or site.qos if gpus else site.qos
    texts = {"slurm_account": account, "qos": qos, "constraint": site.gpu_constraint if gpus else None}
    resources: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    if nodes > 1:
        # The plugin's word for jobs that call srun themselves; the last keeps it from tasks per GPU.
        resources |= {"mpi": "srun", "tasks": nodes, "tasks_per_gpu": 0}
    if not gpus:
        return resources
    # Always said, or Slurm may spread two GPUs over two nodes, of which a training sees one.
    resources["nodes"] = nodes
    # --gpus counts those of all nodes together and need not share them out evenly.
    if site.ask_gpus_by == "gres" or nodes > 1:
        kind = "" if site.gpu_type is None else f"{site.gpu_type}:"
        return resources | {"gpu": 0, "gres": f"gpu:{kind}{gpus}"}
    return resources | ({} if site.gpu_type is None else {"gpu_model": site.gpu_type})


def ask_slurm(*command: str) -> str:
    """Return what a command of Slurm prints; nothing without Slurm, or when it does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout if done.returncode == 0 else ""


def name_jobs(executor: Any, dataset: str) -> None:
    """Let the jobs of a run be called by the study, so that those of other studies can be distinguished.

    Snakemake asks Slurm for jobs by this one name, so it tells no step. The plugin's own setting for a prefix
    is read before the config is.

    Parameters
    ----------
    executor : of Snakemake; any but Slurm's is left alone
    dataset : name of the study, which has no dot
    """
    run = getattr(executor, "run_uuid", None)
    if isinstance(run, str):
        executor.run_uuid = f"{dataset}.{run}"


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(path.stat().st_size - LOG_END, 0))
            return log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


class Shortages:
    """How often each job of a run has run out of memory.

    Attributes
    ----------
    watched : whether somebody tells how jobs end: Slurm does, other executors do not
    """

    def __init__(self) -> None:
        self.watched = False
        self._counts: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()

    def note(self, rule: str, wildcards: Mapping[str, str]) -> None:
        """Count one more shortage of a job."""
        self._counts[rule, frozenset(wildcards.items())] += 1

    def tries(self, rule: str, wildcards: Mapping[str, str], attempt: int) -> int:
        """Return one more than a job's shortages or, where nobody tells of them, than its failures."""
        return 1 + self._counts[rule, frozenset(wildcards.items())] if self.watched else attempt

    def watch(self, executor: Any) -> None:
        """Learn from an executor of Slurm how its jobs end; any other one is left alone.

        Snakemake tells a rule that asks for resources how many times a job was tried, but not why it failed.
        """
        if not hasattr(executor, "run_uuid"):
            return
        self.watched, report = True, executor.report_job_error

        def noting(job_info: Any, msg: str | None = None, **details: Any) -> None:
            logs = "\n".join(_end_of(Path(path)) for path in details.get("aux_logs") or ())
            if OUT_OF_MEMORY.search(f"{msg}\n{logs}"):
                for job in getattr(job_info.job, "jobs", [job_info.job]):
                    self.note(job.rule.name, job.wildcards_dict)
            report(job_info, msg=msg, **details)  # starts the next try

        executor.report_job_error = noting


def refuse_second_run(folder: Path, dataset: str) -> None:
    """Stop a run while jobs of an earlier one still write results of the same study.

    Snakemake's lock does this, until a person removes it after a crash; the jobs do not end with Snakemake.
    Jobs of other studies in the same folder write other files and do not matter.

    Raises
    ------
    InputError : there are such jobs; their numbers and steps are told
    """
    jobs = []
    for line in ask_slurm("squeue", "--me", "--noheader", "--format=%i|%T|%j|%k|%Z").splitlines():
        number, state, name, comment, where = line.split("|", 4)
        study, dot, _ = name.partition(".")
        # A name without a study may be any one's: better to stop once too often.
        ours = (
            where == str(folder) and comment.startswith(("rule_", "group_")) and (not dot or study == dataset)
        )
        if ours and state not in ENDING:
            jobs.append((number, comment.removeprefix("rule_")))
    if jobs:
        numbers = " ".join(number for number, _ in jobs)
        raise InputError(
            folder,
            f"jobs of an earlier run of {dataset} at work: "
            + ", ".join(f"{number} ({name})" for number, name in jobs),
            "no job of this study",
            f"Wait until they have ended (squeue --me) or end them (scancel {numbers}), then start again.",
        )


def check_status_memory() -> None:
    """Stop a run on a cluster that forgets ended jobs sooner than Snakemake looks: it would wait for ever.

    Raises
    ------
    InputError : MinJobAge is shorter than the longest pause between two looks
    """
    match = re.search(r"^MinJobAge\s*=\s*(\d+)", ask_slurm("scontrol", "show", "config"), re.MULTILINE)
    if match and int(match[1]) <= LONGEST_PAUSE:
        raise InputError(
            "slurm/config.yaml: slurm-status-command",
            f"squeue, on a cluster that forgets a job {match[1]} s after its end (MinJobAge)",
            f"a MinJobAge above {LONGEST_PAUSE} s",
            "Set it to sacct there; then do not cancel jobs by hand while Snakemake runs (docs/cluster.md).",
        )
