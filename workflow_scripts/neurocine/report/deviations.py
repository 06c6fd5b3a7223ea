"""What of a study's trainings and decoding is not as published, and why, on the page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from neurocine.methods import methods_of
from neurocine.report.comparisons import Shown
from neurocine.schema import default_of, read_schema
from neurocine.schema_words import Schema, resolve

DEVIATIONS = (
    *(Shown("key"), Shown("published", hint="the default of the key")),
    *(Shown("here"), Shown("reason", "why")),
)


def deviation_frame(config: Mapping[str, Any], schema: Schema | None = None) -> pd.DataFrame:
    """List the settings of trainings and of decoding that differ from the published ones.

    Keys that change no result are left out, and so are sections that no experiment uses.

    Parameters
    ----------
    config : of the study, complete; its ``not_as_published`` gives the reasons, of a key or of its section
    schema : of the config; read from the repository by default

    Returns
    -------
    columns key, published, here, reason (empty where none is given)
    """
    schema = schema or read_schema()
    reasons = config.get("not_as_published", {})
    rows = []
    prior = config.get("models", {}).get("video_prior")
    if prior and "train_video_prior" in compared_sections(config):
        name = "models.video_prior"
        here = json.dumps(Path(prior).name)  # the page names no folder of the machine
        rows.append({"key": name, "published": "null", "here": here, "reason": reasons.get(name, "")})
    for section in compared_sections(config):
        for key, published, here in differences(config[section], schema["properties"][section], schema):
            name = f"{section}.{key}"
            reason = reasons.get(name, reasons.get(section, ""))
            rows.append({"key": name, "published": published, "here": here, "reason": reason})
    return pd.DataFrame(rows, columns=["key", "published", "here", "reason"])


def compared_sections(config: Mapping[str, Any]) -> list[str]:
    """Name the sections of fMRI samples, of trainings and of decoding that the experiments use."""
    methods = methods_of(config.get("experiments", {}))
    steps = [step for method in methods for step in (*method.titles, method.step)]
    samples = [name for name in config if name.startswith("assemble_")]
    return [name for name in dict.fromkeys([*samples, *steps]) if name in config]


def differences(section: Mapping[str, Any], node: Schema, schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield each key of a section with its default and its value, as JSON, where they differ in effect."""
    node = resolve(node, schema)
    defaults = default_of(node, schema)
    for key, child in node["properties"].items():
        if key in section and section[key] != defaults[key] and not resolve(child, schema).get("x-cosmetic"):
            yield key, json.dumps(defaults[key]), json.dumps(section[key])
