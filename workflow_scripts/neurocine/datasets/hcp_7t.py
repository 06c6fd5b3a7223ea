"""HCP 7T movies: four runs of film excerpts with rest between them, the last of each run the same clip.

An excerpt is a movie of a study: a window of a run, in seconds, which are volumes too (TR 1 s). The windows
are those of Mind-Animator. The clip that closes every run is the test movie, seen four times.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurocine.datasets.base import (
    Config,
    DataSet,
    Found,
    Movie,
    Part,
    Recording,
    Run,
    excluded_runs,
    folders_below,
    names_in,
    part_of,
)
from neurocine.errors import InputError, InputErrors

TR = 1.0  # s
LAG = 4  # volumes by which a clip's sample comes after the clip began
REPEATED = "repeated"  # name of the movie that closes every run
RUNS = {
    "MOVIE1": "tfMRI_MOVIE1_7T_AP",
    "MOVIE2": "tfMRI_MOVIE2_7T_PA",
    "MOVIE3": "tfMRI_MOVIE3_7T_PA",
    "MOVIE4": "tfMRI_MOVIE4_7T_AP",
}
#: Run -> (start, end) of its excerpts in seconds of its movie file; the last is the repeated one.
WINDOWS: dict[str, tuple[tuple[int, int], ...]] = {
    "MOVIE1": ((26, 231), (289, 505), (531, 705), (740, 797), (824, 900)),
    "MOVIE2": ((26, 246), (272, 525), (551, 794), (821, 897)),
    "MOVIE3": ((26, 199), (227, 403), (431, 615), (655, 791), (818, 894)),
    "MOVIE4": ((26, 252), (278, 502), (528, 777), (804, 880)),
}
VALIDATION = ("movie3_4", "movie4_3")
# Who was scanned before 22 August 2014 saw other cuts of the four movies than those who came later.
STIMULI = {"pre": "Pre_20140821_version", "post": "Post_20140821_version"}
STIMULUS = re.compile(r"7T_(?P<run>MOVIE[1-4])_(CC|HO)[12](_v2)?\.(mp4|m4v|mov|mkv|avi)")
DENSE = re.compile(
    r"(?P<run>tfMRI_MOVIE[1-4]_7T_(AP|PA))_Atlas(?P<fine>_1\.6mm)?(?P<aligned>_MSMAll)?"
    r"(_hp(?P<highpass>[0-9]+)_clean(?P<recleaned>_rclean_tclean)?)?\.dtseries\.nii(?P<packed>\.gz)?",
    re.ASCII,
)
USUAL = "{run}_Atlas_MSMAll_hp2000_clean.dtseries.nii"

Windows = Mapping[str, list[tuple[int, int]]]


def _quality(match: re.Match[str]) -> tuple[bool, int, bool, bool]:
    """Order the names of one run, best highest: cleaned, aligned by areas, cleaned anew, not compressed."""
    cleaned = int(match["highpass"] or -1)
    return (
        cleaned >= 0,
        bool(match["aligned"]) * 2 + bool(match["recleaned"]),
        cleaned > 0,
        not match["packed"],
    )


def _kind(match: re.Match[str]) -> str:
    """Return what the name says of the processing, which must be the same in all runs of a subject."""
    return match[0].removeprefix(match["run"]).removesuffix(".gz")


class Hcp7T(DataSet):
    """Movie runs of the Human Connectome Project at 7 T, on the 2 mm (91k) grid."""

    layout = "hcp_7t"
    title = "HCP 7T movies (Human Connectome Project, Young Adult)"
    licence = "HCP Data Use Terms"
    doi = "10.1016/j.neuroimage.2013.05.041"
    bibtex = """@article{vanessen2013,
  title = {The {WU-Minn} Human Connectome Project: An overview},
  author = {Van Essen, David C. and Smith, Stephen M. and Barch, Deanna M. and Behrens, Timothy E. J.
    and Yacoub, Essa and Ugurbil, Kamil},
  journal = {NeuroImage}, volume = {80}, pages = {62--79}, year = {2013},
  doi = {10.1016/j.neuroimage.2013.05.041}
}"""

    @classmethod
    def own_keys(cls, config: Config) -> dict[str, Any]:
        """Return movies and repeats: every window but the last of a run trains, that one tests.

        Raises
        ------
        InputErrors : another kind of fMRI, windows that cannot be, or no version of the movies for a subject
        """
        section = config.get("hcp_7t")
        section = section if isinstance(section, Mapping) else {}
        problems = [*_check_kind(config), *_check_windows(section), *_check_versions(config, section)]
        if problems:
            raise InputErrors("The HCP 7T movies cannot be used as the config says", problems)
        windows = _windows(section)
        train = [_name(run, index) for run in windows for index in range(1, len(windows[run]))]
        return {
            "movies": {
                "train": train,
                "validation": list(section.get("validation", [name for name in VALIDATION if name in train])),
                "test": [REPEATED],
            },
            "repeats": {"train": 1, "test": len(windows)},
        }

    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find the four movies and each subject's four runs below ``data_dir``."""
        root, section = Path(config["data_dir"]), config["hcp_7t"]
        windows = _windows(section)
        version = STIMULI[section["stimulus_versions"][config["subjects"][0]]]
        folders = folders_below(root, [version], str.isdigit)
        recordings = Found(
            looked_in=[*(folders or [root / version]), *(root / subject for subject in config["subjects"])],
            todo="Set data_dir in the config to the folder of the HCP subjects and of the movies, and name "
            "in subjects only those you have (docs/data.md).",
        )
        films = {run: _film(folders, run) or root / version / _usual_film(run, version) for run in windows}
        for movie, run, start, length in _movies(windows):
            again = [(str(films[other]), float(windows[other][-1][0])) for other in windows if other != run]
            also = tuple(again) if movie == REPEATED else ()
            recordings.movies[movie] = Movie(movie, length, TR, float(start), also=also)
            recordings.stimuli[movie] = films[run]
        recordings.missing.extend(path for path in films.values() if not path.is_file())
        for subject in config["subjects"] if with_runs else ():
            recordings.runs.extend(_runs_of(root, subject, windows, config))
        there = {run.path: run.path.is_file() for run in recordings.runs if not run.excluded}
        recordings.missing.extend(path for path in there if not there[path])
        return recordings


def _name(run: str, number: int) -> str:
    return f"{run.lower()}_{number}"


def _windows(section: Config) -> Windows:
    """Return the windows of each run as the config has them, runs in order."""
    given = section.get("windows") or WINDOWS
    return {run: [(int(start), int(end)) for start, end in given[run]] for run in RUNS if run in given}


def _movies(windows: Windows) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, run, start and length of each movie; the repeated one as the first run shows it."""
    for run, places in windows.items():
        for number, (start, end) in enumerate(places[:-1], 1):
            yield _name(run, number), run, start, end - start
    first = next(iter(windows))
    start, end = windows[first][-1]
    yield REPEATED, first, start, end - start


def _check_kind(config: Config) -> Iterator[InputError]:
    wanted = {"fmri_from": "runs", "simulate": False, "space": "cifti"}
    for key, value in wanted.items():
        if config.get(key, value) != value:
            todo = f"Leave {key} out, or choose another layout."
            yield InputError(key, str(config[key]), f"{value} with layout {Hcp7T.layout}", todo)


def _check_windows(section: Config) -> Iterator[InputError]:
    where, windows = "hcp_7t.windows", section.get("windows") or WINDOWS
    expected = (
        "runs MOVIE1 to MOVIE4, each with a list of [start, end] in whole seconds, in order, none in another"
    )
    good = isinstance(windows, Mapping) and bool(windows) and set(windows) <= set(RUNS)
    if not good or not all(_ascending(places) for places in windows.values()):
        yield InputError(where, str(windows), expected, "Correct the windows, or leave them out.")
        return
    lengths = {run: places[-1][1] - places[-1][0] for run, places in windows.items()}
    if len(set(lengths.values())) > 1:
        lengths_text = ", ".join(f"{length} s in {run}" for run, length in lengths.items())
        todo = "The last window of every run is the repeated clip: give all the same length."
        yield InputError(where, f"last windows of {lengths_text}", "one length", todo)
    if all(len(places) < 2 for places in windows.values()):
        yield InputError(where, "only the repeated clip", "windows to train on", "Add other windows.")


def _ascending(places: Any) -> bool:
    """Say whether these are windows in whole seconds, one after the other."""
    if not isinstance(places, (list, tuple)) or not places:
        return False
    pairs = [place for place in places if isinstance(place, (list, tuple)) and len(place) == 2]
    seconds = [second for place in pairs for second in place]
    whole = all(type(second) is int and second >= 0 for second in seconds)
    return len(pairs) == len(places) and whole and _no_overlap(pairs)


def _no_overlap(pairs: list[Any]) -> bool:
    """Say whether windows are not empty and each begins where the one before has ended, or later."""
    full = all(start < end for start, end in pairs)
    return full and all(one[1] <= two[0] for one, two in itertools.pairwise(pairs))


def _check_versions(config: Config, section: Config) -> Iterator[InputError]:
    where, given = "hcp_7t.stimulus_versions", section.get("stimulus_versions")
    given = {str(key): value for key, value in given.items()} if isinstance(given, Mapping) else {}
    subjects = [str(subject) for subject in config.get("subjects") or ()]
    expected = "pre (scanned before 22 August 2014) or post, for each subject"
    absent = [subject for subject in subjects if given.get(subject) not in STIMULI]
    if absent:
        todo = (
            "Look the subjects up in the HCP's list of movie versions, and say which they saw (docs/data.md)."
        )
        yield InputError(where, f"nothing of {', '.join(absent)}", expected, todo)
    elif len({given[subject] for subject in subjects}) > 1:
        versions = ", ".join(f"{subject} {given[subject]}" for subject in subjects)
        todo = "Make a study of each version: subjects of one study share their movies."
        yield InputError(where, versions, "one version for all subjects of a study", todo)


def _usual_film(run: str, version: str) -> str:
    part = {"MOVIE1": "CC1", "MOVIE2": "HO1", "MOVIE3": "CC2", "MOVIE4": "HO2"}[run]
    return f"7T_{run}_{part}{'_v2' if version == STIMULI['post'] else ''}.mp4"


def _film(folders: list[Path], run: str) -> Path | None:
    """Return the movie file of a run."""
    for folder in folders:
        for name in names_in(folder):
            match = STIMULUS.fullmatch(name)
            if match and match["run"] == run:
                return folder / name
    return None


def _dense_files(root: Path, subject: str, windows: Windows) -> dict[str, Path]:
    """Return run -> file: of the best processing that all the runs have, else the best of each.

    Raises
    ------
    InputError : a run of which only the 1.6 mm grid is there
    """
    matched: dict[str, dict[str, re.Match[str]]] = {}
    paths: dict[str, Path] = {}
    for key in windows:
        run = RUNS[key]
        folder = root / subject / "MNINonLinear" / "Results" / run
        matches = [
            match for name in names_in(folder) if (match := DENSE.fullmatch(name)) and match["run"] == run
        ]
        fine = [match for match in matches if match["fine"]]
        coarse = sorted((match for match in matches if not match["fine"]), key=_quality)
        if fine and not coarse:
            right = fine[-1][0].replace("_1.6mm", "")
            todo = f"Download {right}, which has the 91k grid; the vertices of the 1.6 mm grid are others."
            raise InputError(folder / fine[-1][0], "the 1.6 mm grid (59k mesh) alone", right, todo)
        matched[key] = {_kind(match): match for match in coarse}
        best = coarse[-1][0] if coarse else USUAL.format(run=run)
        paths[key] = folder / best
    shared = set.intersection(*(set(kinds) for kinds in matched.values()))
    if shared:
        first = next(iter(matched.values()))
        kind = max(shared, key=lambda name: _quality(first[name]))
        paths = {key: paths[key].parent / kinds[kind][0] for key, kinds in matched.items()}
    return paths


def _runs_of(root: Path, subject: str, windows: Windows, config: Config) -> Iterator[Run]:
    """Yield a row per window of a subject's runs."""
    files, excluded = _dense_files(root, subject, windows), excluded_runs(config)
    for movie, run, start, length in _movies(windows):
        shown = list(windows) if movie == REPEATED else [run]
        for repeat, key in enumerate(shown, 1):
            first = windows[key][-1][0] if movie == REPEATED else start
            recording = Recording(movie, repeat, length, TR, first, LAG, header_tr=True)
            part: Part = part_of(movie, config)
            yield Run(subject, part, files[key], recording, (subject, movie, repeat) in excluded)
