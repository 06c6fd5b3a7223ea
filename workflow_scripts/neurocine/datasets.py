"""Where the files of a data set lie: stimulus movies, fMRI runs and rest runs, found by their names.

The Snakefile imports this for every job, so only the standard library is used and folders are listed, never
read. Files are found by pattern, not by order, because seg10 sorts before seg2.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurocine.errors import InputError

SHOWN_FILES = 5  # missing files listed in one message
PACKAGE = "video_fmri_dataset"
# Folder and end of the file names in which the runs of each space lie.
RUN_FILES = {"cifti": ("cifti", "Atlas.dtseries.nii"), "mni": ("mni", "mni.nii.gz")}
MOVIE_KINDS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
ARCHIVE_DEPTH = 3  # levels of folders that unzipping an archive of archives may put around PACKAGE
# Cleaned rest runs of every HCP release: HCP-YA of 2018 and 2025, HCP-A and HCP-D, one run or all in a row.
REST_NAME = re.compile(
    r"(?P<run>rfMRI_REST[0-9]*(_7T)?(_(LR|RL|AP|PA))?)_Atlas(?P<aligned>_MSMAll)?_hp(?P<highpass>[0-9]+)_clean"
    r"(?P<recleaned>_rclean_tclean)?\.dtseries\.nii(?P<packed>\.gz)?",
    re.ASCII,
)
USUAL_REST_FILE = "{run}_Atlas_MSMAll_hp2000_clean.dtseries.nii"
# Names of the files of preprocessed packages, the usual one last; single repeats win over means.
PACKAGE_FILES = {
    "mind_video": ("fmri_{part}_subject{subject}.npy", "preprocessed/fmri_{part}_subject{subject}.npy"),
    "neuroclips": ("subj{subject:0>2}_{part}_fmri.pt",),
    "arrays": ("sub-{subject}/fmri_{part}_rep.npy", "sub-{subject}/fmri_{part}.npy"),
}


@dataclass(frozen=True)
class StudyFiles:
    """The raw files of a study.

    ``stimuli`` movie -> file; ``runs`` (subject, movie) -> repeat -> file; ``missing`` what was expected at
    its usual place and not found.
    """

    stimuli: dict[str, Path] = field(default_factory=dict)
    runs: dict[tuple[str, str], dict[int, Path]] = field(default_factory=dict)
    missing: list[Path] = field(default_factory=list)


def wen2018_stimulus(root: Path, movie: str) -> Path:
    """Return the usual place of a stimulus movie."""
    return Path(root) / PACKAGE / "stimuli" / f"{movie}.mp4"


def wen2018_run(root: Path, subject: str, movie: str, repeat: int, space: str = "cifti") -> Path:
    """Return the usual place of an fMRI run."""
    folder, ending = RUN_FILES[space]
    runs = Path(root) / PACKAGE / f"subject{subject}" / "fmri" / movie / folder
    return runs / f"{movie}_{repeat}_{ending}"


def data_roots(root: Path) -> list[Path]:
    """List the folders in which movies and subjects lie: ``video_fmri_dataset`` wherever unzipping put it.

    The usual place comes first, whether it exists or not, then the root itself, then others by their names.
    """
    root = Path(root)
    found, level = [], [root]
    for _ in range(ARCHIVE_DEPTH + 1):
        found += [folder / PACKAGE for folder in level if (folder / PACKAGE).is_dir()]
        level = [path for folder in level for path in _subfolders(folder) if path.name != PACKAGE]
    return list(dict.fromkeys([root / PACKAGE, root, *found]))


def _subfolders(folder: Path) -> list[Path]:
    """List the folders in a folder, without hidden ones and those of files of a subject."""
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        return [path for path in entries if path.is_dir() and path.name not in ("fmri", "smri")]
    except OSError:
        return []


def wen2018_stimulus_folders(root: Path) -> list[Path]:
    """List where stimulus movies may lie."""
    return [folder / "stimuli" for folder in data_roots(root)]


def wen2018_subject_folders(root: Path, subject: str) -> list[Path]:
    """List where a subject may lie."""
    return [folder / f"subject{subject}" for folder in data_roots(root)]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # no such folder, or one that may not be read
        return []


def find_stimulus(folders: Sequence[Path], movie: str) -> Path | None:
    """Return the first file of the movie in the folders, an mp4 before other kinds."""
    paths = (folder / f"{movie}{kind}" for folder in folders for kind in MOVIE_KINDS)
    return next((path for path in paths if path.is_file()), None)


def find_runs(subject_folder: Path, movie: str, space: str = "cifti") -> dict[int, Path]:
    """Return repeat -> file of one movie of one subject.

    Accepts ``.nii`` and ``.nii.gz`` (plain files win) and a dot for the underscore, as in the published
    ``test1_9.mni.nii.gz``.
    """
    subfolder, ending = RUN_FILES[space]
    folder = subject_folder / "fmri" / movie / subfolder
    pattern = re.compile(rf"{re.escape(movie)}_0*(\d+)[_.]{re.escape(ending.removesuffix('.gz'))}(\.gz)?")
    found: dict[int, Path] = {}
    for name in _names(folder):  # sorted: x.nii comes before x.nii.gz
        match = pattern.fullmatch(name)
        if match:
            found.setdefault(int(match[1]), folder / name)
    return found


def wen2018_study(
    root: Path,
    subjects: Iterable[str],
    repeats: Mapping[str, int],
    excluded: Iterable[tuple[str, str, int]] = (),
    simulated: bool = False,
    space: str = "cifti",
) -> StudyFiles:
    """Find the movies and runs of a study in the layout of Wen 2018 (CC2017).

    Parameters
    ----------
    root : folder of the unpacked archives
    subjects : ``1``, ``2``, ...
    repeats : movie -> number of repeats, numbered from 1
    excluded : (subject, movie, repeat) that may be absent; if present they are still listed
    simulated : the files are made by the workflow: name the usual places without looking
    space : of the fMRI runs, cifti or mni

    Returns
    -------
    StudyFiles, with what was not found in ``missing``
    """
    study = StudyFiles()
    may_lack = set(excluded)
    stimulus_folders = [] if simulated else wen2018_stimulus_folders(root)
    for movie in repeats:
        usual = wen2018_stimulus(root, movie)
        found = usual if simulated else find_stimulus(stimulus_folders, movie)
        study.stimuli[movie] = found or usual
        if found is None:
            study.missing.append(usual)
    for subject in subjects:
        folders = [] if simulated else wen2018_subject_folders(root, subject)
        # An archive may have been unpacked into a folder that is named like the subject itself.
        there = [folder for folder in folders if (folder / "fmri").is_dir()]
        folder = there[0] if there else Path(root) / PACKAGE / f"subject{subject}"
        for movie, count in repeats.items():
            known = {} if simulated else find_runs(folder, movie, space)
            runs = study.runs.setdefault((subject, movie), {})
            for repeat in range(1, count + 1):
                usual = wen2018_run(root, subject, movie, repeat, space)
                if simulated or repeat in known:
                    runs[repeat] = known.get(repeat, usual)
                elif (subject, movie, repeat) not in may_lack:
                    runs[repeat] = usual
                    study.missing.append(usual)
    return study


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
        match for name in _names(folder) if (match := REST_NAME.fullmatch(name)) and match["run"] == run
    ]
    best = max(matches, key=_rest_quality, default=None)
    return folder / best[0] if best else None


def rest_run(root: Path, subject: str, run: str) -> Path:
    """Return the usual place of a rest run of an HCP subject."""
    return Path(root) / subject / "MNINonLinear" / "Results" / run / USUAL_REST_FILE.format(run=run)


def rest_subjects(root: Path, runs: Iterable[str]) -> list[str]:
    """List the HCP subjects (folders named by digits) that have every one of the runs."""
    names = [name for name in _names(Path(root)) if name.isdigit()]
    wanted = list(runs)
    return [name for name in names if all(find_rest(root, name, run) for run in wanted)]


def package_files(root: Path, kind: str, subject: str, vertex_mask: str | None = None) -> dict[str, Path]:
    """Name the files of one subject in a preprocessed package, whether they exist or not.

    Parameters
    ----------
    root : folder of the package
    kind : of PACKAGE_FILES
    subject : ``1``, ``2``, ...
    vertex_mask : file that tells where the subject's columns lie

    Returns
    -------
    train, test : fMRI under the first of its names that exists, else under the usual one
    vertex, roi : where the columns lie and the names of their areas, where there are such files
    """
    found = {}
    for part in ("train", "test"):
        paths = [Path(root) / name.format(part=part, subject=subject) for name in PACKAGE_FILES[kind]]
        found[part] = next((path for path in paths if path.is_file()), paths[-1])
    if vertex_mask is not None:
        found["vertex"] = Path(vertex_mask)
    if kind == "arrays":
        folder = Path(root) / f"sub-{subject}"
        found["vertex"] = folder / "vertex_index.npy"
        if (folder / "roi.npy").is_file():
            found["roi"] = folder / "roi.npy"
    return found


class MissingFiles(InputError):
    """All missing files of a study in one message: how many, the first few, where it looked, what to do."""

    def __init__(self, dataset: str, missing: Sequence[Path], looked_in: Sequence[Path], todo: str) -> None:
        super().__init__(dataset, f"{len(missing)} files missing", "every file of the study", todo)
        more = len(missing) - SHOWN_FILES
        lines = [f"{dataset}: {len(missing)} files are missing, for example"]
        lines += [f"  {path}" for path in missing[:SHOWN_FILES]]
        lines += [f"  ... and {more} more"] if more > 0 else []
        lines += ["Looked in", *(f"  {folder}" for folder in looked_in), todo]
        self.args = ("\n".join(lines),)
