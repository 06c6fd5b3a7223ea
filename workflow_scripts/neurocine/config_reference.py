"""Write the schema and the reference page of the config from the settings classes.

``python -m neurocine.config_reference`` writes ``schemas/config.schema.yaml`` and ``docs/config.md``.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from neurocine.config_keys import ConfigKeys, StudyKeys
from neurocine.methods import DEFAULT, METHODS
from neurocine.schema import SCHEMA_FILE, default_of
from neurocine.schema_words import Schema, range_words, resolve
from neurocine.settings import Settings, settings_schema
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.animator import AnimatorSettings
from neurocine.train.denoising import DenoisingSettings
from neurocine.train.task import LoopSettings

PAGE_FILE = SCHEMA_FILE.parents[1] / "docs" / "config.md"
# Classes whose keys several sections share, by the name of their definition; bases come first.
SHARED: dict[str, type[Settings]] = {
    "all_trainings": LoopSettings,
    "diffusion_trainings": DenoisingSettings,
    "toy_models": ToyModelSettings,
    "animator_trainings": AnimatorSettings,
}
SHARED_TITLES = {
    "all_trainings": "All trainings",
    "diffusion_trainings": "Both diffusion trainings",
    "toy_models": "All trainings of toy models",
    "animator_trainings": "All trainings of Mind-Animator",
}
HEAD = ["| key | default | unit | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
GENERATED = "# Made from the settings classes by: make docs\n"


def _json(settings: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(settings.model_dump()))


def _shared_by(kind: type[Settings], within: list[str]) -> str | None:
    """Return the last of the shared definitions that a class takes its keys from."""
    return next((name for name in reversed(within) if issubclass(kind, SHARED[name])), None)


def _section(kind: type[Settings], within: list[str]) -> Schema:
    """Write a settings class: the definition it shares keys with, its own keys, the defaults that differ."""
    node = settings_schema(kind)
    node.pop("$defs", None)
    shared = _shared_by(kind, within)
    default: dict[str, Any] = {}
    if shared:
        shared_values = _json(SHARED[shared]())
        values = {} if kind is SHARED[shared] else _json(kind())
        default = {
            key: values[key] for key in values if key in shared_values and values[key] != shared_values[key]
        }
        own = {key: child for key, child in node["properties"].items() if key not in shared_values}
        node = {"type": "object", "allOf": [{"$ref": f"#/$defs/{shared}"}]}
        node |= {"properties": own} if own else {}
    node |= {"x-checks": [check.__name__ for check in kind.checks]} if kind.checks else {}
    return {**node, "default": default}


def _ordered(node: Any) -> Any:
    """Put the sentence of each key first."""
    if isinstance(node, list):
        return [_ordered(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    first = {"description": node["description"]} if isinstance(node.get("description"), str) else {}
    return {key: _ordered(value) for key, value in {**first, **node}.items()}


def make_schema() -> Schema:
    """Make the JSON schema of the config."""
    schema = settings_schema(ConfigKeys)
    definitions = {name: node for name, node in schema.pop("$defs").items() if not name.endswith("Settings")}
    # Each row is held to the keys of its own method by neurocine.config; this is the row that names none.
    row = {"$ref": f"#/$defs/{METHODS[DEFAULT].definition}"}
    schema["properties"]["experiments"]["additionalProperties"] = row
    names = list(SHARED)
    for name, kind in SHARED.items():
        node = _section(kind, names[: names.index(name)])
        node.pop("additionalProperties", None)
        definitions[name] = node
    for key, node in schema["properties"].items():
        field = ConfigKeys.model_fields[key]
        if isinstance(field.default, Settings):
            node.pop("default", None)
            node["default"] = {}
        if key in StudyKeys.model_fields:
            continue
        kind = type(field.default)
        section = _section(kind, names)
        closed = "unevaluatedProperties" if "allOf" in section else "additionalProperties"
        schema["properties"][key] = {
            "description": node["description"],
            "x-step": True,
            **section,
            closed: False,
        }
    text = " ".join((inspect.getdoc(ConfigKeys) or "").split())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of neurocine",
        "description": text,
        **_ordered({**schema, "$defs": definitions}),
    }


class _Dumper(yaml.SafeDumper):
    """Writes equal objects in full each time, and lists of plain values on one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        plain = not any(isinstance(item, list | dict) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=plain)


def schema_text(schema: Schema) -> str:
    """Write the schema as YAML."""
    body = yaml.dump(schema, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return GENERATED + body


def _describe(name: str, node: Schema, schema: Schema, default: Any) -> Iterator[str]:
    """Yield the table rows of one key and of the keys inside it."""
    node = resolve(node, schema)
    text = " ".join(node["description"].split())
    shown = "required" if default is ... else f"`{json.dumps(default)}`"
    allowed = range_words({key: value for key, value in node.items() if key != "x-unit"}, schema)
    if "properties" in node:
        shown, allowed = "", "keys below"
    elif "pattern" in allowed or "|" in allowed or len(allowed) > 300:
        allowed = "see meaning"
    yield f"| `{name}` | {shown} | {node.get('x-unit', '')} | {allowed} | {text} |"
    for key, child in node.get("properties", {}).items():
        inner = default.get(key, ...) if isinstance(default, Mapping) else default_of(child, schema)
        yield from _describe(f"{name}.{key}", child, schema, inner)
    more = node.get("additionalProperties")
    if isinstance(more, Mapping):
        inside = resolve(dict(more), schema)
        for key, child in inside.get("properties", {}).items():
            yield from _describe(f"{name}.<name>.{key}", child, schema, default_of(child, schema))


def _table(properties: Mapping[str, Schema], schema: Schema) -> list[str]:
    rows = [
        row
        for key, node in properties.items()
        for row in _describe(key, node, schema, default_of(node, schema))
    ]
    return ["", *HEAD, *rows]


def _also(node: Schema) -> list[str]:
    """Say which shared keys a section has, and which of their defaults differ."""
    if "allOf" not in node:
        return []
    name = node["allOf"][0]["$ref"].removeprefix("#/$defs/")
    title = SHARED_TITLES[name]
    link = f"[{title}](#{title.lower().replace(' ', '-')})"
    differs = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in node["default"].items())
    own = "Takes the keys of" if "properties" not in node else "Also takes the keys of"
    return ["", f"{own} {link}" + (f"; with other defaults: {differs}." if differs else ".")]


def config_page(schema: Schema) -> str:
    """Write the reference of all keys as Markdown: the study's, the shared ones, a heading per step."""
    sections = {key: node for key, node in schema["properties"].items() if node.get("x-step")}
    study = {key: node for key, node in schema["properties"].items() if key not in sections}
    lines = ["# Configuration", "", schema["description"], "", "## The study", *_table(study, schema)]
    for name, title in SHARED_TITLES.items():
        node = schema["$defs"][name]
        lines += ["", f"## {title}", *_also(node), *_table(node["properties"], schema)]
    for key, node in sections.items():
        own = node.get("properties")
        lines += ["", f"## {key}", "", node["description"], *_also(node)]
        lines += _table(own, schema) if own else []
    return "\n".join(lines) + "\n"


def write_reference(schema_file: Path = SCHEMA_FILE, page_file: Path = PAGE_FILE) -> None:
    """Write both files again."""
    schema = make_schema()
    schema_file.write_text(schema_text(schema), encoding="utf-8")
    page_file.write_text(config_page(schema), encoding="utf-8")


if __name__ == "__main__":
    write_reference()
