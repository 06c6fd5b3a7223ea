"""Join the cleaned runs of one subject into training and test samples."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import AssembleSubjectSettings, assemble_subject, read_cleaned
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(
    *,
    train: list[Path],
    test: list[Path],
    settings: AssembleSubjectSettings,
    out_train: Path,
    out_test: Path,
) -> None:
    """Average repeats and standardise each vertex with training statistics.

    Parameters
    ----------
    train : files of preprocess_run or import_fmri with the training movies
    test : the same with the test movies
    settings : section assemble_subject of the config, as JSON
    out_train : training samples per movie, with the mean and standard deviation used
    out_test : test samples per movie, with the single repeats
    """
    (training, testing), source = read_cleaned(train, test)
    parts = assemble_subject(training, testing, settings)
    # The test part is standardised with statistics of the training part.
    behind = (movies_behind(train), movies_behind([*train, *test]))
    for path, part, name, movies in zip((out_train, out_test), parts, ("train", "test"), behind, strict=True):
        meta = header("assemble_subject", settings, movies, part=name, movies=part.movies, **source)
        write_arrays(path, part.arrays(), meta)


if __name__ == "__main__":
    main()
