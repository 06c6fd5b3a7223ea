"""One page with a study's results: scores beside chance and null, films, brain maps, trainings, settings.

The page needs no network and no server. Tables and pictures are plain HTML that can be read without scripts;
the script adds sorting, filtering and enlarging.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from markupsafe import Markup
from pydantic import Field

from neurocine.conditions import CONDITIONS, describe
from neurocine.made_by import is_mixed, rerun
from neurocine.metrics.meanings import P_MEANS
from neurocine.naming import natural
from neurocine.report import sections
from neurocine.report.comparisons import (
    AGREEMENT,
    AREAS,
    CEILINGS,
    COMPARISONS,
    FEATURES,
    ORDER,
    PUBLISHED,
    REPEATED,
    RUNS,
    SUMMARY,
    against_caption,
    agreement_beside,
    area_rows,
    frame_table,
    no_better_than_simple,
    not_beaten,
)
from neurocine.report.details import cost_table, detail_templates
from neurocine.report.deviations import DEVIATIONS, deviation_frame
from neurocine.report.glance import glance_section
from neurocine.report.lags import lag_section
from neurocine.report.markup import select
from neurocine.report.meaning import MEANING, meaning_frame
from neurocine.report.media import film_section, map_section
from neurocine.report.study import Medium, Order, Results, score_records
from neurocine.report.templates import piece, render
from neurocine.report.text import number
from neurocine.result_names import EVALUATIONS
from neurocine.settings import Count, Settings, Unit
from neurocine.version import code_version


class BuildBrowserSettings(Settings):
    """What the page shows."""

    title: str = ""
    """The page has this heading; if empty, the data set's name."""
    headline: tuple[str, ...] = ("ssim_mv", "acc_image_50_any3", "acc_video_50_any3")
    """Name the metrics that are drawn at the top."""
    digits: Annotated[int, Field(ge=1, le=6)] = 3
    """The tables round to this many decimals."""
    strips_shown: Annotated[Count, Unit("strips")] = 2
    """This many film strips are visible per subject and experiment; the rest unfolds."""


# What decides, in the study's facts, whether joint training has earned its place
JUDGED_BY, DIGITS = "acc_image_50_any3", 3


def _choices(
    records: Sequence[Mapping[str, Any]], media: Iterable[Medium], order: Order
) -> dict[str, list[str]]:
    """Return the values that each filter offers."""
    owners = [*(record["owner"] for record in records), *(medium.owner for medium in media)]
    ranked = sorted(set(owners), key=order.rank)
    values = {
        "subject": sorted({owner.subject for owner in owners}, key=natural),
        "method": list(dict.fromkeys(owner.method for owner in ranked)),
        "experiment": list(dict.fromkeys(owner.experiment for owner in ranked)),
        "condition": list(dict.fromkeys(str(record["condition"]) for record in records)),
        "metric": list(dict.fromkeys(str(record["metric"]) for record in records)),
    }
    return {name: [value for value in offered if value] for name, offered in values.items()}


def _facts(
    results: Results, records: Sequence[Mapping[str, Any]], choices: Mapping[str, list[str]]
) -> dict[str, str]:
    """Describe the study in a few numbers."""
    movies = results.config.get("movies", {})
    main = [record for record in records if record["condition"] == "fmri"]
    source = str(results.config.get("fmri_from", "runs"))
    facts = {
        "subjects": ", ".join(choices["subject"]),
        "fMRI": "" if source == "runs" else f"preprocessed by others ({source})",
        "experiments": ", ".join(choices["experiment"][:4])
        + (" …" if len(choices["experiment"]) > 4 else ""),
        "training movies": str(len(movies.get("train", []))),
        "test movies": ", ".join(movies.get("test", [])),
        "test clips": number(max((record["n_clips"] for record in main), default=math.nan), 0),
        "scores above their null": f"{sum(record['above'] for record in main)} of {len(main)}",
        "against the nearest caption": against_caption(results.comparisons, JUDGED_BY, DIGITS),
    }
    return {name: value for name, value in facts.items() if value}


def _area_parts(results: Results, settings: BuildBrowserSettings, order: Order) -> dict[str, Markup]:
    """Return the tables of areas and their filters; empty where nothing was extracted."""
    table = results.attention
    if table.empty:
        empty = piece("empty", "None here, as there are no maps.")
        return {"area_choices": Markup(), "attention": Markup(), "occlusion": empty}
    attention = table[table["kind"] == "attention"]
    stages, groups = (list(dict.fromkeys(attention[name].astype(str))) for name in ("stage", "group"))
    layers = sorted({number(float(layer), 0) for layer in attention["layer"]}, key=natural)
    choices = [
        select("stage", "Stage", stages, "all stages"),
        select("layer", "Layer", layers, "all layers"),
        select("group", "Group", groups, "all groups"),
        select("level", "Rows", ["groups", "areas"], "groups and areas"),
    ]
    return {
        "area_choices": Markup("\n").join(choices),
        "attention": sections.area_table("attention-table", table, "attention", settings.digits, order),
        "occlusion": sections.area_table("occlusion-table", table, "occlusion", settings.digits + 1, order),
    }


def _groups(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of whole groups of areas; those of single areas are in the file."""
    return table if table.empty else table[table["area"] == sections.WHOLE_GROUP]


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
    methods = dict.fromkeys(str(method) for method in results.scores["method"])
    order = Order(tuple(results.config.get("experiments", {})), tuple(methods))
    records = score_records(results.scores, order)
    meaning = meaning_frame(results.scores)
    choices = _choices(records, [*results.strips, *results.clips, *results.maps], order)
    folder = Path(__file__).parent / "templates"
    summary = (*SUMMARY, *REPEATED) if "trainings" in results.summary else SUMMARY
    conditions = {name: describe(name).text for name in CONDITIONS if name in choices["condition"]}
    kinds = results.comparisons.get("kind", pd.Series(dtype=str)).unique()
    systems = results.published.get("system", pd.Series(dtype=str)).unique()
    parts = {
        "title": settings.title or str(results.config.get("dataset", "")) or "Results",
        "version": code_version(),
        "versions": results.versions,
        "mixed": is_mixed(results.versions),
        "rerun": rerun(results.versions),
        "facts": _facts(results, records, choices),
        "subject_choice": select("subject", "Subject", choices["subject"], "all subjects"),
        "method_choice": select("method", "Method", choices["method"], "all methods"),
        "experiment_choice": select("experiment", "Experiment", choices["experiment"], "all experiments"),
        "condition_choice": select("condition", "Condition", choices["condition"], "all conditions"),
        "metric_choice": select("metric", "Metric", choices["metric"], "all metrics"),
        "headline": sections.headline_section(records, settings.headline, settings.digits, order),
        "glance": glance_section(records, settings.headline, settings.digits, order),
        "conditions": conditions,
        "scores": sections.score_table(records, settings.digits, order),
        "details": detail_templates(results, order),
        "kind_choice": select("kind", "Compared", list(kinds), "everything"),
        "system_choice": select("system", "System", list(systems), "all systems"),
        **{
            name: frame_table(f"{name}-table", caption, frame, columns, settings.digits)
            for name, caption, frame, columns in (
                ("summary", "Mean over trainings and generation seeds", results.summary, summary),
                ("meaning", "What metrics ask, and what trivial clips reach", meaning, MEANING),
                ("comparisons", "Paired differences of results", results.comparisons, COMPARISONS),
                ("published", "Published values beside ours", results.published, PUBLISHED),
                ("ceilings", "Noise ceilings of the fMRI", results.ceilings, CEILINGS),
                ("features", "Decoded features beside the true ones", results.features, FEATURES),
                ("runs", "Recorded runs", results.runs, RUNS),
                ("agreement", "Agreement with the measured fMRI", _groups(results.agreement), AGREEMENT),
                ("order", "Order of the frames", results.order, ORDER),
                ("deviations", "Not as published", deviation_frame(results.config), DEVIATIONS),
                ("areas", "Losses without each area", area_rows(results.areas), AREAS),
            )
        },
        "not_beaten": not_beaten(results.comparisons),
        "agreement_beside": agreement_beside(results.agreement, settings.digits),
        "order_p": P_MEANS,
        "evaluate": results.config.get("evaluate", EVALUATIONS),
        "no_better": no_better_than_simple(results.features),
        "has_features": not results.features.empty,  # of methods that decode features before clips
        "films": film_section(results.strips, results.clips, settings.strips_shown, order),
        "maps": map_section(results.maps, results.files, order),
        "lag_sweep": lag_section(
            results.lag_sweep, next((file.href for file in results.files if file.name == "lag_sweep"), "")
        ),
        "costs": cost_table("costs-table", results.costs),
        **_area_parts(results, settings, order),
        "training": sections.training_section(results.logs, results.config),
        "experiments": sections.experiment_table(results.config.get("experiments", {})),
        "settings": sections.settings_section(results.config),
        "methods": sections.methods_section(results.methods),
        "files": sections.file_section(results.files),
        "style": Markup((folder / "page.css").read_text(encoding="utf-8")),
        "script": Markup((folder / "page.js").read_text(encoding="utf-8")),
    }
    return str(render("page.html", **parts)) + "\n"
