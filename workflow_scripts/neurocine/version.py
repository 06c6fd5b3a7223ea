"""Which code made a file: the version, in a checkout its commit, and the packages it computed with."""

import contextlib
import functools
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neurocine import __version__

# On which results depend.
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "nilearn", "nibabel", "numpy", "scipy")
CHECKOUT = Path(__file__).parents[2]
CODE = (
    "Snakefile",
    "rules",
    "workflow_scripts",
)  # an edited config is other settings, not other code


def _git(checkout: Path, *words: str) -> str | None:
    """Return what git prints about a checkout; None where it cannot tell."""
    # An installation that a lab shares belongs to somebody else: git says nothing of it unless told to, and
    # it may not be written.
    trusted = ["-c", f"safe.directory={checkout.resolve()}", "--no-optional-locks"]
    command = ["git", *trusted, "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@functools.cache
def code_version(checkout: Path = CHECKOUT) -> str:
    """Name the code: ``0.1.0+g1a2b3c4d5e``, with ``.dirty`` where code was edited since the commit.

    The commit is the last one that changed code: another page of documents makes no other results.

    Outside a checkout, as in a container or an installed package, it is the version alone.
    """
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return __version__
    commit = _git(checkout, "log", "-1", "--abbrev=10", "--format=%h", "--", *CODE)
    if not commit:
        return __version__
    edited = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", *CODE)
    return f"{__version__}+g{commit}" + ("" if edited == "" else ".dirty")


@functools.cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on, as far as they are installed here."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
