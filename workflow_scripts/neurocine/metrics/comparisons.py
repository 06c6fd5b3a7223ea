"""Compare results clip by clip: means over seeds, paired differences with intervals and p-values.

Everything here works on the scores of single clips, so nothing is computed twice and any two results of the
same clips can be compared. Intervals and p-values say what other clips might have shown of *these trained
networks*; another training of the same experiment may differ by more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.errors import InputError
from neurocine.methods import METHODS
from neurocine.metrics.registry import value_range
from neurocine.metrics.statistics import (
    Intervals,
    PairedDifferences,
    doubled_blocks,
    family_p,
    mean_intervals,
    sign_flip_p,
)
from neurocine.naming import natural
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings, Unit

RESULT = ["subject", "method", "experiment", "condition"]  # what the scores of clips belong to
NOT_METRICS = {*RESULT, "dataset", "movie", "clip", "seed"}
MAIN = "fmri"
COMPARISON_COLUMNS = [
    *("dataset", "subject", "kind", "first", "second", "metric", "n_clips", "first_seeds", "second_seeds"),
    *("difference", "ci_low", "ci_high", "block_tr", "p_value", "p_family"),
]


class CompareResultsSettings(Settings):
    """How results are averaged and compared."""

    reference: str = ""
    """Name the experiment that the others are compared with; if empty, it is the first."""
    block_tr: Annotated[Count, Unit("TR")] = 15
    """Bootstrap and permutation test draw blocks of this length, longer ones where scores change slowly."""
    draws: Annotated[int, Field(ge=1000), Unit("draws")] = 10_000
    """The bootstrap and the permutation test take this many draws."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Intervals have this level of confidence."""


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


def summarise_clips(scores: ClipScores, settings: CompareResultsSettings, seed: int) -> pd.DataFrame:
    """Bring one result together: index metric; value, ci_low, ci_high, n_clips, seeds, seed_sd.

    ``seed_sd`` is the standard deviation (N - 1) between generations, NaN for a single one.
    """
    values, clips = scores.of_movies()
    intervals = _intervals(values, clips, settings, seed)
    lowest, highest = np.transpose([value_range(name) for name in scores.values.columns])
    spread = np.full(values[0].shape[1], np.nan)
    if scores.seeds > 1:
        spread = scores.seed_means.std(axis=0, ddof=1)
    return pd.DataFrame(
        {
            "value": np.concatenate(values).mean(axis=0),
            "ci_low": np.maximum(intervals.low, lowest),
            "ci_high": np.minimum(intervals.high, highest),
            "n_clips": len(scores.values),
            "seeds": scores.seeds,
            "seed_sd": spread,
        },
        index=pd.Index(scores.values.columns, name="metric"),
    )


def _intervals(
    values: list[np.ndarray], clips: list[np.ndarray], settings: CompareResultsSettings, seed: int
) -> Intervals:
    generator = numpy_generator(seed, "compare_results", "bootstrap")
    return mean_intervals(values, clips, settings.block_tr, settings.draws, generator, settings.level)


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


def compare_pair(
    paired: ClipScores, settings: CompareResultsSettings, seed: int
) -> tuple[pd.DataFrame, PairedDifferences]:
    """Compare two results on the same clips.

    Parameters
    ----------
    paired : result of ``paired_differences``
    settings : section compare_results
    seed : of the bootstrap's and the permutation's draws

    Returns
    -------
    table : index metric; n_clips, difference, ci_low and ci_high of the paired block bootstrap, block_tr of
        the test, p_value two-sided from flipping the sign of whole blocks of differences
    differences : for ``family_p``
    """
    values, clips = paired.of_movies()
    movies = [str(movie) for movie in paired.values.index.unique(level="movie")]
    differences = PairedDifferences(movies, values, clips)
    intervals = _intervals(values, clips, settings, seed)
    blocks = doubled_blocks(differences, settings.block_tr)
    p_values = np.empty(len(blocks))
    for length in np.unique(blocks):
        generator = numpy_generator(seed, "compare_results", "permutation")
        chosen = blocks == length
        parts = [part[:, chosen] for part in values]
        p_values[chosen] = sign_flip_p(parts, clips, int(length), settings.draws, generator)
    table = pd.DataFrame(
        {
            "n_clips": len(paired.values),
            "difference": np.concatenate(values).mean(axis=0),
            "ci_low": intervals.low,
            "ci_high": intervals.high,
            "block_tr": blocks,
            "p_value": p_values,
        },
        index=pd.Index(paired.values.columns, name="metric"),
    )
    return table, differences


def correct_families(
    tables: list[pd.DataFrame],
    differences: list[PairedDifferences],
    settings: CompareResultsSettings,
    seed: int,
) -> list[pd.DataFrame]:
    """Add ``p_family`` to comparisons: corrected over metrics, pairs and subjects of each kind.

    Experiments are compared without p: each is one training, and how much two trainings of one experiment
    differ is not known from clips. Their intervals are about these trained networks.

    Parameters
    ----------
    tables : of ``compare_pair``, with column kind
    differences : the same comparisons
    settings : section compare_results
    seed : of the flipped signs, with the kind of comparison
    """
    corrected = [table.assign(p_family=np.nan) for table in tables]
    kinds = [str(table["kind"].iloc[0]) for table in tables]
    for kind in dict.fromkeys(kinds):
        members = [place for place, name in enumerate(kinds) if name == kind]
        if kind == "experiment":
            for place in members:
                corrected[place]["p_value"] = np.nan
            continue
        generator = numpy_generator(seed, "compare_results", "family", kind)
        found = family_p(
            [differences[place] for place in members],
            [tables[place]["block_tr"].to_numpy() for place in members],
            settings.block_tr,
            settings.draws,
            generator,
        )
        for place, values in zip(members, found, strict=True):
            # Both are estimated by random flips: a corrected p is never below its own.
            corrected[place]["p_family"] = np.maximum(values, corrected[place]["p_value"])
    return corrected


def pairs_to_compare(
    results: Iterable[tuple[str, str, str]], reference: str
) -> list[tuple[str, tuple[str, str, str], tuple[str, str, str]]]:
    """List what is compared among one subject's results (method, experiment, condition).

    Returns
    -------
    (kind, first, second) with kind: "condition" (fMRI against every other condition of the same experiment),
    "experiment" (against the reference experiment of the same method), "method" (the reference experiments of
    two methods) or "to beat" (against every experiment of a baseline method); all but the first from fMRI
    """
    names = list(dict.fromkeys(results))
    mains = [result for result in names if result[2] == MAIN]
    pairs = []
    for method, experiment, condition in names:
        main = (method, experiment, MAIN)
        if condition != MAIN and main in mains:
            pairs.append(("condition", main, (method, experiment, condition)))
    bases: list[tuple[str, str, str]] = []
    for method in dict.fromkeys(name for name, _, _ in mains):
        own = [result for result in mains if result[0] == method]
        base = next((result for result in own if result[1] == reference), own[0])
        pairs += [("experiment", result, base) for result in own if result != base]
        if not is_to_beat(method):
            pairs += [("method", base, other) for other in bases]
            bases.append(base)
    baselines = [result for result in mains if is_to_beat(result[0])]
    pairs += [("to beat", r, other) for r in mains if not is_to_beat(r[0]) for other in baselines]
    return pairs


def is_to_beat(method: str) -> bool:
    """Say whether a method is a baseline; of names that are not known, none is."""
    return method in METHODS and METHODS[method].to_beat


def label(result: tuple[str, str, str], kind: str) -> str:
    """Name a result: method and experiment, and the condition where conditions are compared."""
    return " ".join(result if kind == "condition" else result[:2])


def compare_clips(
    clips: Sequence[pd.DataFrame], dataset: str, settings: CompareResultsSettings, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summarise all results over seeds and compare them clip by clip.

    Parameters
    ----------
    clips : scores of single clips, columns subject, method, experiment, condition, seed, movie, clip and one
        per metric
    dataset : name for the tables
    settings : section compare_results of the config
    seed : of all draws; all metrics and all results share them

    Returns
    -------
    summary : columns dataset, `RESULT`, metric and those of `summarise_clips`
    comparisons : `COMPARISON_COLUMNS`
    """
    results: dict[tuple[str, str, str, str], ClipScores] = {}
    for table in clips:
        for keys, part in table.groupby(RESULT, sort=False):
            name = tuple(map(str, keys))
            results[name] = average_seeds(part.dropna(axis=1, how="all"), " ".join(name))  # type: ignore[index]
    summaries, compared, differences = [], [], []
    for name, scores in results.items():
        part = summarise_clips(scores, settings, seed).reset_index()
        summaries.append(part.assign(dataset=dataset, **dict(zip(RESULT, name, strict=True))))
    for subject in dict.fromkeys(name[0] for name in results):
        own = [name[1:] for name in results if name[0] == subject]
        for kind, first, second in pairs_to_compare(own, settings.reference):
            names = label(first, kind), label(second, kind)
            sides = results[subject, *first], results[subject, *second]
            where = f"subject {subject}: {' and '.join(names)}"
            part, paired = compare_pair(paired_differences(*sides, where), settings, seed)
            given: dict[str, Any] = {"dataset": dataset, "subject": subject, "kind": kind}
            given |= dict(zip(("first", "second"), names, strict=True))
            given |= {"first_seeds": sides[0].seeds, "second_seeds": sides[1].seeds}
            compared.append(part.reset_index().assign(**given))
            differences.append(paired)
    summary = pd.concat(summaries, ignore_index=True)
    columns = ["dataset", *RESULT, "metric"]
    summary = summary[[*columns, *[name for name in summary.columns if name not in columns]]]
    if not compared:
        return summary, pd.DataFrame(columns=COMPARISON_COLUMNS)
    corrected = correct_families(compared, differences, settings, seed)
    return summary, pd.concat(corrected, ignore_index=True)[COMPARISON_COLUMNS]
