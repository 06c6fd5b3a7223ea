"""Whether fMRI beats the nearest caption, as the page's facts say it."""

import pandas as pd
import pytest

from neurocine.report.comparisons import against_caption


def comparison(subject: int, low: float, high: float, second: str = "nearest_caption") -> dict[str, object]:
    row = {
        "subject": subject,
        "metric": "acc",
        "ci_low": low,
        "ci_high": high,
        "difference": (low + high) / 2,
        "trainings": subject,
    }
    return row | {"second": f"neurocine paper_main {second}"}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.05, "subject 1: beats it (acc +0.030, one training)"),
        (-0.05, 0.03, "subject 1: undecided (acc -0.010, one training)"),
        (-0.06, -0.02, "subject 1: loses (acc -0.040, one training)"),
    ],
)
def test_the_interval_decides(low: float, high: float, expected: str) -> None:
    others = [comparison(1, 0.2, 0.4, "shifted"), comparison(1, 0.2, 0.4) | {"metric": "ssim"}]
    assert against_caption(pd.DataFrame([*others, comparison(1, low, high)]), "acc", 3) == expected


def test_subjects_stand_beside_each_other_and_nothing_is_said_without_the_condition() -> None:
    two = pd.DataFrame([comparison(1, 0.01, 0.05), comparison(3, -0.05, 0.03)])
    assert against_caption(two, "acc", 2) == (
        "subject 1: beats it (acc +0.03, one training); subject 3: undecided (acc -0.01, 3 trainings)"
    )
    assert against_caption(pd.DataFrame([comparison(1, 0.1, 0.2, "shifted")]), "acc", 3) == ""
    assert against_caption(pd.DataFrame(), "acc", 3) == ""
