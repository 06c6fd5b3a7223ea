"""The study's configuration: defaults from the schema, checks before any job starts, the reference page.

Light on purpose: the Snakefile is evaluated again for every job on a cluster, so nothing but the standard
library, PyYAML and jsonschema is imported here. ``python -m neurocine.config`` prints ``docs/config.md``.
"""

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from neurocine.errors import InputError, InputErrors
from neurocine.methods import DEFAULT, METHODS, method_of, methods_of
from neurocine.vertex_choice import vertices_known, vertices_per_subject

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
SHOWN_KEYS = 8  # known keys listed when none is near enough to the unknown one

Config = dict[str, Any]
Schema = dict[str, Any]


def read_schema(path: Path = SCHEMA_FILE) -> Schema:
    """Read the JSON schema (written as YAML)."""
    with open(path, encoding="utf-8") as handle:
        return yaml.load(handle, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def resolve(node: Schema, schema: Schema) -> Schema:
    """Follow ``$ref: '#/$defs/name'`` once; keys beside ``$ref`` win over those of the definition."""
    if "$ref" not in node:
        return node
    target = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def merge(under: Any, over: Any) -> Any:
    """Return ``under`` with the keys of ``over`` on top, at every depth."""
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return copy.deepcopy(over)
    merged = {key: copy.deepcopy(value) for key, value in under.items()}
    for key, value in over.items():
        merged[key] = merge(merged[key], value) if key in merged else copy.deepcopy(value)
    return merged


def default_of(node: Schema, schema: Schema) -> Any:
    """Return the default of a schema node with the defaults of its keys; ``...`` where a value must be given.

    A ``default`` beside ``$ref`` or ``properties`` overrides the defaults of single keys inside.
    """
    node = resolve(node, schema)
    own = node.get("default", ...)
    if own is None or "properties" not in node:
        return copy.deepcopy(own)
    inside = {key: default_of(child, schema) for key, child in node["properties"].items()}
    inside = {key: value for key, value in inside.items() if value is not ...}
    if own is ... and not inside:
        return ...
    return merge(inside, {} if own is ... else own)


def fill_defaults(config: Any, node: Schema, schema: Schema) -> Any:
    """Return the config with every key that was left out set to its default. Wrong types are left alone."""
    node = resolve(node, schema)
    if not isinstance(config, Mapping):
        return copy.deepcopy(config)
    filled = {key: copy.deepcopy(value) for key, value in config.items()}
    own = node.get("default") or {}
    for key, child in node.get("properties", {}).items():
        if key not in filled:
            value = own[key] if key in own else default_of(child, schema)
            if value is ...:
                continue
            filled[key] = copy.deepcopy(value)
        elif key in own and isinstance(filled[key], Mapping):
            filled[key] = merge(own[key], filled[key])
        filled[key] = fill_defaults(filled[key], child, schema)
    more = node.get("additionalProperties")
    if isinstance(more, Mapping):
        for key in filled.keys() - node.get("properties", {}).keys():
            filled[key] = fill_defaults(filled[key], dict(more), schema)
    return filled


def _dotted(path: Iterator[Any] | Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _schema_of(error: ValidationError) -> Schema:
    return dict(error.schema) if isinstance(error.schema, Mapping) else {}


def _unknown_keys(error: ValidationError, where: str) -> Iterator[InputError]:
    known = list(_schema_of(error).get("properties", {}))
    for key in dict(error.instance):  # type: ignore[arg-type]
        if key in known:
            continue
        near = difflib.get_close_matches(str(key), known, n=1)
        shown = ", ".join(known[:SHOWN_KEYS]) + (", ..." if len(known) > SHOWN_KEYS else "")
        todo = f"Did you mean {near[0]}?" if near else f"Known keys here: {shown}."
        path = f"{where}.{key}" if where else str(key)
        yield InputError(path, "an unknown key", "a key of docs/config.md", todo)


def _range(node: Schema) -> str:
    """Say what a schema node allows, in words."""
    if "enum" in node:
        return "one of " + ", ".join(map(json.dumps, node["enum"]))
    kind = node.get("type", "value")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    bounds = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
        "minItems": "with at least this many entries:",
        "pattern": "matching",
    }
    limits = [f"{words} {node[key]}" for key, words in bounds.items() if key in node]
    unit = [f"in {node['x-unit']}"] if "x-unit" in node else []
    return " ".join([text, *([", ".join(limits)] if limits else []), *unit])


def _as_problems(error: ValidationError) -> Iterator[InputError]:
    where = _dotted(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from _unknown_keys(error, where)
    elif error.validator == "required":
        for key in set(error.validator_value) - set(error.instance):  # type: ignore[arg-type]
            path = f"{where}.{key}" if where else key
            yield InputError(path, "nothing", "a value", "Add this key to the config.")
    else:
        node = _schema_of(error)
        about = " ".join(str(node.get("description", "Correct the value.")).split())
        yield InputError(where or "config", json.dumps(error.instance), _range(node), about)


def check_schema(config: Config, schema: Schema) -> list[InputError]:
    """List what the schema does not allow: unknown keys, wrong types, values out of range."""
    errors = Draft202012Validator(schema).iter_errors(config)
    found = [problem for error in errors for problem in _as_problems(error)]
    return sorted(found, key=lambda problem: problem.where)


def _unknown_method(where: str, name: Any) -> InputError:
    near = difflib.get_close_matches(str(name), METHODS, n=1)
    todo = f"Did you mean {near[0]}?" if near else "Correct the name."
    return InputError(where, json.dumps(name), f"one of {', '.join(METHODS)}", todo)


def _foreign_keys(where: str, row: Mapping[str, Any], schema: Schema) -> Iterator[InputError]:
    """Find keys of an experiment that only other methods have."""
    mine = method_of(row)
    known = {name: schema["$defs"][method.definition]["properties"] for name, method in METHODS.items()}
    for key in row:
        owners = [name for name, keys in known.items() if key in keys]
        if owners and mine.name not in owners:
            todo = "Correct its method, or its name: rows of one name are merged over all config files."
            found = f"a key of method {' and '.join(owners)}"
            yield InputError(f"{where}.{key}", found, f"keys of method {mine.name}", todo)


def check_methods(config: Config, schema: Schema) -> list[InputError]:
    """List experiments whose method does not exist, or that have keys of another one."""
    problems: list[InputError] = []
    experiments = config.get("experiments")
    for name, row in experiments.items() if isinstance(experiments, Mapping) else ():
        if not isinstance(row, Mapping):
            continue  # for the schema to tell
        where = f"experiments.{name}"
        if row.get("method", DEFAULT) not in METHODS:
            problems.append(_unknown_method(f"{where}.method", row["method"]))
        else:
            problems += _foreign_keys(where, row, schema)
    return problems


def schema_of(config: Config, schema: Schema) -> Schema:
    """Return the schema with each experiment held to the keys of its method."""
    rows = config.get("experiments")
    if not isinstance(rows, Mapping):
        return schema
    of_rows = {
        name: {"$ref": f"#/$defs/{method_of(row).definition}"}
        for name, row in rows.items()
        if isinstance(row, Mapping)
    }
    properties = schema["properties"]
    experiments = {**properties["experiments"], "properties": of_rows}
    return {**schema, "properties": {**properties, "experiments": experiments}}


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


def _check_excluded(config: Config) -> Iterator[InputError]:
    roles = {movie: role for role in ("train", "test") for movie in config["movies"][role]}
    for index, run in enumerate(config["exclude_runs"]):
        where = f"exclude_runs[{index}]"
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


def _check_seeds(config: Config) -> Iterator[InputError]:
    if config["seed"] in config["generation_seeds"]:
        todo = "Clips are decoded with this seed anyway; name others."
        yield InputError("generation_seeds", str(config["seed"]), "seeds other than seed", todo)


def _check_lengths(config: Config) -> Iterator[InputError]:
    """Runs and movies must agree: as many samples are left of a run as its movie has clips."""
    if config["fmri_from"] != "runs":
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
    found = {"movies.train": len(config["movies"]["train"]), "repeats.train": config["repeats"]["train"]}
    for where, count in found.items():
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
    for key in ("train_repeats", "test_repeats"):
        chosen = config["assemble_subject"][key]
        if kind == "mind_video" and chosen != "mean":
            todo = "Leave it out: Mind-Video shares means over the repeats."
            yield InputError(f"assemble_subject.{key}", str(chosen), f"mean with fmri_from {kind}", todo)
    for part in ("train", "test"):
        movies = config["movies"][part]
        # Packages name no movies; theirs are in the order of their numbers.
        ordered = sorted(movies, key=lambda movie: [int(digits) for digits in re.findall(r"\d+", movie)])
        if movies != ordered:
            todo = "A package holds its movies in this order and does not name them."
            yield InputError(f"movies.{part}", ", ".join(movies), ", ".join(ordered), todo)


def _widths(config: Any, where: str = "") -> Iterator[tuple[str, int, int]]:
    """Find every pair (width, heads) of an attention network in the config."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            path = f"{where}.{name}" if where else str(name)
            if name.endswith("heads") and isinstance(value, int):
                width = config.get(name.removesuffix("heads") + "width")
                if isinstance(width, int):
                    yield path, width, value
            yield from _widths(value, path)


def _check_networks(config: Config) -> Iterator[InputError]:
    for where, width, heads in _widths(config):
        if width % heads:
            yield InputError(
                where, f"{heads} heads for a width of {width}", "a divisor of the width", "Change one."
            )


def _check_frames(config: Config) -> Iterator[InputError]:
    stimuli, captions = config["prepare_stimuli"], config["caption_clips"]
    last = (stimuli["frames_per_tr"] - 1) / stimuli["fps"]
    if last >= stimuli["tr"]:
        expected = f"frames within {stimuli['tr']:g} s (tr) at {stimuli['fps']:g} frames per second"
        todo = "Keep fewer frames or raise fps."
        yield InputError("prepare_stimuli.frames_per_tr", str(stimuli["frames_per_tr"]), expected, todo)
    if (captions["backend"] == "file") != bool(captions["file"]):
        expected = "a table if, and only if, caption_clips.backend is file"
        yield InputError(
            "caption_clips.file", json.dumps(captions["file"]), expected, "Change one of the two."
        )


def _check_trainings(config: Config) -> Iterator[InputError]:
    for step, section in config.items():
        if not (isinstance(section, Mapping) and "gradient_accumulation" in section):
            continue
        if section["patience"] and not section["validate_every"]:
            todo = "Set validate_every, or patience: 0 to train all steps."
            yield InputError(f"{step}.patience", str(section["patience"]), "validations to wait for", todo)
        if section["batch_size"] % section["gradient_accumulation"]:
            expected = f"a multiple of gradient_accumulation, {section['gradient_accumulation']}"
            yield InputError(
                f"{step}.batch_size", str(section["batch_size"]), expected, "Change one of the two."
            )


def _check_decode(config: Config) -> Iterator[InputError]:
    decode = config["decode"]
    if decode["clips_per_sequence"] > 1 and decode["every"] > 1:
        found = f"{decode['clips_per_sequence']}, with every {decode['every']}"
        todo = "Set decode.every to 1: the clips of a sequence follow each other."
        yield InputError("decode.clips_per_sequence", found, "1, or every clip decoded", todo)


def check_combinations(config: Config) -> list[InputError]:
    """List what single keys allow but their combination does not."""
    checks = (
        _check_movies,
        _check_excluded,
        _check_experiments,
        _check_seeds,
        _check_lengths,
        _check_reliability,
        _check_space,
        _check_package,
        _check_frames,
        _check_trainings,
        _check_networks,
        _check_decode,
        *(method.check for method in methods_of(config["experiments"])),
    )
    return [problem for check in checks for problem in check(config)]


def text_keys(config: Any) -> Any:
    """Return the config with every key as text, as JSON has them: YAML reads ``245:`` as a number."""
    if isinstance(config, Mapping):
        return {str(key): text_keys(value) for key, value in config.items()}
    return [text_keys(item) for item in config] if isinstance(config, list) else config


def names_as_text(config: Config) -> Config:
    """Return the config with subjects as text, however they were written."""
    named = dict(config)
    if isinstance(named.get("subjects"), list):
        named["subjects"] = [str(subject) for subject in named["subjects"]]
    if isinstance(named.get("exclude_runs"), list):
        runs = named["exclude_runs"]
        named["exclude_runs"] = [
            {**run, "subject": str(run["subject"])} if isinstance(run, Mapping) and "subject" in run else run
            for run in runs
        ]
    return named


def complete_config(config: Config, schema: Schema | None = None) -> Config:
    """Fill in the defaults and check everything that can be checked without touching data.

    Parameters
    ----------
    config : as read from the config files; not changed
    schema : of the config; read from the repository by default

    Raises
    ------
    InputErrors : every problem found: unknown key (with the nearest known one), wrong type, out of range,
        values that exclude each other
    """
    schema = schema or read_schema()
    config = text_keys(config)
    problems = check_methods(config, schema)  # first, for a method decides which keys its experiments have
    if not problems:
        schema = schema_of(config, schema)
        filled = names_as_text(fill_defaults(config, schema, schema))
        # Combinations are looked at only when every single value is sound.
        problems = check_schema(filled, schema) or check_combinations(filled)
    if problems:
        raise InputErrors("The config cannot be used", problems)
    return filled


def _describe(name: str, node: Schema, schema: Schema, default: Any) -> Iterator[str]:
    """Yield the table rows of one key and of the keys inside it."""
    node = resolve(node, schema)
    text = " ".join(node["description"].split())
    shown = "required" if default is ... else f"`{json.dumps(default)}`"
    if "properties" in node:
        shown = "`null`" if default is None else ""
    unit = node.get("x-unit", "")
    yield f"| `{name}` | {shown} | {unit} | {text} |"
    for key, child in node.get("properties", {}).items():
        inner = default.get(key, ...) if isinstance(default, Mapping) else default_of(child, schema)
        yield from _describe(f"{name}.{key}", child, schema, inner)
    more = node.get("additionalProperties")
    if isinstance(more, Mapping):
        inside = resolve(dict(more), schema)
        for key, child in inside.get("properties", {}).items():
            yield from _describe(f"{name}.<name>.{key}", child, schema, default_of(child, schema))


def config_page(schema: Schema) -> str:
    """Write the reference of all config keys as Markdown: first the study's keys, then a heading per step."""
    head = ["| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
    sections = {key: node for key, node in schema["properties"].items() if node.get("x-step")}
    lines = ["# Configuration", "", " ".join(schema["description"].split()), "", "## The study", "", *head]
    for key, node in schema["properties"].items():
        if key not in sections:
            lines += _describe(key, node, schema, default_of(node, schema))
    for key, node in sections.items():
        lines += ["", f"## {key}", "", " ".join(resolve(node, schema)["description"].split()), "", *head]
        default = default_of(node, schema)
        for name, child in resolve(node, schema).get("properties", {}).items():
            inner = default.get(name, ...) if isinstance(default, Mapping) else default_of(child, schema)
            lines += _describe(name, child, schema, inner)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(config_page(read_schema()), end="")
