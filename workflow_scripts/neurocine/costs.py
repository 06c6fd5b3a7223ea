"""What a run cost and asked for, summed from Snakemake's benchmark files: one per job, named like its log."""

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from neurocine.version import code_version, package_versions


@dataclasses.dataclass(frozen=True)
class Asked:
    """What each job of a stage asks for at its first attempt."""

    gpus: int = 0
    memory_gb: float = 0.0


@dataclasses.dataclass
class Cost:
    """What one stage cost for one subject; ``all`` where subjects share the work."""

    stage: str
    subject: str
    jobs: int = 0
    hours: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    max_memory_gb: float = 0.0
    asked_memory_gb: float = 0.0


COLUMNS = tuple(field.name for field in dataclasses.fields(Cost))


def number(text: str | None) -> float:
    """Read a number of a benchmark file; jobs too short to be measured have ``-`` or ``NA``."""
    try:
        value = float(text or "nan")
    except ValueError:
        return 0.0
    return value if value == value else 0.0


def sum_costs(benchmarks: Path, asked: Mapping[str, Asked]) -> list[Cost]:
    """Sum time and memory per stage and subject.

    Parameters
    ----------
    benchmarks : folder of one study, ``{stage}/{job}.tsv``; a job of a subject is named ``sub-{subject}...``
    asked : what a job of each stage asks for; stages that are not named ask for nothing

    Returns
    -------
    Costs sorted by stage and subject. Hours are those of the newest attempt of each job.
    """
    costs: dict[tuple[str, str], Cost] = {}
    for path in sorted(benchmarks.glob("*/*.tsv")):
        stage = path.parent.name
        match = re.match(r"sub-([^_]+)", path.stem)
        subject = match[1] if match else "all"
        wish = asked.get(stage, Asked())
        cost = costs.setdefault((stage, subject), Cost(stage, subject, asked_memory_gb=wish.memory_gb))
        with open(path, newline="") as handle:
            for line in csv.DictReader(handle, delimiter="\t"):
                hours = number(line.get("s")) / 3600
                cost.jobs += 1
                cost.hours += hours
                cost.cpu_hours += number(line.get("cpu_time")) / 3600
                cost.gpu_hours += hours * wish.gpus
                cost.max_memory_gb = max(cost.max_memory_gb, number(line.get("max_rss")) / 1000)
    return [costs[key] for key in sorted(costs)]


def write_costs(benchmarks: Path, asked: Mapping[str, Asked], out: Path) -> str:
    """Write the table of costs, and of the code and packages, and return a line that sums it up."""
    from neurocine.io import replacing  # slow to import, and every job of a cluster reads this module

    costs = sum_costs(benchmarks, asked)
    packages = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    with replacing(out) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow([*COLUMNS, "version", "packages"])
        for cost in costs:
            values = dataclasses.astuple(cost)
            cells = [f"{value:.4f}" if isinstance(value, float) else value for value in values]
            writer.writerow([*cells, code_version(), packages])
    return (
        f"All steps so far: {sum(cost.jobs for cost in costs)} jobs, "
        f"{sum(cost.hours for cost in costs):.1f} hours, "
        f"{sum(cost.gpu_hours for cost in costs):.1f} GPU hours ({out})"
    )
