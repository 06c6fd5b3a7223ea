"""What a metric is, and what its features are; each module of ``definitions`` declares some of both.

Nothing heavy is imported, because the workflow, tables and pages ask for names, directions and texts too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from neurocine.metrics.features import Clips, Compare, Extractor

if TYPE_CHECKING:
    from neurocine.metrics.settings import ScoreSettings

Group = Literal["pixels", "classes", "embeddings", "motion"]
Labels = Mapping[str, list[str]]  # feature of a classifier -> class names in logit order


@dataclass(frozen=True)
class Judge:
    """What all clips are scored with.

    Parameters
    ----------
    labels : class names of the classifiers
    settings : section score
    device : where large matrix products run
    seed : of the random trials of ``n_way_trials``
    matched : prediction i belongs to true clip i; their own scores are then exact and the others, of which
        only means over many are used, may be estimated
    compare : feature that is too large to keep -> what scores pairs of videos
    """

    labels: Labels
    settings: "ScoreSettings"
    device: str = "cpu"
    seed: int = 0
    matched: bool = True
    compare: Mapping[str, Compare] = field(default_factory=dict)


# Scores (n, m) of all pairs: of one metric, or of several by name
PairScores = Callable[[Clips, Clips, Judge], np.ndarray]
PairFunction = Callable[[Clips, Clips, Judge], dict[str, np.ndarray]]
Chances = Callable[[Labels, "ScoreSettings"], dict[str, float]]


@dataclass(frozen=True)
class Metric:
    """A metric, or several that are asked for under one name because they share their work.

    Parameters
    ----------
    name : as in the config and on the command line; the names of its values begin with it
    definition : what it computes, for docs/scoring.md; Markdown
    chance_text : what it reaches by chance, in words
    comparable : published values it may stand beside, in words
    group : where it stands in tables
    pairs : scores (n, m) of all predicted with all true clips, by name
    chances : name of each value -> chance level (NaN: none is known), in the order of the tables
    needs : features of the clips
    min_frames : fewest frames of a clip
    min_side : fewest pixels of the shorter side of frames
    value_range : smallest and largest value
    lower_is_better : whether a smaller value is the better one
    sees_original : False where the original has no part in it: value and null then agree, and p tells nothing
    default : whether it is computed unless others are asked for
    fallback : metric that takes its place where its network is not given
    short_table : beginnings of names of values in the short table -> their place in it
    """

    name: str
    definition: str
    chance_text: str
    comparable: str
    group: Group
    pairs: PairFunction
    chances: Chances
    needs: tuple[str, ...] = ()
    min_frames: int = 1
    min_side: int = 1
    value_range: tuple[float, float] = (-1.0, 1.0)
    lower_is_better: bool = False
    sees_original: bool = True
    default: bool = False
    fallback: str = ""
    short_table: Mapping[str, int] = field(default_factory=dict)


def single(name: str, pairs: PairScores, chance: float = math.nan) -> tuple[PairFunction, Chances]:
    """Turn scores of all pairs into those of a metric of one value with this chance level."""
    return lambda *clips: {name: pairs(*clips)}, lambda *_: {name: chance}


@dataclass(frozen=True)
class Origin:
    """What a feature is computed with.

    Parameters
    ----------
    folder : of its network, if it has one
    n_frames : frames of a clip
    device : auto, cpu or cuda
    batch_size : frames or clips per pass of the network
    """

    folder: Path
    n_frames: int
    device: str
    batch_size: int


@dataclass(frozen=True)
class Feature:
    """What is computed once per set of clips and kept, for metrics to share.

    Parameters
    ----------
    name : as metrics name it in ``needs``
    make : loads what computes it
    network : its key in the config section ``models`` and its option on the command line; empty: none
    """

    name: str
    make: Callable[[Origin], Extractor]
    network: str = ""
