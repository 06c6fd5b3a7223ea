"""The package as others install it: what the wheel holds, and that the scorer needs little else."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from metrics.tiny import moving_movie
from neurocine import __version__

ROOT = Path(__file__).parents[1]
HEAVY = {"diffusers", "nilearn", "nibabel", "snakemake", "accelerate", "matplotlib", "scikit-image"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources without a network."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    library = ROOT / "workflow_scripts/neurocine"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(library, source / "workflow_scripts/neurocine", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    run = subprocess.run(
        [*command, "--wheel-dir", str(out), str(source)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (built,) = out.glob("*.whl")
    return built


def needed(requirement: Requirement, seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """Names of all distributions that a requirement brings, with their extras, as installed here."""
    name = requirement.name.lower().replace("_", "-")
    wanted = {"", *requirement.extras}
    fresh = wanted - seen.setdefault(name, set())
    seen[name] |= wanted
    if not fresh:
        return seen
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:  # of other systems, such as CUDA's
        del seen[name]
        return seen
    for line in lines:
        inner = Requirement(line)
        if any(inner.marker is None or inner.marker.evaluate({"extra": extra}) for extra in fresh):
            needed(inner, seen)
    return seen


def wheel_requirements(wheel: Path, extra: str) -> set[str]:
    """Names of the distributions that the wheel brings with one of its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    seen: dict[str, set[str]] = {}
    extras = {"", extra}
    for line in re.findall(r"^Requires-Dist: (.+)$", text, re.MULTILINE):
        inner = Requirement(line)
        if inner.name != "neurocine" and any(
            inner.marker is None or inner.marker.evaluate({"extra": name}) for name in extras
        ):
            needed(inner, seen)
    return set(seen)


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages as ``pip install neurocine[score]`` makes it, with no others."""
    folder = tmp_path_factory.mktemp("light")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for name in wheel_requirements(wheel, "score"):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if not file.parts[0].startswith(("..", "__pycache__"))}:
            source = Path(str(distribution(name).locate_file(top)))
            if source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def run_light(light: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages of a folder alone."""
    # -I and -S: neither this environment's packages nor the checkout.
    start = f"import sys, runpy; sys.path.append({str(light)!r}); sys.argv = sys.argv[1:]; "
    start += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-I", "-S", "-c", start, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_wheel_holds_the_library_with_its_data(wheel: Path) -> None:
    assert wheel.name.startswith(f"neurocine-{__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / "workflow_scripts/neurocine").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.relative_to(ROOT / "workflow_scripts").as_posix() in names, path
    assert {name.partition("/")[0] for name in names} == {"neurocine", f"neurocine-{__version__}.dist-info"}


def test_the_scorer_brings_none_of_the_workflow(wheel: Path) -> None:
    scorer = wheel_requirements(wheel, "score")
    assert {"torch", "transformers", "numpy", "scipy"} <= scorer
    assert not HEAVY & scorer
    everything = wheel_requirements(wheel, "all")
    assert HEAVY - {"snakemake"} <= everything


def test_the_scorer_works_with_what_it_brings_alone(light: Path, tmp_path: Path) -> None:
    clips = moving_movie(8, 0)
    for side, shown in (("predictions", clips[::-1]), ("originals", clips)):
        (tmp_path / side).mkdir()
        for number, clip in enumerate(shown):
            np.save(tmp_path / side / f"test1_{number}.npy", clip)
    words = ["neurocine.score", "predictions", "originals", "--metrics", "ssim_mv", "psnr255", "flow_cos"]
    run = run_light(light, tmp_path, *words, "--out", "scores.tsv")
    assert run.returncode == 0, run.stderr
    lines = (tmp_path / "scores.tsv").read_text().splitlines()
    assert [line.split("\t")[lines[0].split("\t").index("metric")] for line in lines[1:]] == words[4:]
    missing = run_light(light, tmp_path, "diffusers")
    assert missing.returncode != 0
    assert "No module named diffusers" in missing.stderr


def test_the_constraints_are_of_the_packages_that_are_asked_for() -> None:
    """Each in a version that its range allows, for each Python that the package runs on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    lines = re.findall(
        r"^([\w.-]+)==([^ ;]+)(?: ; (.+))?$", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
    for requirement in map(Requirement, asked):
        if requirement.name == "neurocine":
            continue
        pins = [
            (version, marker)
            for name, version, marker in lines
            if name == canonicalize_name(requirement.name)
        ]
        assert pins, requirement
        for version, _ in pins:
            assert version in requirement.specifier, (str(requirement), version)
    pythons = {yaml.safe_load(path.read_text())["dependencies"][0] for path in (ROOT / "envs").glob("*.yaml")}
    (python,) = pythons  # of all environments
    assert python.removeprefix("python=") in SpecifierSet(project["requires-python"])


def test_environment_of_the_workflow_is_what_make_installs() -> None:
    extras = re.findall(r"-e '\.\[([\w,]+)\]'", (ROOT / "Makefile").read_text())
    assert extras == ["workflow", "workflow,test"]  # for the study, then for tests
    pyproject = (ROOT / "pyproject.toml").read_text()
    workflow = pyproject.partition("workflow = [")[2].partition("]\n")[0]
    assert '"neurocine[all]"' in workflow


def test_one_version_is_cited_and_described() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert citation["license"] == "MIT"
    assert {"message", "title", "authors"} <= set(citation)
    for reference in citation["references"]:
        assert reference["doi" if "doi" in reference else "identifiers"]
        assert all({"family-names", "given-names"} <= set(author) for author in reference["authors"])
    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__
    assert json.dumps(__version__) not in (ROOT / "pyproject.toml").read_text()
