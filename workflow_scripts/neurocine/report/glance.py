"""All conditions of a result at a glance: fMRI among controls, baselines and ceilings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from neurocine.conditions import CONDITIONS, KINDS, describe
from neurocine.report.figures import axis_range, track
from neurocine.report.markup import Card, fold
from neurocine.report.study import Order, Owner
from neurocine.report.templates import piece, render

Record = Mapping[str, Any]
# Trivial predictions that stand in the columns of every result: column -> name and what it is.
TRIVIAL = {
    "baseline_constant": ("grey", "a constant grey video"),
    "baseline_mean_frame": ("mean frame", "the mean training frame"),
}


class Line(NamedTuple):
    """One line of a panel: what was scored, the drawing, value and null, and the row of scores it opens."""

    name: str
    hint: str
    drawn: Markup
    value: float
    null: float
    opens: str = ""


def _condition_line(record: Record, axis: tuple[float, float]) -> Line:
    name = str(record["condition"])
    return Line(
        name, describe(name).text, track(record, *axis), record["value"], record["null_mean"], record["id"]
    )


def _trivial_line(record: Record, column: str, axis: tuple[float, float]) -> Line:
    unknown = dict.fromkeys(("ci_low", "ci_high", "chance", "null_p99", "baseline"), float("nan"))
    name, hint = TRIVIAL[column]
    score = unknown | {"metric": record["metric"], "value": record[column], "above": False}
    return Line(name, hint, track(score, *axis), record[column], float("nan"))


def _panel(metric: str, records: Sequence[Record], axis: tuple[float, float]) -> dict[str, Any]:
    """Collect one metric of one result: a line per condition, in groups."""
    first: dict[str, Record] = {}  # of several generations of the same clips
    for record in records:
        first.setdefault(str(record["condition"]), record)
    names = sorted(first, key=lambda name: list(CONDITIONS).index(name) if name in CONDITIONS else 99)
    groups = {}
    for kind, title in KINDS.items():
        lines = [_condition_line(first[name], axis) for name in names if describe(name).kind == kind]
        if kind == "baseline":
            some = next(iter(first.values()))
            lines += [_trivial_line(some, column, axis) for column in TRIVIAL]
        if lines:
            groups[title] = lines
    return {"metric": metric, "chance": records[0]["chance"], "groups": groups}


def glance_section(records: Sequence[Record], metrics: Sequence[str], digits: int, order: Order) -> Markup:
    """Draw the chosen metrics of every condition: a card per subject and experiment."""
    results: dict[Owner, dict[str, list[Record]]] = {}
    for record in records:
        if record["metric"] in metrics:
            results.setdefault(record["owner"], {}).setdefault(record["metric"], []).append(record)
    axes = {
        name: axis_range([r for group in results.values() for r in group.get(name, [])]) for name in metrics
    }
    cards = []
    for owner, group in results.items():
        label = order.label(owner)
        panels = [_panel(name, group[name], axes[name]) for name in metrics if name in group]
        body = render("glance.html", owner=owner, label=label, panels=panels, digits=digits)
        cards.append(Card(label, owner.experiment, body))
    return fold(cards) if cards else piece("empty", "None of the chosen metrics was scored.")
