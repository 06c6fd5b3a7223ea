"""A copy of the workflow in a folder of its own, and a way to run it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tiny_models import write_tiny_models

ROOT = Path(__file__).parents[1]
PARTS = (
    "Snakefile",
    "config.yaml",
    "rules",
    "schemas",
    "envs",
    "profiles",
    "slurm",
    "local-gpu",
    "workflow_scripts",
)
STUDIES = (
    "studies/cards",
    "studies/toy/config.yaml",
    "studies/toy/first.yaml",
    "studies/toy/animator.yaml",
    "studies/toy/animator_rows.yaml",
    "studies/toy/turned.yaml",
    "studies/cc2017_animator/config.yaml",
    "tests/micro/config.yaml",
    "tests/micro/animator.yaml",
)


def copy_workflow(folder: Path) -> Path:
    """Copy what a run needs, so that results, logs and Snakemake's own files stay out of the repository."""
    for part in (*PARTS, *STUDIES):
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    # Models by which the toy study's graph can be made; the micro study loads them.
    write_tiny_models(folder / "models")
    (folder / "models/video_prior").symlink_to(ROOT / "studies/toy/models/video_prior")
    (folder / "studies/toy/models").symlink_to(folder / "models")
    return folder


# Keys of the micro study that are those of its raw files, which are others elsewhere.
RAW = ("dataset", "data_dir", "subjects", "movies", "repeats", "exclude_runs", "rest", "simulate")


def small_networks() -> dict[str, Any]:
    """Return what the micro study says of its trainings, for studies with other raw files."""
    micro = yaml.safe_load((ROOT / "tests/micro/config.yaml").read_text())
    kept = {key: value for key, value in micro.items() if key not in RAW}
    kept = {key: value for key, value in kept.items() if not key.startswith("simulate")}
    kept.pop("preprocess_run")
    kept["prepare_stimuli"] = {"height": 32, "width": 32}
    return kept


def workflow_environment(*programs: Path) -> dict[str, str]:
    """Variables for a run: this Python; which library is installed in it does not matter.

    Parameters
    ----------
    programs : folders whose programs come before all others
    """
    path = os.pathsep.join([*map(str, programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path}


def snakemake(
    folder: Path, *arguments: str, programs: tuple[Path, ...] = (), through: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a folder, with the programs' ``python`` being this one.

    Parameters
    ----------
    programs : folders whose programs come before all others
    through : a command that runs the one behind it, such as setpriv
    """
    command = [*through, str(Path(sys.executable).parent / "snakemake"), *arguments]
    environment = workflow_environment(*programs)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
