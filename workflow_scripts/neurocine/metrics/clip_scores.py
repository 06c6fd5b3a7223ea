"""Scores of single clips: means over generation seeds, and differences of two results clip by clip."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.naming import natural

RESULT = ["subject", "method", "experiment", "condition"]  # what the scores of clips belong to
NOT_METRICS = {*RESULT, "dataset", "movie", "clip", "seed"}


@dataclass(frozen=True)
class ClipScores:
    """Scores of one result, mean over seeds.

    Parameters
    ----------
    values : index (movie, clip), one column per metric
    seeds : how many generations were averaged
    seed_means : (n_seeds, n_metrics), mean over clips of each generation
    """

    values: pd.DataFrame
    seeds: int
    seed_means: np.ndarray

    def of_movies(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Per movie, the values (n, n_metrics) and the clip indices (n,)."""
        parts = [part for _, part in self.values.groupby(level="movie", sort=False)]
        clips = [part.index.get_level_values("clip").to_numpy() for part in parts]
        return [part.to_numpy(float) for part in parts], clips


def average_seeds(table: pd.DataFrame, where: str) -> ClipScores:
    """Average the scores of clips over generation seeds.

    Parameters
    ----------
    table : columns movie, clip, seed and one per metric, of one result
    where : names it in messages

    Raises
    ------
    InputError : a clip that is not there once per seed
    """
    metrics = [name for name in table.columns if name not in NOT_METRICS]
    counts = table.groupby(["movie", "clip"])["seed"].nunique()
    if table.duplicated(["movie", "clip", "seed"]).any() or counts.nunique() > 1:
        todo = "Run score again."
        raise InputError(where, "clips twice or with some seeds only", "each clip once per seed", todo)
    order = sorted(table["movie"].unique(), key=natural)
    table = table.assign(movie=pd.Categorical(table["movie"], order, ordered=True))
    values = table.groupby(["movie", "clip"], observed=True)[metrics].mean()
    seed_means = table.groupby("seed", sort=False)[metrics].mean().to_numpy(float)
    return ClipScores(values, len(seed_means), seed_means)


def paired_differences(first: ClipScores, second: ClipScores, where: str) -> ClipScores:
    """Return first minus second, clip by clip, in the metrics of both.

    Raises
    ------
    InputError : they hold different clips
    """
    if not first.values.index.equals(second.values.index):
        found = f"{len(first.values)} and {len(second.values)} clips"
        raise InputError(where, found, "the same clips in both", "Decode with the same decode.every.")
    metrics = [name for name in first.values.columns if name in second.values.columns]
    return ClipScores(first.values[metrics] - second.values[metrics], 1, np.empty(0))
