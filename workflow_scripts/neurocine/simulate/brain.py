"""A simulated subject: cortical tuning, and the BOLD of every run of every movie.

Model of one grayordinate in one run, before scaling to scanner units::

    y(t) = sqrt(share) s(t) + sqrt(1 - share) n(t)

s is the tuned response to the movie's features with unit variance over the training movies, n is AR(1) noise
with drift, scaled to unit variance; both variances are those that remain after the crop and the polynomial
detrending of one run. So ``share`` is the share of the variance that the stimulus explains in a single
preprocessed run, and the noise ceiling for k repeats follows without simulation (:func:`noise_ceiling`).
These are expected variances. A drift of several times the noise leaves a residue that differs from run to
run; z-scoring then weighs the cleaner runs more, and repeats correlate somewhat better than ``share`` says.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocine.fmri.grayordinates import CORTEX, GRAYORDINATES, SUBCORTICAL
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import detrend
from neurocine.seeds import numpy_generator
from neurocine.simulate.features import GROUPS, FeatureSpace
from neurocine.simulate.noise import (
    DETREND_ORDER,
    Modes,
    autoregressive,
    drift,
    residual_variance,
    spatial_modes,
    spontaneous_activity,
)
from neurocine.simulate.response import N_KEPT, SCAN_START, kept_times, response_at, volume_times
from neurocine.simulate.tuning import Tuning, draw_tuning, tuned_among

MAX_SHARE = 0.95  # no vertex is free of noise


@dataclass(frozen=True)
class SimulateSubjectSettings:
    """Settings of the simulated brains."""

    # Share of a preprocessed single run's variance that the stimulus explains in a fully tuned vertex, 0..1.
    signal_fraction: float = 0.35
    # Subject -> factor on signal_fraction; subjects not named have 1.
    subject_factors: Mapping[str, float] = field(default_factory=lambda: {"1": 1.0, "2": 0.9, "3": 0.75})
    # Standard deviation of the log of each vertex's own factor on the share.
    vertex_spread: float = 0.3
    # Probability that a vertex weighs a feature of its group.
    tuning_density: float = 0.25
    # Correlation of the noise between neighbouring volumes, 0 <= c < 1.
    noise_autocorrelation: float = 0.4
    # Share of the autocorrelated noise that neighbours, areas and equally tuned vertices share, 0..1.
    shared_noise: float = 0.1
    # Standard deviation of the slow drift, in standard deviations of the autocorrelated noise.
    drift: float = 1.0
    # Mean of the raw signal, arbitrary units; each grayordinate has 0.7 to 1.3 times this.
    baseline: float = 10000.0
    # Standard deviation of the detrended signal, percent of the mean.
    percent_signal: float = 1.5
    # Standard deviation of the log of each subject's factor on percent_signal.
    gain_spread: float = 0.1
    # Clips of a movie, as in simulate_movies.
    clips_per_movie: int = N_KEPT
    # Movie -> volumes of its runs, 5 or 6 more than it has clips; "default" for the others.
    volumes: Mapping[str, int] = field(
        default_factory=lambda: {"default": 245, "test2": 246, "test3": 246, "test4": 246, "test5": 246}
    )
    # Runs that lag behind the movie: {subject, movie, repeat, seconds}. In Wen 2018 one does, by 10 s.
    delayed_runs: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        for name in ("signal_fraction", "shared_noise", "noise_autocorrelation", "tuning_density"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be from 0 to 1")
        if self.noise_autocorrelation == 1:
            raise ValueError("noise_autocorrelation is 1, must be less")
        for name in ("vertex_spread", "drift", "gain_spread"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative")
        if min(self.baseline, self.percent_signal) <= 0:
            raise ValueError("baseline and percent_signal must be positive")
        if any(factor < 0 for factor in self.subject_factors.values()):
            raise ValueError("subject_factors must not be negative")
        known = {self.clips_per_movie + more for more in SCAN_START}
        unknown = set(self.volumes.values()) - known
        if unknown:
            raise ValueError(f"volumes has {unknown.pop()}, must be {' or '.join(map(str, sorted(known)))}")
        for delay in self.delayed_runs:
            if set(delay) != {"subject", "movie", "repeat", "seconds"}:
                raise ValueError(f"delayed_runs has {dict(delay)}, needs subject, movie, repeat, seconds")

    def n_volumes(self, movie: str) -> int:
        """Return the number of volumes of a movie's runs."""
        return self.volumes.get(movie, self.volumes.get("default", self.clips_per_movie + 5))

    def delay(self, subject: str, movie: str, repeat: int) -> float:
        """Return by how many seconds a run lags behind its movie."""
        for run in self.delayed_runs:
            if (str(run["subject"]), run["movie"], int(run["repeat"])) == (subject, movie, repeat):
                return float(run["seconds"])
        return 0.0


@dataclass(frozen=True)
class Brain:
    """One simulated subject, or some of its grayordinates.

    rows : (V,) i64, grayordinates 0..91281
    tuned : (N,) i64, positions in ``rows`` that respond to the stimulus
    weights : (n_features, N) f32, response of unit variance over the training movies
    share : (V,) f32, signal's share of the variance of a preprocessed single run
    baseline : (V,) f32, mean of the raw signal
    deviation : (V,) f32, standard deviation of the detrended raw signal
    modes : what grayordinates share beside the stimulus
    """

    rows: np.ndarray
    tuned: np.ndarray
    weights: np.ndarray
    share: np.ndarray
    baseline: np.ndarray
    deviation: np.ndarray
    modes: Modes


@functools.cache
def grayordinate_labels() -> np.ndarray:
    """Number the areas of both hemispheres and the structures below the cortex: (91282,) i64."""
    areas = area_vertices()
    number = np.full(CORTEX, len(areas), np.int64)  # what no area claims is one more
    for index, vertices in enumerate(areas.values()):
        number[vertices] = index
    structures = np.repeat(np.arange(len(SUBCORTICAL)), [count for _, count, _ in SUBCORTICAL])
    return np.concatenate([number, len(areas) + 1 + structures])


def training_covariance(features: Sequence[np.ndarray], n_kept: int = N_KEPT) -> np.ndarray:
    """Covariance of the haemodynamic responses to the features, cropped and detrended, pooled over movies.

    Parameters
    ----------
    features : per movie (n_bins, n_features) f32
    n_kept : volumes that the crop keeps of a run

    Returns
    -------
    (n_features, n_features) f64
    """
    times = kept_times(n_kept)
    total = np.zeros((features[0].shape[1],) * 2)
    for movie in features:
        response = detrend(response_at(movie, times), DETREND_ORDER)
        total += response.T @ response
    return total / (len(times) * len(features))


def make_tuning(
    subject: str, space: FeatureSpace, covariance: np.ndarray, settings: SimulateSubjectSettings, seed: int
) -> Tuning:
    """Draw a subject's tuning; it does not depend on which runs are simulated."""
    generator = numpy_generator(seed, "simulate_subject", subject, "tuning")
    return draw_tuning(area_vertices(), space.group, covariance, settings.tuning_density, generator)


def make_brain(
    subject: str, tuning: Tuning, settings: SimulateSubjectSettings, seed: int, rows: np.ndarray | None = None
) -> Brain:
    """Build a subject from its tuning.

    Parameters
    ----------
    subject : name; with the seed it decides everything that is random
    tuning : of :func:`make_tuning`
    rows : (V,) i64 ascending, grayordinates to simulate; all by default
    """
    generator = numpy_generator(seed, "simulate_subject", subject, "brain")
    own = np.exp(settings.vertex_spread * generator.standard_normal(len(tuning.vertex)))
    level = settings.signal_fraction * settings.subject_factors.get(subject, 1.0)
    share = np.zeros(GRAYORDINATES, np.float32)
    share[tuning.vertex] = np.minimum(level * tuning.strength * own, MAX_SHARE)
    baseline = settings.baseline * generator.uniform(0.7, 1.3, GRAYORDINATES)
    gain = np.exp(settings.gain_spread * generator.standard_normal())
    deviation = baseline * settings.percent_signal / 100 * gain
    rows = np.arange(GRAYORDINATES) if rows is None else rows
    inside, tuned = tuned_among(rows, tuning)
    weights = tuning.weights[inside]
    return Brain(
        rows=rows,
        tuned=tuned,
        weights=np.ascontiguousarray(weights.T),
        share=share[rows],
        baseline=baseline[rows].astype(np.float32),
        deviation=deviation[rows].astype(np.float32),
        modes=spatial_modes(rows, grayordinate_labels()[rows], tuned, weights),
    )


def simulate_run(
    brain: Brain,
    features: np.ndarray,
    n_volumes: int,
    settings: SimulateSubjectSettings,
    generator: np.random.Generator,
    delay: float = 0.0,
) -> np.ndarray:
    """Simulate one run.

    Parameters
    ----------
    brain : subject
    features : (n_bins, n_features) f32, of the movie
    n_volumes : 5 or 6 more than the movie has clips; decides when the scan starts
    delay : seconds by which the brain's response lags behind the movie

    Returns
    -------
    (n_volumes, V) f32, scanner units
    """
    n, clips = len(brain.rows), settings.clips_per_movie
    bold = autoregressive((n_volumes, n), settings.noise_autocorrelation, generator)
    if settings.shared_noise > 0:
        bold *= np.float32(np.sqrt(1 - settings.shared_noise))
        shared = spontaneous_activity(brain.modes, n_volumes, settings.noise_autocorrelation, generator)
        shared *= np.float32(np.sqrt(settings.shared_noise))
        bold += shared
    bold += drift(n_volumes, n, settings.drift, generator)
    kept = residual_variance(n_volumes, settings.noise_autocorrelation, settings.drift, clips)
    bold *= np.sqrt((1 - brain.share) / np.float32(kept))
    response = response_at(features, volume_times(n_volumes, clips) - delay)
    bold[:, brain.tuned] += response @ (brain.weights * np.sqrt(brain.share[brain.tuned]))
    bold *= brain.deviation
    bold += brain.baseline
    return bold


def noise_ceiling(signal_share: np.ndarray, n_repeats: int) -> np.ndarray:
    """Correlation that a perfect prediction reaches with the mean of ``n_repeats`` runs.

    With share v of a single run's variance, the mean of k runs has signal variance v and noise variance
    (1 - v) / k, so the ceiling is sqrt(v / (v + (1 - v) / k)).

    Parameters
    ----------
    signal_share : (V,), 0..1

    Returns
    -------
    (V,), 0..1
    """
    share = np.asarray(signal_share, np.float64)
    return np.asarray(np.sqrt(share / (share + (1 - share) / n_repeats)))


def share_in(tuning: Tuning, share: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Convert shares defined over the training movies to other movies, whose features vary more or less.

    Parameters
    ----------
    share : (N,), of the tuned vertices
    covariance : (n_features, n_features) of the responses in the other movies

    Returns
    -------
    (N,) f32
    """
    variance = share * np.einsum("nf,nf->n", tuning.weights @ covariance, tuning.weights)
    return np.asarray(variance / (variance + 1 - share), dtype=np.float32)


def truth_arrays(tuning: Tuning, brain: Brain, test_covariance: np.ndarray | None) -> dict[str, np.ndarray]:
    """Collect what is known about a subject.

    Returns
    -------
    group_strength (59412, n_groups) f32, share of each feature group in the tuning, rows sum to 1 or 0;
    signal_share (59412,) f32, over the training movies; signal_share_test over the test movies, if any;
    tuned_vertex (N,) i64 and weights (N, n_features) f32
    """
    strength = np.zeros((CORTEX, len(GROUPS)), np.float32)
    strength[tuning.vertex] = tuning.group_share
    arrays = {
        "group_strength": strength,
        "signal_share": brain.share[:CORTEX],
        "tuned_vertex": tuning.vertex,
        "weights": tuning.weights,
    }
    if test_covariance is not None:
        test = np.zeros(CORTEX, np.float32)
        test[tuning.vertex] = share_in(tuning, brain.share[tuning.vertex], test_covariance)
        arrays["signal_share_test"] = test
    return arrays
