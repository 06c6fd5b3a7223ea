"""Small pieces of the page: numbers, order, tracks and curves."""

import json
import math
import re

import pandas as pd
import pytest
from jinja2 import UndefinedError

from neurocine.methods import METHODS, chance_losses, training_titles
from neurocine.metrics.registry import METRICS as SCORED
from neurocine.report.figures import (
    BOTTOM,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    axis_range,
    interval_curve,
    read_log,
    round_ticks,
    thin,
    track,
)
from neurocine.report.markup import Cell, Column, Row, row_data
from neurocine.report.meaning import asks, meaning_frame
from neurocine.report.sections import training_section
from neurocine.report.study import Order, Owner, TrainingLog, score_records
from neurocine.report.templates import piece, render
from neurocine.report.text import breakable, number, p_text


def test_an_interval_curve_lies_where_its_values_are() -> None:
    drawn = interval_curve("x by lag", [(-1, 0.0, -0.5, 0.5), (1, 1.0, 0.5, 1.5)], 0.0)
    circles = re.findall(r'<circle class="mean" cx="([\d.]+)" cy="([\d.]+)"', drawn)
    (left, low), (right, high) = [tuple(map(float, place)) for place in circles]
    assert (left, right) == (LEFT, WIDTH - 8)
    # Heights run down; values from -0.5 to 1.5 with air of 0.1 on each side fill the drawing.
    inside = HEIGHT - TOP - BOTTOM
    assert low == pytest.approx(TOP + inside * 1.6 / 2.2, abs=0.1)
    assert high == pytest.approx(TOP + inside * 0.6 / 2.2, abs=0.1)
    chance = re.search(r'<polyline class="chance" points="[\d.]+,([\d.]+) [\d.]+,([\d.]+)"', drawn)
    assert chance
    assert chance[1] == chance[2] == f"{low:.1f}"


def test_contrasts_stand_beside_their_loss_of_chance() -> None:
    line = {"step": 100, "loss": 1.0, "embedding": 2.0, "spatial": 9.0, "validation": {"embedding": 3.0}}
    log = TrainingLog("train_encoder", "plain", "1", json.dumps(line))
    drawn = training_section([log], {"train_encoder": {"batch_size": 8}})
    said = re.findall(r'aria-label="([^"]*)"', drawn)
    assert [text.partition("; chance is ")[2] for text in said] == ["", f"{2 * math.log(8):.4g}", "2.079"]
    # The line lies between the ends of the axis, which reaches as far.
    figure = next(part for part in drawn.split("<figure")[1:] if "spatial" in part)
    chance = re.search(r'<polyline class="chance" points="[\d.]+,([\d.]+) [\d.]+,([\d.]+)"', figure)
    assert chance
    assert float(chance[1]) == float(chance[2]) == HEIGHT - BOTTOM
    assert 'class="chance"' not in training_section([log], {"train_encoder": None})
    assert chance_losses("train_decoder", 8) == {}
    named = {step for method in METHODS.values() for step in method.contrasts}
    assert named <= set(training_titles())


def test_numbers() -> None:
    assert [number(0.12345), number(float("nan")), number(0.00001), number(0.0)] == [
        "0.123",
        "–",
        "1.0e-05",
        "0.000",
    ]
    assert [p_text(0.0001), p_text(0.0123), p_text(float("nan"))] == ["< 0.001", "0.012", "–"]


def test_order_of_owners() -> None:
    order = Order(("main", "exp2"), ("neurocine",))
    owners = [Owner(s, "neurocine", e) for e in ("exp10", "exp2", "main") for s in ("", "10", "9")]
    ranked = sorted(owners, key=order.rank)
    assert [(o.experiment, o.subject) for o in ranked[:4]] == [
        ("main", "9"),
        ("main", "10"),
        ("main", ""),
        ("exp2", "9"),
    ]
    assert order.label(owners[0]) == "exp10"
    assert Order((), ("a", "b")).label(Owner("1", "b", "main")) == "b main"


def test_track_places_dot_and_says_it_in_words() -> None:
    score = dict.fromkeys(("ci_low", "ci_high", "chance", "baseline"), float("nan"))
    drawn = track({**score, "value": 0.75, "null_p99": 0.5, "above": True}, 0.0, 1.0)
    assert 'class="dot above" style="left:75.0%"' in drawn
    assert 'class="null" style="width:50.0%"' in drawn
    assert "value 0.750, 99 % of the null worse than 0.500" in drawn
    assert 'class="dot" ' in track({**score, "value": 0.4, "null_p99": 0.5, "above": False}, 0.0, 1.0)
    error = {**score, "metric": "epe_farneback", "value": 0.4, "null_p99": 0.5, "above": True}
    assert 'class="null" style="left:50.0%;width:50.0%"' in track(error, 0.0, 1.0)
    low, high = axis_range([{**score, "value": 1.0, "null_p99": 0.0, "null_mean": 0.0}])
    assert low < 0 < 1 < high


def test_only_what_beats_a_hundred_pairings_is_above_its_null() -> None:
    columns = {"subject": "1", "method": "neurocine", "experiment": "main", "metric": "ssim_mv"}
    numbers = {"value": 0.7, "null_p99": 0.5, "baseline_constant": 0.1, "baseline_mean_frame": 0.1}
    found = [  # of five pairings none was better; of a hundred; without a null
        score_records(pd.DataFrame([columns | numbers | {"p_value": p}]), Order((), ()))[0]["above"]
        for p in (1 / 6, 0.0099, float("nan"))
    ]
    assert found == [False, True, False]


def test_what_is_too_slow_for_its_p_is_not_above_its_null() -> None:
    row = {"subject": "1", "method": "neurocine", "experiment": "main", "metric": "ssim_mv", "p_value": 0.001}
    row |= {"value": 0.7, "null_p99": 0.5, "baseline_constant": 0.1, "baseline_mean_frame": 0.1}
    for holds, above in (("yes", True), ("no", False)):
        found = score_records(pd.DataFrame([row | {"p_holds": holds}]), Order((), ()))[0]
        assert (found["above"], found["slow"]) == (above, not above)


def test_every_metric_says_what_it_asks_and_what_trivial_clips_reach() -> None:
    assert [name for name in SCORED if not asks(name)] == []
    assert asks("ssim_colbug") != asks("ssim_mv")
    rows = [
        {"metric": "epe_farneback", "condition": condition, "value": value, "chance": math.nan}
        | {"baseline_constant": 2.0, "baseline_mean_frame": 3.0}
        for condition, value in (("fmri", 4.0), ("fmri", 6.0), ("retrieval", 7.0), ("shifted", 9.0))
    ]
    row = meaning_frame(pd.DataFrame(rows)).iloc[0]
    assert (row["worst"], row["best"]) == (math.inf, 0)
    assert (row["grey"], row["mean frame"], row["fmri"], row["retrieval"]) == (2, 3, 5, 7)
    assert math.isnan(row["training_caption"])
    assert math.isnan(row["chance"])


def test_log_and_curve_helpers() -> None:
    text = '{"step": 1, "loss": 2.0, "lr": 0.1}\n{"step": 2, "loss": NaN, "validation": {"loss": 3.0}}\n'
    assert read_log(text) == {"loss": {"training": [(1, 2.0)], "validation": [(2, 3.0)]}}
    assert thin([(n, 2.0 * n) for n in range(10)], most=5) == [
        (n + 0.5, 2 * n + 1.0) for n in range(0, 10, 2)
    ]
    assert round_ticks(0.0, 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert round_ticks(3.0, 3.0) == [3.0]


def test_rows_as_data_cannot_end_their_element() -> None:
    hostile = "</script><!--<SCRIPT>alert(1)"
    cells = [Cell(hostile), Cell(piece("opens", breakable("ssim_mv"))), Cell("0.5", 0.5)]
    columns = [Column("name"), Column("metric"), Column("value", numeric=True)]
    text = row_data("rows", columns, [Row(cells, {"experiment": hostile}, "first")])
    body = str(text).removeprefix('<script type="application/json" id="rows">').removesuffix("</script>")
    assert not re.search("</|<!--|<script", body, re.IGNORECASE)
    ((html, name, keys, values),) = json.loads(body)
    assert name == "first"
    assert keys == {"experiment": hostile}
    assert values == [hostile, "ssim_mv", 0.5]
    assert "<td>&lt;/script&gt;&lt;!--&lt;SCRIPT&gt;alert(1)</td>" in html


def test_a_name_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="cards"):
        render("training.html")
