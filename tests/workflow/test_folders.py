"""One checkout, many studies: each in a folder of its own, as a module, in places that may not be written."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import GithubFile

from neurocine.io import read_arrays
from workflow_copy import ROOT, copy_workflow, snakemake

VERTICES = "results/micro/select_vertices/vertices.safetensors"
RUN_ID = "0e4be1c2-3d4f-4a5b-8c6d-7e8f9a0b1c2d"
HOSTILE = "lab's $(touch ran1) studies"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in a place whose name is not kind to shells; it must stay as it is."""
    return copy_workflow(tmp_path_factory.mktemp("lab") / HOSTILE / "neurocine")


def content(folder: Path) -> dict[str, float]:
    """All files of a folder with their dates, but for those that Python keeps for itself."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run_there(lab: Path, study: Path, *words: str) -> str:
    """Run the checkout's workflow in the folder of a study, from a third folder, and return what it says."""
    study.mkdir(parents=True, exist_ok=True)
    config = lab / "tests/micro/config.yaml"
    where = ("--snakefile", str(lab / "Snakefile"), "--directory", str(study))
    run = snakemake(study.parent, *where, "--cores", "1", *words, "--configfile", str(config))
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_a_study_is_run_in_its_folder_and_leaves_the_checkout_alone(lab: Path, tmp_path: Path) -> None:
    before, study = content(lab), tmp_path / HOSTILE / "my study"
    assert "train_decoder" in run_there(lab, study, "-n", "-q", "rules")
    run_there(lab, study, VERTICES, "-q", "rules")
    _, meta = read_arrays(study / VERTICES)
    assert meta["step"] == "select_vertices"
    assert (study / "logs/micro/select_vertices/select_vertices.log").is_file()
    assert content(lab) == before
    assert not [path for top in (lab.parents[1], tmp_path) for path in top.rglob("ran1")]


def somebody_else() -> list[str]:
    """A command that runs another as a person who may write own files alone: where root tests, as nobody."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv (util-linux) to become somebody else")
    # Reading all is allowed, since Python may be installed in root's home.
    read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *read, "--"]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that others may enter; those that pytest makes are closed."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def installed(shared: Path) -> Iterator[Path]:
    """A checkout of the lab's maintainer, in which nobody may write."""
    checkout = copy_workflow(shared / "installed/neurocine")
    git = ["git", "-C", str(checkout), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["chmod", "-R", "a-w", checkout.parent], check=True)
    yield checkout
    subprocess.run(["chmod", "-R", "u+w", checkout.parent], check=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_lab_shares_an_installation_that_nobody_may_write(
    installed: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through, study = somebody_else(), shared / "study"
    study.mkdir()
    if through:
        os.chown(study, 65534, 65534)
    for name in ("home", "results", "logs"):
        refused = subprocess.run([*through, "touch", installed / name], capture_output=True, check=False)
        assert refused.returncode != 0
    monkeypatch.setenv("HOME", str(study))
    where = ("--snakefile", str(installed / "Snakefile"), "--directory", str(study))
    config = ("--configfile", str(installed / "tests/micro/config.yaml"))
    for words in (("--profile", str(installed / "slurm"), "-n"), (VERTICES, "--cores", "1")):
        run = snakemake(study, *where, *words, *config, through=through)
        assert run.returncode == 0, run.stdout + run.stderr
    # Results name its commit, though it belongs to somebody else.
    version = read_arrays(study / VERTICES)[1]["version"]
    assert re.fullmatch(r"[0-9.]+\+g[0-9a-f]{10}", version), version


def test_a_moved_checkout_reruns_nothing(tmp_path: Path) -> None:
    first, study = copy_workflow(tmp_path / "first"), tmp_path / "study"
    run_there(first, study, VERTICES, "-q", "rules")
    second = first.rename(tmp_path / "second")
    assert "Nothing to be done" in run_there(
        second, study, VERTICES, "-n"
    )  # with all of Snakemake's triggers


def test_the_folder_of_a_study_may_hold_its_config_and_its_site(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("dataset: mine\n")
    site = tmp_path / "slurm/site.yaml"
    site.parent.mkdir()
    site.write_text("partitions: {gpu: {max_runtime: 1440, max_gpu: 1}}\naccount: my_lab\n")
    profile = ("--profile", str(lab / "slurm"))
    micro = yaml.safe_load((lab / "tests/micro/config.yaml").read_text())
    del micro["dataset"]  # as a file of --configfile it would come after that of the folder
    (tmp_path / "rest.yaml").write_text(yaml.safe_dump(micro))
    where = ("--snakefile", str(lab / "Snakefile"), "--directory", str(tmp_path))
    run = snakemake(tmp_path, *where, *profile, "-n", "--configfile", "rest.yaml")
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    assert "results/mine/" in said
    assert "slurm_account=my_lab" in said


def test_names_of_jobs_on_slurm_tell_the_study(lab: Path, tmp_path: Path) -> None:
    """So two studies of one folder run side by side: jobs of the other one stop nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    stand_ins = {
        "sbatch": f'printf "%s\\n" "$@" >> {tmp_path}/asked; echo refused >&2; exit 1',
        "squeue": f"echo '4711|RUNNING|other.{RUN_ID}|rule_score|{tmp_path / 'study'}'",
        "scontrol": "echo 'MinJobAge = 300 sec'",
    }
    for name, does in stand_ins.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "study").mkdir()
    where = ("--snakefile", str(lab / "Snakefile"), "--profile", str(lab / "slurm"))
    config = ("--configfile", str(lab / "tests/micro/config.yaml"))
    target = "data/micro/truth/seg1.tsv"
    run = snakemake(tmp_path / "study", target, *where, "--retries", "0", *config, programs=(programs,))
    assert run.returncode != 0
    assert "4711" not in run.stdout + run.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "rule_simulate_movies" in asked[asked.index("--comment") + 1]
    assert re.fullmatch(r"micro\.[0-9a-f-]{36}", asked[asked.index("--job-name") + 1])


MODULE = """
configfile: "config/config.yaml"


module neurocine:
    snakefile: {snakefile!r}
    config: config


use rule * from neurocine as movie_*


rule mine:
    default_target: True
    input: "results/micro/select_vertices/vertices.tsv"
    output: "mine.tsv"
    shell: "cp {{input:q}} {{output:q}}"
"""


def test_another_workflow_uses_this_one_as_a_module(lab: Path, tmp_path: Path) -> None:
    """As snakedeploy writes it: a Snakefile in workflow/, a config beside it that holds what differs."""
    before = content(lab)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(MODULE.format(snakefile=str(lab / "Snakefile")))
    (tmp_path / "config").mkdir()
    shutil.copy(lab / "tests/micro/config.yaml", tmp_path / "config")
    run = snakemake(tmp_path, "movie_all", "-n", "-q", "rules")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "movie_train_decoder" in run.stdout + run.stderr
    run = snakemake(tmp_path, "--cores", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "mine.tsv").read_text().startswith("vertex\t")
    assert content(lab) == before


def test_rules_that_are_read_from_the_net_are_refused() -> None:
    """As a module by github(...): Snakemake would fetch the rules, and have no programs."""
    folder = GithubFile("lab/neurocine", path="rules", tag="v1")
    with pytest.raises(
        WorkflowError, match=r"is read from the net; expected a checkout.*Clone the repository"
    ):
        exec((ROOT / "rules/folders.smk").read_text(), {"workflow": SimpleNamespace(current_basedir=folder)})


def test_two_checkouts_use_their_own_library_in_one_environment(tmp_path: Path) -> None:
    """The library that is installed here is that of this repository, and knows no such key."""
    other = copy_workflow(tmp_path / "other")
    schema = other / "schemas/config.schema.yaml"
    parts = yaml.safe_load(schema.read_text())
    parts["properties"]["my_key"] = {"type": "integer", "description": "Mine.", "default": 3}
    schema.write_text(yaml.safe_dump(parts, sort_keys=False))
    package = other / "workflow_scripts/neurocine/__init__.py"
    package.write_text(re.sub(r'__version__ = ".*"', '__version__ = "9.9.9"', package.read_text()))
    run = snakemake(
        other, VERTICES, "--cores", "1", "--config", "my_key=4", "--configfile", "tests/micro/config.yaml"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert read_arrays(other / VERTICES)[1]["version"] == "9.9.9"


def test_the_catalogue_of_workflows_is_told_how_this_one_is_run() -> None:
    entry = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    deployments = set(entry["software-stack-deployment"])
    assert {"conda", "apptainer"} <= deployments
    assert not os.path.isabs(str(entry["mandatory-flags"]["flags"]))
