"""Commands that the documents name are run, without doing their work; files that they name exist."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import stand_in_conda
from neurocine.config import complete_config
from neurocine.datasets.hcp_rest import rest_run
from neurocine.datasets.wen2018 import wen2018_run, wen2018_stimulus
from workflow_copy import copy_workflow, snakemake

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = (
    "Snakefile",
    "rules/",
    "envs/",
    "workflow_scripts/",
    "slurm/",
    "local-gpu/",
    "schemas/",
    "studies/",
    "tests/",
    "docs/",
)


def commands(name: str) -> list[str]:
    """Commands of this name in the documents: lines of their own, and within sentences."""
    found = set()
    for page in PAGES:
        text = page.read_text()
        found |= set(re.findall(rf"^ +({name} .*?)(?: +#.*)?$", text, re.MULTILINE))
        found |= set(re.findall(rf"`({name} [^`]+)`", text))
    return sorted(found)


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout beside all raw data and networks of config.yaml, as far as a dry run looks at them."""
    folder = copy_workflow(tmp_path_factory.mktemp("with_data"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    data, movies = folder / config["data_dir"], config["movies"]
    files = [folder / path / "config.json" for path in config["models"].values()]
    files += [rest_run(folder / config["rest"]["dir"], "100307", run) for run in config["rest"]["runs"]]
    for part in ("train", "test"):
        files += [wen2018_stimulus(data, movie) for movie in movies[part]]
        files += [
            wen2018_run(data, str(subject), movie, repeat + 1)
            for movie in movies[part]
            for subject in config["subjects"]
            for repeat in range(config["repeats"][part])
        ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    # What a person has written after reading docs/first_run.md and docs/data.md.
    (folder / "mine.yaml").write_text("decode: {steps: 25}\n")
    (folder / "mystudy.yaml").write_text("dataset: mystudy\n")
    # Snakemake asks for Apptainer's version even in a dry run.
    apptainer = folder / "programs/apptainer"
    apptainer.parent.mkdir()
    apptainer.write_text("#!/bin/sh\necho apptainer version 1.4.0\n")
    apptainer.chmod(0o755)
    (folder / "neurocine.sif").touch()
    stand_in_conda.install(folder / "conda")
    return folder


# A report cannot be tried without results: test_micro_study.py makes one.
@pytest.mark.parametrize("command", [line for line in commands("snakemake") if "--report" not in line])
def test_snakemake_takes_the_command(with_data: Path, command: str) -> None:
    study = with_data.parent / "study"  # the documents' study in a folder of its own
    study.mkdir(exist_ok=True)
    for name in ("data", "models"):
        if not (study / name).exists():
            (study / name).symlink_to(with_data / name)
    told = command.replace("/lab/neurocine", str(with_data)).replace("/scratch/anna/mystudy", str(study))
    words = shlex.split(told)[1:]
    if not {"--profile", "--cores"} & set(words):
        words += ["--cores", "1"]
    dry = () if "--unlock" in words else ("-n", "-q", "rules")
    run = snakemake(with_data, *words, *dry, programs=(with_data / "programs", with_data / "conda/bin"))
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    # Where nothing but environments is made, no job is counted.
    done = r"^Building DAG" if "--conda-create-envs-only" in words else r"^total +\d+$|Unlocked"
    assert re.search(done, said, re.MULTILINE), said


@pytest.mark.parametrize("command", commands("python"))
def test_python_takes_the_command(command: str, tmp_path: Path) -> None:
    """Modules say their usage from another folder than the checkout; other programs know the options."""
    words = shlex.split(command.partition(" > ")[0])[1:]
    options = [word for word in words if word.startswith("--")]
    if words[0] != "-m":
        text = (ROOT / words[0]).read_text()
        assert all(f'"{option}"' in text for option in options)
    elif words[1].startswith("neurocine"):
        run = subprocess.run(
            [sys.executable, *words[:2], "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert all(option in run.stdout for option in options)
    else:
        assert words[1] in ("pip", "pytest"), words[1]


def test_costs_count_the_jobs_that_the_published_study_has(
    with_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    count = importlib.import_module("cost_model").jobs
    config = complete_config(yaml.safe_load((with_data / "config.yaml").read_text()))
    for target, experiments in (("all", "run_experiments"), ("ablation", "ablation_experiments")):
        run = snakemake(with_data, target, "-n", "-q", "rules")
        planned = dict(re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, flags=re.MULTILINE))
        for rule, number in count(config, config[experiments]).items():
            assert int(planned[rule]) == number, (target, rule)
    assert (int(planned["train_encoder"]), int(planned["train_video_prior"])) == (3 * 8, 4)


@pytest.mark.parametrize("command", commands("make"))
def test_make_takes_the_command(command: str) -> None:
    words = ["make", "--dry-run", *shlex.split(command)[1:]]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_paths_exist(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    ignored = (ROOT / ".gitignore").read_text().split()  # what a person writes for themselves
    for path in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
        if path.startswith(OURS) and path not in ignored:
            assert (ROOT / path).exists(), path


def headings(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE))


def test_pages_that_docstrings_cite_have_the_heading() -> None:
    cited = []
    for path in sorted((ROOT / "workflow_scripts").rglob("*.py")):
        text = re.sub(r"\s+", " ", path.read_text())
        cited += [(path.name, *match) for match in re.findall(r'docs/(\w+)\.md, "([^"]+)"', text)]
        assert not re.search(r"\bspec(/| \d)", text), path  # of pages that are not in the repository
    assert len(cited) >= 7
    for name, page, heading in cited:
        assert heading in headings(ROOT / f"docs/{page}.md"), (name, page, heading)


def test_defaults_on_the_method_page_are_those_of_the_published_study() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\S+) \|", (ROOT / "docs/method.md").read_text(), re.MULTILINE)
    assert len(rows) > 40
    config = complete_config(yaml.safe_load((ROOT / "config.yaml").read_text()))
    for key, default in rows:
        value = config
        for part in key.split("."):
            value = value[part]
        assert value == yaml.safe_load(default), key


def test_config_page_has_a_heading_for_every_section() -> None:
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text())
    sections = set(re.findall(r"^## (\w+)$", (ROOT / "docs/config.md").read_text(), re.MULTILINE))
    assert sections == {key for key, node in schema["properties"].items() if node.get("x-step")}
