"""Compare lags between fMRI and movie, and numbers of test repeats, by a linear decoder."""

from pathlib import Path

import pandas as pd

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import fixed_digits
from neurocine.metrics.lags import MovieEmbeddings, SweepLagsSettings, sweep_lags
from neurocine.provenance import refuse_overlap
from neurocine.stimuli.cached import CachedClips


@program
def main(
    *,
    train: list[Path],
    test: list[Path],
    subjects: list[str],
    embeddings: list[Path],
    seed: int,
    settings: SweepLagsSettings,
    out: Path,
) -> None:
    """Score a ridge regression from fMRI to CLIP at every lag and from every number of test repeats.

    Parameters
    ----------
    train, test : files of assemble_train and assemble_test, one of each per subject
    subjects : their names, in the same order
    embeddings : files of embed_clips, all movies
    seed : of the drawn repeats and the bootstrap
    settings : section sweep_lags of the config, as JSON
    out : table (TSV), all subjects
    """
    text, image = CachedClips.read(embeddings, "text"), CachedClips.read(embeddings, "image")
    movies = dict.fromkeys(movie for movie, _ in text.clips)
    clips = {movie: MovieEmbeddings(text.of([movie]), image.of([movie])) for movie in movies}
    tables = []
    for subject, learned, scored in zip(subjects, train, test, strict=True):
        samples = SubjectFmri.read(scored)
        refuse_overlap(learned, samples.movies)
        table = sweep_lags(SubjectFmri.read(learned, with_repeats=False), samples, clips, settings, seed)
        table.insert(0, "subject", subject)
        tables.append(table)
    write_described_table(out, fixed_digits(pd.concat(tables, ignore_index=True)))


if __name__ == "__main__":
    main()
