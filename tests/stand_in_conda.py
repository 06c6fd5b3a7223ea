"""A stand-in for conda that makes environments of links to what is installed here.

Snakemake calls it as it would call conda. An environment gets this Python and, in exactly the versions of its
``pip:`` part, the packages listed there with what they require. A program that imports anything else fails.
"""

import importlib.metadata
import json
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def install(folder: Path) -> Path:
    """Make ``conda`` and ``activate`` in a folder; return the folder to put on the path."""
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    conda = binaries / "conda"
    words = [sys.executable, __file__, str(folder)]
    conda.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    conda.chmod(0o755)
    (binaries / "activate").write_text(ACTIVATE)
    return binaries


def closure(pins: list[str]) -> list[importlib.metadata.Distribution]:
    """The installed packages of these pins (``name==version``) and all that they require."""
    found: dict[str, importlib.metadata.Distribution] = {}
    listed = [Requirement(pin) for pin in pins]
    todo = list(listed)
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if wanted in listed:  # of another system, or of a PyTorch with CUDA
                continue
            raise
        if not wanted.specifier.contains(distribution.version, prereleases=True):
            sys.exit(f"asked for {wanted}, installed here is {distribution.version}")
        if name not in found:
            found[name] = distribution
            for line in distribution.requires or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    todo.append(needed)
    return list(found.values())


def create(file: Path, prefix: Path) -> None:
    """Make the environment of a file."""
    parts = yaml.safe_load(file.read_text())["dependencies"]
    pins = next(part["pip"] for part in parts if isinstance(part, dict))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(prefix)], check=True)
    (packages,) = prefix.glob("lib/python*/site-packages")
    for distribution in closure(pins):
        for top in {path.parts[0] for path in distribution.files or [] if path.parts[0] != ".."}:
            source, link = Path(str(distribution.locate_file(top))), packages / top
            if not top.endswith(".pth") and top != "__pycache__" and source.exists() and not link.exists():
                link.symlink_to(source)


def main(base: str, *words: str) -> None:
    """Answer as conda does."""
    if words == ("--version",):
        print("conda 24.11.3")
    elif words == ("info", "--json"):
        print(json.dumps({"conda_prefix": base, "platform": "linux-64"}))
    elif words[:2] == ("config", "--get"):
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:2] == ("env", "create"):
        create(Path(words[words.index("--file") + 1]), Path(words[words.index("--prefix") + 1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
