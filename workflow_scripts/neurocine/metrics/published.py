"""Our scores beside published ones, and why they may not be compared where they may not."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

MINIMAL = (  # beginnings of the names of the metrics in the minimal table, in its order
    *("ssim_mv", "psnr255", "acc_image_2_", "acc_image_50_", "acc_video_2_", "acc_video_50_"),
    *("vifi", "clip_pcc", "epe", "retrieval"),
)
RESULT = ["dataset", "subject", "method", "experiment", "condition"]
PUBLISHED_METHOD = "neurocine"
PUBLISHED_COLUMNS = [
    *("source", "system", "subject", "experiment", "metric", "published", "value", "ci_low", "ci_high"),
    *("seeds", "comparable", "reason", "note"),
]


@dataclass(frozen=True)
class StudyFacts:
    """What decides whether published values of CC2017 were measured in the same way."""

    dataset: str
    test_movies: tuple[str, ...]
    height: int
    width: int
    frames_per_tr: int
    every: int  # clips 0, k, 2k ... are decoded
    test_repeats: str | int

    def differences(self) -> Iterator[str]:
        """Name what differs from the published measurement."""
        if self.dataset != "cc2017":
            yield f"measured on cc2017, not on {self.dataset}"
        elif sorted(self.test_movies) != [f"test{number}" for number in range(1, 6)]:
            yield f"five test movies, here {', '.join(self.test_movies)}"
        if (self.height, self.width) != (256, 256):
            yield f"frames of 256 x 256, here {self.height} x {self.width}"
        if self.frames_per_tr != 6:
            yield f"6 frames per clip, here {self.frames_per_tr}"
        if self.every != 1:
            yield f"all clips, here 1 of {self.every}"
        if self.test_repeats != "mean":
            yield f"mean of all repeats, here {self.test_repeats}"


def minimal_table(summary: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per result and metric with all that is needed to read the value.

    Parameters
    ----------
    summary : of `neurocine.metrics.comparisons.compare_results`
    scores : of `neurocine.metrics.tables.gather_scores`, one row per result, metric and seed

    Returns
    -------
    columns of ``summary``, and chance, null_mean and the baselines (means over seeds), p_holm (largest of the
    seeds); the metrics of ``MINIMAL`` in its order
    """
    keys = [*RESULT, "metric"]
    context = scores.assign(**{name: scores[name].astype(str) for name in RESULT}).groupby(keys, sort=False)
    means = context[["chance", "null_mean", "baseline_constant", "baseline_mean_frame"]].mean()
    joined = means.assign(p_holm=context["p_holm"].max()).reset_index()
    table = summary.merge(joined, on=keys, how="left")
    names = dict.fromkeys(table["metric"])
    rank = {name: place for place, name in enumerate(names) if name.startswith(MINIMAL)}
    table = table[table["metric"].isin(rank)]
    first = {name: next(i for i, start in enumerate(MINIMAL) if name.startswith(start)) for name in rank}
    order = table["metric"].map(lambda name: first[name] * len(rank) + rank[name])
    result = table.groupby(RESULT, sort=False).ngroup()
    return table.assign(_result=result, _order=order).sort_values(["_result", "_order"])[table.columns]


def published_table(summary: pd.DataFrame, published: pd.DataFrame, facts: StudyFacts) -> pd.DataFrame:
    """Put our values beside the published ones.

    Parameters
    ----------
    summary : of `neurocine.metrics.comparisons.compare_results`
    published : columns source, system, subject, experiment, metric, value, note

    Returns
    -------
    ``PUBLISHED_COLUMNS``, one row per published value; value is NaN where we have none; comparable is yes or
    no, with the reason
    """
    ours = summary[(summary["condition"] == "fmri") & (summary["method"] == PUBLISHED_METHOD)]
    found = {(str(r["subject"]), r["experiment"], r["metric"]): r for r in ours.to_dict("records")}
    differences = list(facts.differences())
    rows = []
    for entry in published.to_dict("records"):
        own = found.get((str(entry["subject"]), entry["experiment"], entry["metric"]))
        wanted = f"{entry['experiment']} with {entry['metric']} of subject {entry['subject']}"
        reasons = [*([] if own else [f"here is no {wanted}"]), *differences]
        row = {name: entry[name] for name in ("source", "system", "subject", "experiment", "metric", "note")}
        row["published"] = entry["value"]
        for name in ("value", "ci_low", "ci_high"):
            row[name] = own[name] if own else float("nan")
        row["seeds"] = int(own["seeds"]) if own else 0
        row["comparable"] = "no" if reasons else "yes"
        row["reason"] = "; ".join(["not comparable: " + reasons[0], *reasons[1:]]) if reasons else ""
        rows.append(row)
    return pd.DataFrame(rows, columns=PUBLISHED_COLUMNS)
