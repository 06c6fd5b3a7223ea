"""Algonauts 2021: 1102 videos of about 3 s, and the responses of ten subjects to the first thousand.

The videos have nothing to do with each other and the fMRI is an estimate per presentation, so there is no
time course: no TR, lag or window. Videos in a row, by name, are put together as movies of a study, which
then has some movies of a hundred clips in place of a thousand of one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurocine.datasets.base import Config, DataSet, Found, Movie, folders_below, names_in
from neurocine.errors import InputError, InputErrors

VIDEOS = "AlgonautsVideos268_All_30fpsmax"
FMRI = "participants_data_v2021"
TRACKS = ("mini_track", "", "full_track")  # where a subject's folder lies in FMRI; "" is FMRI itself
AREAS = ("V1", "V2", "V3", "V4", "LOC", "EBA", "FFA", "STS", "PPA")  # of the mini track
SECONDS = 3.0  # of a video
REPEATS = 3
USUAL = {"videos": 1000, "per_movie": 100, "validation_movies": 1, "test_movies": 1}


class Algonauts2021(DataSet):
    """Responses to short videos, as the Algonauts Project of 2021 shares them."""

    layout = "algonauts_2021"
    title = "Algonauts Project 2021 Challenge"
    licence = "terms of the challenge: for research, see algonauts.csail.mit.edu/2021"
    doi = "10.48550/arXiv.2104.13714"
    bibtex = """@article{cichy2021algonauts,
  title = {The Algonauts Project 2021 Challenge: How the Human Brain Makes Sense of a World in Motion},
  author = {Cichy, R. M. and Dwivedi, K. and Lahner, B. and Lascelles, A. and Iamshchinina, P. and
    Graumann, M. and Andonian, A. and Murty, N. A. R. and Kay, K. and Roig, G. and Oliva, A.},
  journal = {arXiv preprint arXiv:2104.13714}, year = {2021},
  doi = {10.48550/arXiv.2104.13714}
}"""

    @classmethod
    def own_keys(cls, config: Config) -> dict[str, Any]:
        """Return movies of videos in a row, the last to validate and to test, and that fMRI has no time.

        Raises
        ------
        InputErrors : numbers of videos that do not go into movies, or keys that fit no such data
        """
        numbers = _numbers(config)
        problems = [*_check_keys(config), *_check_numbers(numbers)]
        if problems:
            raise InputErrors("Algonauts 2021 cannot be used as the config says", problems)
        names = [f"videos{number}" for number in range(1, numbers["videos"] // numbers["per_movie"] + 1)]
        n_train = len(names) - numbers["test_movies"]
        train = names[:n_train]
        return {
            "fmri_from": cls.layout,
            "movies": {
                "train": train,
                "validation": train[n_train - numbers["validation_movies"] :],
                "test": names[n_train:],
            },
            "repeats": {"train": REPEATS, "test": REPEATS},
            "prepare_stimuli": {
                **_section(config, "prepare_stimuli"),
                "tr": SECONDS,
                "clips_per_movie": numbers["per_movie"],
            },
            "train_encoder": {**_section(config, "train_encoder"), "window": 1},
        }

    def find(self, config: Config, with_runs: bool = True) -> Found:
        """Find the videos below ``data_dir``; responses are found by ``package_files``."""
        root, numbers = Path(config["data_dir"]), _numbers(config)
        folder = _first(root, VIDEOS)
        recordings = Found(
            looked_in=[folder],
            todo="Set data_dir in the config to the folder that has videos and fMRI (docs/data.md).",
        )
        names = [name for name in names_in(folder) if name.endswith(".mp4") and not name.startswith(".")]
        if len(names) < numbers["videos"]:
            todo = "Unpack the videos again, or set algonauts_2021.videos to the number of those with fMRI."
            raise InputError(
                folder,
                f"{len(names)} videos (*.mp4)",
                f"at least {numbers['videos']}",
                f"{recordings.todo} {todo}",
            )
        per_movie = numbers["per_movie"]
        for place, movie in enumerate([*config["movies"]["train"], *config["movies"]["test"]]):
            files = tuple(names[place * per_movie : (place + 1) * per_movie])
            recordings.movies[movie] = Movie(movie, per_movie, SECONDS, files=files)
            recordings.stimuli[movie] = folder
        return recordings

    def package_files(self, config: Config, subject: str) -> dict[str, Path]:
        """Name a subject's folder of areas, which holds the responses to train and to test on.

        Raises
        ------
        InputError : an area without a file
        """
        root = _first(Path(config["data_dir"]), FMRI)
        folders = [root / track / f"sub{subject.removeprefix('sub'):0>2}" for track in TRACKS]
        wanted = [f"{area}.pkl" for area in config["algonauts_2021"]["areas"]]
        there = [folder for folder in folders if folder.is_dir()]
        for folder in there:
            if set(wanted) <= set(names_in(folder)):
                return {"train": folder, "test": folder}
        if there:
            absent = [name for name in wanted if name not in names_in(there[0])]
            expected = f"a file of each area: {', '.join(wanted)}"
            todo = (
                "Name the areas that you have in algonauts_2021.areas (WB is the whole brain, in full_track)."
            )
            raise InputError(there[0], f"no {', '.join(absent)}", expected, todo)
        return {"train": folders[0], "test": folders[0]}


def _first(root: Path, name: str) -> Path:
    """Return the folder of this name at or below the root, its usual place where there is none."""
    return next(iter(folders_below(root, [name], lambda _: False)), root / name)


def _section(config: Config, name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}


def _numbers(config: Config) -> dict[str, Any]:
    given = _section(config, Algonauts2021.layout)
    return {key: given.get(key, usual) for key, usual in USUAL.items()}


def _check_keys(config: Config) -> Iterator[InputError]:
    wanted = {"fmri_from": ("runs", Algonauts2021.layout), "simulate": (False,), "space": ("cifti",)}
    for key, values in wanted.items():
        if config.get(key, values[0]) not in values:
            todo = f"Leave {key} out, or choose another layout."
            yield InputError(key, str(config[key]), f"{values[0]} with layout {Algonauts2021.layout}", todo)
    window = _section(config, "train_encoder").get("window", 1)
    if window != 1:
        todo = "Leave it out: neighbouring videos have nothing to do with each other."
        yield InputError("train_encoder.window", str(window), "1 with layout algonauts_2021", todo)


def _check_numbers(numbers: Mapping[str, Any]) -> Iterator[InputError]:
    for key, value in numbers.items():
        if type(value) is not int or value < (0 if key == "validation_movies" else 1):
            yield InputError(f"algonauts_2021.{key}", str(value), "a number", "Correct it.")
            return
    movies, rest = divmod(numbers["videos"], numbers["per_movie"])
    if rest:
        found = f"{numbers['videos']} videos, {numbers['per_movie']} per movie"
        yield InputError("algonauts_2021", found, "movies of equally many videos", "Change one of the two.")
    if movies <= numbers["test_movies"] + numbers["validation_movies"]:
        held_out = f"{numbers['validation_movies']} to validate and {numbers['test_movies']} to test"
        found = f"{movies} movies, {held_out}"
        yield InputError("algonauts_2021", found, "movies to train on", "Make smaller movies (per_movie).")
