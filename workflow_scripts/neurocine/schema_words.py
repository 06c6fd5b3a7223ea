"""What a schema says of a place in the config, in words: the parts of messages about wrong values.

Only the standard library is imported, because the Snakefile, the programs and the settings all read it.
"""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neurocine.errors import InputError

SHOWN_KEYS = 8  # known keys listed when none is near enough to the unknown one
TYPE_WORDS = {"array": "list", "boolean": "true or false", "object": "keys with values"}
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "pattern": "matching",
}

Config = dict[str, Any]
Schema = dict[str, Any]


def resolve(node: Schema, schema: Schema) -> Schema:
    """Put a node together with the definitions that its ``$ref`` or ``allOf`` names; its own keys win."""
    references = [node] if "$ref" in node else node.get("allOf", [])
    parts = [schema["$defs"][each["$ref"].removeprefix("#/$defs/")] for each in references]
    parts = [resolve(part, schema) for part in parts]
    parts.append({key: value for key, value in node.items() if key not in ("$ref", "allOf")})
    merged: Schema = {}
    for part in parts:
        for key, value in part.items():
            both = key in merged and isinstance(value, Mapping) and isinstance(merged[key], Mapping)
            merged[key] = {**merged[key], **value} if both else value
    return merged


def merge_types(node: Schema) -> Schema:
    """Write a union of plain types as ``type: [a, b]`` where no keyword would mean two things."""
    options = node.get("anyOf", [])
    plain = all(isinstance(each.get("type"), str) and not {"const", "enum"} & each.keys() for each in options)
    keywords = [key for each in options for key in each if key != "type"]
    bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    if not (options and plain and len(set(keywords)) == len(keywords)) or bounds & set(keywords):
        return node
    limits = {key: value for each in options for key, value in each.items() if key != "type"}
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {"type": [each["type"] for each in options], **limits, **rest}


def dotted(path: Iterable[Any]) -> str:
    """Write a path into the config: ``decode.steps``, ``exclude_runs[0].repeat``."""
    text = ""
    for part in path:
        if part != "":
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _list_words(node: Schema, schema: Schema) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    number = f" of {least}" if least == most else f" of at least {least}" if least else " of any number of"
    items: Schema = node.get("items") or next(iter(node.get("prefixItems", [])), {})
    inside = f"entries, each {range_words(items, schema)}" if items else "entries"
    return f"list{number} {'different ' if node.get('uniqueItems') else ''}{inside}"


def range_words(node: Schema, schema: Schema) -> str:
    """Say in words what a schema node allows, with its unit."""
    node = resolve(node, schema)
    unit = f" in {node['x-unit']}" if "x-unit" in node else ""
    if "const" in node:
        return json.dumps(node["const"]) + unit
    if "enum" in node:
        return "one of " + ", ".join(map(json.dumps, node["enum"])) + unit
    if "anyOf" in node:
        return " or ".join(range_words(each, schema) for each in node["anyOf"]) + unit
    kind = node.get("type", "value")
    if kind == "array":
        return _list_words(node, schema) + unit
    kinds = kind if isinstance(kind, list) else [kind]
    text = " or ".join(TYPE_WORDS.get(each, str(each)) for each in kinds)
    limits = ", ".join(f"{words} {node[key]}" for key, words in LIMITS.items() if key in node)
    return " ".join(filter(None, (text, limits))) + unit


def _child(node: Schema, part: Any, schema: Schema) -> Schema | None:
    """Return the node of a key or of an entry inside a node, None if there is none."""
    node = resolve(node, schema)
    for option in (node, *node.get("anyOf", [])):
        option = resolve(option, schema)
        if isinstance(part, int):
            ordered = option.get("prefixItems", [])
            child = ordered[part] if part < len(ordered) else option.get("items")
        else:
            child = option.get("properties", {}).get(part, option.get("additionalProperties"))
        if isinstance(child, Mapping):
            return dict(child)
    return None


def about(path: Sequence[Any], schema: Schema, value: Any) -> tuple[Schema, str, int]:
    """Find what the schema says of a place in the config.

    Parameters
    ----------
    path : keys and indices; parts that only a validator knows end it
    schema : JSON schema of ``value``
    value : the config, or the section that the schema is of

    Returns
    -------
    the node, the sentence of the nearest key that has one, and how many parts of the path were used
    """
    node, text, depth = schema, "Correct the value.", 0
    for part in path:
        inside = isinstance(value, Mapping) and part in value
        inside = inside or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        child = _child(node, part, schema)
        if child is None or not (inside or part == path[-1]):
            break
        value = value[part] if inside else None
        node, depth = child, depth + 1
        text = resolve(node, schema).get("description", text)
    return resolve(node, schema), " ".join(text.split()), depth


def unknown_key(where: str, path: Sequence[Any], schema: Schema, value: Any) -> InputError:
    """Make the message about an unknown key, the last part of the path; the nearest known one is named."""
    node, _, _ = about(path[:-1], schema, value)
    names, key = list(node.get("properties", {})), str(path[-1])
    near = difflib.get_close_matches(key, names, n=1)
    shown = ", ".join(names[:SHOWN_KEYS]) + (", ..." if len(names) > SHOWN_KEYS else "")
    todo = f"Did you mean {near[0]}?" if near else f"Known keys here: {shown}."
    return InputError(dotted([where, *path]), "an unknown key", "a key of docs/config.md", todo)
