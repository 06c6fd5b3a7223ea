"""How well a linear decoder does at other lags than the study's, and from fewer repeats of the test movies.

A ridge regression from single fMRI samples to CLIP embeddings takes seconds where the whole method takes
days, and answers two questions: is the fMRI aligned with the movie (the score peaks at lag 0 or 1), and how
much do repeats help?
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, from_numpy

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri, existing_repeats
from neurocine.metrics.agreement import SCORES, Targets, agreement, find_rivals, mean_direction
from neurocine.metrics.statistics import mean_intervals
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, Holds, Positive, Settings, Unique, Unit

CHANCE = {"cosine": 0.0, "identification": 0.5}


class SweepLagsSettings(Settings):
    """Which lags and numbers of repeats are scored, and how."""

    lags: Annotated[tuple[int, ...], Field(min_length=1), Unique(), Holds(0), Unit("TR")] = (-1, 0, 1, 2, 3)
    """The fMRI sample of a clip is taken later by each of these lags, 0 among them."""
    penalty: Positive = 1.0
    """The penalty of the ridge regression is this value times the mean squared length of a training sample.
    """
    draws: Annotated[Count, Unit("draws")] = 20
    """For each k, this many sets of k test repeats are averaged and scored."""
    min_distance_tr: Annotated[Count, Unit("TR")] = 15
    """Clips of a movie nearer than this do not compete in the identification."""
    block_tr: Annotated[Count, Unit("TR")] = 15
    """The bootstrap draws blocks of this length, longer ones where scores change slowly."""
    bootstrap_draws: Annotated[int, Field(ge=100), Unit("draws")] = 2000
    """The bootstrap over time takes this many draws."""

    def clips(self, n_samples: int) -> np.ndarray:
        """Clips (n,) i64 of a movie with a sample at every lag: all lags are scored on the same ones."""
        return np.arange(max(0, -min(self.lags)), n_samples - max(0, *self.lags))


@dataclass(frozen=True)
class MovieEmbeddings:
    """CLIP embeddings of the clips of one movie: text and image, (n_clips, k, E) each, of unit length."""

    text: np.ndarray
    image: np.ndarray


def fit_ridge(samples: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """Fit a ridge regression without intercept, in the dual form (samples are fewer than vertices).

    Parameters
    ----------
    samples : (n, V)
    targets : (n, E)
    penalty : times the mean squared length of a sample

    Returns
    -------
    (V, E) float64 weights
    """
    kernel = samples.astype(np.float64) @ samples.T.astype(np.float64)
    kernel[np.diag_indices_from(kernel)] += penalty * np.trace(kernel) / len(kernel)
    return np.asarray(samples.T @ np.linalg.solve(kernel, targets))


def _directions(
    embeddings: Mapping[str, MovieEmbeddings], clips: Mapping[str, np.ndarray]
) -> tuple[Tensor, Tensor]:
    """Text and image directions of chosen clips of all movies, (n, E) each."""
    text = [mean_direction(embeddings[movie].text)[from_numpy(rows)] for movie, rows in clips.items()]
    image = [mean_direction(embeddings[movie].image)[from_numpy(rows)] for movie, rows in clips.items()]
    return from_numpy(np.concatenate(text)), from_numpy(np.concatenate(image))


def _check(fmri: SubjectFmri, embeddings: Mapping[str, MovieEmbeddings], settings: SweepLagsSettings) -> None:
    for movie, bold in fmri.bold.items():
        n_clips = len(embeddings[movie].text)
        if n_clips != len(bold):
            todo = "Embed the clips again."
            raise InputError(f"embeddings of {movie}", f"{n_clips} clips", f"{len(bold)}, as fMRI", todo)
        if not len(settings.clips(len(bold))):
            expected = f"fewer than the {len(bold)} samples of {movie}"
            raise InputError(
                "sweep_lags.lags", f"a span of {np.ptp(settings.lags)} TR", expected, "Name fewer."
            )


@dataclass(frozen=True)
class _Scored:
    """The test clips that are scored, and what they are compared with.

    Parameters
    ----------
    clips : movie -> (n,) i64
    movie : (n_clips,) i64, number of each clip's movie
    targets : embeddings of the clips
    """

    clips: dict[str, np.ndarray]
    movie: np.ndarray
    targets: Targets

    def scores(self, predicted: np.ndarray) -> dict[str, np.ndarray]:
        """Score predictions (n_clips, E): (n_clips,) per score."""
        values = agreement(from_numpy(predicted), self.targets)
        return {name: values[name].numpy() for name in SCORES}

    def summary(
        self, values: Mapping[str, np.ndarray], settings: SweepLagsSettings, seed: int
    ) -> dict[str, float]:
        """Summarise scores (n_clips,): the mean of each over clips, its interval, and chance."""
        row: dict[str, float] = {"n_clips": len(self.movie)}
        for name in SCORES:
            parts = [values[name][self.movie == place][:, None] for place in range(len(self.clips))]
            ends = mean_intervals(
                parts,
                list(self.clips.values()),
                settings.block_tr,
                settings.bootstrap_draws,
                numpy_generator(seed, "sweep_lags", "bootstrap"),
            )
            row[name] = float(values[name].mean())
            row |= {f"{name}_low": float(ends.low[0]), f"{name}_high": float(ends.high[0])}
            row[f"{name}_chance"] = CHANCE[name]
        return row


def _scored_clips(
    test: SubjectFmri,
    embeddings: Mapping[str, MovieEmbeddings],
    means: tuple[Tensor, Tensor],
    settings: SweepLagsSettings,
) -> _Scored:
    clips = {movie: settings.clips(len(bold)) for movie, bold in test.bold.items()}
    text, image = _directions(embeddings, clips)
    movie = np.repeat(np.arange(len(clips)), [len(rows) for rows in clips.values()])
    targets = Targets(
        text=F.normalize(text - means[0], dim=-1),
        image=F.normalize(image - means[1], dim=-1),
        rivals=find_rivals(movie, np.concatenate(list(clips.values())), settings.min_distance_tr),
    )
    return _Scored(clips, movie, targets)


def sweep_lags(
    train: SubjectFmri,
    test: SubjectFmri,
    embeddings: Mapping[str, MovieEmbeddings],
    settings: SweepLagsSettings,
    seed: int,
) -> pd.DataFrame:
    """Score a ridge regression of one subject at every lag, and at lag 0 from every number of test repeats.

    Parameters
    ----------
    train, test : samples of assemble_train and assemble_test; the single test repeats are used
    embeddings : movie -> embeddings, of all movies
    settings : section sweep_lags of the config
    seed : of the drawn repeats and the bootstrap

    Returns
    -------
    one row per lag with all repeats, then one per smaller number of repeats at lag 0: lag_tr, test_repeats,
    n_clips; per score its mean over clips, the 95 % interval and chance. Scores are those of occlusion, with
    embeddings from which the training mean is taken, so that the cosine is 0 by chance

    Raises
    ------
    InputError : embeddings of another number of clips, or lags too far apart for the movies
    """
    _check(train, embeddings, settings)
    _check(test, embeddings, settings)
    clips = {movie: settings.clips(len(bold)) for movie, bold in train.bold.items()}
    text, image = _directions(embeddings, clips)
    means = text.mean(0), image.mean(0)
    learned = (F.normalize(text - means[0], dim=-1) + F.normalize(image - means[1], dim=-1)).numpy()
    scored = _scored_clips(test, embeddings, means, settings)
    present = {movie: existing_repeats(test.repeats[movie], movie) for movie in scored.clips}
    most, fewest = max(map(len, present.values())), min(map(len, present.values()))
    rows, fewer = [], []
    for lag in settings.lags:
        samples = np.concatenate([train.bold[movie][at + lag] for movie, at in clips.items()])
        weights = fit_ridge(samples, learned, settings.penalty).astype(np.float32)
        # Linear: what is predicted from a mean of repeats is the mean of what is predicted from each.
        predicted = {
            movie: test.repeats[movie][present[movie]][:, at + lag] @ weights
            for movie, at in scored.clips.items()
        }
        whole = scored.scores(np.concatenate([repeats.mean(0) for repeats in predicted.values()]))
        rows.append({"lag_tr": lag, "test_repeats": most, **scored.summary(whole, settings, seed)})
        for count in range(1, fewest + (fewest < most)) if lag == 0 else ():
            each = [scored.scores(part) for part in _draw_repeats(predicted, count, settings.draws, seed)]
            mean = {name: np.mean([values[name] for values in each], axis=0) for name in SCORES}
            fewer.append({"lag_tr": 0, "test_repeats": count, **scored.summary(mean, settings, seed)})
    return pd.DataFrame(rows + fewer)


def _draw_repeats(predicted: Mapping[str, np.ndarray], count: int, draws: int, seed: int) -> list[np.ndarray]:
    """Average predictions (n_repeats, T, E) of each movie over drawn sets of repeats: (n, E) per draw."""
    generator = numpy_generator(seed, "sweep_lags", "repeats", count)
    return [
        np.concatenate(
            [each[generator.permutation(len(each))[:count]].mean(0) for each in predicted.values()]
        )
        for _ in range(draws)
    ]
