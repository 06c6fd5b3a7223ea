"""One page with a study's results: scores beside what luck reaches, films, brain maps, trainings, settings.

The page needs no network and no server. Tables and pictures are plain HTML that can be read without scripts;
the script adds sorting, filtering and enlarging.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from neurocine import __version__
from neurocine.report.figures import axis_range, curve, read_log, track
from neurocine.report.markup import Cell, Column, Row, key_attributes, number, p_text, select, table

CONDITIONS = {
    "fmri": "the result: decoded from fMRI",
    "shifted": "control: fMRI of another time of the movie",
    "caption": "ceiling: the movie's own captions instead of fMRI",
    "vae": "ceiling: the movie itself through the image compressor",
}
STAGES = {"pretrained": "pretrained", "contrastive": "contrastive", "full": "full model"}
STEPS = {
    "pretrain_encoder": "Encoder pretraining",
    "train_encoder": "Encoder against CLIP",
    "train_video_prior": "Video prior from captions",
    "train_decoder": "Decoder from fMRI",
}
SCORE_COLUMNS = ["dataset", "subject", "method", "experiment", "condition", "metric", "value", "chance"]
SCORE_NUMBERS = [
    *("value", "chance", "null_mean", "null_p99", "p_value"),
    *("baseline_constant", "baseline_mean_frame", "ci_low", "ci_high", "n_clips"),
]


@dataclass(frozen=True)
class BuildBrowserSettings:
    """What the page shows."""

    title: str = ""  # heading; the data set's name when empty
    headline: tuple[str, ...] = ("ssim_mv", "acc_image_50_any3", "acc_video_50_any3")  # metrics drawn on top
    digits: int = 3  # decimals in the tables
    strips_shown: int = 4  # film strips in sight per subject and experiment; the rest unfolds

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= 6:
            raise ValueError(f"digits {self.digits} must be in [1, 6]")
        if self.strips_shown < 1:
            raise ValueError(f"strips_shown {self.strips_shown} must be at least 1")


@dataclass(frozen=True)
class Medium:
    """A picture, film or table file that the page shows or links.

    Parameters
    ----------
    href : address relative to the page
    name : file name without its ending
    subject, method, experiment : what it belongs to; empty if to the whole study
    """

    href: str
    name: str
    subject: str = ""
    method: str = ""
    experiment: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """What filters look at."""
        return {"subject": self.subject, "experiment": self.experiment}


@dataclass(frozen=True)
class TrainingLog:
    """The JSONL log of one training: step of the workflow, key of its parameters, subject if of one."""

    step: str
    key: str
    subject: str
    text: str


@dataclass(frozen=True)
class Results:
    """All that the page shows.

    Parameters
    ----------
    scores : long table of tabulate
    attention : tables of extract_attention, with columns subject and experiment
    strips, clips, maps, files : media; ``files`` are tables to download
    logs : trainings
    config : the study's configuration, complete
    """

    scores: pd.DataFrame
    config: Mapping[str, Any]
    attention: pd.DataFrame = field(default_factory=pd.DataFrame)
    strips: Sequence[Medium] = ()
    clips: Sequence[Medium] = ()
    maps: Sequence[Medium] = ()
    files: Sequence[Medium] = ()
    logs: Sequence[TrainingLog] = ()


def natural(text: str) -> list[Any]:
    """Sort key that puts test2 before test10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(text))]


def score_records(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the score table as dictionaries; ``baseline`` is the better trivial prediction."""
    records = []
    for row in scores.to_dict("records"):
        record: dict[str, Any] = {str(name): value for name, value in row.items()}
        for name in SCORE_NUMBERS:
            value = record.get(name, math.nan)
            record[name] = float(value) if value not in ("", None) else math.nan
        record["subject"] = "" if str(record["subject"]) in ("nan", "all") else str(record["subject"])
        trivial = [record["baseline_constant"], record["baseline_mean_frame"]]
        record["baseline"] = max((value for value in trivial if math.isfinite(value)), default=math.nan)
        records.append(record)
    return records


def _axes(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    metrics = dict.fromkeys(record["metric"] for record in records)
    return {name: axis_range([r for r in records if r["metric"] == name]) for name in metrics}


def headline_section(records: Sequence[Mapping[str, Any]], settings: BuildBrowserSettings) -> str:
    """Draw the chosen metrics of results from fMRI: a panel each, a line per subject and experiment."""
    axes = _axes(records)
    panels = []
    for metric in settings.headline:
        chosen = [r for r in records if r["metric"] == metric and r["condition"] == "fmri"]
        if not chosen:
            continue
        low, high = axes[metric]
        lines = []
        for record in chosen:
            keys = {"subject": record["subject"], "experiment": record["experiment"]}
            who = f"<b>S{escape(record['subject'])}</b> {escape(record['experiment'])}"
            lines.append(
                f'<li{key_attributes(keys)}><span class="who">{who}</span>{track(record, low, high)}'
                f'<span class="figure">{number(record["value"], settings.digits)}</span></li>'
            )
        panels.append(
            f'<article class="card"><h3>{escape(metric)}</h3><ul class="dots">{"".join(lines)}</ul>'
            f'<p class="axis"><span>{number(low, 2)}</span><span>{number(high, 2)}</span></p></article>'
        )
    return "\n".join(panels) or '<p class="empty">None of the chosen metrics was scored.</p>'


def score_table(records: Sequence[Mapping[str, Any]], digits: int) -> str:
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
        Column("null p99", "99th percentile of the null", numeric=True),
        Column("p", "permutation test", numeric=True),
        Column("grey", "a constant grey video", numeric=True),
        Column("mean frame", "the mean training frame", numeric=True),
        Column("clips", numeric=True),
    ]
    rows = []
    for record in records:
        above = record["value"] > record["null_p99"]
        value = escape(number(record["value"], digits))
        if above:
            value = f'{value}<span class="mark" title="above the 99th percentile of the null"> ▲</span>'
        condition = escape(str(record["condition"]))
        hint = CONDITIONS.get(record["condition"], "")
        interval = f"{number(record['ci_low'], digits)} – {number(record['ci_high'], digits)}"
        cells = [
            Cell(record["subject"] or "all"),
            Cell(str(record["experiment"])),
            Cell("", markup=f'<span title="{escape(hint)}">{condition}</span>'),
            Cell(str(record["metric"]), kind="name"),
            Cell("", record["value"], value, "number strong"),
            Cell(interval, record["ci_low"], kind="number quiet"),
            Cell("", markup=track(record, *axes[record["metric"]]), kind="drawn"),
            *(
                Cell(number(record[name], digits), record[name], kind="number")
                for name in ("chance", "null_mean", "null_p99")
            ),
            Cell(p_text(record["p_value"]), record["p_value"], kind="number"),
            Cell(number(record["baseline_constant"], digits), record["baseline_constant"], kind="number"),
            Cell(number(record["baseline_mean_frame"], digits), record["baseline_mean_frame"], kind="number"),
            Cell(number(record["n_clips"], 0), record["n_clips"], kind="number"),
        ]
        keys = {name: str(record[name]) for name in ("subject", "experiment", "condition", "metric")}
        rows.append(Row(cells, {**keys, "above": "yes" if above else "no"}))
    return table("scores-table", "Scores of all subjects, experiments and conditions", columns, rows)


def _grouped(media: Iterable[Medium]) -> dict[tuple[str, str], list[Medium]]:
    groups: dict[tuple[str, str], list[Medium]] = {}
    for medium in sorted(media, key=lambda m: (natural(m.subject), natural(m.experiment), natural(m.name))):
        groups.setdefault((medium.subject, medium.experiment), []).append(medium)
    return groups


def _heading(subject: str, experiment: str) -> str:
    return f"<h3>Subject {escape(subject)} <small>{escape(experiment)}</small></h3>"


def _picture(medium: Medium, text: str, kind: str = "") -> str:
    return (
        f'<a class="zoom {kind}" href="{escape(medium.href)}">'
        f'<img src="{escape(medium.href)}" alt="{escape(text)}" loading="lazy" decoding="async"></a>'
    )


def film_section(strips: Iterable[Medium], clips: Iterable[Medium], shown: int) -> str:
    """Show the films and film strips, one card per subject and experiment, side by side."""
    all_strips, all_clips = _grouped(strips), _grouped(clips)
    cards = []
    for subject, experiment in sorted({*all_strips, *all_clips}, key=lambda pair: [natural(p) for p in pair]):
        who = f"subject {subject}, {experiment}"
        films = "".join(
            f'<figure><video controls loop muted playsinline preload="metadata" src="{escape(m.href)}" '
            f'aria-label="{escape(f"original and reconstruction, {who}, {m.name}")}"></video>'
            f"<figcaption>{escape(m.name)}</figcaption></figure>"
            for m in all_clips.get((subject, experiment), [])
        )
        pictures = [
            f"<figure>{_picture(m, f'film strip, {who}, {m.name}')}"
            f"<figcaption>{escape(m.name)}</figcaption></figure>"
            for m in all_strips.get((subject, experiment), [])
        ]
        rest = "".join(pictures[shown:])
        if rest:
            rest = f"<details><summary>{len(pictures) - shown} more strips</summary>{rest}</details>"
        keys = key_attributes({"subject": subject, "experiment": experiment})
        cards.append(
            f'<article class="card"{keys}>{_heading(subject, experiment)}<div class="films">{films}</div>'
            f'<div class="strips">{"".join(pictures[:shown])}{rest}</div></article>'
        )
    return "\n".join(cards) or '<p class="empty">No films were made.</p>'


def map_section(maps: Iterable[Medium]) -> str:
    """Show the brain maps: overview and occlusion in sight, single maps unfold."""
    cards = []
    for (subject, experiment), media in _grouped(maps).items():
        front = [m for m in media if m.name in ("overview", "occlusion")]
        front.sort(key=lambda m: m.name != "overview")
        single = [m for m in media if m not in front]
        who = f"subject {subject}, {experiment}"
        shown = "".join(_picture(m, f"{m.name} of brain maps, {who}", m.name) for m in front)
        rest = "".join(_picture(m, f"{m.name.replace('_', ' ')}, {who}") for m in single)
        if rest:
            rest = (
                f"<details><summary>{len(single)} single maps</summary>"
                f'<div class="thumbnails">{rest}</div></details>'
            )
        keys = key_attributes({"subject": subject, "experiment": experiment})
        body = f'<div class="maps">{shown}</div>{rest}'
        cards.append(f'<article class="card wide"{keys}>{_heading(subject, experiment)}{body}</article>')
    return "\n".join(cards) or '<p class="empty">No brain maps were drawn.</p>'


def attention_table(attention: pd.DataFrame, digits: int) -> str:
    """Return the table of areas; both hemispheres together, single ones are in the file."""
    if attention.empty:
        return ""
    chosen = attention[attention["hemisphere"] == "both"]
    numbers = {
        "importance_softmax": ("attention", "received, 1 = uniform"),
        "random_softmax": ("random", "the same in an encoder with random weights"),
        "importance_l2row": ("attention (ℓ2)", "rows of unit ℓ2 norm"),
        "entropy": ("entropy", "of the rows of the area's tokens, nats"),
        "fall_cosine": ("fall of cosine", "to CLIP, when the area is occluded"),
        "fall_identification": ("fall of identification", "pairwise, when the area is occluded"),
        "random_fall_cosine": ("random fall", "of cosine, in an encoder with random weights"),
    }
    present = [name for name in numbers if name in chosen.columns]
    text = ("subject", "experiment", "stage", "layer", "area", "group")
    columns = [Column(name, numeric=name == "layer") for name in text]
    columns += [Column(*numbers[name], numeric=True) for name in present]
    rows = []
    for record in chosen.to_dict("records"):
        layer = float(record["layer"]) if str(record["layer"]) not in ("", "nan") else math.nan
        cells = [Cell(str(record[name])) for name in ("subject", "experiment", "stage")]
        cells.append(Cell(number(layer, 0), layer, kind="number"))
        cells += [Cell(str(record["area"]), kind="name"), Cell(str(record["group"]))]
        cells += [Cell(number(float(record[n]), digits), float(record[n]), kind="number") for n in present]
        keys = {name: str(record[name]) for name in ("subject", "experiment", "stage", "group")}
        rows.append(Row(cells, keys))
    return table("areas-table", "Attention and occlusion per area", columns, rows)


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
        f'<li{key_attributes(m.keys)}><a href="{escape(m.href)}">'
        f"{escape(m.href.removeprefix('assets/'))}</a></li>"
        for m in files
    )
    return f"<ul class='files'>{items}</ul>" if items else '<p class="empty">No tables.</p>'


def _choices(records: Sequence[Mapping[str, Any]], media: Iterable[Medium]) -> dict[str, list[str]]:
    values: dict[str, dict[str, None]] = {"subject": {}, "experiment": {}, "condition": {}, "metric": {}}
    for record in records:
        for name, seen in values.items():
            seen[str(record[name])] = None
    for medium in media:
        values["subject"][medium.subject] = None
        values["experiment"][medium.experiment] = None
    ordered = {name: [value for value in seen if value] for name, seen in values.items()}
    ordered["subject"].sort(key=natural)
    return ordered


def _facts(results: Results, records: Sequence[Mapping[str, Any]], choices: Mapping[str, list[str]]) -> str:
    movies = results.config.get("movies", {})
    main = [r for r in records if r["condition"] == "fmri"]
    facts = {
        "subjects": ", ".join(choices["subject"]),
        "experiments": str(len(choices["experiment"])),
        "training movies": str(len(movies.get("train", []))),
        "test movies": ", ".join(movies.get("test", [])),
        "test clips": number(max((r["n_clips"] for r in main), default=math.nan), 0),
        "results above their null": f"{sum(r['value'] > r['null_p99'] for r in main)} of {len(main)}",
    }
    return "".join(
        f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items() if value
    )


def build_browser(results: Results, settings: BuildBrowserSettings) -> str:
    """Write the page.

    Parameters
    ----------
    results : what it shows; media addresses are relative to the page
    settings : what is shown first

    Returns
    -------
    HTML; equal results give equal pages
    """
    records = score_records(results.scores)
    media = [*results.strips, *results.clips, *results.maps]
    choices = _choices(records, media)
    folder = Path(__file__).parent
    dataset = str(results.config.get("dataset", ""))
    stages = [] if results.attention.empty else list(dict.fromkeys(results.attention["stage"].astype(str)))
    groups = [] if results.attention.empty else list(dict.fromkeys(results.attention["group"].astype(str)))
    conditions = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in CONDITIONS.items())
    parts = {
        "title": escape(settings.title or dataset or "Results"),
        "version": escape(__version__),
        "facts": _facts(results, records, choices),
        "subject_choice": select("subject", "Subject", choices["subject"], "all subjects"),
        "experiment_choice": select("experiment", "Experiment", choices["experiment"], "all experiments"),
        "condition_choice": select("condition", "Condition", choices["condition"], "all conditions"),
        "metric_choice": select("metric", "Metric", choices["metric"], "all metrics"),
        "stage_choice": select("stage", "Stage", stages, "all stages"),
        "group_choice": select("group", "Group", groups, "all groups"),
        "headline": headline_section(records, settings),
        "conditions": conditions,
        "scores": score_table(records, settings.digits),
        "films": film_section(results.strips, results.clips, settings.strips_shown),
        "maps": map_section(results.maps),
        "areas": attention_table(results.attention, settings.digits),
        "training": training_section(results.logs),
        "experiments": experiment_table(results.config.get("experiments", {})),
        "settings": settings_section(results.config),
        "files": file_section(results.files),
        "style": (folder / "browser.css").read_text(encoding="utf-8"),
        "script": (folder / "browser.js").read_text(encoding="utf-8"),
    }
    return Template((folder / "browser.html").read_text(encoding="utf-8")).substitute(parts)
