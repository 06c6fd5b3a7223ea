"""CC2017 (Wen 2018): movies and runs as published, found by their names wherever unpacking put them.

Files are found by pattern, not by order, because seg10 sorts before seg2.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from neurocine.datasets.base import (
    Config,
    DataSet,
    Found,
    Movie,
    Recording,
    Run,
    excluded_runs,
    folders_below,
    names_in,
    part_of,
)

PACKAGE = "video_fmri_dataset"
# Folder and end of the file names in which the runs of each space lie.
RUN_FILES = {"cifti": ("cifti", "Atlas.dtseries.nii"), "mni": ("mni", "mni.nii.gz")}
MOVIE_KINDS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")


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
    packages = folders_below(root, [PACKAGE], lambda name: name in ("fmri", "smri"))
    return list(dict.fromkeys([root / PACKAGE, root, *packages]))


def wen2018_stimulus_folders(root: Path) -> list[Path]:
    """List where stimulus movies may lie."""
    return [folder / "stimuli" for folder in data_roots(root)]


def wen2018_subject_folders(root: Path, subject: str) -> list[Path]:
    """List where a subject may lie."""
    return [folder / f"subject{subject}" for folder in data_roots(root)]


def find_stimulus(folders: Sequence[Path], movie: str) -> Path | None:
    """Return the first file of the movie in the folders, an mp4 before other kinds."""
    for folder in folders:
        names = {name.lower(): name for name in names_in(folder)}
        there = (
            folder / names[f"{movie}{kind}".lower()]
            for kind in MOVIE_KINDS
            if f"{movie}{kind}".lower() in names
        )
        path = next((path for path in there if path.is_file()), None)
        if path is not None:
            return path
    return None


def find_runs(subject_folder: Path, movie: str, space: str = "cifti") -> dict[int, Path]:
    """Return repeat -> file of one movie of one subject.

    Accepts ``.nii`` and ``.nii.gz`` (plain files win) and a dot for the underscore, as in the published
    ``test1_9.mni.nii.gz``.
    """
    subfolder, ending = RUN_FILES[space]
    folder = subject_folder / "fmri" / movie / subfolder
    pattern = re.compile(rf"{re.escape(movie)}_0*(\d+)[_.]{re.escape(ending.removesuffix('.gz'))}(\.gz)?")
    by_repeat: dict[int, Path] = {}
    for name in names_in(folder):  # sorted: x.nii comes before x.nii.gz
        match = pattern.fullmatch(name)
        if match:
            by_repeat.setdefault(int(match[1]), folder / name)
    return by_repeat


class Wen2018(DataSet):
    """CC2017: three subjects who watched movies of natural scenes, or a study simulated like it."""

    layout = "wen2018"
    title = "CC2017 (Wen et al. 2018)"
    doi = "10.4231/R7X63K3M"
    bibtex = """@article{wen2018,
  title = {Neural Encoding and Decoding with Deep Learning for Dynamic Natural Vision},
  author = {Wen, Haiguang and Shi, Junxing and Zhang, Yizhen and Lu, Kun-Han and Cao, Jiayue
    and Liu, Zhongming},
  journal = {Cerebral Cortex}, volume = {28}, number = {12}, pages = {4136--4160}, year = {2018},
  doi = {10.1093/cercor/bhx268}
}"""
    published = True
    subjects = ("1", "2", "3")
    train_movies = tuple(f"seg{number}" for number in range(1, 19))
    test_movies = ("test1", "test2", "test3", "test4", "test5")

    def may_have(self, key: Literal["subject", "movie"], name: str) -> bool:
        """Whether it is one of the three subjects, or of the 18 training and five test movies."""
        return name in (self.subjects if key == "subject" else (*self.train_movies, *self.test_movies))

    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find movies and runs below ``data_dir``; simulated ones are made at their usual places."""
        stimuli = config["prepare_stimuli"]
        names = config["movies"]["train"] + config["movies"]["test"]
        movies = {name: Movie(name, stimuli["clips_per_movie"], stimuli["tr"]) for name in names}
        folders = wen2018_stimulus_folders(config["data_dir"])
        recordings = Found(
            movies=movies,
            looked_in=folders + wen2018_subject_folders(config["data_dir"], config["subjects"][0]),
            todo="Set data_dir in the config to the folder of the unpacked archives, name in subjects only "
            "those you have, and list runs that do not exist in exclude_runs (docs/data.md).",
        )
        for name in names:
            usual = wen2018_stimulus(config["data_dir"], name)
            path = usual if config["simulate"] else find_stimulus(folders, name)
            recordings.stimuli[name] = path or usual
            recordings.missing.extend([] if path else [usual])
        for subject in config["subjects"] if with_runs else ():
            self._find_subject(subject, config, recordings)
        return recordings

    def _find_subject(self, subject: str, config: Config, recordings: Found) -> None:
        """Add the runs of a subject to what was found."""
        root, space, simulated = config["data_dir"], config["space"], config["simulate"]
        excluded = excluded_runs(config)
        folders = [] if simulated else wen2018_subject_folders(root, subject)
        # An archive may have been unpacked into a folder that is named like the subject itself, or in parts.
        there = [folder for folder in folders if (folder / "fmri").is_dir()]
        for movie in recordings.movies.values():
            part = part_of(movie.name, config)
            paths: dict[int, Path] = {}
            for folder in reversed(there):
                paths |= find_runs(folder, movie.name, space)
            for repeat in range(1, config["repeats"]["test" if part == "test" else "train"] + 1):
                usual = wen2018_run(root, subject, movie.name, repeat, space)
                left_out = (subject, movie.name, repeat) in excluded
                if not (simulated or repeat in paths):
                    if left_out:
                        continue
                    recordings.missing.append(usual)
                recording = Recording(movie.name, repeat, movie.n_clips, movie.tr)
                recordings.runs.append(Run(subject, part, paths.get(repeat, usual), recording, left_out))
