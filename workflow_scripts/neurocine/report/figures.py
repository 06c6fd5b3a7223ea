"""Pictures drawn as HTML and SVG, so that they follow the page's colours and need no file."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from neurocine.metrics.registry import lower_is_better
from neurocine.report.templates import piece
from neurocine.report.text import number

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 170, 44, 24, 10  # a curve's drawing, in its own units
NOT_DRAWN = ("step", "lr", "seconds")


def track(score: Mapping[str, Any], low: float, high: float) -> Markup:
    """Draw one score between what chance and trivial predictions reach.

    Parameters
    ----------
    score : value, ci_low, ci_high, chance, null_mean, null_p99, baseline (NaN where unknown), above
    low, high : ends of the axis

    Returns
    -------
    HTML: a grey band over 99 % of the null, ticks for chance and baseline, the interval as a line,
    and the value as a dot, filled where it is better than the null
    """

    def left(value: float) -> str:
        return f"left:{min(max(100 * (value - low) / (high - low), 0), 100):.1f}%"

    def width(start: float, end: float) -> str:
        inside = [min(max(value, low), high) for value in (start, end)]
        return f"width:{100 * (inside[1] - inside[0]) / (high - low):.1f}%"

    marks = []
    edge = score["null_p99"]
    if math.isfinite(edge) and lower_is_better(str(score.get("metric", ""))):
        marks.append(("null", f"{left(edge)};{width(edge, high)}"))
    elif math.isfinite(edge):
        marks.append(("null", width(low, edge)))
    marks += [(name, left(score[name])) for name in ("chance", "baseline") if math.isfinite(score[name])]
    if math.isfinite(score["ci_low"]) and math.isfinite(score["ci_high"]):
        marks.append(("interval", f"{left(score['ci_low'])};{width(score['ci_low'], score['ci_high'])}"))
    if math.isfinite(score["value"]):
        marks.append(("dot above" if score["above"] else "dot", left(score["value"])))
    labels = {
        "value": "value",
        "null_p99": "99 % of the null worse than",
        "chance": "chance",
        "baseline": "best trivial baseline",
    }
    levels = [
        f"{label} {number(score[name])}" for name, label in labels.items() if math.isfinite(score[name])
    ]
    return piece("track", marks, ", ".join(levels))


def axis_range(scores: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the ends of an axis that holds all finite numbers of these scores, with some air."""
    names = ("value", "ci_low", "ci_high", "chance", "null_mean", "null_p99", "baseline")
    values = [score[name] for score in scores for name in names if math.isfinite(score[name])]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.5
    return low - air, high + air


def read_log(text: str) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Read the JSONL log of a training.

    Parameters
    ----------
    text : lines ``{"step": 10, "loss": 0.5, ..., "validation": {"loss": 0.6}}``

    Returns
    -------
    per quantity, the series "training" and "validation" as (step, value); values that are no numbers left out
    """
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}

    def add(series: str, step: float, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name not in NOT_DRAWN and isinstance(value, (int, float)) and math.isfinite(value):
                curves.setdefault(name, {}).setdefault(series, []).append((step, float(value)))

    for line in text.splitlines():
        entry = json.loads(line)
        add("training", entry["step"], entry)
        add("validation", entry["step"], entry.get("validation") or {})
    return curves


def thin(points: Sequence[tuple[float, float]], most: int = 200) -> list[tuple[float, float]]:
    """Average neighbouring points so that at most ``most`` remain."""
    size = math.ceil(len(points) / most) if points else 1
    blocks = [points[start : start + size] for start in range(0, len(points), size)]
    return [tuple(sum(column) / len(block) for column in zip(*block, strict=True)) for block in blocks]


def round_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return about ``about`` round numbers inside [low, high]."""
    raw = (high - low) / about
    if raw <= 0:
        return [low]
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [index * step for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class Plane(NamedTuple):
    """The part of a drawing that values lie in: ends of the horizontal and of the vertical axis."""

    left: float
    right: float
    low: float
    high: float
    # The same in every drawing: its size, ends of the horizontal axis, and height of its numbers.
    size: str = f"{WIDTH} {HEIGHT}"
    start: int = LEFT
    end: int = WIDTH - 8
    foot: int = HEIGHT - 8

    def xy(self, x: float, y: float) -> tuple[float, float]:
        """Place of a value in the drawing's units."""
        across, down = (x - self.left) / (self.right - self.left), (self.high - y) / (self.high - self.low)
        return LEFT + (WIDTH - LEFT - 8) * across, TOP + (HEIGHT - TOP - BOTTOM) * down

    def rows(self) -> list[tuple[float, str]]:
        """Round heights: place and number."""
        return [
            (round(self.xy(self.left, tick)[1], 1), f"{tick:g}") for tick in round_ticks(self.low, self.high)
        ]

    def columns(self, ticks: Sequence[float]) -> list[tuple[float, str, str]]:
        """Places of ticks on the horizontal axis, their numbers, and where the numbers are anchored."""
        places = [round(self.xy(tick, self.low)[0], 1) for tick in ticks]
        return [
            (x, f"{tick:g}", "end" if x > WIDTH - 20 else "middle")
            for x, tick in zip(places, ticks, strict=True)
        ]

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Corners of a line or an area through these values."""
        return " ".join("{:.1f},{:.1f}".format(*self.xy(x, y)) for x, y in points)


def curve(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], chance: float | None = None
) -> Markup:
    """Draw one quantity over the steps of a training as SVG.

    Parameters
    ----------
    title : name of the quantity
    series : "training" and "validation", (step, value) each
    chance : value of chance, if it has one

    Returns
    -------
    a ``figure`` element; colours come from the page's style sheet
    """
    points = [point for values in series.values() for point in values]
    last = max(step for step, _ in points)
    values = [value for _, value in points] + ([] if chance is None else [chance])
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 0.5, high + 0.5
    plane = Plane(0, last, low, high)
    lines = {name: thin(values) for name, values in series.items()}
    shapes = [] if chance is None else [("polyline", "chance", [(0, chance), (last, chance)])]
    shapes += [("polyline", name, corners) for name, corners in lines.items()]
    validation = lines.get("validation", [])
    shown = validation if len(validation) <= 40 else []
    dots = [("validation", plane.xy(*corner), 2.2, "") for corner in shown]
    ending = ", ".join(f"{name} ends at {values[-1][1]:.4g}" for name, values in series.items())
    said = f"{title} over steps: {ending}" + ("" if chance is None else f"; chance is {chance:.4g}")
    return piece("figure", title, said, plane, round_ticks(0, last, 3), shapes, dots)


def interval_curve(title: str, points: Sequence[tuple[float, float, float, float]], chance: float) -> Markup:
    """Draw values with their intervals beside chance as SVG.

    Parameters
    ----------
    title : what is drawn over what
    points : (x, value, low end, high end), two or more, x increasing
    chance : the chance level

    Returns
    -------
    a ``figure`` element; colours come from the page's style sheet
    """
    low, high = min(chance, *(point[2] for point in points)), max(chance, *(point[3] for point in points))
    air = 0.05 * (high - low) or 0.5
    plane = Plane(points[0][0], points[-1][0], low - air, high + air)
    places = [x for x, *_ in points]
    band = [(x, end) for x, _, end, _ in points] + [(x, end) for x, _, _, end in reversed(points)]
    shapes = [
        ("polygon", "interval", band),
        ("polyline", "chance", [(places[0], chance), (places[-1], chance)]),
        ("polyline", "", [(x, value) for x, value, *_ in points]),
    ]
    dots = [
        (
            "mean",
            plane.xy(x, value),
            2.6,
            f"{x:g}: {number(value)}, 95 % interval {number(start)} to {number(end)}",
        )
        for x, value, start, end in points
    ]
    best_x, best_value = max(points, key=lambda point: point[1])[:2]
    said = f"{title}: highest {number(best_value)} at {best_x:g}, chance {chance:g}"
    ticks = places if len(places) <= 12 else round_ticks(places[0], places[-1])
    return piece("figure", title, said, plane, ticks, shapes, dots)
