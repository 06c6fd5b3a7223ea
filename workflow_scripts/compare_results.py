"""Compare results clip by clip, and with published ones."""

import re
from pathlib import Path

import pandas as pd

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.io import fixed_digits, read_table
from neurocine.metrics.comparisons import CompareResultsSettings, compare_results
from neurocine.metrics.judges import parse_networks
from neurocine.metrics.published import (
    COMPARED_NETWORKS,
    StudyFacts,
    minimal_table,
    published_table,
    read_published,
)
from neurocine.models.catalogue import describe_network, describe_processor

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
    seed: int,
    settings: CompareResultsSettings,
    out_results: Path,
    out_comparisons: Path,
    out_published: Path,
    networks: list[str],
) -> None:
    """Summarise results over seeds, test their differences, and put them beside published values.

    Parameters
    ----------
    clip_scores : scores of single clips (score), .../sub-<subject>/<method>/<experiment>/clip_scores.tsv
    scores : long table of tabulate_scores
    study : what decides whether published values may be compared, as JSON
    seed : of the draws
    settings : section compare_results of the config, as JSON
    out_results : minimal table: value, interval, null, baselines, clips and seeds of each result (TSV)
    out_comparisons : paired differences with intervals and p-values (TSV)
    out_published : published values beside ours (TSV)
    networks : folders of the networks that scored, name=folder; values of others do not compare
    """
    clips = [read_clips(path) for path in clip_scores]
    summary, comparisons = compare_results(clips, study.dataset, settings, seed)
    long = read_table(scores, ["dataset", "metric", "null_mean", "p_holm"])
    folders = parse_networks(networks)
    used = {name: describe_network(folder) for name, folder in folders.items() if name in COMPARED_NETWORKS}
    if "vifi" in used:
        used["vifi"] += f", {describe_processor(folders['vifi'])}"
    published = published_table(summary, read_published(), study, used)
    write_described_table(out_results, fixed_digits(minimal_table(summary, long)))
    write_described_table(out_comparisons, fixed_digits(comparisons))
    write_described_table(out_published, fixed_digits(published))


if __name__ == "__main__":
    main()
