"""Join the cleaned runs of one subject's training movies into samples."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.assemble import AssembleTrainSettings, assemble_train, read_cleaned
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(*, train: list[Path], settings: AssembleTrainSettings, out: Path) -> None:
    """Average repeats and standardise each vertex.

    Parameters
    ----------
    train : files of preprocess_run or import_fmri with the training movies
    settings : section assemble_train of the config, as JSON
    out : training samples per movie, with the mean and standard deviation used
    """
    movies, source = read_cleaned(train)
    part = assemble_train(movies, settings)
    meta = header("assemble_train", settings, movies_behind(train), movies=part.movies, **source)
    write_arrays(out, part.arrays(), meta)


if __name__ == "__main__":
    main()
