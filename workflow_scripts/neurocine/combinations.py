"""Values that are right one by one but exclude each other across the config.

Light for the same reason as `neurocine.schema`; `neurocine.section_checks` has those within a section.
"""

import difflib
import re
from collections.abc import Iterator
from typing import Any, Literal

from neurocine.conditions import made_by
from neurocine.datasets import data_set
from neurocine.errors import InputError
from neurocine.methods import method_of, methods_of
from neurocine.methods.base import of_seed
from neurocine.schema_words import Config, Schema, dotted, resolve
from neurocine.section_checks import SECTION_CHECKS
from neurocine.vertex_choice import vertices_known, vertices_per_subject


def _check_movies(config: Config) -> Iterator[InputError]:
    movies = config["movies"]
    both = sorted(set(movies["train"]) & set(movies["test"]))
    if both:
        yield InputError(
            "movies",
            f"{', '.join(both)} in train and test",
            "no movie in both",
            "Test movies must stay unseen.",
        )
    strange = sorted(set(movies["validation"]) - set(movies["train"]))
    if strange:
        todo = "Validation movies are held out of the training movies; name some of movies.train."
        yield InputError("movies.validation", ", ".join(strange), "movies of movies.train", todo)
    if not set(movies["train"]) - set(movies["validation"]):
        todo = "Leave at least one training movie out of movies.validation."
        yield InputError("movies.validation", "all training movies", "some of them", todo)


LATE_RUN = ("3", "test2")  # of Wen 2018: its ninth repeat was recorded 10 s late; in config.yaml


def _check_excluded(config: Config) -> Iterator[InputError]:
    roles = {movie: role for role in ("train", "test") for movie in config["movies"][role]}
    chosen: dict[Literal["subject", "movie"], list[str]] = {
        "subject": config["subjects"],
        "movie": list(roles),
    }
    data = data_set(config)
    for index, run in enumerate(config["exclude_runs"]):
        where = f"exclude_runs[{index}]"
        # Bad runs stay in the configs of those who use only some of the subjects or movies.
        strange = [key for key in chosen if run[key] not in chosen[key] and not data.may_have(key, run[key])]
        if (run["subject"], run["movie"]) == LATE_RUN:
            strange = []
        for key in strange:
            near = difflib.get_close_matches(run[key], chosen[key], n=1)
            todo = f"Did you mean {near[0]}?" if near else "Correct it, or remove this entry."
            yield InputError(f"{where}.{key}", run[key], f"one of {', '.join(chosen[key])}", todo)
        role = roles.get(run["movie"])
        if role and run["repeat"] > config["repeats"][role]:
            expected = f"at most {config['repeats'][role]} (repeats.{role})"
            yield InputError(f"{where}.repeat", str(run["repeat"]), expected, "Correct one of the two.")


def _check_experiments(config: Config) -> Iterator[InputError]:
    experiments = config["experiments"]
    for key in ("run_experiments", "ablation_experiments"):
        for name in config[key]:
            if name not in experiments:
                near = difflib.get_close_matches(name, experiments, n=1)
                todo = f"Did you mean {near[0]}?" if near else "Add a row of this name to experiments."
                yield InputError(key, name, "names of experiments", todo)
    first: dict[tuple[str, str], tuple[str, Any]] = {}
    for name, row in experiments.items():
        for training in method_of(row).trainings(row, config):
            place = (training.step, training.key)
            other, parameters = first.setdefault(place, (name, training.parameters))
            if parameters != training.parameters:
                todo = "Give them the same numbers or numbers that differ in the first three digits."
                found = f"numbers almost those of {other}"
                yield InputError(f"experiments.{name}", found, "distinct experiments", todo)
                break


def _check_conditions(config: Config) -> Iterator[InputError]:
    """Each condition is made by a method that the study asks for, or by a step that all share."""
    names = [*config["run_experiments"], *config["ablation_experiments"]]
    rows = {name: config["experiments"][name] for name in names if name in config["experiments"]}
    methods = methods_of(rows)
    made = {"vae", *made_by("make_baselines")}
    for method in methods:
        made |= {*method.fmri_conditions, *method.text_conditions, *method.encoder_conditions}
    strange = [name for name in config["conditions"] if name not in made]
    if rows and strange:
        expected = f"conditions of {', '.join(method.name for method in methods)}, the methods asked for"
        todo = "Take them out, or add an experiment of another method to run_experiments."
        yield InputError("conditions", ", ".join(strange), expected, todo)


def _check_seeds(config: Config) -> Iterator[InputError]:
    if config["seed"] in config["generation_seeds"]:
        todo = "Clips are decoded with this seed anyway; name others."
        yield InputError("generation_seeds", str(config["seed"]), "seeds other than seed", todo)
    if config["seed"] in config["train_seeds"]:
        todo = "Everything is trained with this seed anyway; name others."
        yield InputError("train_seeds", str(config["seed"]), "seeds other than seed", todo)
    for name in config["experiments"]:
        for seed in config["train_seeds"]:
            if of_seed(name, {"train_seed": seed}) in config["experiments"]:
                taken = of_seed(name, {"train_seed": seed})
                todo = f"Give it another name: so is {name} called when it is trained with seed {seed}."
                yield InputError(f"experiments.{taken}", "a name that train_seeds need", "another one", todo)


def _check_lengths(config: Config) -> Iterator[InputError]:
    """Runs and movies must agree: as many samples are left of a run as its movie has clips."""
    if config["fmri_from"] != "runs" or config["layout"] != "wen2018":
        return
    clips = config["prepare_stimuli"]["clips_per_movie"]
    for volumes, (first, last) in config["preprocess_run"]["crop"].items():
        left = int(volumes) - first - last
        if left != clips:
            expected = f"{clips}, as prepare_stimuli.clips_per_movie"
            todo = "Correct one of the two: every sample belongs to one clip."
            yield InputError(f"preprocess_run.crop.{volumes}", f"{left} samples left", expected, todo)


def _check_reliability(config: Config) -> Iterator[InputError]:
    if config["fmri_from"] != "runs":
        return
    counts = {"movies.train": len(config["movies"]["train"]), "repeats.train": config["repeats"]["train"]}
    for where, count in counts.items():
        if vertices_per_subject(config) and count < 2:
            todo = "Choose vertices by roi_set or areas alone: one recording does not tell what repeats."
            yield InputError(where, str(count), "at least 2, for reliable vertices", todo)


def _check_space(config: Config) -> Iterator[InputError]:
    if config["space"] == "cifti":
        if config["atlas_labels"]:
            todo = "Set space: mni, or leave atlas_labels out."
            yield InputError("atlas_labels", config["atlas_labels"], "null with space cifti", todo)
        return
    if not config["atlas"]:
        todo = "Give a NIfTI image of area numbers, or a mask."
        yield InputError("atlas", "null", "a file, with space mni", todo)
    if config["pretrain_on"] == "rest":
        todo = "Rest runs are read on the cortical surface only."
        yield InputError("pretrain_on", "rest", "training_fmri or published, with space mni", todo)
    if config["simulate"]:
        yield InputError("simulate", "true", "false, with space mni", "The simulated brains are surfaces.")


def _check_package(config: Config) -> Iterator[InputError]:
    kind, masks, subjects = config["fmri_from"], config["package"]["vertex_masks"], config["subjects"]
    found = f"files of subject {', '.join(masks)}"
    if masks and kind in ("runs", "arrays"):
        todo = "Leave it out: where the vertices lie is known without it."
        yield InputError("package.vertex_masks", found, f"none with fmri_from {kind}", todo)
    elif masks and not set(subjects) <= set(masks):
        expected = f"a file of each subject: {', '.join(subjects)}"
        yield InputError("package.vertex_masks", found, expected, "Give the others, or none at all.")
    if kind == "runs":
        return
    if config["space"] != "cifti":
        todo = "Packages are of the cortical surface; leave space out."
        yield InputError("space", config["space"], f"cifti with fmri_from {kind}", todo)
    if config["pretrain_on"] == "rest" and not vertices_known(config):
        expected = "training_fmri or published, where it is unknown which vertices of rest runs to take"
        yield InputError("pretrain_on", "rest", expected, "Change it, or give package.vertex_masks.")
    for step in ("assemble_train", "assemble_test"):
        chosen = config[step]["repeats"]
        if kind == "mind_video" and chosen != "mean":
            todo = "Set it to mean: Mind-Video shares means over the repeats."
            yield InputError(f"{step}.repeats", str(chosen), f"mean with fmri_from {kind}", todo)
    for part in ("train", "test"):
        movies = config["movies"][part]
        # Packages name no movies; theirs are in the order of their numbers.
        ordered = sorted(movies, key=lambda movie: [int(digits) for digits in re.findall(r"\d+", movie)])
        if movies != ordered:
            todo = "A package holds its movies in this order and does not name them."
            yield InputError(f"movies.{part}", ", ".join(movies), ", ".join(ordered), todo)


def _check_captions(config: Config) -> Iterator[InputError]:
    """Lists of captions cover every movie of the study."""
    section, movies = config["caption_clips"], config["movies"]
    covered = {movie for one in section["lists"] for movie in one["movies"]}
    missing = [movie for movie in (*movies["train"], *movies["test"]) if movie not in covered]
    if section["lists"] and missing:
        todo = "Add it to the list that has its captions, in the order of the list."
        yield InputError("caption_clips.lists", f"no captions of {', '.join(missing)}", "all movies", todo)


def _check_reasons(config: Config) -> Iterator[InputError]:
    for name in config["not_as_published"]:
        section, _, key = name.partition(".")
        content = config.get(section)
        if not isinstance(content, dict) or (key and key not in content):
            todo = "Correct it, or take the reason away."
            yield InputError("not_as_published", name, "a section of the config, or section.key", todo)


def _check_sections(config: Config, schema: Schema) -> Iterator[InputError]:
    for step, node in schema["properties"].items():
        for name in resolve(node, schema).get("x-checks", []):
            for problem in SECTION_CHECKS[name](config[step]):
                where = dotted([step, problem.where])
                yield InputError(where, problem.found, problem.expected, problem.todo)


def check_combinations(config: Config, schema: Schema) -> list[InputError]:
    """List what single keys allow but their combination does not."""
    checks = (
        _check_movies,
        _check_excluded,
        _check_experiments,
        _check_conditions,
        _check_seeds,
        _check_lengths,
        _check_reliability,
        _check_space,
        _check_package,
        _check_captions,
        _check_reasons,
        *(method.check for method in methods_of(config["experiments"])),
    )
    across = [problem for check in checks for problem in check(config)]
    return [*across, *_check_sections(config, schema)]
