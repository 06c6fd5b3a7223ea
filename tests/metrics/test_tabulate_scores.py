"""The tables of a study's scores: corrected p-values, equal rows once, and what stands beside the paper's."""

from pathlib import Path

import pandas as pd
import pytest

import tabulate_scores as program
from neurocine.io import read_table, write_table
from neurocine.metrics.published import StudyFacts, read_published
from neurocine.metrics.tables import Experiments, TabulateScoresSettings, tabulate_scores

FACTS = StudyFacts(
    dataset="toy", published=False, test_movies=("test1",), height=64, width=64, frames_per_tr=6, every=1,
    test_repeats="mean",
)  # fmt: skip
P_VALUES = {"ssim_mv": 0.01, "psnr_mv": 0.04, "acc_image_50_any3": 0.03}
EXPERIMENTS = Experiments(rows={"paper_main": {"augment": True, "noise_ratio": 0.75}})


def scores(subject: int, condition: str = "fmri") -> pd.DataFrame:
    """One result: three metrics, of which two are tested."""
    shared = {"dataset": "toy", "subject": subject, "method": "neurocine", "experiment": "paper_main"}
    shared |= {"condition": condition, "seed": 1, "n_clips": 40, "ci_low": 0.1, "ci_high": 0.3}
    shared |= {"null_mean": 0.05, "null_p99": 0.15, "baseline_constant": 0.11, "baseline_mean_frame": 0.12}
    return pd.DataFrame(
        [{**shared, "metric": metric, "value": 0.2 * subject, "p_value": p} for metric, p in P_VALUES.items()]
    )


def slow_holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction, one value after the other."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def test_p_values_are_corrected_over_the_metrics_of_one_result() -> None:
    tables = [scores(1), scores(2), scores(1, "shifted")]
    long = tabulate_scores(tables, read_published(), FACTS, EXPERIMENTS, TabulateScoresSettings()).scores
    assert len(long) == 9
    for _, result in long.groupby(["subject", "condition"]):
        assert result["p_holm"].tolist() == pytest.approx(slow_holm(result["p_value"].tolist()))


def test_equal_rows_of_two_tables_stay_once_and_a_result_is_one_row(tmp_path: Path) -> None:
    ceiling = scores(1, "caption")  # in the tables of both subjects' jobs
    for number, table in enumerate((scores(1), scores(2))):
        write_table(tmp_path / f"{number}.tsv", pd.concat([table, ceiling]))
    outs = {name: tmp_path / f"{name}.tsv" for name in ("out_scores", "out_main", "out_ablation")}
    program.main(
        scores=[tmp_path / "0.tsv", tmp_path / "1.tsv"], study=FACTS, experiments=EXPERIMENTS,
        settings=TabulateScoresSettings(digits=2), **outs,
    )  # fmt: skip
    long, wide, ablation = (read_table(path) for path in outs.values())
    assert len(long) == 3 * len(P_VALUES)
    assert wide[["subject", "condition"]].to_numpy().tolist() == [[1, "fmri"], [1, "caption"], [2, "fmri"]]
    assert wide["ssim_mv"].tolist() == [0.2, 0.2, 0.4]
    assert wide["ssim_mv_baseline"].tolist() == [0.12] * 3  # the better of the two
    assert ablation["subject"].tolist() == [1, 2]
    assert ablation["noise_ratio"].tolist() == [0.75] * 2
    assert ablation["comparable"].tolist() == ["no"] * 2
