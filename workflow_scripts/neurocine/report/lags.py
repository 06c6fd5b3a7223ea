"""What a linear decoder scores at other lags and from fewer repeats, drawn for each subject."""

import pandas as pd
from markupsafe import Markup

from neurocine.naming import natural
from neurocine.report.figures import interval_curve
from neurocine.report.templates import piece, render


def _curve(rows: pd.DataFrame, score: str, over: str, title: str) -> Markup:
    columns = [over, score, f"{score}_low", f"{score}_high"]
    points = rows.dropna(subset=columns).sort_values(over)
    if len(points) < 2:
        return Markup()
    values = list(points[columns].itertuples(index=False, name=None))
    return interval_curve(title, values, float(points[f"{score}_chance"].iloc[0]))


def lag_section(table: pd.DataFrame, href: str = "") -> Markup:
    """Draw the table of sweep_lags: a card per subject with its scores over lags and over test repeats.

    Parameters
    ----------
    table : columns subject, lag_tr, test_repeats, n_clips and, per score, the score, ``_low``, ``_high`` and
        ``_chance``; empty where no sweep was made
    href : address of the table beside the page
    """
    if table.empty:
        return piece("empty", "Not made; snakemake lag_sweep makes it.")
    scores = [name.removesuffix("_chance") for name in table.columns if name.endswith("_chance")]
    cards = []
    for subject in sorted(table["subject"].astype(str).unique(), key=natural):
        rows = table[table["subject"].astype(str) == subject]
        most = rows["test_repeats"].max()
        curves = [_curve(rows[rows["test_repeats"] == most], s, "lag_tr", f"{s} by lag, TR") for s in scores]
        curves += [
            _curve(rows[rows["lag_tr"] == 0], s, "test_repeats", f"{s} by test repeats") for s in scores
        ]
        cards.append(
            {"subject": subject, "clips": rows["n_clips"].iloc[0], "repeats": most, "curves": curves}
        )
    return render("lags.html", cards=cards, href=href)
