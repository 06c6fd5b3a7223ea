"""A study as its config describes it: its raw files, how jobs share them, and the trainings behind its rows.

Rules ask this for every job, so folders are listed at most and nothing heavy is imported.
"""

import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurocine.datasets import data_set
from neurocine.datasets.base import DataSet, Found, MissingFiles, Movie, Run
from neurocine.datasets.hcp_rest import find_rest, rest_run, rest_subjects
from neurocine.errors import InputError
from neurocine.first_run import FirstRun, batches, write_json
from neurocine.methods import Method, Training, method_of
from neurocine.methods.base import of_seed
from neurocine.models.catalogue import MissingModels, model_files, used_models

Config = Mapping[str, Any]


class ManyMissing(InputError):
    """What several searches did not find, one message after the other."""

    def __init__(self, problems: Sequence[InputError]) -> None:
        first = problems[0]
        super().__init__(first.where, first.found, first.expected, first.todo)
        self.args = ("\n\n".join(map(str, problems)),)


def find_recordings(config: Config) -> Found:
    """Find movies and runs.

    Raises
    ------
    MissingFiles : any that is not there
    """
    found = data_set(config).find(config, with_runs=config["fmri_from"] == "runs")
    if found.missing:
        todo = f"{found.todo}\nTo try the workflow without data: make demo"
        raise MissingFiles(config["dataset"], found.missing, found.looked_in, todo)
    return found


def find_packages(config: Config) -> dict[str, dict[str, Path]]:
    """Map each subject to the files of its preprocessed package; empty where runs are read.

    Raises
    ------
    MissingFiles : any that is not there
    """
    if config["fmri_from"] == "runs":
        return {}
    package = config["package"]
    data = data_set(config)
    files = {subject: data.package_files(config, subject) for subject in config["subjects"]}
    missing = [path for paths in files.values() for path in paths.values() if not path.exists()]
    if missing:
        todo = (
            "Set package.dir and package.vertex_masks in the config, name in subjects only those of the "
            "package, or set fmri_from: runs (docs/data.md)."
        )
        raise MissingFiles(f"package {config['fmri_from']}", missing, [Path(package["dir"])], todo)
    return files


def find_rest_runs(config: Config, first: FirstRun | None = None) -> dict[str, list[str]]:
    """Map each rest subject to its files, sorted; empty where the encoder is not pretrained on rest.

    Each folder is listed once. Where all subjects are used, they are those of the first run.

    Raises
    ------
    MissingFiles : any that is not there
    """
    if config["pretrain_on"] != "rest":
        return {}
    rest = config["rest"]
    every, excluded = rest["subjects"] == "all", set(map(str, rest["exclude"]))
    known = first.rest_subjects.get("+".join(rest["runs"])) if first is not None and every else None
    search = every and known is None
    names = rest_subjects(rest["dir"]) if search else known or rest["subjects"]
    found: dict[str, list[str]] = {}
    missing = []
    for name in sorted(name for name in map(str, names) if name not in excluded):
        usual = [rest_run(rest["dir"], name, run) for run in rest["runs"]]
        paths = usual if config["simulate"] else [find_rest(rest["dir"], name, run) for run in rest["runs"]]
        if not search or all(paths):
            found[name] = [str(path or place) for path, place in zip(paths, usual, strict=True)]
            missing += [place for path, place in zip(paths, usual, strict=True) if not path]
    if missing or (search and not found):
        usual = [rest_run(rest["dir"], "<subject>", rest["runs"][0])]
        todo = (
            "Set rest.dir in the config to the folder of HCP subjects; without access to HCP set "
            "pretrain_on: training_fmri (docs/data.md)."
        )
        raise MissingFiles("rest runs", missing or usual, [Path(rest["dir"])], todo)
    return found


def kept_rest_runs(config: Config, kept: Path) -> dict[str, list[str]] | None:
    """Read what `keep_rest_runs` wrote, where it was found by the same config; None where it was not."""
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(content, dict) and content.get("rest") == json.loads(json.dumps(config["rest"]))
    return dict(content["files"]) if same else None


def keep_rest_runs(config: Config, rest: Mapping[str, list[str]], kept: Path) -> None:
    """Write which rest runs were found, so that the jobs of a run need not search for them again."""
    write_json(kept, {"rest": config["rest"], "files": dict(rest)})


def refuse_overlap_of_prior(files: Iterable[str], test_movies: Collection[str]) -> None:
    """Refuse a video prior that an earlier study trained on movies that this one decodes.

    Parameters
    ----------
    files : of ``models.video_prior``; none where it is not given
    test_movies : ``movies.test``

    Raises
    ------
    InputError : one of them is among the movies that its weights were computed from
    """
    weights = [Path(path) for path in files if path.endswith(".safetensors")]
    if weights:
        from neurocine.provenance import refuse_overlap

        for path in weights:
            refuse_overlap(path, test_movies)


def find_models(config: Config) -> dict[str, list[str]]:
    """Map each network to its files; the toy networks are made by the workflow and need not exist yet.

    Raises
    ------
    MissingModels : any that is not there
    InputError : the video prior was trained on a test movie
    """
    folders = used_models(config["models"], config["caption_clips"]["backend"])
    files = {name: model_files(folder) for name, folder in folders.items()}
    missing = [(name, folders[name]) for name, paths in files.items() if not paths]
    encoder = Path(config["models"]["fmri_encoder"])
    if config["pretrain_on"] == "published" and not encoder.is_file():
        missing.append(("fmri_encoder", encoder))
    if missing and not config["simulate"]:
        raise MissingModels(missing)
    refuse_overlap_of_prior(files.get("video_prior", []), config["movies"]["test"])
    return {name: paths or [str(folders[name] / "config.json")] for name, paths in files.items()}


@dataclass(frozen=True)
class Study:
    """The raw files of a study and what its jobs take of them.

    Attributes
    ----------
    config : complete
    found : movies and runs
    packages, rest, models : files by subject, by rest subject, by network
    first : what earlier runs decided
    """

    config: Config
    found: Found
    packages: Mapping[str, Mapping[str, Path]]
    rest: Mapping[str, list[str]]
    models: Mapping[str, list[str]]
    first: FirstRun = field(default_factory=FirstRun)

    @classmethod
    def find(
        cls,
        config: Config,
        wanted: Collection[str],
        first: FirstRun | None = None,
        rest: Mapping[str, list[str]] | None = None,
    ) -> "Study":
        """Find all raw files.

        Parameters
        ----------
        config : complete
        wanted : of ``recordings``, ``rest`` and ``models``: what must be there; what is left out stays empty
        first : what earlier runs decided
        rest : files by rest subject where they were found before

        Raises
        ------
        ManyMissing : all that is not there, in one message
        """
        problems: list[InputError] = []

        def look(kind: str, search: Callable[[Config], Any], empty: Callable[[], Any]) -> Any:
            if kind not in wanted:
                return empty()
            try:
                return search(config)
            except InputError as error:
                problems.append(error)
                return empty()

        folders = used_models(config["models"], config["caption_clips"]["backend"])
        study = cls(
            config,
            look("recordings", find_recordings, lambda: data_set(config).find(config, with_runs=False)),
            look("recordings", find_packages, dict),
            look("rest", lambda config: find_rest_runs(config, first) if rest is None else dict(rest), dict),
            look(
                "models",
                find_models,
                lambda: {name: [str(path / "config.json")] for name, path in folders.items()},
            ),
            first or FirstRun(),
        )
        if problems:
            raise ManyMissing(problems)
        return study

    @functools.cached_property
    def data(self) -> DataSet:
        """Return the data set that the recordings belong to."""
        return data_set(self.config)

    @functools.cached_property
    def train_batches(self) -> dict[str, list[str]]:
        """Return the batches of training movies."""
        return self._batches("train")

    @functools.cached_property
    def test_batches(self) -> dict[str, list[str]]:
        """Return the batches of test movies."""
        return self._batches("test")

    def _batches(self, part: str) -> dict[str, list[str]]:
        movies = self.config["movies"]
        taken = movies["train"] + movies["test"]
        return batches(movies[part], self.config["movies_per_job"], taken, self.first.batches)

    @functools.cached_property
    def rest_batches(self) -> dict[str, list[str]]:
        """Return the batches of rest subjects."""
        size = self.config["rest"]["subjects_per_job"]
        return batches(list(self.rest), size, (), self.first.rest_batches)

    def decided(self, planned: Collection[str]) -> FirstRun:
        """Return what a run decides, with what earlier ones did.

        Parameters
        ----------
        planned : wildcards of its jobs; of batches that none of them works on nothing is decided
        """
        movies = self.batches if "batch" in planned else {}
        rest = self.rest_batches if "rest_batch" in planned else {}
        decided = self.first.with_batches(movies, rest)
        if rest and self.config["rest"]["subjects"] == "all":
            runs, excluded = self.config["rest"]["runs"], map(str, self.config["rest"]["exclude"])
            before = self.first.rest_subjects.get("+".join(runs), ())
            decided = decided.with_rest_subjects(runs, sorted({*before, *self.rest, *excluded}))
        return decided

    @property
    def batches(self) -> dict[str, list[str]]:
        """Return all batches."""
        return self.train_batches | self.test_batches

    def videos(self, movies: Iterable[str]) -> list[str]:
        """List the files of movies."""
        return [str(self.found.stimuli[movie]) for movie in movies]

    def movies(self, movies: Iterable[str]) -> list[str]:
        """Describe movies for programs, in the order of ``videos``."""
        return [self.found.movies[movie].text() for movie in movies]

    def listed_movies(self) -> list[str]:
        """Describe the movies of lists of captions; one that the study leaves out is of the usual length."""
        usual = self.config["prepare_stimuli"]
        names = [name for one in self.config["caption_clips"]["lists"] for name in one["movies"]]
        others = {name: Movie(name, usual["clips_per_movie"], usual["tr"]) for name in names}
        return [{**others, **self.found.movies}[name].text() for name in names]

    @functools.cached_property
    def _runs_of(self) -> dict[tuple[str, str], list[Run]]:
        runs: dict[tuple[str, str], list[Run]] = {}
        for run in self.found.runs:
            runs.setdefault((run.subject, run.recording.movie), []).append(run)
        return runs

    def rows(self, subject: str, movies: Iterable[str]) -> list[Run]:
        """List a subject's recordings of movies, without those that the config excludes."""
        rows = [run for movie in movies for run in self._runs_of.get((subject, movie), [])]
        return [run for run in rows if not run.excluded]

    def runs(self, subject: str, movies: Iterable[str]) -> list[str]:
        """List the files of a subject's recordings of movies."""
        return [str(run.path) for run in self.rows(subject, movies)]

    def recordings(self, subject: str, movies: Iterable[str]) -> list[str]:
        """Describe a subject's recordings of movies for programs, in the order of ``runs``."""
        return [run.recording.text() for run in self.rows(subject, movies)]

    def confounds(self, subject: str, movies: Iterable[str]) -> list[str]:
        """List the tables of confounds of a subject's recordings, where columns of them are removed."""
        rows = self.rows(subject, movies) if self.confound_columns else []
        return [run.recording.confounds for run in rows if run.recording.confounds]

    @property
    def confound_columns(self) -> list[str]:
        """Return the columns of confounds that are removed from runs."""
        return list(self.config["sheet"]["confounds"])

    def excluded(self, subject: str, movies: Collection[str]) -> list[str]:
        """List ``movie:repeat`` of a subject's runs that are left out."""
        runs = self.config["exclude_runs"]
        return [
            f"{run['movie']}:{run['repeat']}"
            for run in runs
            if run["subject"] == subject and run["movie"] in movies
        ]

    def package_layout(self, part: str = "test") -> str:
        """Describe what packages must hold by the config, as JSON; for ``train`` without test movies."""
        config = self.config
        tested = part == "test"
        layout = {
            "kind": config["fmri_from"],
            "train_movies": config["movies"]["train"],
            "test_movies": config["movies"]["test"] if tested else [],
            "train_repeats": config["repeats"]["train"],
            "test_repeats": config["repeats"]["test"] if tested else 1,
            "clips_per_movie": config["prepare_stimuli"]["clips_per_movie"],
        }
        if config["fmri_from"] == "algonauts_2021":
            layout["areas"] = config["algonauts_2021"]["areas"]
        return json.dumps(layout)

    def facts(self) -> str:
        """Describe, as JSON, what decides whether published values may be compared with this study's."""
        config = self.config
        facts = {
            "dataset": config["dataset"],
            "published": self.data.published and not config["simulate"],
            "test_movies": config["movies"]["test"],
            "height": config["prepare_stimuli"]["height"],
            "width": config["prepare_stimuli"]["width"],
            "frames_per_tr": config["prepare_stimuli"]["frames_per_tr"],
            "every": config["decode"]["every"],
            "test_repeats": config["assemble_test"]["repeats"],
        }
        return json.dumps(facts)


def repeated_rows(config: Config, experiments: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Map experiments to their settings, and after each the same trained again with each of ``train_seeds``.

    A repeated one is an experiment of its own, with the key ``train_seed`` and a name that tells it. What is
    solved and not trained is not repeated.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name in experiments:
        found[name] = row = config["experiments"][name]
        for seed in config["train_seeds"]:
            again = {**row, "train_seed": seed}
            if any(training.seed is not None for training in method_of(row).trainings(again, config)):
                found[of_seed(name, again)] = again
    return found


def row_of(config: Config, experiment: str, method: str) -> Mapping[str, Any]:
    """Return the settings of an experiment.

    Raises
    ------
    InputError : it is of another method than the path says that asks for it
    """
    rows = config["experiments"]
    row: Mapping[str, Any] = (rows if experiment in rows else repeated_rows(config, rows))[experiment]
    own = method_of(row).name
    if own != method:
        found = f"experiment {experiment} is of method {own}"
        todo = f"Ask for a file in {own}/{experiment}/, or add an experiment of {method}."
        raise InputError(f"{method}/{experiment}", found, "a path of its own method", todo)
    return row


def trainings(config: Config, method: Method, step: str) -> dict[str, Training]:
    """Return key -> training, of the trainings of one step that experiments of a method ask for."""
    every = repeated_rows(config, config["experiments"]).values()
    rows = [row for row in every if method_of(row).name == method.name]
    found = [training for row in rows for training in method.trainings(row, config)]
    return {training.key: training for training in found if training.step == step}


def trainings_behind(config: Config, experiments: Iterable[str]) -> list[Training]:
    """List all trainings behind experiments; the same one may occur more than once."""
    rows = [config["experiments"][name] for name in experiments]
    return [training for row in rows for training in method_of(row).trainings(row, config)]


def trained_rows(config: Config, experiments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Say of experiments, and of those trained again, whose training each is and on which it rests.

    Returns
    -------
    name -> ``experiment``, ``train_seed`` and ``trainings``, those of the experiment with the study's seed
    """
    found = {}
    for name in experiments:
        for repeated, row in repeated_rows(config, [name]).items():
            behind = sorted({training.folder for training in trainings_behind(config, [name])})
            seed = row.get("train_seed")
            found[repeated] = {"experiment": name, "train_seed": seed, "trainings": behind}
    return found
