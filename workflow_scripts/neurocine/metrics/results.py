"""The three tables of a study's results: what was scored, what differs, and what papers report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from neurocine.metrics.comparisons import CompareResultsSettings, compare_clips
from neurocine.metrics.published import (
    COMPARED_NETWORKS,
    StudyFacts,
    minimal_table,
    published_table,
    read_published,
)
from neurocine.metrics.trainings import TrainedRows
from neurocine.models.catalogue import describe_network, describe_processor


class StudyResults(NamedTuple):
    """Tables of a study: results over seeds, their paired differences, and published values beside ours."""

    results: pd.DataFrame
    comparisons: pd.DataFrame
    published: pd.DataFrame


def networks_used(folders: Mapping[str, Path]) -> dict[str, str]:
    """Describe the networks that scored, as far as published values depend on them, by their folders."""
    used = {name: describe_network(folder) for name, folder in folders.items() if name in COMPARED_NETWORKS}
    if "vifi" in used:
        used["vifi"] += f", {describe_processor(folders['vifi'])}"
    return used


def compare_results(
    clips: Sequence[pd.DataFrame],
    scores: pd.DataFrame,
    folders: Mapping[str, Path],
    facts: StudyFacts,
    settings: CompareResultsSettings,
    seed: int,
    trained: TrainedRows,
) -> StudyResults:
    """Summarise results over trainings and seeds, test differences, and put them beside published values.

    Parameters
    ----------
    clips : scores of single clips, columns subject, method, experiment, condition, seed, movie, clip and one
        per metric
    scores : long table of tabulate_scores
    folders : network -> its folder, of those that scored
    facts : what decides whether a published value is comparable with ours
    settings : section compare_results of the config
    seed : of all draws
    trained : which experiments are another one trained again, and on which trainings each rests

    Returns
    -------
    results as of ``minimal_table``, comparisons as of ``compare_clips``, published as of ``published_table``
    """
    summary, comparisons = compare_clips(clips, facts.dataset, settings, seed, trained)
    published = published_table(summary, read_published(), facts, networks_used(folders))
    return StudyResults(minimal_table(summary, scores), comparisons, published)
