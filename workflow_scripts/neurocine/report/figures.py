"""Pictures drawn as HTML and SVG, so that they follow the page's colours and need no file."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from neurocine.metrics.direction import lower_is_better
from neurocine.report.markup import number

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 170, 44, 24, 10  # a curve's drawing, in its own units
NOT_DRAWN = ("step", "lr", "seconds")


def track(score: Mapping[str, Any], low: float, high: float) -> str:
    """Draw one score between what luck and trivial predictions reach.

    Parameters
    ----------
    score : value, ci_low, ci_high, chance, null_mean, null_p99, baseline (NaN where unknown), above
    low, high : ends of the axis

    Returns
    -------
    HTML: a grey band over 99 % of the null, ticks for chance and baseline, the interval as a line,
    and the value as a dot, filled where it is better than the null
    """

    def place(value: float) -> str:
        return f"{min(max(100 * (value - low) / (high - low), 0), 100):.1f}%"

    def width(start: float, end: float) -> str:
        inside = [min(max(value, low), high) for value in (start, end)]
        return f"{100 * (inside[1] - inside[0]) / (high - low):.1f}%"

    parts = []
    lower = lower_is_better(str(score.get("metric", "")))
    edge = score["null_p99"]
    if math.isfinite(edge) and lower:
        span = f"left:{place(edge)};width:{width(edge, high)}"
        parts.append(f'<i class="null" style="{span}"></i>')
    elif math.isfinite(edge):
        parts.append(f'<i class="null" style="width:{width(low, edge)}"></i>')
    for name in ("chance", "baseline"):
        if math.isfinite(score[name]):
            parts.append(f'<i class="{name}" style="left:{place(score[name])}"></i>')
    if math.isfinite(score["ci_low"]) and math.isfinite(score["ci_high"]):
        span = width(score["ci_low"], score["ci_high"])
        parts.append(f'<i class="interval" style="left:{place(score["ci_low"])};width:{span}"></i>')
    if math.isfinite(score["value"]):
        kind = "dot above" if score["above"] else "dot"
        parts.append(f'<i class="{kind}" style="left:{place(score["value"])}"></i>')
    said = ", ".join(
        f"{label} {number(score[name])}"
        for name, label in (
            ("value", "value"),
            ("null_p99", "what 99 % of the null do not reach"),
            ("chance", "chance"),
            ("baseline", "best trivial baseline"),
        )
        if math.isfinite(score[name])
    )
    said = escape(said)
    return f'<span class="track" role="img" title="{said}">{"".join(parts)}</span>'


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
    """Average neighbouring points so that at most so many are left."""
    size = math.ceil(len(points) / most) if points else 1
    blocks = [points[start : start + size] for start in range(0, len(points), size)]
    return [tuple(sum(column) / len(block) for column in zip(*block, strict=True)) for block in blocks]


def round_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers inside [low, high], about so many."""
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

    def xy(self, x: float, y: float) -> tuple[float, float]:
        """Place of a value in the drawing's units."""
        across, down = (x - self.left) / (self.right - self.left), (self.high - y) / (self.high - self.low)
        return LEFT + (WIDTH - LEFT - 8) * across, TOP + (HEIGHT - TOP - BOTTOM) * down

    def axes(self, ticks: Sequence[float]) -> list[str]:
        """Lines at round heights with their numbers, and numbers at ``ticks`` below."""
        parts = []
        for tick in round_ticks(self.low, self.high):
            y = self.xy(self.left, tick)[1]
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>')
        for tick in ticks:
            x = self.xy(tick, self.low)[0]
            anchor = "end" if x > WIDTH - 20 else "middle"
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{tick:g}</text>')
        return parts

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Corners of a line or an area through these values."""
        return " ".join("{:.1f},{:.1f}".format(*self.xy(x, y)) for x, y in points)


def _figure(title: str, said: str, parts: Iterable[str]) -> str:
    return (
        f'<figure class="curve"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(said)}">'
        f"{''.join(parts)}</svg></figure>"
    )


def curve(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw one quantity over the steps of a training as SVG.

    Parameters
    ----------
    title : name of the quantity
    series : "training" and "validation", (step, value) each

    Returns
    -------
    a ``figure`` element; colours come from the page's style sheet
    """
    points = [point for values in series.values() for point in values]
    last = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    if high == low:
        low, high = low - 0.5, high + 0.5
    plane = Plane(0, last, low, high)
    parts = plane.axes(round_ticks(0, last, 3))
    for name, values in series.items():
        corners = thin(values)
        parts.append(f'<polyline class="{escape(name)}" points="{plane.path(corners)}"/>')
        if name == "validation" and len(corners) <= 40:
            parts.extend(
                '<circle class="validation" cx="{:.1f}" cy="{:.1f}" r="2.2"/>'.format(*plane.xy(*corner))
                for corner in corners
            )
    ending = ", ".join(f"{name} ends at {values[-1][1]:.4g}" for name, values in series.items())
    return _figure(title, f"{title} over steps: {ending}", parts)


def interval_curve(title: str, points: Sequence[tuple[float, float, float, float]], chance: float) -> str:
    """Draw values with their intervals beside chance as SVG.

    Parameters
    ----------
    title : what is drawn over what
    points : (x, value, low end, high end), two or more, x increasing
    chance : the level that luck reaches

    Returns
    -------
    a ``figure`` element; colours come from the page's style sheet
    """
    low, high = min(chance, *(point[2] for point in points)), max(chance, *(point[3] for point in points))
    air = 0.05 * (high - low) or 0.5
    plane = Plane(points[0][0], points[-1][0], low - air, high + air)
    places = [x for x, *_ in points]
    parts = plane.axes(places if len(places) <= 12 else round_ticks(places[0], places[-1]))
    band = [(x, end) for x, _, end, _ in points] + [(x, end) for x, _, _, end in reversed(points)]
    level = plane.path([(places[0], chance), (places[-1], chance)])
    parts.append(f'<polygon class="interval" points="{plane.path(band)}"/>')
    parts.append(f'<polyline class="chance" points="{level}"/>')
    parts.append(f'<polyline points="{plane.path((x, value) for x, value, *_ in points)}"/>')
    for x, value, start, end in points:
        across, down = plane.xy(x, value)
        parts.append(
            f'<circle class="mean" cx="{across:.1f}" cy="{down:.1f}" r="2.6">'
            f"<title>{x:g}: {number(value)}, 95 % interval {number(start)} to {number(end)}</title></circle>"
        )
    best_x, best_value = max(points, key=lambda point: point[1])[:2]
    return _figure(title, f"{title}: highest {number(best_value)} at {best_x:g}, chance {chance:g}", parts)
