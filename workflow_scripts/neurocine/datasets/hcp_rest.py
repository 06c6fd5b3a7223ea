"""Rest runs of the Human Connectome Project, found by the names of every release."""

import re
from pathlib import Path

from neurocine.datasets.base import names_in

# Cleaned rest runs of every HCP release: HCP-YA of 2018 and 2025, HCP-A and HCP-D, one run or all in a row.
REST_NAME = re.compile(
    r"(?P<run>rfMRI_REST[0-9]*[ab]?(_7T)?(_(LR|RL|AP|PA))?)_Atlas(?P<aligned>_MSMAll)?_hp(?P<highpass>[0-9]+)_clean"
    r"(?P<recleaned>_rclean_tclean)?\.dtseries\.nii(?P<packed>\.gz)?",
    re.ASCII,
)
# HCP-YA names subjects by digits; HCP-A and HCP-D have letters and the visit too.
SUBJECT = re.compile(r"[0-9]+|HC[AD][0-9]+_V[0-9]_MR", re.ASCII)
USUAL_REST_FILE = "{run}_Atlas_MSMAll_hp2000_clean.dtseries.nii"


def _rest_quality(match: re.Match[str]) -> tuple[bool, bool, int, bool]:
    """Order the names of one run, best highest.

    Aligned by areas (MSMAll) before folding alone, cleaned as in the release of 2025 before the older way,
    the filter at 2000 s before a mere removal of the mean, plain files before compressed ones.
    """
    return bool(match["aligned"]), bool(match["recleaned"]), int(match["highpass"]), not match["packed"]


def find_rest(root: Path, subject: str, run: str) -> Path | None:
    """Return a rest run of an HCP subject under any name of its releases, the best one there is."""
    folder = Path(root) / subject / "MNINonLinear" / "Results" / run
    matches = [
        match for name in names_in(folder) if (match := REST_NAME.fullmatch(name)) and match["run"] == run
    ]
    best = max(matches, key=_rest_quality, default=None)
    return folder / best[0] if best else None


def rest_run(root: Path, subject: str, run: str) -> Path:
    """Return the usual place of a rest run of an HCP subject."""
    return Path(root) / subject / "MNINonLinear" / "Results" / run / USUAL_REST_FILE.format(run=run)


def rest_subjects(root: Path) -> list[str]:
    """List the folders of HCP subjects, of any release; not all of them need have every run."""
    return [name for name in names_in(Path(root)) if SUBJECT.fullmatch(name)]
