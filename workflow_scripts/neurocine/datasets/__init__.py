"""The data sets: one class each, which yields the movies and recordings of a study as a table."""

from collections.abc import Mapping
from typing import Any

from neurocine.datasets.base import DataSet
from neurocine.datasets.sheet import SampleSheet
from neurocine.datasets.wen2018 import Wen2018

LAYOUTS: dict[str, type[DataSet]] = {kind.layout: kind for kind in (Wen2018, SampleSheet)}


def data_set(config: Mapping[str, Any]) -> DataSet:
    """Return the data set of a study; CC2017 where the config says none, or one that the schema refuses."""
    return LAYOUTS.get(config.get("layout", Wen2018.layout), Wen2018)()
