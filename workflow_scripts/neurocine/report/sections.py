"""Sections of the page, each from one kind of result."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from neurocine.report.figures import axis_range, curve, read_log, track
from neurocine.report.markup import Cell, Column, Row, key_attributes, number, p_text, table
from neurocine.report.study import Medium, Order, Owner, TrainingLog, group_media, natural

CONDITIONS = {
    "fmri": "the result: decoded from fMRI",
    "shifted": "control: decoded from fMRI of another time of the movie",
    "shuffled": "control: decoded from fMRI windows of the movie in random order",
    "mean": "control: decoded from the mean training fMRI",
    "noise": "control: decoded from white noise of the size of fMRI",
    "caption": "ceiling: decoded from the movie's own captions instead of fMRI",
    "training_caption": "control: decoded from a random training caption",
    "static": "baseline: the first true frame, held",
    "blurred": "baseline: a random training frame, blurred and held",
    "retrieval": "baseline: the training clip with the nearest embedding, no generator",
    "vae": "ceiling: the movie itself through the image compressor",
}
STEPS = {
    "pretrain_encoder": "Encoder pretraining",
    "train_encoder": "Encoder against CLIP",
    "train_video_prior": "Video prior from captions",
    "train_decoder": "Decoder from fMRI",
}
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
) -> str:
    """Draw the chosen metrics of results from fMRI: a panel each, a line per subject and experiment."""
    axes = _axes(records)
    panels = []
    for metric in metrics:
        found = [r for r in records if r["metric"] == metric and r["condition"] == "fmri"]
        # Of several generations of the same clips, the first; the table below has all.
        chosen = list({r["owner"]: r for r in reversed(found)}.values())[::-1]
        if not chosen:
            continue
        low, high = axes[metric]
        lines = []
        for record in chosen:
            owner: Owner = record["owner"]
            who = f"<b>S{escape(owner.subject)}</b> {escape(order.label(owner))}"
            lines.append(
                f'<li{key_attributes(owner.keys)}><span class="who">{who}</span>{track(record, low, high)}'
                f'<span class="figure">{number(record["value"], digits)}</span></li>'
            )
        panels.append(
            f'<article class="card"><h3>{escape(metric)}</h3><ul class="dots">{"".join(lines)}</ul>'
            f'<p class="axis"><span>{number(low, 2)}</span><span>{number(high, 2)}</span></p></article>'
        )
    return "\n".join(panels) or '<p class="empty">None of the chosen metrics was scored.</p>'


def score_table(records: Sequence[Mapping[str, Any]], digits: int, order: Order) -> str:
    """Return the table of all scores, each beside chance, null, baselines and interval."""
    axes = _axes(records)
    columns = [
        Column("subject"),
        Column("experiment"),
        Column("condition", "what the video was decoded from"),
        Column("metric"),
        Column("value", "mean over clips", numeric=True),
        Column("95 % interval", "block bootstrap over time", numeric=True),
        Column("in context", sortable=False),
        Column("chance", "exact, where the metric has one", numeric=True),
        Column("null mean", "predictions paired with other times of the movie", numeric=True),
        Column("null p99", "what 99 % of the null do not reach", numeric=True),
        Column("p", "permutation test, not corrected", numeric=True),
        Column("p Holm", "corrected over the metrics of a result", numeric=True),
        Column("grey", "a constant grey video", numeric=True),
        Column("mean frame", "the mean training frame", numeric=True),
        Column("clips", numeric=True),
    ]
    rows = []
    for record in records:
        owner: Owner = record["owner"]
        value = escape(number(record["value"], digits))
        if record["above"]:
            value = f'{value}<span class="mark" title="better than 99 % of the null"> ▲</span>'
        condition = escape(str(record["condition"]))
        hint = CONDITIONS.get(record["condition"], "")
        interval = f"{number(record['ci_low'], digits)} – {number(record['ci_high'], digits)}"
        cells = [
            Cell(owner.subject or "all"),
            Cell(order.label(owner)),
            Cell("", markup=f'<span title="{escape(hint)}">{condition}</span>'),
            Cell(str(record["metric"]), kind="name"),
            Cell("", record["value"], value, "number strong"),
            Cell(interval, record["ci_low"], kind="number quiet"),
            Cell("", markup=track(record, *axes[record["metric"]]), kind="drawn"),
            *(
                Cell(number(record[name], digits), record[name], kind="number")
                for name in ("chance", "null_mean", "null_p99")
            ),
            *(Cell(p_text(record[name]), record[name], kind="number") for name in ("p_value", "p_holm")),
            Cell(number(record["baseline_constant"], digits), record["baseline_constant"], kind="number"),
            Cell(number(record["baseline_mean_frame"], digits), record["baseline_mean_frame"], kind="number"),
            Cell(number(record["n_clips"], 0), record["n_clips"], kind="number"),
        ]
        keys = owner.keys | {name: str(record[name]) for name in ("condition", "metric")}
        rows.append(Row(cells, keys | {"above": "yes" if record["above"] else "no"}))
    return table("scores-table", "Scores of all subjects, experiments and conditions", columns, rows)


def _heading(owner: Owner, order: Order) -> str:
    return f"<h3>Subject {escape(owner.subject)} <small>{escape(order.label(owner))}</small></h3>"


def _picture(medium: Medium, text: str, kind: str = "") -> str:
    return (
        f'<a class="zoom {kind}" href="{escape(medium.href)}">'
        f'<img src="{escape(medium.href)}" alt="{escape(text)}" loading="lazy" decoding="async"></a>'
    )


def _fold(cards: Sequence[tuple[Owner, str]], order: Order) -> str:
    """Show the cards of the first experiment; those of each other one unfold."""
    experiments: dict[str, list[tuple[Owner, str]]] = {}
    for owner, card in cards:
        experiments.setdefault(order.label(owner), []).append((owner, card))
    parts: list[str] = []
    for label, group in experiments.items():
        inner = f'<div class="cards">{"".join(card for _, card in group)}</div>'
        if parts:
            keys = key_attributes({"experiment": group[0][0].experiment})
            inner = f'<details class="fold"{keys}><summary>{escape(label)}</summary>{inner}</details>'
        parts.append(inner)
    return "\n".join(parts)


def _film(medium: Medium, who: str) -> str:
    said = escape(f"original and reconstruction, {who}, {medium.name}")
    return (
        f'<figure><video controls loop muted playsinline preload="metadata" src="{escape(medium.href)}" '
        f'aria-label="{said}"></video><figcaption>{escape(medium.name)}</figcaption></figure>'
    )


def film_section(strips: Iterable[Medium], clips: Iterable[Medium], shown: int, order: Order) -> str:
    """Show films and film strips: a card per subject and experiment, the subjects side by side."""
    all_strips, all_clips = group_media(strips, order), group_media(clips, order)
    cards = []
    for owner in sorted({*all_strips, *all_clips}, key=order.rank):
        who = f"subject {owner.subject}, {order.label(owner)}"
        films = "".join(_film(medium, who) for medium in all_clips.get(owner, []))
        pictures = [
            f"<figure>{_picture(m, f'film strip, {who}, {m.name}')}"
            f"<figcaption>{escape(m.name)}</figcaption></figure>"
            for m in all_strips.get(owner, [])
        ]
        rest = "".join(pictures[shown:])
        if rest:
            rest = f"<details><summary>{len(pictures) - shown} more strips</summary>{rest}</details>"
        card = (
            f'<article class="card"{key_attributes(owner.keys)}>{_heading(owner, order)}'
            f'<div class="films">{films}</div>'
            f'<div class="strips">{"".join(pictures[:shown])}{rest}</div></article>'
        )
        cards.append((owner, card))
    return _fold(cards, order) or '<p class="empty">No films were made.</p>'


def map_section(maps: Iterable[Medium], order: Order) -> str:
    """Show the brain maps: overview and occlusion in sight, single maps unfold."""
    cards = []
    for owner, media in group_media(maps, order).items():
        front = [m for m in media if m.name in ("overview", "occlusion")]
        front.sort(key=lambda m: m.name != "overview")
        single = [m for m in media if m not in front]
        who = f"subject {owner.subject}, {order.label(owner)}"
        shown = "".join(_picture(m, f"{m.name} of brain maps, {who}", m.name) for m in front)
        rest = "".join(_picture(m, f"{m.name.replace('_', ' ')}, {who}") for m in single)
        if rest:
            rest = (
                f"<details><summary>{len(single)} single maps</summary>"
                f'<div class="thumbnails">{rest}</div></details>'
            )
        card = (
            f'<article class="card wide"{key_attributes(owner.keys)}>{_heading(owner, order)}'
            f'<div class="maps">{shown}</div>{rest}</article>'
        )
        cards.append((owner, card))
    return _fold(cards, order) or '<p class="empty">No brain maps were drawn.</p>'


def _owner(record: Mapping[Any, Any]) -> Owner:
    return Owner(*(str(record[key]) for key in ("subject", "method", "experiment")))


def area_table(name: str, attention: pd.DataFrame, kind: str, digits: int, order: Order) -> str:
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


def training_section(logs: Sequence[TrainingLog]) -> str:
    """Draw the curves of every training."""
    cards = []
    order = {step: index for index, step in enumerate(STEPS)}
    for log in sorted(logs, key=lambda item: (order.get(item.step, 99), natural(item.subject), item.key)):
        curves = "".join(curve(name, series) for name, series in read_log(log.text).items())
        if not curves:
            continue
        where = f"subject {log.subject}" if log.subject else "all subjects"
        small = escape(", ".join(part for part in (where, log.key) if part))
        title = escape(STEPS.get(log.step, log.step))
        keys = key_attributes({"subject": log.subject})
        cards.append(
            f'<article class="card wide"{keys}><h3>{title} <small>{small}</small></h3>'
            f'<div class="curves">{curves}</div></article>'
        )
    return "\n".join(cards) or '<p class="empty">No training was logged.</p>'


def experiment_table(experiments: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of experiments and their parameters."""
    names = list(dict.fromkeys(name for row in experiments.values() for name in row))
    columns = [Column("experiment"), *(Column(name.replace("_", " "), numeric=True) for name in names)]
    rows = []
    for experiment, row in experiments.items():
        cells = [Cell(experiment, kind="name")]
        for name in names:
            value = row.get(name, "")
            order = float(value) if isinstance(value, (int, float)) else None
            cells.append(Cell(_setting(value), order, kind="number"))
        rows.append(Row(cells, {"experiment": experiment}))
    return table("experiments-table", "Experiments and their parameters", columns, rows)


def _setting(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def settings_section(config: Mapping[str, Any]) -> str:
    """Show the whole configuration, one foldable list per section."""
    plain = {name: value for name, value in config.items() if not isinstance(value, Mapping)}
    sections = {"study": plain, **{name: v for name, v in config.items() if isinstance(v, Mapping)}}
    parts = []
    for name, section in sections.items():
        if name == "experiments" or not section:
            continue
        rows = "".join(
            f"<tr><th scope='row'>{escape(str(key))}</th><td><code>{escape(_setting(value))}</code></td></tr>"
            for key, value in section.items()
        )
        parts.append(
            f"<details><summary>{escape(name)}</summary><table class='plain'>{rows}</table></details>"
        )
    return "\n".join(parts)


def file_section(files: Sequence[Medium]) -> str:
    """Link the tables behind the page."""
    items = "".join(
        f'<li{key_attributes(m.owner.keys)}><a href="{escape(m.href)}">'
        f"{escape(m.href.removeprefix('assets/'))}</a></li>"
        for m in files
    )
    return f"<ul class='files'>{items}</ul>" if items else '<p class="empty">No tables.</p>'
