"""The data sets: one class each, which yields the movies and recordings of a study as a table.

They are found in the modules of this package.
"""

from collections.abc import Mapping
from typing import Any

from neurocine.datasets.base import DataSet
from neurocine.datasets.wen2018 import Wen2018
from neurocine.discover import classes_in

# CC2017 first, the others by the names of their modules.
_KINDS = sorted(classes_in(__name__, DataSet), key=lambda kind: kind is not Wen2018)
LAYOUTS: dict[str, type[DataSet]] = {kind.layout: kind for kind in _KINDS}


def data_set(config: Mapping[str, Any]) -> DataSet:
    """Return the data set of a study; CC2017 where the config says none, or one that the schema refuses."""
    return LAYOUTS.get(config.get("layout", Wen2018.layout), Wen2018)()
