"""Simulate the fMRI of one subject who watches the movies: one dense time series per run, and the truth."""

from pathlib import Path

from neurocine.cli import program, progress
from neurocine.datasets.base import Recording, pair
from neurocine.errors import InputError
from neurocine.fmri.cifti import write_dtseries
from neurocine.io import read_table, write_arrays
from neurocine.provenance import header
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import (
    SimulateSubjectSettings,
    make_brain,
    make_tuning,
    simulate_run,
    training_covariance,
    truth_arrays,
)
from neurocine.simulate.features import GROUPS, extract_features
from neurocine.simulate.response import TR, volume_times


@program
def main(
    *,
    subject: str,
    videos: list[Path],
    train_movies: list[str],
    seed: int,
    settings: SimulateSubjectSettings,
    out: list[Path],
    recordings: list[str],
    truth: Path,
    scripts: list[Path] | None = None,
) -> None:
    """Simulate every run of one subject.

    Parameters
    ----------
    subject : name of the subject
    videos : all movies of the study (mp4), training and test; a movie is named by its file
    train_movies : movies that standardise features and signals
    seed : of the study
    settings : section simulate_subject of the config, as JSON
    out : runs to write
    recordings : what each run is a recording of, as JSON, in the same order
    truth : what is known about the subject (safetensors)
    scripts : scripts of all movies (TSV), where there are any
    """
    paths = {path.stem: path for path in videos}
    rows = pair(out, [Recording.read(text) for text in recordings])
    runs = {path: (row.movie, row.repeat) for path, row in rows}
    for path, (movie, _) in runs.items():
        if movie not in paths:
            raise InputError(path, f"movie {movie}", f"one of {', '.join(paths)}", "Give its video too.")
    clips = settings.clips_per_movie
    seconds = {movie: float(volume_times(settings.n_volumes(movie), clips)[-1]) for movie in paths}
    columns = ["clip", "shape", "direction"]
    tables = {path.stem: read_table(path, columns) for path in scripts or []}
    features, space = extract_features(paths, tables, train_movies, seconds)
    covariance = training_covariance([features[movie] for movie in train_movies], clips)
    tuning = make_tuning(subject, space, covariance, settings, seed)
    brain = make_brain(subject, tuning, settings, seed)
    for path, (movie, repeat) in progress(runs.items(), len(runs), f"sub-{subject} runs"):
        generator = numpy_generator(seed, "simulate_subject", subject, movie, repeat)
        delay = settings.delay(subject, movie, repeat)
        bold = simulate_run(brain, features[movie], settings.n_volumes(movie), settings, generator, delay)
        write_dtseries(path, bold, TR)
    test = [features[movie] for movie in features if movie not in train_movies]
    arrays = truth_arrays(tuning, brain, training_covariance(test, clips) if test else None)
    meta = header(
        "simulate_subject",
        settings,
        paths,
        subject=subject,
        seed=seed,
        groups=list(GROUPS),
        features=list(space.names),
        train_movies=train_movies,
    )
    write_arrays(truth, arrays, meta)


if __name__ == "__main__":
    main()
