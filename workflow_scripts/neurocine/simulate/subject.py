"""All runs of one simulated subject, and the truth about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurocine.datasets.base import Recording
from neurocine.errors import InputError
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import (
    Brain,
    SimulateSubjectSettings,
    make_brain,
    make_tuning,
    simulate_run,
    training_covariance,
    truth_arrays,
)
from neurocine.simulate.features import extract_features
from neurocine.simulate.response import volume_times


@dataclass(frozen=True)
class SimulatedSubject:
    """A subject who watched the movies.

    Parameters
    ----------
    runs : (n_volumes, V) f32 each, in the order of the recordings; each is simulated when it is asked for,
        because all of them do not fit into memory
    truth : of :func:`neurocine.simulate.brain.truth_arrays`
    features : names of the features that the brain responds to
    """

    runs: Iterator[np.ndarray]
    truth: dict[str, np.ndarray]
    features: tuple[str, ...]


def simulate_subject(
    subject: str,
    recordings: Sequence[Recording],
    videos: Mapping[str, Path],
    scripts: Mapping[str, pd.DataFrame],
    train_movies: Sequence[str],
    settings: SimulateSubjectSettings,
    seed: int,
) -> SimulatedSubject:
    """Simulate every run of one subject.

    Parameters
    ----------
    subject : name of the subject
    recordings : the runs to simulate
    videos : all movies of the study, training and test
    scripts : what movies show, with columns clip, shape and direction, where that is written down
    train_movies : movies that standardise features and signals
    settings : section simulate_subject of the config
    seed : of the study

    Raises
    ------
    InputError : a run of a movie without a video
    """
    for row in recordings:
        if row.movie not in videos:
            where = f"sub-{subject}, repeat {row.repeat}"
            raise InputError(
                where, f"movie {row.movie}", f"one of {', '.join(videos)}", "Give its video too."
            )
    clips = settings.clips_per_movie
    seconds = {movie: float(volume_times(settings.n_volumes(movie), clips)[-1]) for movie in videos}
    features, space = extract_features(videos, scripts, train_movies, seconds)
    covariance = training_covariance([features[movie] for movie in train_movies], clips)
    tuning = make_tuning(subject, space, covariance, settings, seed)
    brain = make_brain(subject, tuning, settings, seed)
    test = [features[movie] for movie in features if movie not in train_movies]
    truth = truth_arrays(tuning, brain, training_covariance(test, clips) if test else None)
    runs = _simulate_runs(subject, brain, recordings, features, settings, seed)
    return SimulatedSubject(runs, truth, tuple(space.names))


def _simulate_runs(
    subject: str,
    brain: Brain,
    recordings: Sequence[Recording],
    features: Mapping[str, np.ndarray],
    settings: SimulateSubjectSettings,
    seed: int,
) -> Iterator[np.ndarray]:
    for row in recordings:
        generator = numpy_generator(seed, "simulate_subject", subject, row.movie, row.repeat)
        delay = settings.delay(subject, row.movie, row.repeat)
        volumes = settings.n_volumes(row.movie)
        yield simulate_run(brain, features[row.movie], volumes, settings, generator, delay)
