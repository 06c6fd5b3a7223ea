"""Compare results clip by clip, and with published ones."""

import re
from pathlib import Path

import pandas as pd

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.io import fixed_digits, read_table
from neurocine.metrics.comparisons import CompareResultsSettings
from neurocine.metrics.judges import parse_networks
from neurocine.metrics.published import StudyFacts
from neurocine.metrics.results import compare_results
from neurocine.metrics.trainings import TrainedRows

OWNER = re.compile(r"sub-(?P<subject>[^/]+)/(?P<method>[^/]+)/(?P<experiment>[^/]+)/[^/]+$")


def read_clips(path: Path) -> pd.DataFrame:
    """Read the scores of single clips; subject, method and experiment come from the path."""
    match = OWNER.search(path.as_posix())
    if match is None:
        todo = "Give the files where the workflow writes them."
        raise InputError(path, "another path", "a path with sub-<subject>/<method>/<experiment>/", todo)
    return read_table(path, ["condition", "seed", "movie", "clip"]).assign(**match.groupdict())


@program
def main(
    *,
    clip_scores: list[Path],
    scores: Path,
    study: StudyFacts,
    trained: TrainedRows,
    seed: int,
    settings: CompareResultsSettings,
    out_results: Path,
    out_comparisons: Path,
    out_published: Path,
    networks: list[str],
) -> None:
    """Summarise results over trainings and seeds, test differences, and put them beside published values.

    Parameters
    ----------
    clip_scores : scores of single clips (score), .../sub-<subject>/<method>/<experiment>/clip_scores.tsv
    scores : long table of tabulate_scores
    study : what decides whether published values may be compared, as JSON
    trained : which experiments are another one trained again, and on which trainings each rests, as JSON
    seed : of the draws
    settings : section compare_results of the config, as JSON
    out_results : minimal table: value, interval, null, baselines, clips and seeds of each result (TSV)
    out_comparisons : paired differences with intervals and p-values (TSV)
    out_published : published values beside ours (TSV)
    networks : folders of the networks that scored, name=folder; values of others do not compare
    """
    clips = [read_clips(path) for path in clip_scores]
    long = read_table(scores, ["dataset", "metric", "null_mean", "p_holm"])
    tables = compare_results(clips, long, parse_networks(networks), study, settings, seed, trained)
    for path, table in zip((out_results, out_comparisons, out_published), tables, strict=True):
        write_described_table(path, fixed_digits(table))


if __name__ == "__main__":
    main()
