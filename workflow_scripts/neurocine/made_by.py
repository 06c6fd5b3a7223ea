"""Which code and packages made the results of a study, and how older ones are brought up to date.

    python -m neurocine.made_by results/cc2017

lists the versions with the files and steps of each. Code and packages are no reason to run anything again, so
after an update old and new results can stand side by side until a person decides.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from neurocine.errors import InputError
from neurocine.io import read_meta
from neurocine.naming import natural
from neurocine.version import code_version, package_versions

ELSEWHERE = ("browser",)  # folders whose files are copies


@dataclass(frozen=True)
class Made:
    """A file, and what it says of its making.

    Attributes
    ----------
    path : of the file
    step : that made it
    version : of the code, see `neurocine.version.code_version`
    packages : name -> version of the packages of its environment; empty in files of earlier versions
    """

    path: Path
    step: str
    version: str
    packages: Mapping[str, str] = field(default_factory=dict)


def _meta(path: Path) -> dict[str, Any]:
    """Read what a file says of itself; of arrays only the header is read."""
    if path.suffix == ".json":
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    with safe_open(path, "np") as handle:
        return read_meta(handle)


def made_files(folder: Path) -> list[Made]:
    """List the files of a study that name the code that made them: arrays, weights and finished trainings.

    Parameters
    ----------
    folder : ``results/<dataset>``, or a part of it; hidden folders and copies are left out, damaged files too
    """
    records = []
    for path in sorted([*folder.rglob("*.safetensors"), *folder.rglob("done.json")]):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part in ELSEWHERE for part in parts):
            continue
        try:
            meta = _meta(path)
        except (OSError, ValueError, SafetensorError):
            continue
        if "version" in meta:
            record = Made(path, str(meta.get("step", "")), str(meta["version"]), meta.get("packages", {}))
            records.append(record)
    return records


def differs(record: Made, version: str, packages: Mapping[str, str]) -> list[str]:
    """Say in what a file's code and packages differ from these: ``code``, or names of packages.

    Packages that only one of the two environments has do not count: steps may have an environment each.
    """
    code = [] if record.version == version else ["code"]
    return code + [name for name, its in record.packages.items() if packages.get(name, its) != its]


@dataclass(frozen=True)
class Version:
    """The files of a study that one version made.

    Attributes
    ----------
    version : of the code
    files : their number
    steps : that made them
    packages : what differs from the packages of now, as ``torch 2.12.0``; empty if nothing does
    current : whether code and packages are those of now
    """

    version: str
    files: int
    steps: Sequence[str]
    packages: Sequence[str]
    current: bool


def group_versions(records: Iterable[Made], version: str, packages: Mapping[str, str]) -> list[Version]:
    """Group files by the version that made them; those of now come first.

    Parameters
    ----------
    records : files of a study
    version, packages : of now
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Made]] = {}
    for one in records:
        others = [
            f"{name} {one.packages[name]}" for name in differs(one, version, packages) if name != "code"
        ]
        groups.setdefault((one.version, tuple(sorted(others))), []).append(one)
    listed = [
        Version(
            code,
            len(files),
            sorted({one.step for one in files}, key=natural),
            others,
            code == version and not others,
        )
        for (code, others), files in groups.items()
    ]
    return sorted(listed, key=lambda group: (not group.current, group.version, group.packages))


def is_mixed(versions: Sequence[Version]) -> bool:
    """Say whether results of more than one version stand side by side."""
    return len(versions) > 1


def rerun(versions: Iterable[Version]) -> str:
    """Return the command that makes again what another version than that of now made; empty if nothing is.

    What follows these steps is made again by itself.
    """
    steps = sorted({step for group in versions if not group.current for step in group.steps if step})
    return f"snakemake --profile slurm -R {' '.join(steps)}" if steps else ""


def describe(versions: Sequence[Version]) -> str:
    """Write the versions as text, with the command that brings results up to date."""
    lines = []
    for group in versions:
        others = f", with {', '.join(group.packages)}" if group.packages else ""
        now = " (now)" if group.current else ""
        lines.append(f"{group.version}{now}{others}: {group.files} files of {', '.join(group.steps)}")
    command = rerun(versions)
    return "\n".join([*lines, *([f"Up to date by (look first, with -n):  {command}"] if command else [])])


def main() -> None:
    """Print which versions made the results of a study."""
    parser = argparse.ArgumentParser(
        prog="python -m neurocine.made_by", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="results/<dataset>, or a part of it")
    folder = parser.parse_args().folder
    records = made_files(folder)
    if not records:
        problem = InputError(folder, "no results", "files that the workflow made", "Name results/<dataset>.")
        parser.exit(2, f"ERROR {problem}\n")
    print(describe(group_versions(records, code_version(), package_versions())))


if __name__ == "__main__":
    main()
