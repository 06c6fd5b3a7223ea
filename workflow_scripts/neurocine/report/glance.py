"""All conditions of a result at a glance: fMRI among controls, baselines and ceilings."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from neurocine.report.conditions import CONDITIONS, KINDS, told
from neurocine.report.figures import axis_range, track
from neurocine.report.markup import fold, key_attributes, number
from neurocine.report.study import Order, Owner

Record = Mapping[str, Any]
# Trivial predictions that stand in the columns of every result: column -> name and what it is.
TRIVIAL = {
    "baseline_constant": ("grey", "a constant grey video"),
    "baseline_mean_frame": ("mean frame", "the mean training frame"),
}


def _line(who: str, hint: str, drawn: str, value: float, null: float, digits: int) -> str:
    return (
        f'<li><span class="who" title="{escape(hint)}">{who}</span>{drawn}'
        f'<span class="figure">{number(value, digits)}</span>'
        f'<span class="beside">{number(null, digits)}</span></li>'
    )


def _condition_line(record: Record, axis: tuple[float, float], digits: int) -> str:
    name = str(record["condition"])
    who = f'<button type="button" class="open" data-row="{escape(record["id"])}">{escape(name)}</button>'
    drawn = track(record, *axis)
    return _line(who, told(name).text, drawn, record["value"], record["null_mean"], digits)


def _trivial_line(record: Record, column: str, axis: tuple[float, float], digits: int) -> str:
    unknown = dict.fromkeys(("ci_low", "ci_high", "chance", "null_p99", "baseline"), float("nan"))
    name, hint = TRIVIAL[column]
    known = {"metric": record["metric"], "value": record[column], "above": False}
    drawn = track(unknown | known, *axis)
    return _line(name, hint, drawn, record[column], float("nan"), digits)


def _panel(metric: str, records: Sequence[Record], axis: tuple[float, float], digits: int) -> str:
    """Draw one metric of one result: a line per condition, in groups."""
    first: dict[str, Record] = {}  # of several generations of the same clips
    for record in records:
        first.setdefault(str(record["condition"]), record)
    names = sorted(first, key=lambda name: list(CONDITIONS).index(name) if name in CONDITIONS else 99)
    lines = ['<li class="heads"><span></span><span></span><span>value</span><span>null</span></li>']
    for kind, title in KINDS.items():
        group = [_condition_line(first[name], axis, digits) for name in names if told(name).kind == kind]
        if kind == "baseline":
            some = next(iter(first.values()))
            group += [_trivial_line(some, column, axis, digits) for column in TRIVIAL]
        if group:
            lines += [f'<li class="kind">{title}</li>', *group]
    chance = number(records[0]["chance"], digits)
    beside = f"<small>chance {chance}</small>" if chance != "–" else "<small>no exact chance level</small>"
    return (
        f'<div class="panel"><h4>{escape(metric)} {beside}</h4>'
        f'<ul class="dots beside-null">{"".join(lines)}</ul></div>'
    )


def glance_section(records: Sequence[Record], metrics: Sequence[str], digits: int, order: Order) -> str:
    """Draw the chosen metrics of every condition: a card per subject and experiment."""
    found: dict[Owner, dict[str, list[Record]]] = {}
    for record in records:
        if record["metric"] in metrics:
            found.setdefault(record["owner"], {}).setdefault(record["metric"], []).append(record)
    axes = {
        name: axis_range([r for group in found.values() for r in group.get(name, [])]) for name in metrics
    }
    cards = []
    for owner, group in found.items():
        panels = "".join(_panel(n, group[n], axes[n], digits) for n in metrics if n in group)
        card = (
            f'<article class="card wide"{key_attributes(owner.keys)}>{order.heading(owner)}'
            f'<div class="panels">{panels}</div></article>'
        )
        cards.append((order.label(owner), owner.experiment, card))
    return fold(cards) or '<p class="empty">None of the chosen metrics was scored.</p>'
