"""The schema of the config: its defaults, and every value that it does not allow.

Light on purpose: the Snakefile is evaluated again for every job on a cluster, so nothing but the standard
library, PyYAML and jsonschema is imported here.
"""

import copy
import functools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError as JsonSchemaError

from neurocine.errors import InputError
from neurocine.schema_words import Config, Schema, about, dotted, range_words, resolve, unknown_key

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


def read_schema(path: Path = SCHEMA_FILE) -> Schema:
    """Read the JSON schema (written as YAML)."""
    with open(path, encoding="utf-8") as handle:
        return yaml.load(handle, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


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


@functools.cache
def _validator_class() -> Any:
    """Return jsonschema's validator with strict numbers: 7.0 is no integer, NaN is no number."""

    def is_integer(checker: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def is_number(checker: Any, value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    strict = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})
    return validators.extend(Draft202012Validator, {"pattern": _whole_pattern}, type_checker=strict)


def _whole_pattern(_: Any, pattern: str, instance: Any, __: Schema) -> Iterator[Any]:
    """Match as JSON Schema means it: ``$`` is the end of a text, not the place before a last newline."""
    ending = re.sub(r"\$$", r"\\Z", pattern)
    if isinstance(instance, str) and not re.search(ending, instance):
        yield JsonSchemaError(f"{instance!r} does not match {pattern!r}")


def _as_problems(error: Any, schema: Schema, config: Config) -> Iterator[InputError]:
    path = list(error.absolute_path)
    node, text, _ = about(path, schema, config)
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        for key in error.instance.keys() - node.get("properties", {}).keys():
            yield unknown_key("", [*path, key], schema, config)
    elif "propertyNames" in error.absolute_schema_path:
        expected = f"names that match {error.validator_value}"
        yield InputError(dotted([*path, error.instance]), "this name", expected, "Choose another name.")
    elif error.validator == "required":
        for key in set(error.validator_value) - set(error.instance):
            child, text, _ = about([*path, key], schema, config)
            yield InputError(dotted([*path, key]), "nothing", range_words(child, schema), text)
    else:
        yield InputError(
            dotted(path) or "config", json.dumps(error.instance, default=str), range_words(node, schema), text
        )


def check_schema(config: Config, schema: Schema) -> list[InputError]:
    """List what the schema does not allow: unknown keys, wrong types, values out of range."""
    errors = _validator_class()(schema).iter_errors(config)
    problems = [problem for error in errors for problem in _as_problems(error, schema, config)]
    different = {(problem.where, problem.found): problem for problem in problems}
    return sorted(different.values(), key=lambda problem: problem.where)
