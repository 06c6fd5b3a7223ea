"""Tables of compare_results, measure_noise_ceiling, inspect_runs, agree_fmri and others on the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from neurocine.conditions import describe
from neurocine.metrics.meanings import P_MEANS
from neurocine.metrics.registry import lower_is_better
from neurocine.report.markup import Cell, Column, Row, table
from neurocine.report.sections import WHOLE_GROUP
from neurocine.report.study import KEY_COLUMNS
from neurocine.report.templates import piece
from neurocine.report.text import breakable, number, p_text


@dataclass(frozen=True)
class Shown:
    """One column of a data frame on the page: its name there, its title here, and how it is written.

    Parameters
    ----------
    name : column of the data frame
    title : heading on the page; the name if empty
    kind : text, number, count, p, interval (read from ci_low and ci_high) or reason (why two values may not
        be compared, with a note)
    hint : a longer explanation of the title, empty for none
    minor : whether the column is absent on phones
    """

    name: str
    title: str = ""
    kind: str = "text"
    hint: str = ""
    minor: bool = False


SUMMARY = (
    *(Shown("subject"), Shown("method", minor=True), Shown("experiment", minor=True), Shown("condition")),
    *(
        Shown("metric"),
        Shown("value", kind="number"),
        Shown("ci_low", "95 % interval", "interval", minor=True),
    ),
    Shown("null_mean", "null mean", "number", "predictions paired with other times of the movie"),
    Shown("chance", kind="number", hint="exact, where the metric has one"),
    Shown("baseline_constant", "grey", "number", "a constant grey video", minor=True),
    Shown("baseline_mean_frame", "mean frame", "number", "the mean training frame", minor=True),
    Shown("p_holm", "p Holm", "p", "corrected over the metrics of a result", minor=True),
    Shown("n_clips", "clips", "count", minor=True),
    Shown("seeds", kind="count", hint="generations of the same clips, averaged", minor=True),
    Shown("seed_sd", "seed sd", "number", "standard deviation between generations", minor=True),
)
REPEATED = (  # where experiments were trained several times
    Shown("trainings", kind="count", hint="of the experiment, averaged", minor=True),
    Shown("train_sd", "training sd", "number", "standard deviation between trainings"),
)
PUBLISHED = (
    *(
        Shown("system"),
        Shown("subject"),
        Shown("metric"),
        Shown("published", "paper", "number", "as printed"),
    ),
    *(Shown("value", "ours", "number"), Shown("ci_low", "95 % interval", "interval", minor=True)),
    *(Shown("reason", "comparable?", "reason"), Shown("experiment", "our experiment", minor=True)),
    *(Shown("source", minor=True), Shown("year", minor=True), Shown("dataset", minor=True)),
)
COMPARISONS = (
    *(Shown("subject"), Shown("kind", "compared"), Shown("first"), Shown("second"), Shown("metric")),
    Shown("difference", kind="number", hint="first minus second, mean over the same clips"),
    Shown("ci_low", "95 % interval", "interval", "over what p is tested over, else over clips", minor=True),
    Shown(
        "p_value",
        "p",
        "p",
        "two-sided; none where what differs was trained fewer than three times",
        minor=True,
    ),
    Shown("trainings", kind="count", hint="of each, compared seed by seed", minor=True),
    Shown("tested_over", "tested over", hint="what p and interval generalise to, or why there is no p"),
    Shown("p_family", "p family", "p", "corrected over metrics, pairs and subjects of its kind"),
    Shown("n_clips", "clips", "count", minor=True),
)
CEILINGS = (
    *(Shown("subject"), Shown("group"), Shown("area"), Shown("n_vertices", "vertices", "count", minor=True)),
    Shown("signal_share", "signal share", "number", "share of the variance of one run that repeats"),
    Shown("reliability", kind="number", hint="correlation of halves of the repeats, stepped up", minor=True),
    Shown("ceiling_single", "ceiling, one run", "number", "largest correlation that a model can reach"),
    Shown("ceiling_mean", "ceiling, mean", "number", "the same for the mean of the repeats"),
)
RUNS = (
    *(Shown("subject"), Shown("movie"), Shown("repeat", kind="count"), Shown("volumes", kind="count")),
    Shown("tr_stated", "TR stated", "number", "s, in the header or its BIDS sidecar"),
    Shown("tr_study", "TR", "number", "s, of the study, which is used", minor=True),
    Shown("constant", "no signal", "count", "vertices that are constant or NaN in every volume"),
    Shown("areas_without_signal", "in areas", minor=True),
    Shown("tsnr", "temporal SNR", "number", "mean over standard deviation in time, median over vertices"),
    Shown(
        "repeat_correlation", "repeats", "number", "correlation with the mean of the movie's other repeats"
    ),
    Shown("best_lag_tr", "lag", "count", "TR at which that correlation is largest; 0 is in time"),
    Shown("right_side", "right side", "number", "share of vertices on the side that their area's name says"),
    Shown("marked"),
)
REACHED = {"original": "of the original clips", "caption": "of clips from their captions"}
AGREEMENT = (
    *(Shown("subject"), Shown("method", minor=True), Shown("experiment", minor=True), Shown("condition")),
    *(Shown("group"), Shown("n_vertices", "vertices", "count", minor=True)),
    Shown("value", "correlation", "number", "mean over vertices, over all test clips"),
    Shown("ci_low", "95 % interval", "interval", "block bootstrap over time", minor=True),
    Shown("null_mean", "null mean", "number", "predictions paired with other times of the movie"),
    Shown("p_value", "p", "p", "permutation test, not corrected"),
    Shown("p_holds", "p holds", hint="whether correlations change fast enough for p to hold", minor=True),
    Shown("fmri_minus", "fMRI minus it", "number", "clips from fMRI minus this condition, clip by clip"),
    Shown("noise_ceiling", "noise ceiling", "number", "correlation that a perfect prediction would reach"),
    *(Shown("n_clips", "clips", "count", minor=True), Shown("seed", kind="count", minor=True)),
)
ORDER = (
    *(Shown("subject"), Shown("method", minor=True), Shown("experiment", minor=True), Shown("condition")),
    *(Shown("sample", "clips", hint="all, or those that other seeds identify"), Shown("metric")),
    *(Shown("n_clips", "number", "count", minor=True), Shown("value", kind="number")),
    Shown("permuted", kind="number", hint="mean over other orders of the frames"),
    Shown("permuted_p", "p", "p", P_MEANS["permuted"], minor=True),
    Shown("reversed", kind="number", hint="the same frames in reversed time"),
    Shown("reversed_p", "p", "p", P_MEANS["reversed"], minor=True),
    Shown("other_clip", "other clip", "number", "mean beside the truth of other clips of the movie"),
    Shown("other_clip_p", "p", "p", P_MEANS["other_clip"], minor=True),
    Shown("held", kind="number", hint="the first frame held"),
    Shown("held_p", "p", "p", P_MEANS["held"], minor=True),
    Shown("evidence", hint="better than all four, each with a p-value small enough"),
)
AREAS = (
    *(Shown("subject"), Shown("method", minor=True), Shown("experiment", minor=True), Shown("measure")),
    *(Shown("group"), Shown("area"), Shown("vertices", kind="count", minor=True)),
    Shown("rank", kind="count", hint="among all areas, 1 loses most"),
    Shown("value", "loss without it", "number", "of the measure, positive where the area is missed"),
    Shown("ci_low", "95 % interval", "interval", "block bootstrap over time", minor=True),
    Shown("p_family", "p family", "p", "pairings with other times, corrected over areas"),
    Shown("p_training", "p training", "p", "decoders trained on fMRI of other times", minor=True),
    Shown("spin_p", "p spin", "p", "random rotations of the map on the sphere, not corrected", minor=True),
    Shown("noise_ceiling", "noise ceiling", "number", "correlation that a model of the fMRI could reach"),
    Shown("exceeds", "exceeds its null"),
)


def area_rows(areas: pd.DataFrame) -> pd.DataFrame:
    """Keep what the page shows of rank_areas: single areas of both hemispheres, occluded in the decoder.

    Contrasts, weights, attention, single hemispheres and groups are in the file.
    """
    if areas.empty:
        return areas
    mask = (areas["kind"] == "occlusion") & (areas["decoder"] == "trained") & (areas["area"] != "all")
    mask &= areas["hemisphere"] == "both"
    keys = ["subject", "method", "experiment", "measure", "rank"]
    return areas[mask].sort_values(keys, kind="stable")


FEATURES = (
    *(Shown("subject"), Shown("decoders", hint="of the experiments that share them"), Shown("condition")),
    *(Shown("score"), Shown("value", kind="number"), Shown("better", minor=True)),
    Shown("chance", kind="number", hint="exact, where the score has one"),
    Shown("reference", kind="number", hint="what a simpler answer scores"),
    Shown("reference_name", "of", hint="the simpler answer", minor=True),
    Shown("null_mean", "null mean", "number", "features paired with other times of the movie"),
    Shown("p_value", "p", "p", "permutation test, not corrected"),
    Shown("n", "clips", "count", minor=True),
)


def no_better_than_simple(features: pd.DataFrame) -> list[str]:
    """Say which features decoded from fMRI are no better than a simpler answer, one sentence each.

    Parameters
    ----------
    features : tables of score_features
    """
    if features.empty:
        return []
    higher = features["better"] == "higher"
    worse = (features["value"] <= features["reference"]).where(
        higher, features["value"] >= features["reference"]
    )
    tested = features["p_value"].notna() & features["reference"].notna()  # not a property of the features
    shown = features[worse & tested & (features["condition"] == "fmri")]
    return [
        f"Subject {row['subject']}, decoders {row['decoders']}: {row['score']} {row['value']:.3g} "
        f"is no better than {row['reference']:.3g} of the {row['reference_name']}."
        for row in shown.to_dict("records")
    ]


def not_beaten(comparisons: pd.DataFrame) -> list[str]:
    """Say where methods do not beat the baselines that are to be beaten, one sentence per pair.

    A difference counts where its interval lies on the better side of 0.

    Parameters
    ----------
    comparisons : of compare_results
    """
    if comparisons.empty:
        return []
    chosen = comparisons[comparisons["kind"] == "to beat"]
    sentences = []
    for (subject, first, second), rows in chosen.groupby(["subject", "first", "second"], sort=False):
        lower = rows["metric"].map(lower_is_better)
        beaten = (rows["ci_high"] < 0).where(lower, rows["ci_low"] > 0)
        failed = rows.loc[~beaten, "metric"].tolist()
        if failed:
            sentences.append(
                f"Subject {subject}: {first} does not beat {second} in {len(failed)} of {len(rows)} metrics: "
                f"{', '.join(failed)}."
            )
    return sentences


def agreement_beside(agreement: pd.DataFrame, digits: int) -> list[str]:
    """Say of each result how well its clips agree with the brain, and which simple ones agree as well.

    A condition is beaten where the interval of the difference, clip by clip, lies above 0.

    Parameters
    ----------
    agreement : tables of agree_fmri
    digits : decimals of numbers
    """
    if agreement.empty or "fmri_minus" not in agreement:
        return []
    whole = agreement[(agreement["group"] == "all") & (agreement["area"] == WHOLE_GROUP)]
    sentences = []
    for (subject, method, experiment), rows in whole.groupby(["subject", "method", "experiment"], sort=False):
        first = rows.drop_duplicates("condition").set_index("condition")
        if "fmri" not in first.index:
            continue
        values = first["value"].map(lambda value: number(value, digits))
        reached = [f"{values[name]} {text}" for name, text in REACHED.items() if name in values]
        others = [name for name in first.index if name not in REACHED]
        simple = [name for name in others if describe(name).kind in ("baseline", "control")]
        low = first.loc[simple, "fmri_minus_low"].astype(float)
        level = [f"{name} ({values[name]})" for name in low.index[low <= 0]]
        verdict = f"it does not beat {', '.join(level)}" if level else "it beats all baselines and controls"
        beside = f" ({'; '.join(reached)})" if reached else ""
        sentences.append(
            f"Subject {subject}, {method} {experiment}: {values['fmri']}{beside}; "
            f"{verdict if simple else 'no baseline or control beside it'}."
        )
    return sentences


def _cell(row: dict[str, Any], column: Shown, digits: int) -> Cell:
    value = row.get(column.name, "")
    if column.kind == "text":
        return Cell(breakable(str(value)))
    if column.kind == "reason":
        return Cell("; ".join(filter(None, (str(value) or "yes", str(row["note"])))), kind="reason")
    amount = float(value) if value != "" else math.nan
    if column.kind == "interval":
        text = f"{number(amount, digits)} – {number(float(row['ci_high']), digits)}"
        return Cell(text if math.isfinite(amount) else "–", amount, kind="number quiet")
    text = p_text(amount) if column.kind == "p" else number(amount, 0 if column.kind == "count" else digits)
    return Cell(text, amount, kind="number")


def against_caption(comparisons: pd.DataFrame, metric: str, digits: int) -> str:
    """Say whether clips from fMRI beat those of the nearest caption, which need no joint training.

    Parameters
    ----------
    comparisons : of compare_results
    metric : that is looked at, one of which more is better
    digits : decimals of numbers

    Returns
    -------
    a phrase per subject and result, by the paired 95 % interval, with the number of trainings it is about;
    empty where they were not compared
    """
    if comparisons.empty:
        return ""
    pairs = comparisons["second"].astype(str).str.endswith(" nearest_caption")
    phrases = []
    for row in comparisons[pairs & (comparisons["metric"] == metric)].to_dict("records"):
        verdict = "beats it" if row["ci_low"] > 0 else "loses" if row["ci_high"] < 0 else "undecided"
        difference = f"{row['difference']:+.{digits}f}"
        trained = f"{row['trainings']} trainings" if row["trainings"] > 1 else "one training"
        phrases.append(f"subject {row['subject']}: {verdict} ({metric} {difference}, {trained})")
    return "; ".join(phrases)


def frame_table(name: str, caption: str, frame: pd.DataFrame, shown: Sequence[Shown], digits: int) -> Markup:
    """Return a table of a data frame that the page's filters know.

    Parameters
    ----------
    name : id of the table
    caption : what it holds
    frame : the rows
    shown : its columns
    digits : decimals of numbers
    """
    if frame.empty:
        return piece("empty", "None here.")
    columns = [
        Column(
            column.title or column.name,
            column.hint,
            column.kind not in ("text", "reason"),
            minor=column.minor,
        )
        for column in shown
    ]
    rows = []
    for row in frame.to_dict("records"):
        keys = {key: str(row[key]) for key in KEY_COLUMNS if key in row and str(row[key]) != "nan"}
        cells = [_cell({str(key): value for key, value in row.items()}, column, digits) for column in shown]
        rows.append(Row(cells, keys))
    return table(name, caption, columns, rows)
