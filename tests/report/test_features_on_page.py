"""Scores of features on the page, and what is said where a method is no better than something simple."""

import re
from typing import Any

import pandas as pd

from neurocine.report.browser import BuildBrowserSettings, build_browser
from neurocine.report.comparisons import agreement_beside, no_better_than_simple, not_beaten
from neurocine.report.study import Results

SCORE = {
    **{"dataset": "toy", "subject": "1", "method": "mind_animator", "experiment": "animator", "seed": 1},
    **{"condition": "fmri", "metric": "ssim_mv", "value": 0.2, "chance": "", "n_clips": 10, "p_value": 0.5},
    **{"baseline_constant": 0.1, "baseline_mean_frame": 0.2, "null_mean": 0.1, "null_p99": 0.3},
}


def feature(score: str, value: float, reference: float, better: str = "lower", **more: Any) -> dict[str, Any]:
    row = {"dataset": "toy", "subject": 1, "decoders": "paper_tok1", "condition": "fmri", "score": score}
    row |= {"better": better, "value": value, "chance": float("nan"), "reference": reference}
    row |= {"reference_name": "mean latent", "null_mean": 1.2, "null_p99": 1.1, "p_value": 0.2, "n": 480}
    return row | more


def pair(metric: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    row = {"dataset": "toy", "subject": "1", "kind": "to beat", "first": "neurocine paper_main"}
    row |= {"second": "ridge ridge_latents", "metric": metric, "difference": (low + high) / 2}
    return row | {"ci_low": low, "ci_high": high, "p_value": 0.1, "p_family": 0.1, "n_clips": 120} | more


def test_what_is_no_better_than_something_simple_is_named() -> None:
    table = pd.DataFrame(
        [
            feature("structure_error", 0.95, 0.91),
            feature("motion_error", 0.72, 0.92),
            feature("state_error", 0.9, 0.84, condition="shifted"),  # a control: of course
            feature("latent_spread", 0.5, 1.0, "higher", p_value=float("nan")),  # no score of a clip
            feature("text_top10", 0.7, float("nan"), "higher"),
            feature("made_up", 0.3, 0.4, "higher"),
        ]
    )
    said = no_better_than_simple(table)
    assert [line.split(": ")[1].split()[0] for line in said] == ["structure_error", "made_up"]
    assert said[0].endswith("structure_error 0.95 is no better than 0.91 of the mean latent.")
    assert no_better_than_simple(pd.DataFrame()) == []


def test_a_baseline_is_beaten_where_the_interval_lies_on_the_better_side() -> None:
    table = pd.DataFrame(
        [
            pair("ssim_mv", 0.01, 0.05),
            pair("pix_corr", -0.01, 0.05),
            pair("epe_farneback", -2.0, -1.0),  # an error: less is better
            pair("epe_farneback_ma", 1.0, 2.0),
            pair("ssim_mv", -0.1, -0.01, kind="experiment"),
            pair("ssim_mv", 0.1, 0.2, subject="3"),
        ]
    )
    failed = "pix_corr, epe_farneback_ma"
    said = f"neurocine paper_main does not beat ridge ridge_latents in 2 of 4 metrics: {failed}."
    assert not_beaten(table) == [f"Subject 1: {said}"]
    assert not_beaten(table[table["kind"] == "experiment"]) == not_beaten(pd.DataFrame()) == []


def page(**tables: pd.DataFrame) -> str:
    return build_browser(Results(pd.DataFrame([SCORE]), {}, **tables), BuildBrowserSettings())


def test_the_page_shows_both() -> None:
    made = page(
        features=pd.DataFrame([feature("structure_error", 0.95, 0.91)]),
        comparisons=pd.DataFrame([pair("pix_corr", -0.01, 0.05)]),
    )
    section = made[made.index('id="features"') : made.index('id="maps"')]
    assert "structure_error 0.95 is no better than 0.91 of the mean latent" in section
    assert "paper_tok1" in section
    assert "does not beat ridge ridge_latents in 1 of 1 metrics: pix_corr" in made
    empty = page()
    assert "features" not in re.findall(r'(?:id="|href="#)(\w+)"', empty)
    assert 'id="not-beaten"' not in empty


def agreed(condition: str, value: float, low: float, **more: Any) -> dict[str, Any]:
    row = {"subject": "1", "method": "neurocine", "experiment": "paper_main", "condition": condition}
    row |= {"group": "all", "area": "all", "value": value, "fmri_minus": 0.45 - value, "fmri_minus_low": low}
    return row | more


def test_clips_that_agree_with_the_brain_as_well_as_those_from_fmri_are_named() -> None:
    nan = float("nan")
    rows = [
        agreed("original", 0.5, -0.1),
        agreed("fmri", 0.45, nan),
        agreed("caption", 0.47, -0.04),
        agreed("retrieval", 0.46, -0.02),
        agreed("shifted", 0.01, 0.4),
        agreed("static", 0.9, -0.5, group="early"),  # a group of areas
        agreed("fmri", 0.3, nan, subject="3"),
        agreed("shifted", 0.01, 0.2, subject="3"),
        agreed("fmri", 0.2, nan, subject="4"),
    ]
    assert agreement_beside(pd.DataFrame(rows), 2) == [
        "Subject 1, neurocine paper_main: 0.45 (0.50 of the original clips; 0.47 of clips from their "
        "captions); it does not beat retrieval (0.46).",
        "Subject 3, neurocine paper_main: 0.30; it beats all baselines and controls.",
        "Subject 4, neurocine paper_main: 0.20; no baseline or control beside it.",
    ]
    assert agreement_beside(pd.DataFrame(), 2) == []
