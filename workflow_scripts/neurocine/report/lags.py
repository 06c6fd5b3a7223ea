"""What a linear decoder scores at other lags and from fewer repeats, drawn for each subject."""

from html import escape

import pandas as pd

from neurocine.naming import natural
from neurocine.report.figures import interval_curve
from neurocine.report.markup import key_attributes


def _curve(rows: pd.DataFrame, score: str, over: str, title: str) -> str:
    columns = [over, score, f"{score}_low", f"{score}_high"]
    points = rows.dropna(subset=columns).sort_values(over)
    if len(points) < 2:
        return ""
    values = list(points[columns].itertuples(index=False, name=None))
    return interval_curve(title, values, float(points[f"{score}_chance"].iloc[0]))


def lag_section(table: pd.DataFrame, href: str = "") -> str:
    """Draw the table of sweep_lags: a card per subject with its scores over lags and over test repeats.

    Parameters
    ----------
    table : columns subject, lag_tr, test_repeats, n_clips and, per score, the score, ``_low``, ``_high`` and
        ``_chance``; empty where no sweep was made
    href : address of the table beside the page
    """
    if table.empty:
        return '<p class="empty">Not made; snakemake lag_sweep makes it.</p>'
    scores = [name.removesuffix("_chance") for name in table.columns if name.endswith("_chance")]
    cards = []
    for subject in sorted(table["subject"].astype(str).unique(), key=natural):
        rows = table[table["subject"].astype(str) == subject]
        most = rows["test_repeats"].max()
        repeats = f", lags with the mean of {most} repeats" if most > 1 else ""
        curves = [_curve(rows[rows["test_repeats"] == most], s, "lag_tr", f"{s} by lag, TR") for s in scores]
        curves += [
            _curve(rows[rows["lag_tr"] == 0], s, "test_repeats", f"{s} by test repeats") for s in scores
        ]
        cards.append(
            f'<article class="card wide"{key_attributes({"subject": subject})}>'
            f"<h3>Subject {escape(subject)} <small>{rows['n_clips'].iloc[0]} clips{repeats}</small></h3>"
            f'<div class="curves">{"".join(curves)}</div></article>'
        )
    link = f'<p><a href="{escape(href)}">The numbers as a table</a></p>' if href else ""
    return f'<div class="cards">{"".join(cards)}</div>{link}'
