"""The decoding methods: one object each, which says what rules, tables and the page ask of a method.

They are found in the modules of this package.
"""

import math
from collections.abc import Mapping
from typing import Any

from neurocine.discover import classes_in
from neurocine.methods.base import Method, Training, register
from neurocine.methods.neurocine import NeuroCine

__all__ = [
    "DEFAULT",
    "METHODS",
    "Method",
    "Training",
    "chance_losses",
    "method_of",
    "methods_of",
    "training_titles",
]

DEFAULT = NeuroCine.name  # of an experiment that names none
# NeuroCine first, the others by the names of their modules.
_KINDS = sorted(classes_in(__name__, Method), key=lambda kind: kind is not NeuroCine)
METHODS = register(*(kind() for kind in _KINDS))


def method_of(row: Mapping[str, Any]) -> Method:
    """Return the method of an experiment; KeyError where there is none of this name."""
    return METHODS[row.get("method", DEFAULT)]


def methods_of(experiments: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """List the methods that experiments use, in the order of ``METHODS``."""
    used = {method_of(row).name for row in experiments.values()}
    return [method for name, method in METHODS.items() if name in used]


def chance_losses(step: str, batch: int) -> dict[str, float]:
    """Loss of each contrast of a training where nothing is told apart in a batch, nats, by name in the log.

    Where clips of one scene are no rivals of each other, fewer rivals are left and chance is lower.
    """
    contrasts = {name: n for method in METHODS.values() for name, n in method.contrasts.get(step, {}).items()}
    return {name: n * math.log(batch) for name, n in contrasts.items()}


def training_titles() -> dict[str, str]:
    """Title of every training of every method, in the order in which they follow each other."""
    return {step: title for method in METHODS.values() for step, title in method.titles.items()}
