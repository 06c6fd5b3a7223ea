"""The recipe of the container agrees with what is installed elsewhere; building it takes Docker."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their values."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def test_container_installs_the_workflow_by_the_constraints() -> None:
    recipe = instructions()
    assert {name for name, _ in recipe} == INSTRUCTIONS
    (install,) = (value for name, value in recipe if name == "RUN" and "pip install" in value)
    assert "-c constraints.txt" in install
    assert "'.[workflow]'" in install
    copied = [word for name, value in recipe if name == "COPY" for word in value.split()[:-1]]
    for path in copied:
        assert (ROOT / path).exists(), path
    assert "https://" not in " ".join(value for _, value in recipe)


def test_container_has_the_python_of_the_environments() -> None:
    environment = yaml.safe_load((ROOT / "envs/training.yaml").read_text())
    (version,) = (entry.partition("=")[2] for entry in environment["dependencies"] if "python=" in str(entry))
    base = dict(instructions())["FROM"]
    assert base.startswith(f"python:{version}-slim")


def test_container_leaves_data_and_results_outside() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    made = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split() if line.startswith("/")}
    assert made <= ignored
    image = re.search(
        r'^container: of_checkout\("([\w.]+)"\)$', (ROOT / "Snakefile").read_text(), re.MULTILINE
    )
    assert image
    assert f"apptainer build {image[1]} " in (ROOT / "docs/cluster.md").read_text()
