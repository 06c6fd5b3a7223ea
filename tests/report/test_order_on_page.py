"""The test of the order of frames on the page: every comparison with what its p-value means."""

import re

import pandas as pd
from markupsafe import escape

from neurocine.metrics.meanings import P_MEANS
from neurocine.metrics.order import AGAINST
from neurocine.report.browser import BuildBrowserSettings, build_browser
from neurocine.report.gather import StudyFiles
from neurocine.report.study import Results
from report.test_features_on_page import SCORE


def order_row(condition: str, evidence: str, value: float) -> dict[str, object]:
    row = {"subject": "1", "method": "mind_animator", "experiment": "animator", "condition": condition}
    row |= {"seed": 1, "sample": "all", "metric": "flow_cos", "value": value, "orders": 719, "n_clips": 120}
    for name in AGAINST:
        row |= {name: 0.125, f"{name}_p": 0.0005}
    return row | {"evidence": evidence}


def test_the_page_says_what_is_evidence_and_what_each_p_means() -> None:
    table = pd.DataFrame([order_row("fmri", "evidence", 0.4567), order_row("static", "no evidence", 0.0)])
    page = build_browser(Results(pd.DataFrame([SCORE]), {}, order=table), BuildBrowserSettings())
    section = page.partition('<section id="order">')[2].partition("</section>")[0]
    assert "0.457" in section
    rows = re.findall(r"<tr\b.*?</tr>", section, re.DOTALL)[1:]
    assert [("no evidence" in row, "evidence" in row) for row in rows] == [(False, True), (True, True)]
    assert section.count("&lt; 0.001") == len(AGAINST) * len(table)
    for meaning in P_MEANS.values():
        assert str(escape(meaning)) in section


def test_a_study_without_the_test_has_an_empty_section() -> None:
    page = build_browser(Results(pd.DataFrame([SCORE]), {}), BuildBrowserSettings())
    assert "None here." in page.partition('<section id="order">')[2].partition("</section>")[0]
    assert not StudyFiles(scores=()).order
