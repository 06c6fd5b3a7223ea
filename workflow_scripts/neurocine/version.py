"""Which code made a file: the package's version and, in a checkout, its commit."""

import functools
import shutil
import subprocess
from pathlib import Path

from neurocine import __version__

CHECKOUT = Path(__file__).parents[2]
CODE = (
    "Snakefile",
    "rules",
    "workflow_scripts",
)  # an edited config is other settings, not other code


def _git(checkout: Path, *words: str) -> str | None:
    """Return what git prints about a checkout; None where it cannot tell."""
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@functools.cache
def code_version(checkout: Path = CHECKOUT) -> str:
    """Name the code: ``0.1.0+g1a2b3c4d5e``, with ``.dirty`` where code was edited since the commit.

    Outside a checkout, as in a container or an installed package, it is the version alone.
    """
    if not (checkout / ".git").exists() or shutil.which("git") is None:
        return __version__
    commit = _git(checkout, "rev-parse", "--short=10", "HEAD")
    if not commit:
        return __version__
    edited = _git(checkout, "status", "--porcelain", "--untracked-files=no", "--", *CODE)
    return f"{__version__}+g{commit}" + ("" if edited == "" else ".dirty")
