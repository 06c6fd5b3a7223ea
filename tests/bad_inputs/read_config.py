"""What `rules/common.smk` does with config files before any job is planned, as a program."""

import functools
from pathlib import Path

import yaml

from neurocine.cli import program
from neurocine.config import complete_config, refuse_surprises
from neurocine.datasets import data_set
from neurocine.schema import merge, read_schema
from neurocine.schema_words import Schema
from neurocine.study import Study

ROOT = Path(__file__).parents[2]


@functools.cache
def schema() -> Schema:
    """Read it once: a run reads one config, the table a hundred."""
    return read_schema()


@program
def main(*, configfiles: list[Path], out: Path, find: bool = False) -> None:
    """Read a config as the workflow does, and find the study's files.

    Parameters
    ----------
    configfiles : on top of the published config, the last one wins
    out : a file that says that the config can be used
    find : look for the recordings, too
    """
    refuse_surprises(configfiles)
    given = [yaml.safe_load(path.read_text()) for path in (ROOT / "config.yaml", *configfiles)]
    config = functools.reduce(merge, given)
    config.update(data_set(config).own_keys(config))
    complete = complete_config(config, schema())
    Study.find(complete, ("recordings",) if find else ())
    out.write_text("usable\n")
