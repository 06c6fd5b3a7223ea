"""What each metric asks, and what clips reach that know nothing of the brain."""

import pandas as pd

from neurocine.metrics.meanings import asks
from neurocine.metrics.registry import lower_is_better, value_range
from neurocine.report.comparisons import Shown

# Column -> condition whose mean it holds
SHOWN_CONDITIONS = ("blurred", "training_caption", "retrieval", "fmri")
TRIVIAL = {"grey": "baseline_constant", "mean frame": "baseline_mean_frame"}
MEANING = (
    *(Shown("metric"), Shown("asks", "what it asks")),
    *(Shown("worst", kind="number"), Shown("chance", kind="number"), Shown("best", kind="number")),
    Shown("grey", kind="number", hint="a constant grey video"),
    Shown("mean frame", kind="number", hint="the mean training frame"),
    Shown("blurred", "training frame", "number", "a random training frame, blurred and held"),
    Shown("training_caption", "training caption", "number", "made from a random training clip's caption"),
    Shown("retrieval", kind="number", hint="the training clip with the nearest embedding"),
    Shown("fmri", "from fMRI", "number", "mean over subjects, methods and experiments"),
)


def meaning_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Gather what trivial clips reach in each metric.

    Parameters
    ----------
    scores : of `neurocine.metrics.tables.gather_scores`

    Returns
    -------
    one row per metric, columns of ``MEANING``: means over subjects, methods, experiments and seeds, NaN where
    a condition was not scored; worst and best are the ends of the metric's range
    """
    rows = []
    for metric, group in scores.groupby("metric", sort=False):
        name = str(metric)
        ends = value_range(name)
        worst, best = ends[::-1] if lower_is_better(name) else ends
        row = {"metric": name, "asks": asks(name), "worst": worst, "best": best}
        row["chance"] = pd.to_numeric(group["chance"]).mean()
        row |= {title: pd.to_numeric(group[column]).mean() for title, column in TRIVIAL.items()}
        values = pd.to_numeric(group["value"]).groupby(group["condition"].astype(str)).mean()
        rows.append(row | {name: values.get(name, float("nan")) for name in SHOWN_CONDITIONS})
    return pd.DataFrame(rows, columns=[column.name for column in MEANING])
