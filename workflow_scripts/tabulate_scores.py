"""Gather the scores of a study in three tables.

Not named ``tabulate``: programs put their own folder first on Python's path, and torch imports the package of
that name.
"""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.io import read_table
from neurocine.metrics.published import StudyFacts, read_published
from neurocine.metrics.tables import Experiments, TabulateScoresSettings, tabulate_scores

COLUMNS = [
    *("dataset", "subject", "method", "experiment", "condition"),
    *("metric", "value", "p_value", "seed"),
]


@program
def main(
    *,
    scores: list[Path],
    study: StudyFacts,
    experiments: Experiments,
    settings: TabulateScoresSettings,
    out_scores: Path,
    out_main: Path,
    out_ablation: Path,
) -> None:
    """Gather the scores of all subjects, methods and experiments.

    Parameters
    ----------
    scores : tables of score
    study : what decides whether published values may be compared, as JSON
    experiments : {"rows": section experiments of the config}, as JSON
    settings : section tabulate_scores of the config, as JSON
    out_scores : all rows, long, with p-values corrected over metrics (TSV)
    out_main : one row per result, one group of columns per metric (TSV)
    out_ablation : SSIM of the experiments beside the published ablation (TSV)
    """
    given = [read_table(path, COLUMNS) for path in scores]
    tables = tabulate_scores(given, read_published(), study, experiments, settings)
    write_described_table(out_scores, tables.scores)
    write_described_table(out_main, tables.main)
    write_described_table(out_ablation, tables.ablation)


if __name__ == "__main__":
    main()
