"""Join the cleaned runs of one subject's test movies into samples."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import (
    AssembleTestSettings,
    SubjectFmri,
    assemble_test,
    read_cleaned,
    refuse_other_source,
)
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(*, test: list[Path], train: Path, settings: AssembleTestSettings, out: Path) -> None:
    """Average repeats and standardise each vertex with training statistics.

    Parameters
    ----------
    test : files of preprocess_run or import_fmri with the test movies
    train : file of assemble_train
    settings : section assemble_test of the config, as JSON
    out : test samples per movie, with the single repeats
    """
    movies, source = read_cleaned(test)
    training = SubjectFmri.read(train, with_repeats=False)
    refuse_other_source(test[0], source, training)
    part = assemble_test(movies, training, settings)
    behind = movies_behind([train, *test])  # the statistics are those of the training movies
    meta = header("assemble_test", settings, behind, movies=part.movies, **source)
    write_arrays(out, part.arrays(), meta)


if __name__ == "__main__":
    main()
