"""What opens when a score is clicked: clips, maps, settings, cost and files of its result."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from neurocine.costs import Cost
from neurocine.report.markup import Cell, Column, Row, table
from neurocine.report.media import FRONT, map_pictures, shown_clips
from neurocine.report.study import Order, Results, group_media
from neurocine.report.templates import render
from neurocine.report.text import duration, number, setting_text


def cost_table(name: str, costs: Iterable[Cost]) -> Markup:
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


def cost_facts(costs: Sequence[Cost], subject: str) -> dict[str, str]:
    """Say what a subject's own stages and those shared by all subjects cost."""
    facts = {}
    for whose, name in ((subject, "this subject, all its experiments"), ("all", "shared by all subjects")):
        own = [cost for cost in costs if cost.subject == whose]
        if own:
            gpu = sum(cost.gpu_hours for cost in own)
            longest = max(own, key=lambda cost: cost.hours)
            facts[name] = (
                f"{duration(sum(cost.hours for cost in own))}{f', {duration(gpu)} of GPUs' if gpu else ''}; "
                f"most of it {longest.stage}, {duration(longest.hours)}; up to "
                f"{number(max(cost.max_memory_gb for cost in own), 1)} GB of memory"
            )
    return facts


def _settings(experiment: Mapping[str, Any]) -> dict[str, str]:
    return {name.replace("_", " "): setting_text(value) for name, value in experiment.items()}


def detail_templates(results: Results, order: Order) -> Markup:
    """Write a template per result; the page's script shows it with the numbers of the clicked row."""
    strips, maps = group_media(results.strips, order), group_media(results.maps, order)
    files = group_media(results.files, order)
    shared = [medium for medium in results.files if not medium.owner.subject]
    experiments = results.config.get("experiments", {})
    parts = []
    for owner in sorted({*strips, *maps, *files}, key=order.rank):
        if not owner.subject:
            continue
        who = f"subject {owner.subject}, {order.label(owner)}"
        parts.append(
            render(
                "details.html",
                owner=owner,
                clips=shown_clips(strips.get(owner, []), who),
                maps=map_pictures([m for m in maps[owner] if m.name in FRONT], who) if owner in maps else "",
                settings=_settings(experiments.get(owner.experiment, {})),
                cost=cost_facts(results.costs, owner.subject),
                files=[*files.get(owner, []), *shared],
            )
        )
    return Markup("\n").join(parts)
