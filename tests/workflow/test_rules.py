"""Rules, environments and programs agree; rules are read as text, without Snakemake."""

import ast
import importlib
import itertools
import re
import shlex
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

import stand_in_conda
from neurocine.cli import build_parser

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "envs"))
import pin  # noqa: E402

PROGRAMS = ROOT / "workflow_scripts"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)(?: ; (.*))?$")
TARGETS = {"all", "ablation", "toy_models"}  # rules without a program


def rules() -> dict[str, str]:
    """Text of every rule with a shell command; a rule without a name is called by its program."""
    found = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        lines = path.read_text().splitlines()
        for start, line in enumerate(lines):
            if match := re.fullmatch(r"( *)rule ?(\w*):", line):
                deeper = re.compile(rf"$|{match[1]} +\S")
                body = "\n".join(itertools.takewhile(deeper.match, lines[start + 1 :])) + "\n"
                if match[2] not in TARGETS:
                    found[match[2] or f"for each: {program_of(body)}"] = body
    return found


def program_of(body: str) -> str:
    match = re.search(r"\"\$NEUROCINE/(\w+)\.py\"", body)
    assert match
    return match[1]


def after(word: str, body: str) -> str:
    """What follows ``word:`` in a rule."""
    return body.partition(f"{word}:\n")[2]


RULES = rules()


def test_all_rules_were_found() -> None:
    assert {program_of(body) for body in RULES.values()} == {path.stem for path in PROGRAMS.glob("*.py")}


@pytest.mark.parametrize("name", RULES)
def test_rule_is_complete(name: str) -> None:
    body = RULES[name]
    parts = ("output", "log", "benchmark", "conda", "resources", "params", "shell")
    for part in parts[name == "fetch_models" :]:  # which has no output, so that it looks whenever asked
        assert re.search(rf"^ +{part}:$", body, re.M), f"{name} has no {part}"
    assert "mem_mb=memory(" in body
    assert "runtime=minutes(" in body
    assert "2> >(tee {log:q} >&2)" in body
    assert "retries:" not in body
    if not name.startswith("for each"):
        assert program_of(body) == name


@pytest.mark.parametrize("name", RULES)
def test_every_value_is_quoted_for_the_shell(name: str) -> None:
    """Names come from the config and from folders; none of them may run as code."""
    command = ast.literal_eval(f"({after('shell', RULES[name])})")
    # The launcher is several words, and made of numbers alone (neurocine/train/launch.py).
    unquoted = set(re.findall(r"\{[^{}]*(?<!:q)\}", command)) - {"{resources.launcher}"}
    assert not unquoted


@pytest.mark.parametrize("name", RULES)
def test_rule_gives_its_program_the_arguments_it_takes(name: str) -> None:
    command = ast.literal_eval(f"({after('shell', RULES[name])})")
    given = {word for word in shlex.split(command.partition(" 2> >(")[0]) if word.startswith("--")}
    if "--arguments" in given:  # a file of them: the named inputs, or what rules/inputs/check.smk says
        given -= {"--arguments"}
        written = after("input", RULES[name]).partition("output:")[0]
        names = re.findall(r"^ {8,12}(\w+)=", written, re.MULTILINE)
        if name == "check_data":
            text = (ROOT / "rules/inputs/check.smk").read_text()
            names = re.findall(r'^ {8}"(\w+)":', text, re.MULTILINE)
        given |= {f"--{one.replace('_', '-')}" for one in names}
    given |= {"--atlas", "--labels", "--like"} if name == "select_vertices" else set()
    program = program_of(RULES[name])
    arguments = build_parser(importlib.import_module(program).main, program)._actions
    taken = {flag for argument in arguments for flag in argument.option_strings}
    needed = {argument.option_strings[0] for argument in arguments if argument.required}
    assert given <= taken
    assert needed <= given


def constraints() -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if match := PINNED.match(line):
            pins.setdefault(match[1], set()).add(match[2])
    return pins


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_is_pinned_as_the_constraints_are(path: Path) -> None:
    if path.stem == "lavis":
        pytest.skip("its versions are of 2023; see the next test")
    content = yaml.safe_load(path.read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    pip = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    conda = [entry for entry in content["dependencies"] if isinstance(entry, str)]
    assert all(re.fullmatch(r"[a-z]+=\d+(\.\d+)+", entry) for entry in conda)
    assert any(entry.startswith("python=3.11") for entry in conda)
    pins = constraints()
    for entry in pip:
        match = PINNED.match(entry)
        assert match, entry
        assert match[2] in pins[match[1]], entry


@pytest.mark.parametrize("name", pin.PACKAGES)
def test_environments_are_written_from_the_constraints_with_all_that_their_packages_require(
    name: str,
) -> None:
    written = (ROOT / f"envs/{name}.yaml").read_text()
    assert written == pin.environment(name), "run: python envs/pin.py"
    pip = next(e["pip"] for e in yaml.safe_load(written)["dependencies"] if isinstance(e, dict))
    listed = {canonicalize_name(PINNED.match(entry)[1]) for entry in pip}  # type: ignore[index]
    direct = [entry for entry in pip if entry.partition("==")[0] in pin.PACKAGES[name]]
    required = {canonicalize_name(found.name) for found in stand_in_conda.closure(direct)}
    assert required <= listed, f"missing: {required - listed}"


def test_markers_are_read_for_the_python_of_the_environments() -> None:
    assert (
        pin.marker_for_python("python_full_version < '3.15' and sys_platform == 'linux'")
        == "sys_platform == 'linux'"
    )
    assert pin.marker_for_python("python_full_version >= '3.12'") is None
    assert pin.marker_for_python("python_full_version < '3.12'") == ""


def test_lavis_environment_has_the_versions_that_were_tried() -> None:
    content = yaml.safe_load((ROOT / "envs/lavis.yaml").read_text())
    pip = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
    pins = dict(entry.split("==") for entry in pip)
    assert pins["salesforce-lavis"] == "1.0.2"
    # LAVIS needs transformers below 4.27; opencv and decord of its time were built against numpy 1.
    assert pins["transformers"] == "4.26.1"
    assert pins["numpy"].startswith("1.")
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", entry) for entry in pip)


def imported(path: Path, seen: set[Path]) -> set[str]:
    """Top-level packages that a module imports, with those of the library modules it imports."""
    seen.add(path)
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if not name.startswith("neurocine"):
                packages.add(name.partition(".")[0])
                continue
            base = PROGRAMS / Path(*name.split("."))
            for module in (base.with_suffix(".py"), base / "__init__.py"):
                if module.is_file() and module not in seen:
                    packages |= imported(module, seen)
    # seeds imports torch within one function, which only programs call that import torch anyway.
    return packages - ({"torch"} if path.stem == "seeds" else set())


@pytest.mark.parametrize("name", RULES)
def test_environment_has_what_the_program_imports(name: str) -> None:
    line = after("conda", RULES[name]).splitlines()[0]
    listed = set()
    for environment in re.findall(r"envs/\w+\.yaml", line):
        content = yaml.safe_load((ROOT / environment).read_text())
        pip = next(entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict))
        own = pin.PACKAGES.get(Path(environment).stem)  # what is required by others alone does not count
        listed |= set(own or [entry.split("==")[0] for entry in pip])
    distributions = packages_distributions() | {"lavis": ["salesforce-lavis"]}
    packages = imported(PROGRAMS / f"{program_of(RULES[name])}.py", set()) - set(sys.stdlib_module_names)
    # Others use the module of captions too, but only one asks it to load LAVIS.
    for package in packages - ({"lavis"} if name != "caption_clips" else set()):
        names = {candidate.lower().replace("_", "-") for candidate in distributions[package]}
        assert names & listed, f"{line.strip()} lacks {package}"


def test_captions_of_the_report_exist_and_know_their_wildcards() -> None:
    used = set()
    for path in sorted((ROOT / "rules").glob("*.smk")):
        reports = re.findall(r"report\(\n(.*?)\n +\)[,\n]", path.read_text(), re.DOTALL)
        for body in reports:
            (caption,) = re.findall(r'caption="([^"]+)"', body)
            used.add(path.parent / caption)
            asked = set(re.findall(r"snakemake\.wildcards\.(\w+)", (path.parent / caption).read_text()))
            of_one = re.search(r"of_(experiment|neurocine)\(", body)  # a subject's, under one experiment
            known = {"subject", "experiment"} if of_one else set()
            assert asked <= known, (path.name, caption)
            assert re.search(r'category="(All results|Subject {subject})"', body), body
            assert "labels={" in body
    assert used == set((ROOT / "rules/captions").glob("*.rst"))
