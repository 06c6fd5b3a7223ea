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
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from neurocine.fmri.grayordinates import CORTEX, GRAYORDINATES, SUBCORTICAL
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import detrend
from neurocine.section_checks import runs_cover_clips
from neurocine.seeds import numpy_generator
from neurocine.settings import Check, Count, NotNegative, Positive, Settings, Share, ShareBelowOne, Unit
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
from neurocine.simulate.response import N_KEPT, kept_times, response_at, volume_times
from neurocine.simulate.tuning import Tuning, draw_tuning, tuned_among

MAX_SHARE = 0.95  # no vertex is free of noise


class DelayedRun(Settings):
    """A run that lags behind its movie."""

    subject: str | int
    """Name the subject, as in subjects."""
    movie: str
    """Name the movie, as in movies."""
    repeat: Count
    """Number the repeat, from 1."""
    seconds: Annotated[float, Unit("s")]
    """The fMRI of this run is late by this long."""


class SimulateSubjectSettings(Settings):
    """What the simulated brains are like."""

    checks: ClassVar[tuple[Check, ...]] = (runs_cover_clips,)

    signal_fraction: Share = 0.35
    """The stimulus explains this fraction of a preprocessed single run's variance in a fully tuned vertex."""
    subject_factors: Mapping[str, NotNegative] = {"1": 1.0, "2": 0.9, "3": 0.75}
    """Map a subject to a factor on signal_fraction; subjects that are not named have 1."""
    vertex_spread: NotNegative = 0.3
    """The log of each vertex's own factor on that fraction has this standard deviation."""
    tuning_density: Share = 0.25
    """A vertex responds to each feature of its group with this probability."""
    noise_autocorrelation: ShareBelowOne = 0.4
    """The noise of consecutive volumes has this correlation."""
    shared_noise: Share = 0.1
    """Neighbours, areas and equally tuned vertices share this fraction of the autocorrelated noise."""
    drift: NotNegative = 1.0
    """The slow drift has this standard deviation, in standard deviations of the autocorrelated noise."""
    baseline: Positive = 10000.0
    """The raw signal has this mean in arbitrary units; each grayordinate has 0.7 to 1.3 times this."""
    percent_signal: Annotated[Positive, Unit("%")] = 1.5
    """The detrended signal has this standard deviation, in percent of the mean."""
    gain_spread: NotNegative = 0.1
    """The log of each subject's factor on percent_signal has this standard deviation."""
    clips_per_movie: Annotated[Count, Unit("clips")] = N_KEPT
    """Each movie has this many clips, as in simulate_movies."""
    volumes: Annotated[Mapping[str, int], Unit("volumes")] = {
        "default": 245,
        "test2": 246,
        "test3": 246,
        "test4": 246,
        "test5": 246,
    }
    """Map a movie to the volumes of its runs, which preprocess_run.crop must know; "default" holds for
    others.
    """
    delayed_runs: tuple[DelayedRun, ...] = ()
    """List runs that lag behind the movie, each with subject, movie, repeat, seconds; in Wen 2018 one does.
    """

    def n_volumes(self, movie: str) -> int:
        """Return the number of volumes of a movie's runs."""
        return self.volumes.get(movie, self.volumes.get("default", self.clips_per_movie + 5))

    def delay(self, subject: str, movie: str, repeat: int) -> float:
        """Return by how many seconds a run lags behind its movie."""
        for run in self.delayed_runs:
            if (str(run.subject), run.movie, run.repeat) == (subject, movie, repeat):
                return run.seconds
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
    """Draw a subject's tuning; it does not depend on which runs are simulated.

    ``covariance`` (n_features, n_features) is that of the haemodynamic response to the features in training.
    """
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
    settings : section simulate_subject
    seed : of the study
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
    settings : section simulate_subject
    generator : draws the noise
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
    residual = residual_variance(n_volumes, settings.noise_autocorrelation, settings.drift, clips)
    bold *= np.sqrt((1 - brain.share) / np.float32(residual))
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
    n_repeats : k, runs that are averaged

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
    tuning : whose weights (N, n_features) are those of the N tuned vertices
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
