"""What Snakemake would do, counted."""

import re
from pathlib import Path

from workflow_copy import snakemake

TOY = ("--configfile", "studies/toy/config.yaml")


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs per rule that a run would do."""
    run = snakemake(folder, *arguments, "-n", "-q", "rules")
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    rows = re.findall(r"^(\w+) +(\d+)$", said, flags=re.MULTILINE)
    return {name: int(count) for name, count in rows if name not in ("all", "total")}
