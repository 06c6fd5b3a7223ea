"""A study that is finished for Snakemake: the graph is run with programs that only make their files."""

import re
import textwrap
from pathlib import Path

from workflow_copy import copy_workflow, snakemake

COMMAND = re.compile(r"^( +)shell:\n(?:\1 +[\"'].*\n)+", re.MULTILINE)
MAKE = 'for one in {output:q}; do case "$one" in */browser) mkdir -p "$one";; *) touch "$one";; esac; done'


def copy_without_programs(folder: Path) -> Path:
    """Copy the workflow with rules that make empty files; all else of them is as it is."""
    copy_workflow(folder)
    for path in (folder / "rules").glob("*.smk"):
        command = f"\\1shell:\n\\1    {MAKE!r}\n"
        path.write_text(COMMAND.sub(command.replace("\\\\1", "\\1"), path.read_text()))
    return folder


def write(folder: Path, name: str, text: str) -> str:
    """Write a config of some lines; return its name."""
    (folder / name).write_text(textwrap.dedent(text))
    return name


def finish(folder: Path, *arguments: str) -> None:
    """Run these targets and configs to their end."""
    run = snakemake(folder, *arguments, "--cores", "8", "--quiet", "all")
    assert run.returncode == 0, run.stdout + run.stderr
