"""What a study's page is made of: scores, media, training logs and the configuration."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from neurocine.costs import Cost
from neurocine.made_by import Version
from neurocine.metrics.registry import best
from neurocine.naming import natural

SUBJECT_FOLDER = re.compile(r"(?:^|/)sub-([^/]+)/")
SCORE_COLUMNS = ["dataset", "subject", "method", "experiment", "condition", "metric", "value", "chance"]
# what filters look at
KEY_COLUMNS = ("subject", "method", "experiment", "condition", "metric", "kind", "system", "comparable")
NULL_BEATEN = 0.01  # p of what is marked as above its null
SCORE_NUMBERS = [
    *("value", "chance", "null_mean", "null_p99", "p_value", "p_holm", "draws"),
    *("baseline_constant", "baseline_mean_frame", "ci_low", "ci_high", "n_clips", "seed"),
]


class Owner(NamedTuple):
    """What a result belongs to; empty names if to the whole study."""

    subject: str = ""
    method: str = ""
    experiment: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """What filters look at."""
        return {"subject": self.subject, "method": self.method, "experiment": self.experiment}


WHOLE_STUDY = Owner()


@dataclass(frozen=True)
class Medium:
    """A picture, film or table file that the page shows or links.

    Parameters
    ----------
    href : address relative to the page
    name : file name without its ending
    owner : what it belongs to
    condition : what shown clips were decoded from
    """

    href: str
    name: str
    owner: Owner = WHOLE_STUDY
    condition: str = "fmri"

    @property
    def plays(self) -> bool:
        """Whether it is a film."""
        return self.href.endswith(".mp4")


@dataclass(frozen=True)
class TrainingLog:
    """The JSONL log of one training: step of the workflow, key of its parameters, subject if of one."""

    step: str
    key: str
    subject: str
    text: str

    @classmethod
    def read(cls, path: Path) -> "TrainingLog":
        """Read the log of a training: ``{step}/{key}/log.jsonl``, or ``{step}/log.jsonl``."""
        folders = path.parts[:-1]
        subject = SUBJECT_FOLDER.search(path.as_posix())
        trainings = (part for part in reversed(folders) if part.startswith(("train_", "pretrain_")))
        step = next(trainings, folders[-1])
        key = "" if folders[-1] == step else folders[-1]
        return cls(step, key, subject[1] if subject else "", path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Results:
    """All that the page shows.

    Parameters
    ----------
    scores : long table of tabulate
    config : the study's configuration, complete
    attention : tables of extract_attention, with columns subject, method and experiment
    strips : chosen clips of all conditions, as film strips and as films, named by the choice
    clips : whole decoded movies
    maps : brain maps
    files : tables to download
    logs : trainings
    summary, comparisons, published : tables of compare_results
    ceilings : tables of measure_noise_ceiling, with the column subject
    runs : tables of inspect_runs, likewise
    agreement : tables of agree_fmri, with columns subject, method and experiment
    features : tables of score_features
    areas : tables of rank_areas, with columns subject, method and experiment
    order : tables of test_order, likewise
    lag_sweep : table of sweep_lags, if it was made
    methods : text of write_methods, Markdown
    costs : time and memory per stage and subject
    versions : of the code and packages that made what is shown
    """

    scores: pd.DataFrame
    config: Mapping[str, Any]
    attention: pd.DataFrame = field(default_factory=pd.DataFrame)
    strips: Sequence[Medium] = ()
    clips: Sequence[Medium] = ()
    maps: Sequence[Medium] = ()
    files: Sequence[Medium] = ()
    logs: Sequence[TrainingLog] = ()
    summary: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    ceilings: pd.DataFrame = field(default_factory=pd.DataFrame)
    runs: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame)
    features: pd.DataFrame = field(default_factory=pd.DataFrame)
    areas: pd.DataFrame = field(default_factory=pd.DataFrame)
    order: pd.DataFrame = field(default_factory=pd.DataFrame)
    lag_sweep: pd.DataFrame = field(default_factory=pd.DataFrame)
    methods: str = ""
    costs: Sequence[Cost] = ()
    versions: Sequence[Version] = ()


@dataclass(frozen=True)
class Order:
    """Order of results on the page: experiments as in the config, in each the subjects, then what is of all.

    Parameters
    ----------
    experiments : names in order
    methods : all methods of the study; named only where there are several
    """

    experiments: tuple[str, ...]
    methods: tuple[str, ...]

    def rank(self, owner: Owner) -> tuple[Any, ...]:
        """Sort key of a result."""
        is_run = owner.experiment in self.experiments
        place = self.experiments.index(owner.experiment) if is_run else len(self.experiments)
        return owner.method, place, natural(owner.experiment), not owner.subject, natural(owner.subject)

    def label(self, owner: Owner) -> str:
        """Name of the experiment, with its method where there are several."""
        return f"{owner.method} {owner.experiment}" if len(self.methods) > 1 else owner.experiment


def group_media(media: Iterable[Medium], order: Order) -> dict[Owner, list[Medium]]:
    """Collect media per owner, both in order."""
    groups: dict[Owner, list[Medium]] = {}
    for medium in sorted(media, key=lambda m: (order.rank(m.owner), natural(m.name))):
        groups.setdefault(medium.owner, []).append(medium)
    return groups


def score_records(scores: pd.DataFrame, order: Order) -> list[dict[str, Any]]:
    """Return the rows of the score table as dictionaries, in order.

    ``id`` names a row on the page, ``owner`` is what it belongs to, ``baseline`` the better of the trivial
    predictions, ``above`` whether the value beats 99 % of the null, which takes a hundred pairings to tell,
    ``slow`` whether scores change too slowly to tell at all; numbers that are not there are NaN.
    """
    records = []
    for row in scores.to_dict("records"):
        record: dict[str, Any] = {str(name): value for name, value in row.items()}
        for name in SCORE_NUMBERS:
            value = record.get(name, math.nan)
            record[name] = float(value) if value not in ("", None) else math.nan
        subject = "" if str(record["subject"]) in ("nan", "all") else str(record["subject"])
        record["owner"] = Owner(subject, str(record["method"]), str(record["experiment"]))
        trivial = [record["baseline_constant"], record["baseline_mean_frame"]]
        baselines = [value for value in trivial if math.isfinite(value)]
        record["baseline"] = best(str(record["metric"]), baselines) if baselines else math.nan
        record["slow"] = record.get("p_holds", "yes") == "no"
        record["above"] = record["p_value"] <= NULL_BEATEN and not record["slow"]
        records.append(record)
    records.sort(key=lambda record: order.rank(record["owner"]))  # stable: metrics keep their order
    return [record | {"id": f"score-{place}"} for place, record in enumerate(records)]
