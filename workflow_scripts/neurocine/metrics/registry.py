"""All metrics and features, found in the modules of ``definitions``, and what others ask of them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

from neurocine.discover import declared
from neurocine.metrics import definitions
from neurocine.metrics.metric import Feature, Group, Metric

if TYPE_CHECKING:
    from neurocine.metrics.settings import ScoreSettings


def _by_name(entries: Sequence[Any]) -> dict[str, Any]:
    named = {entry.name: entry for entry in entries}
    if len(named) < len(entries):
        raise ValueError(f"two of the same name among {', '.join(entry.name for entry in entries)}")
    return named


# In the order of the tables.
METRICS: dict[str, Metric] = _by_name(
    sorted(declared(definitions.__name__, "METRICS"), key=lambda metric: get_args(Group).index(metric.group))
)
FEATURES: dict[str, Feature] = _by_name(declared(definitions.__name__, "FEATURES"))
DEFAULT_METRICS = tuple(name for name, metric in METRICS.items() if metric.default)
# Networks that metrics need, as the config section ``models`` names them.
NETWORKS = tuple(dict.fromkeys(feature.network for feature in FEATURES.values() if feature.network))


def _short_table() -> tuple[str, ...]:
    places = {start: place for metric in METRICS.values() for start, place in metric.short_table.items()}
    return tuple(sorted(places, key=lambda start: places[start]))


SHORT_TABLE = _short_table()  # beginnings of the names of values in the short table, in its order


def metric_of(value: str) -> Metric | None:
    """Find the metric that a value is of, such as ``acc_image`` of ``acc_image_2_any3``."""
    names = [name for name in METRICS if value == name or value.startswith(f"{name}_")]
    return METRICS[max(names, key=len)] if names else None


def lower_is_better(value: str) -> bool:
    """Whether a smaller value of this name is the better one; of unknown names it is not."""
    metric = metric_of(value)
    return metric is not None and metric.lower_is_better


def value_range(value: str) -> tuple[float, float]:
    """Return the smallest and the largest value of this name; unbounded where it is of no metric."""
    metric = metric_of(value)
    return metric.value_range if metric else (-math.inf, math.inf)


def is_tested(value: str) -> bool:
    """Whether pairing with other originals can change a value of this name."""
    metric = metric_of(value)
    return metric is None or metric.sees_original


def best(name: str, values: list[float]) -> float:
    """Return the best of some values of this name."""
    return min(values) if lower_is_better(name) else max(values)


def chosen_metrics(settings: "ScoreSettings") -> dict[str, Metric]:
    """Return the metrics that the settings ask for, in the order of the tables."""
    return {name: metric for name, metric in METRICS.items() if name in settings.metrics}


def needed_features(settings: "ScoreSettings") -> set[str]:
    """Features that the chosen metrics are made of."""
    return {feature for metric in chosen_metrics(settings).values() for feature in metric.needs}


def metrics_table() -> str:
    """Write the table of all metrics in docs/scoring.md; those in bold are computed by default."""
    lines = ["| metric | definition | chance | comparable with |", "| --- | --- | --- | --- |"]
    for name, metric in METRICS.items():
        shown = f"**`{name}`**" if metric.default else f"`{name}`"
        lines.append(f"| {shown} | {metric.definition} | {metric.chance_text} | {metric.comparable} |")
    return "\n".join(lines) + "\n"
