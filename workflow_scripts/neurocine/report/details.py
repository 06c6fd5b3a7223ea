"""What opens when a score is clicked: clips, maps, settings, cost and files of its result."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from neurocine.costs import Cost
from neurocine.report.markup import Cell, Column, Row, key_attributes, number, setting_text, table
from neurocine.report.media import map_pictures, shown_clips
from neurocine.report.study import Medium, Order, Results, group_media


def duration(hours: float) -> str:
    """Write a time in hours, or in minutes or seconds where it is short."""
    for unit, size in (("h", 1.0), ("min", 60.0)):
        if hours * size >= 1:
            return f"{hours * size:.1f} {unit}"
    return f"{3600 * hours:.0f} s"


def cost_table(name: str, costs: Iterable[Cost]) -> str:
    """Return the table of what each stage cost, with the sum below."""
    columns = [
        Column("stage"),
        Column("subject"),
        Column("jobs", numeric=True),
        Column("time", "of all jobs, one after the other", numeric=True),
        Column("CPU time", numeric=True, minor=True),
        Column("GPU time", "time of the jobs times the GPUs they hold", numeric=True),
        Column("memory", "largest of the jobs, resident, GB", numeric=True, minor=True),
        Column("asked", "memory asked for each job at first, GB", numeric=True, minor=True),
    ]
    rows = []
    for cost in costs:
        times = (cost.hours, cost.cpu_hours, cost.gpu_hours)
        cells = [
            Cell(cost.stage, kind="name"),
            Cell(cost.subject),
            Cell(str(cost.jobs), cost.jobs, kind="number"),
            *(Cell(duration(hours) if hours else "–", hours, kind="number") for hours in times),
            *(
                Cell(number(memory, 1) if memory else "–", memory, kind="number")
                for memory in (cost.max_memory_gb, cost.asked_memory_gb)
            ),
        ]
        rows.append(Row(cells, {"subject": cost.subject} if cost.subject != "all" else {}))
    return table(name, "What each stage cost", columns, rows)


def cost_text(costs: Sequence[Cost], subject: str) -> str:
    """Say what a subject's own stages and those shared by all subjects cost."""
    parts = []
    for whose, name in ((subject, "this subject, all its experiments"), ("all", "shared by all subjects")):
        own = [cost for cost in costs if cost.subject == whose]
        if own:
            gpu = sum(cost.gpu_hours for cost in own)
            longest = max(own, key=lambda cost: cost.hours)
            parts.append(
                f"<dt>{name}</dt><dd>{duration(sum(cost.hours for cost in own))}"
                f"{f', {duration(gpu)} of GPUs' if gpu else ''}; most of it {escape(longest.stage)}, "
                f"{duration(longest.hours)}; up to "
                f"{number(max(cost.max_memory_gb for cost in own), 1)} GB of memory</dd>"
            )
    return f'<dl class="plain-list">{"".join(parts)}</dl>' if parts else ""


def _settings(experiment: Mapping[str, Any]) -> str:
    entries = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(setting_text(value))}</dd>"
        for name, value in experiment.items()
    )
    return f'<dl class="plain-list">{entries}</dl>' if entries else ""


def _links(files: Iterable[Medium]) -> str:
    links = (f'<li><a href="{escape(m.href)}">{escape(m.href.rpartition("/")[2])}</a></li>' for m in files)
    return f'<ul class="links-list">{"".join(links)}</ul>'


def detail_templates(results: Results, order: Order) -> str:
    """Write a template per result; the page's script shows it with the numbers of the clicked row."""
    strips, maps = group_media(results.strips, order), group_media(results.maps, order)
    files = group_media(results.files, order)
    shared = [medium for medium in results.files if not medium.owner.subject]
    owners = {tuple(owner) for owner in (*strips, *maps, *files) if owner.subject}
    parts = []
    for owner in sorted({*strips, *maps, *files}, key=order.rank):
        if tuple(owner) not in owners:
            continue
        who = f"subject {owner.subject}, {order.label(owner)}"
        pictures, _ = map_pictures(maps.get(owner, []), who)
        blocks = {
            "Brain maps": pictures if owner in maps else "",
            "Settings of the experiment": _settings(
                results.config.get("experiments", {}).get(owner.experiment, {})
            ),
            "Cost": cost_text(results.costs, owner.subject),
            "Tables": _links([*files.get(owner, []), *shared]),
        }
        body = "".join(f"<section><h4>{title}</h4>{text}</section>" for title, text in blocks.items() if text)
        parts.append(
            f'<template class="details"{key_attributes(owner.keys)}>'
            f"{shown_clips(strips.get(owner, []), who)}{body}</template>"
        )
    return "\n".join(parts)
