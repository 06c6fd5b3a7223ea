"""Sections of the page, each from one kind of result."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from neurocine.conditions import describe
from neurocine.methods import chance_losses, methods_of, training_titles
from neurocine.naming import natural
from neurocine.report.figures import axis_range, curve, read_log, track
from neurocine.report.markup import Cell, Column, Row, row_data, table
from neurocine.report.study import Medium, Order, Owner, TrainingLog
from neurocine.report.templates import piece, render
from neurocine.report.text import breakable, number, p_text, setting_text
from neurocine.shared import fit_to_share

WHOLE_GROUP = "all"  # in the column area of the attention table, where a row is a whole group
# Column of the attention table -> title and explanation.
ATTENTION_NUMBERS = {
    "importance_softmax": ("attention", "received, 1 = uniform"),
    "softmax_low": ("low", "of the 95 % interval, block bootstrap over time"),
    "softmax_high": ("high", "of the 95 % interval"),
    "random_softmax": ("random", "attention in an encoder with random weights"),
    "importance_l2row": ("attention ℓ2", "rows of unit ℓ2 norm"),
    "random_l2row": ("random ℓ2", "the same in an encoder with random weights"),
    "entropy": ("entropy", "of the rows of the area's tokens, nats"),
    "random_entropy": ("random entropy", "the same in an encoder with random weights"),
}
OCCLUSION_NUMBERS = {
    "fall_cosine": ("fall of cosine", "to CLIP's embedding of the clip"),
    "fall_cosine_low": ("low", "of the 95 % interval, block bootstrap over time"),
    "fall_cosine_high": ("high", "of the 95 % interval"),
    "random_fall_cosine": ("random", "the same in an encoder with random weights"),
    "fall_identification": ("fall of identification", "pairwise, chance 0.5"),
    "fall_identification_low": ("low", "of the 95 % interval"),
    "fall_identification_high": ("high", "of the 95 % interval"),
    "random_fall_identification": ("random", "the same in an encoder with random weights"),
}


def _axes(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    metrics = dict.fromkeys(record["metric"] for record in records)
    return {name: axis_range([r for r in records if r["metric"] == name]) for name in metrics}


def headline_section(
    records: Sequence[Mapping[str, Any]], metrics: Sequence[str], digits: int, order: Order
) -> Markup:
    """Draw the chosen metrics of results from fMRI: a panel each, a line per subject and experiment."""
    axes = _axes(records)
    panels = []
    for metric in metrics:
        of_fmri = [r for r in records if r["metric"] == metric and r["condition"] == "fmri"]
        # Of several generations of the same clips, the first; the table below has all.
        chosen = list({r["owner"]: r for r in reversed(of_fmri)}.values())[::-1]
        if not chosen:
            continue
        low, high = axes[metric]
        lines = [
            (r["owner"], order.label(r["owner"]), track(r, low, high), number(r["value"], digits))
            for r in chosen
        ]
        panels.append({"metric": metric, "lines": lines, "low": low, "high": high})
    if not panels:
        return piece("empty", "None of the chosen metrics was scored.")
    return render("headline.html", panels=panels)


SCORE_TABLE = (
    Column("subject"),
    Column("method", minor=True),
    Column("experiment", minor=True),
    Column("condition", "what the video was decoded from"),
    Column("metric"),
    Column("value", "mean over clips", numeric=True),
    Column("chance", "exact, where the metric has one", numeric=True),
    Column("null mean", "predictions paired with other times of the movie", numeric=True),
    Column("in context", sortable=False, minor=True),
    Column("95 % interval", "block bootstrap over time", numeric=True, minor=True),
    Column("null p99", "what 99 % of the null do not reach", numeric=True, minor=True),
    Column("p", "permutation test, not corrected; ? where scores are too slow", numeric=True, minor=True),
    Column("p Holm", "corrected over the metrics of a result", numeric=True, minor=True),
    Column("pairings", "of the permutation test", numeric=True, minor=True),
    Column("grey", "a constant grey video", numeric=True, minor=True),
    Column("mean frame", "the mean training frame", numeric=True, minor=True),
    Column("clips", numeric=True, minor=True),
    Column("seed", "of the generation", numeric=True, minor=True),
)


def score_table(records: Sequence[Mapping[str, Any]], digits: int, order: Order) -> Markup:
    """Return the table of all scores, each beside chance, null, baselines and interval."""
    axes = _axes(records)
    rows = [_score_row(record, axes[record["metric"]], digits) for record in records]
    empty = table("scores-table", "Scores of all subjects, experiments and conditions", SCORE_TABLE, [])
    return empty + row_data("scores-rows", SCORE_TABLE, rows)


def _score_row(record: Mapping[str, Any], axis: tuple[float, float], digits: int) -> Row:
    """Return the row of one score; ``axis`` holds the ends of its metric's axis."""
    owner: Owner = record["owner"]
    value = piece("score", number(record["value"], digits), record["above"])
    condition = str(record["condition"])
    interval = f"{number(record['ci_low'], digits)} – {number(record['ci_high'], digits)}"

    def plain(name: str, places: int = digits) -> Cell:
        return Cell(number(record[name], places), record[name], kind="number")

    cells = [
        Cell(owner.subject or "all"),
        Cell(owner.method),
        Cell(owner.experiment),
        Cell(piece("hinted", breakable(condition), describe(condition).text)),
        Cell(piece("opens", breakable(record["metric"])), kind="name"),
        Cell(value, record["value"], "number strong"),
        *(plain(name) for name in ("chance", "null_mean")),
        Cell(track(record, *axis), kind="drawn"),
        Cell(interval, record["ci_low"], kind="number quiet"),
        plain("null_p99"),
        *(
            Cell(p_text(record[name]) + " ?" * record["slow"], record[name], kind="number")
            for name in ("p_value", "p_holm")
        ),
        plain("draws", 0),
        *(plain(name) for name in ("baseline_constant", "baseline_mean_frame")),
        *(plain(name, 0) for name in ("n_clips", "seed")),
    ]
    keys = owner.keys | {"condition": condition, "metric": str(record["metric"])}
    return Row(cells, keys | {"above": "yes" if record["above"] else "no"}, record["id"])


def _owner(record: Mapping[Any, Any]) -> Owner:
    return Owner(*(str(record[key]) for key in ("subject", "method", "experiment")))


def area_table(name: str, attention: pd.DataFrame, kind: str, digits: int, order: Order) -> Markup:
    """Return the table of areas, both hemispheres together; single hemispheres are in the file.

    Parameters
    ----------
    name : id of the table
    attention : tables of extract_attention, with columns subject, method and experiment
    kind : attention, or occlusion
    digits : decimals
    order : of the rows
    """
    chosen = attention[(attention["hemisphere"] == "both") & (attention["kind"] == kind)]
    numbers = ATTENTION_NUMBERS if kind == "attention" else OCCLUSION_NUMBERS
    numbers = {name: title for name, title in numbers.items() if name in chosen.columns}
    staged = kind == "attention"
    columns = [Column("subject"), Column("experiment")]
    columns += [Column("stage"), Column("layer", numeric=True)] if staged else []
    columns += [Column("group"), Column("area"), Column("vertices", numeric=True)]
    columns += [Column(*title, numeric=True) for title in numbers.values()]
    rows = []
    records = [(_owner(record), record) for record in chosen.to_dict("records")]
    for owner, record in sorted(records, key=lambda pair: order.rank(pair[0])):
        cells = [Cell(owner.subject), Cell(order.label(owner))]
        if staged:
            layer = float(record["layer"])
            cells += [Cell(str(record["stage"])), Cell(number(layer, 0), layer, kind="number")]
        vertices = float(record["vertices"])
        whole = record["area"] == WHOLE_GROUP
        cells += [
            Cell(str(record["group"])),
            Cell("whole group" if whole else str(record["area"]), kind="name"),
        ]
        cells.append(Cell(number(vertices, 0), vertices, kind="number"))
        cells += [Cell(number(float(record[n]), digits), float(record[n]), kind="number") for n in numbers]
        keys = owner.keys | {"group": str(record["group"])}
        keys |= {"stage": str(record["stage"]), "layer": number(layer, 0)} if staged else {}
        keys["level"] = "groups" if whole else "areas"
        rows.append(Row(cells, keys))
    what = "Attention per area, stage and layer" if staged else "What occlusion of each area costs"
    return table(name, what, columns, rows)


def training_section(logs: Sequence[TrainingLog], config: Mapping[str, Any]) -> Markup:
    """Draw the curves of every training, contrasts beside their loss of chance in batches of the config."""
    cards = []
    titles = training_titles()
    order = {step: index for index, step in enumerate(titles)}
    for log in sorted(logs, key=lambda item: (order.get(item.step, 99), natural(item.subject), item.key)):
        batch = (config.get(log.step) or {}).get("batch_size")
        chance = chance_losses(log.step, batch) if batch else {}
        curves = [curve(name, series, chance.get(name)) for name, series in read_log(log.text).items()]
        if not curves:
            continue
        where = f"subject {log.subject}" if log.subject else "all subjects"
        cards.append(
            {
                "subject": log.subject,
                "title": titles.get(log.step, log.step),
                "note": ", ".join(part for part in (where, log.key) if part),
                "curves": curves,
            }
        )
    return render("training.html", cards=cards) if cards else piece("empty", "No training was logged.")


def experiment_table(experiments: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Return the table of experiments and their parameters."""
    alike = len(methods_of(experiments)) == 1  # a column that says the same of all is left out
    given = [(name, value) for row in experiments.values() for name, value in row.items()]
    keys = dict.fromkeys(name for name, value in given if value is not None)
    names = [name for name in keys if name != "method" or not alike]
    columns = [Column("experiment"), *(Column(name.replace("_", " "), numeric=True) for name in names)]
    rows = []
    for experiment, row in experiments.items():
        cells = [Cell(experiment, kind="name")]
        for name in names:
            value = "" if row.get(name) is None else row[name]
            order = float(value) if isinstance(value, (int, float)) else None
            cells.append(Cell(setting_text(value), order, kind="number"))
        rows.append(Row(cells, {"experiment": experiment}))
    return table("experiments-table", "Experiments and their parameters", columns, rows)


def settings_section(config: Mapping[str, Any]) -> Markup:
    """Show the whole configuration, one foldable list per section."""
    config = fit_to_share(config)
    plain = {name: value for name, value in config.items() if not isinstance(value, Mapping)}
    sections = {"study": plain, **{name: v for name, v in config.items() if isinstance(v, Mapping)}}
    shown = {name: section for name, section in sections.items() if name != "experiments" and section}
    return render("settings.html", sections=shown)


def methods_section(text: str) -> Markup:
    """Show the text of write_methods: its headings, paragraphs and lists."""
    if not text:
        return piece("empty", "Not written.")
    blocks = []
    for block in re.split(r"\n{2,}", text.strip())[1:]:  # without the title
        if block.startswith("## "):
            blocks.append(("heading", [block[3:]]))
        elif block.startswith("- "):
            blocks.append(("list", [line[2:] for line in block.splitlines()]))
        else:
            blocks.append(("text", [block]))
    return render("methods.html", blocks=blocks)


def file_section(files: Sequence[Medium]) -> Markup:
    """Link the tables behind the page."""
    return render("files.html", files=files) if files else piece("empty", "No tables.")
