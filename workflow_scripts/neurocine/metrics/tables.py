"""Bring the scores of a study together: a long table, a wide one, the ablation beside the paper's."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pandas as pd
from pydantic import Field

from neurocine.methods import DEFAULT, METHODS, method_of, methods_of
from neurocine.metrics.published import NEUROCINE, StudyFacts, published_ablation
from neurocine.metrics.registry import best, is_tested
from neurocine.metrics.statistics import holm
from neurocine.settings import Settings

KEYS = ["dataset", "subject", "method", "experiment", "condition"]
PUBLISHED_SUBJECT, PUBLISHED_METRIC = "1", "ssim_mv"  # of the published ablation

BEFORE = ("dataset", "subject", "method", "experiment")  # the parameters of the ablation table
AFTER = (
    *("seed", "n_clips", "value", "ci_low", "ci_high"),
    *("null_mean", "null_p99", "baseline", "published", "comparable"),
)


def _cell(value: Any) -> str:
    """Write a parameter: numbers with three digits, nothing for none."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, int | float) else str(value)


class Experiments(Settings):
    """The config section experiments."""

    rows: Mapping[str, Mapping[str, Any]] = {}
    """Each experiment has its parameters under its name, and the name of its method."""

    @property
    def parameters(self) -> list[str]:
        """Parameters of all methods that experiments use, in order."""
        methods = methods_of(self.rows) or [METHODS[DEFAULT]]
        return list(dict.fromkeys(name for method in methods for name in method.parameters))

    def cells(self, name: str) -> dict[str, str]:
        """Write the parameters of an experiment; empty where it does not use them."""
        row = self.rows.get(name)
        used = method_of(row).used(row) if row else {}
        return dict.fromkeys(self.parameters, "") | {key: _cell(value) for key, value in used.items()}


class TabulateScoresSettings(Settings):
    """How the wide tables are written."""

    digits: Annotated[int, Field(ge=1, le=6)] = 3
    """The wide tables round to this many decimals."""


def gather_scores(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Join the tables of ``score`` and add ``p_holm``, corrected over the metrics of one result.

    Metrics of the prediction alone are no tests: they do not count, and theirs is 1.

    Parameters
    ----------
    tables : columns dataset subject method experiment condition metric value ... n_clips seed

    Returns
    -------
    the rows of all tables in their order; a row that several tables hold stays once
    """
    # The same ceiling, such as the captions' condition, stands in the tables of all subjects' jobs.
    scores = pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)
    # What no pairing can change is no test, and must not cost the others.
    tested = scores["p_value"].where(scores["metric"].map(is_tested))
    groups = tested.groupby([scores[name] for name in (*KEYS, "seed")], sort=False)
    scores["p_holm"] = groups.transform(lambda values: holm(values.to_numpy(dtype=float))).fillna(1.0)
    return scores


def wide_table(scores: pd.DataFrame, settings: TabulateScoresSettings) -> pd.DataFrame:
    """One row per result; per metric its value, interval, null mean and better trivial baseline.

    Parameters
    ----------
    scores : result of ``gather_scores``
    settings : section tabulate_scores

    Returns
    -------
    columns of ``KEYS``, seed, n_clips, and per metric: its name, ``_ci``, ``_null``, ``_p``, ``_baseline``;
    the baseline is the better of the constant and the mean training frame; p is corrected over metrics
    """

    def number(value: float) -> str:
        return f"{value:.{settings.digits}f}"

    rows = []
    for keys, group in scores.groupby([*KEYS, "seed"], sort=False):
        row = dict(zip([*KEYS, "seed"], keys, strict=True)) | {"n_clips": int(group["n_clips"].iloc[0])}
        for _, entry in group.iterrows():
            name = entry["metric"]
            row[name] = number(entry["value"])
            row[f"{name}_ci"] = f"{number(entry['ci_low'])} to {number(entry['ci_high'])}"
            row[f"{name}_null"] = number(entry["null_mean"])
            row[f"{name}_p"] = f"{entry['p_holm']:.4f}"
            row[f"{name}_baseline"] = number(
                best(name, [entry["baseline_constant"], entry["baseline_mean_frame"]])
            )
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def ablation_table(
    scores: pd.DataFrame,
    published: pd.DataFrame,
    facts: StudyFacts,
    experiments: Experiments,
    settings: TabulateScoresSettings,
) -> pd.DataFrame:
    """SSIM of all experiments decoded from fMRI, beside the published value of the same experiment.

    Parameters
    ----------
    scores : result of ``gather_scores``
    published : of `neurocine.metrics.published.read_published`
    facts : what decides whether values of Subject 1 are ``comparable``
    experiments : their parameters
    settings : section tabulate_scores

    Returns
    -------
    columns ``BEFORE``, the parameters of the experiments, and ``AFTER``
    """
    chosen = scores[(scores["metric"] == PUBLISHED_METRIC) & (scores["condition"] == "fmri")]
    papers = published_ablation(published)  # of the default method
    alike = not list(facts.differences(NEUROCINE))
    rows = []
    for _, entry in chosen.sort_values(["subject", "method", "experiment", "seed"]).iterrows():
        same = alike and str(entry["subject"]) == PUBLISHED_SUBJECT
        paper = papers.get(entry["experiment"]) if entry["method"] == DEFAULT else None
        row = {
            name: entry[name] for name in ("dataset", "subject", "method", "experiment", "seed", "n_clips")
        }
        row |= experiments.cells(entry["experiment"])
        for name in ("value", "ci_low", "ci_high", "null_mean", "null_p99"):
            row[name] = f"{entry[name]:.{settings.digits}f}"
        row["baseline"] = (
            f"{max(entry['baseline_constant'], entry['baseline_mean_frame']):.{settings.digits}f}"
        )
        row["published"] = "" if paper is None else f"{paper:.3f}"
        row["comparable"] = "" if paper is None else ("yes" if same else "no")
        rows.append(row)
    return pd.DataFrame(rows, columns=[*BEFORE, *experiments.parameters, *AFTER])


class ScoreTables(NamedTuple):
    """The scores of a study: all rows long, one row per result wide, and beside the published ablation."""

    scores: pd.DataFrame
    main: pd.DataFrame
    ablation: pd.DataFrame


def tabulate_scores(
    tables: list[pd.DataFrame],
    published: pd.DataFrame,
    facts: StudyFacts,
    experiments: Experiments,
    settings: TabulateScoresSettings,
) -> ScoreTables:
    """Gather the scores of all subjects, methods and experiments.

    Parameters
    ----------
    tables : of ``score``, see `gather_scores`
    published, facts, experiments, settings : see `ablation_table`
    """
    scores = gather_scores(tables)
    ablation = ablation_table(scores, published, facts, experiments, settings)
    return ScoreTables(scores, wide_table(scores, settings), ablation)
