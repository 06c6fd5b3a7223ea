"""Compare what jobs request with the partitions of a cluster, before anything is submitted."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from neurocine.errors import InputError

MOST_GROWTH = 2  # times the memory of the first try: more is another mistake than a close fit
CHANGE = {  # the key of the config by which requests shrink
    "runtime": "compute.time_share",
    "mem_mb": "compute.memory_share",
    "threads": "compute.threads",
    "gpus": "compute.gpus",
}
UNITS = {"runtime": " min", "mem_mb": " MB", "threads": " threads", "gpus": " GPUs per node"}
LETTERS = {"d": 1440.0, "h": 60.0, "m": 1.0, "s": 1 / 60}


@dataclass(frozen=True)
class Request:
    """What a job of a rule asks for at its first try.

    Attributes
    ----------
    rule : its name
    runtime : minutes
    mem_mb : MB
    threads, gpus : on each node
    resumes : whether a job that ran out of time is continued by the next one
    """

    rule: str
    runtime: float
    mem_mb: float
    threads: int = 1
    gpus: int = 0
    resumes: bool = False


@dataclass(frozen=True)
class Partition:
    """A partition of ``slurm/site.yaml`` with its limits; without a limit of GPUs it has none."""

    name: str
    runtime: float = inf
    mem_mb: float = inf
    threads: float = inf
    gpus: float = 0

    def lacks(self, request: Request) -> list[str]:
        """Name what the partition has too little of; time does not count where a job resumes."""
        names = [name for name in CHANGE if getattr(request, name) > getattr(self, name)]
        return [name for name in names if not (name == "runtime" and request.resumes)]


def read_minutes(value: Any) -> float:
    """Read a time limit as minutes: a number, ``12h``, ``2d12h``, or Slurm's ``D-HH:MM:SS`` and ``HH:MM:SS``.

    Raises
    ------
    ValueError : another form
    """
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"(\d+[dhms])+", text):
        return sum(int(number) * LETTERS[unit] for number, unit in re.findall(r"(\d+)([dhms])", text))
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time limit")
    days, *clock = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * clock[0] + clock[1] + clock[2] / 60


def read_partitions(partitions: Mapping[str, Any], where: str) -> list[Partition]:
    """Read the key ``partitions`` of a site's file.

    Raises
    ------
    InputError : a limit that is no number or time
    """
    keys = {"max_runtime": "runtime", "max_mem_mb": "mem_mb", "max_threads": "threads", "max_gpu": "gpus"}
    usable = []
    for name, limits in partitions.items():
        values: dict[str, float] = {}
        for key, attribute in keys.items():
            if key not in (limits or {}):
                continue
            try:
                values[attribute] = read_minutes(limits[key]) if key == "max_runtime" else float(limits[key])
            except (TypeError, ValueError):
                place, expected = f"{where}: partitions.{name}.{key}", "a number, or a time such as 12h"
                raise InputError(
                    place, str(limits[key]), expected, "docs/cluster.md has an example."
                ) from None
        usable.append(Partition(str(name), **values))
    return usable


def fit(request: Request, partitions: Sequence[Partition]) -> Request | None:
    """Clip the time of a request that resumes to what the partitions allow; None if none takes it.

    Of the partitions that take it, those with the longest time limit decide.
    """
    takers = [partition for partition in partitions if not partition.lacks(request)]
    if not takers:
        return None
    return replace(request, runtime=min(request.runtime, max(partition.runtime for partition in takers)))


def choose(request: Request, partitions: Sequence[Partition]) -> str | None:
    """Name the smallest partition that takes a request, with GPUs only where it needs some."""
    takers = [
        partition
        for partition in partitions
        if not partition.lacks(request) and partition.runtime >= request.runtime
    ]
    spare = {p.name: (p.gpus > 0 and not request.gpus, p.runtime, p.mem_mb) for p in takers}
    return min(spare, key=lambda name: spare[name]) if spare else None


def memory_of_try(request: Request, partitions: Sequence[Partition], tries: int) -> int:
    """Return the memory, in MB, that a job asks for at its first, second ... try.

    It grows once and never above the largest partition that takes the job.

    Parameters
    ----------
    request : what the job asks for at first
    partitions : of the cluster
    tries : 1 at first, and one more for each time that the job ran out of memory or, where nobody says why
        jobs fail, for each time that it failed (`neurocine.cluster.Shortages`)
    """
    wanted = request.mem_mb * min(tries, MOST_GROWTH)
    takers = [
        partition
        for partition in partitions
        if not partition.lacks(request) and partition.runtime >= request.runtime
    ]
    largest = max((partition.mem_mb for partition in takers), default=inf)
    return round(max(request.mem_mb, min(wanted, largest)))


def misfit(request: Request, partitions: Sequence[Partition]) -> InputError:
    """Say which partition comes nearest to a request that none takes, what it has, and what to change."""
    without = {p.name: (request.gpus > 0 and not p.gpus, len(p.lacks(request))) for p in partitions}
    nearest = min(partitions, key=lambda partition: without[partition.name])
    lacking = nearest.lacks(request)
    asks = ", ".join(f"{getattr(request, name):g}{UNITS[name]}" for name in lacking)
    has = ", ".join(f"{getattr(nearest, name):g}{UNITS[name]}" for name in lacking)
    keys = " and ".join(CHANGE[name] for name in lacking)
    todo = f"Lower {keys} in the config, or correct partitions in slurm/site.yaml."
    return InputError(
        f"rule {request.rule}",
        f"a request of {asks}",
        f"at most {has}, as partition {nearest.name} has",
        todo,
    )


def on_slurm(words: Sequence[str], profile: str) -> bool:
    """Say whether a command line of Snakemake, or the profile of the environment, submits to Slurm."""
    given = [value for word in words for value in word.split("=", 1)]
    pairs = list(itertools.pairwise(given))
    executors = [value for name, value in pairs if name in ("--executor", "-e")]
    profiles = [value for name, value in pairs if name in ("--profile", "--workflow-profile")] or [profile]
    return executors[-1] == "slurm" if executors else any(p.rstrip("/").endswith("slurm") for p in profiles)
