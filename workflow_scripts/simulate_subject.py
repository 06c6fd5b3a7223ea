"""Simulate the fMRI of one subject who watches the movies: one dense time series per run, and the truth."""

from pathlib import Path

from neurocine.cli import program, progress
from neurocine.datasets.base import Recording, pair
from neurocine.fmri.cifti import write_dtseries
from neurocine.io import read_table, write_arrays
from neurocine.provenance import header
from neurocine.simulate.brain import SimulateSubjectSettings
from neurocine.simulate.features import GROUPS
from neurocine.simulate.response import TR
from neurocine.simulate.subject import simulate_subject


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
    columns = ["clip", "shape", "direction"]
    tables = {path.stem: read_table(path, columns) for path in scripts or []}
    result = simulate_subject(subject, [row for _, row in rows], paths, tables, train_movies, settings, seed)
    for path, bold in zip(progress(out, len(out), f"sub-{subject} runs"), result.runs, strict=True):
        write_dtseries(path, bold, TR)
    facts = {"subject": subject, "seed": seed, "groups": list(GROUPS), "features": list(result.features)}
    meta = header("simulate_subject", settings, paths, **facts, train_movies=train_movies)
    write_arrays(truth, result.truth, meta)


if __name__ == "__main__":
    main()
