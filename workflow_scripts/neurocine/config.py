"""The study's configuration: read without surprises, filled with defaults, checked before any job starts.

Light for the same reason as `neurocine.schema`.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from neurocine.combinations import check_combinations
from neurocine.errors import InputError, InputErrors
from neurocine.methods import DEFAULT, METHODS, method_of
from neurocine.schema import check_schema, fill_defaults, read_schema
from neurocine.schema_words import Config, Schema, dotted, resolve


def _unknown_method(where: str, name: Any) -> InputError:
    near = difflib.get_close_matches(str(name), METHODS, n=1)
    todo = f"Did you mean {near[0]}?" if near else "Correct the name."
    return InputError(where, json.dumps(name), f"one of {', '.join(METHODS)}", todo)


def _foreign_keys(where: str, row: Mapping[str, Any], schema: Schema) -> Iterator[InputError]:
    """Find keys of an experiment that only other methods have."""
    mine = method_of(row)
    keys_by_method = {
        name: resolve(schema["$defs"][method.definition], schema)["properties"]
        for name, method in METHODS.items()
    }
    for key in row:
        owners = [name for name, keys in keys_by_method.items() if key in keys]
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
        method = row.get("method", DEFAULT)
        if not isinstance(method, str) or method not in METHODS:
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


def _repeats(node: yaml.Node | None, where: list[Any]) -> Iterator[tuple[str, int]]:
    """Yield the keys that a YAML mapping has twice, at any depth, each with the line of the second one."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeats(item, [*where, index])
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        place = [*where, key.value]
        if key.value in seen:
            yield dotted(place), key.start_mark.line + 1
        seen.add(key.value)
        yield from _repeats(value, place)


def _misread_numbers(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Yield numbers that YAML 1.1 reads to other bases, at any depth, each with its line."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == "tag:yaml.org,2002:int" and re.match(r"[+-]?(0[0-9_]|.*:)", node.value):
            yield node.value, node.start_mark.line + 1
    elif node is not None:
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                yield from _misread_numbers(part)


def refuse_surprises(paths: Iterable[Path]) -> None:
    """Refuse config files that YAML reads otherwise than they look, without a word.

    Of a key given twice it takes the second; 010 is 8, to the base of eight, 1:30 is 90, to that of sixty.

    Raises
    ------
    InputErrors : every such key and number, with its file and line
    """
    problems = []
    for path in paths:
        with open(path, encoding="utf-8") as handle:
            node = yaml.compose(handle, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for place, line in _repeats(node, []) if node is not None else ():
            todo = "Remove one of the two, or join them."
            problems.append(
                InputError(f"{path}: {place}", f"the key again in line {line}", "each key once", todo)
            )
        for text, line in _misread_numbers(node):
            read = yaml.safe_load(text)
            todo = f"Write {text!r} in quotes for a name, or the number without leading zeros and colons."
            problems.append(
                InputError(f"{path}: line {line}", f"{text}, which YAML reads as {read}", "decimals", todo)
            )
    if problems:
        raise InputErrors("The config cannot be used", problems)


def text_keys(config: Any) -> Any:
    """Return the config with every key as text, as JSON has them: YAML reads ``245:`` as a number."""
    if isinstance(config, Mapping):
        return {str(key): text_keys(value) for key, value in config.items()}
    return [text_keys(item) for item in config] if isinstance(config, list) else config


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def names_as_text(config: Config) -> Config:
    """Return the config with subjects as text, where they were written as numbers."""
    named = dict(config)
    if isinstance(named.get("subjects"), list):
        named["subjects"] = [_number_as_text(subject) for subject in named["subjects"]]
    if isinstance(named.get("exclude_runs"), list):
        runs = named["exclude_runs"]
        named["exclude_runs"] = [
            {**run, "subject": _number_as_text(run["subject"])}
            if isinstance(run, Mapping) and "subject" in run
            else run
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
        problems = check_schema(filled, schema) or check_combinations(filled, schema)
    if problems:
        raise InputErrors("The config cannot be used", problems)
    return filled
