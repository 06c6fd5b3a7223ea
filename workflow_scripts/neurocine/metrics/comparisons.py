"""Compare results clip by clip: means over seeds, paired differences with intervals and p-values.

Everything here works on the scores of single clips, so nothing is computed twice and any two results of the
same clips can be compared. With one training of each experiment, intervals and p-values say what other clips
might have shown of *these trained networks*: another training of the same experiment may differ by more, so
what was trained apart gets no p. With three or more they hold for other trainings too.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.methods import METHODS
from neurocine.metrics.clip_scores import RESULT, ClipScores
from neurocine.metrics.registry import value_range
from neurocine.metrics.statistics import (
    Intervals,
    PairedDifferences,
    doubled_blocks,
    family_p,
    holm,
    mean_intervals,
    sign_flip_p,
)
from neurocine.metrics.trainings import (
    FEWEST,
    Crossed,
    Result,
    TrainedRows,
    average_trainings,
    crossed_mean,
    group_trainings,
    pair_trainings,
)
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Settings, Unit

MAIN = "fmri"
OVER_CLIPS, OVER_TRAININGS = "clips", "trainings and clips"
NOT_TESTED = f"none: trained apart, fewer than {FEWEST} trainings each"
COMPARISON_COLUMNS = [
    *("dataset", "subject", "kind", "first", "second", "metric", "n_clips", "first_seeds", "second_seeds"),
    *("trainings", "difference", "ci_low", "ci_high", "block_tr", "tested_over", "p_value", "p_family"),
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


def summarise_result(result: Result, settings: CompareResultsSettings, seed: int) -> pd.DataFrame:
    """Bring one result of several trainings together: as ``summarise_clips``, with trainings and train_sd.

    Values are means over trainings; from three trainings on intervals are about other trainings too.
    ``train_sd`` is the standard deviation (N - 1) between trainings, NaN for a single one; ``seed_sd`` is
    that between generations within a training.
    """
    trainings = list(result.scores.values())
    if len(trainings) == 1:
        return summarise_clips(trainings[0], settings, seed).assign(trainings=1, train_sd=np.nan)
    table = summarise_clips(average_trainings(trainings), settings, seed)
    means = pd.DataFrame([one.values.mean() for one in trainings])
    table = table.assign(trainings=len(trainings), train_sd=means.std(ddof=1), seeds=result.first.seeds)
    if result.first.seeds > 1:
        variances = [one.seed_means.var(axis=0, ddof=1) for one in trainings]
        table["seed_sd"] = np.sqrt(np.mean(variances, axis=0))
    if len(trainings) >= FEWEST:
        crossed = _crossed(trainings, settings)
        lowest, highest = np.transpose([value_range(str(name)) for name in table.index])
        limits = np.maximum(crossed.low, lowest), np.minimum(crossed.high, highest)
        table = table.assign(ci_low=limits[0], ci_high=limits[1])
    return table


def _crossed(trainings: Sequence[ClipScores], settings: CompareResultsSettings) -> Crossed:
    parts = [scores.of_movies() for scores in trainings]
    return crossed_mean([values for values, _ in parts], parts[0][1], settings.block_tr, settings.level)


def _intervals(
    values: list[np.ndarray], clips: list[np.ndarray], settings: CompareResultsSettings, seed: int
) -> Intervals:
    generator = numpy_generator(seed, "compare_results", "bootstrap")
    return mean_intervals(values, clips, settings.block_tr, settings.draws, generator, settings.level)


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


def compare_trainings(
    pairs: Sequence[ClipScores], same_trainings: bool, settings: CompareResultsSettings, seed: int
) -> tuple[pd.DataFrame, PairedDifferences]:
    """Compare two results of the same clips, each of one training or of several.

    Parameters
    ----------
    pairs : of ``pair_trainings``, one per training
    same_trainings : whether both rest on the same trainings, so that they differ in how clips are made
    settings, seed : see ``compare_pair``

    Returns
    -------
    table : as of ``compare_pair``, with the number of trainings and what p is tested over. From three
        trainings on interval and p hold for other trainings and clips; with fewer they hold for other clips
        of these trained networks, and what was trained apart has no p
    differences : means over trainings, for ``family_p``
    """
    table, differences = compare_pair(average_trainings(pairs), settings, seed)
    table = table.assign(trainings=len(pairs), tested_over=OVER_CLIPS)
    if len(pairs) >= FEWEST:
        crossed = _crossed(pairs, settings)
        table = table.assign(
            ci_low=crossed.low,
            ci_high=crossed.high,
            block_tr=crossed.block_tr,
            p_value=crossed.p_value,
            tested_over=OVER_TRAININGS,
        )
    elif not same_trainings:
        table = table.assign(p_value=np.nan, tested_over=NOT_TESTED)
    return table, differences


def correct_families(
    tables: list[pd.DataFrame],
    differences: list[PairedDifferences],
    settings: CompareResultsSettings,
    seed: int,
) -> list[pd.DataFrame]:
    """Add ``p_family`` to comparisons: corrected over metrics, pairs and subjects of each kind.

    Tests over clips and tests over trainings are families of their own: the first by common sign flips, the
    second, of which there are too few trainings to flip, by Holm's method.

    Parameters
    ----------
    tables : of ``compare_trainings``, with column kind
    differences : the same comparisons
    settings : section compare_results
    seed : of the flipped signs, with the kind of comparison
    """
    corrected = [table.assign(p_family=np.nan) for table in tables]
    families = [(str(table["kind"].iloc[0]), str(table["tested_over"].iloc[0])) for table in tables]
    for kind, tested in dict.fromkeys(families):
        members = [place for place, family in enumerate(families) if family == (kind, tested)]
        if tested == OVER_TRAININGS:
            every = holm(np.concatenate([tables[place]["p_value"].to_numpy() for place in members]))
            ends = np.cumsum([len(tables[place]) for place in members])[:-1]
            for place, values in zip(members, np.split(every, ends), strict=True):
                corrected[place]["p_family"] = values
        if tested != OVER_CLIPS:
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
    clips: Sequence[pd.DataFrame],
    dataset: str,
    settings: CompareResultsSettings,
    seed: int,
    trained: TrainedRows,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summarise all results over trainings and seeds, and compare them clip by clip.

    Parameters
    ----------
    clips : scores of single clips, columns subject, method, experiment, condition, seed, movie, clip and one
        per metric
    dataset : name for the tables
    settings : section compare_results of the config
    seed : of all draws; all metrics and all results share them
    trained : which experiments are another one trained again, and on which trainings each rests

    Returns
    -------
    summary : columns dataset, `RESULT`, metric and those of `summarise_result`; without trainings and
        train_sd where each experiment was trained once
    comparisons : `COMPARISON_COLUMNS`
    """
    results = group_trainings(clips, trained)
    summaries, compared, differences = [], [], []
    for name, result in results.items():
        part = summarise_result(result, settings, seed).reset_index()
        summaries.append(part.assign(dataset=dataset, **dict(zip(RESULT, name, strict=True))))
    for subject in dict.fromkeys(name[0] for name in results):
        own = [name[1:] for name in results if name[0] == subject]
        for kind, first, second in pairs_to_compare(own, settings.reference):
            names = label(first, kind), label(second, kind)
            sides = results[subject, *first], results[subject, *second]
            where = f"subject {subject}: {' and '.join(names)}"
            same = kind == "condition" or sides[0].trainings == sides[1].trainings
            part, paired = compare_trainings(pair_trainings(*sides, where), same, settings, seed)
            given: dict[str, Any] = {"dataset": dataset, "subject": subject, "kind": kind}
            given |= dict(zip(("first", "second"), names, strict=True))
            given |= {"first_seeds": sides[0].first.seeds, "second_seeds": sides[1].first.seeds}
            compared.append(part.reset_index().assign(**given))
            differences.append(paired)
    summary = pd.concat(summaries, ignore_index=True)
    columns = ["dataset", *RESULT, "metric"]
    summary = summary[[*columns, *[name for name in summary.columns if name not in columns]]]
    if (summary["trainings"] == 1).all():
        summary = summary.drop(columns=["trainings", "train_sd"])
    if not compared:
        return summary, pd.DataFrame(columns=COMPARISON_COLUMNS)
    corrected = correct_families(compared, differences, settings, seed)
    return summary, pd.concat(corrected, ignore_index=True)[COMPARISON_COLUMNS]
