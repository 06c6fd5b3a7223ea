"""Check every raw file of a study before anything is computed."""

from pathlib import Path

from neurocine.check import CheckDataSettings, check_data
from neurocine.cli import program
from neurocine.datasets.base import Movie, Recording, pair
from neurocine.fmri.package import Package, PackageLayout
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.io import write_table
from neurocine.stimuli.prepare import PrepareStimuliSettings


@program
def main(
    *,
    stimuli: list[Path],
    movies: list[str],
    runs: list[Path],
    recordings: list[str],
    rest: list[Path],
    models: list[Path],
    settings: CheckDataSettings,
    prepare_stimuli: PrepareStimuliSettings,
    preprocess_run: PreprocessRunSettings,
    package: PackageLayout,
    out: Path,
    model_names: list[str] | None = None,
    package_train: list[Path] | None = None,
    package_test: list[Path] | None = None,
    package_vertex: list[Path] | None = None,
    stops: str = "nothing was computed",
) -> None:
    """Check movies, fMRI and models from their headers and sizes, and tell all problems at once.

    Parameters
    ----------
    stimuli : movies
    movies : name, clips and TR of each, as JSON, in the same order
    runs : fMRI runs of all subjects
    recordings : what each is a recording of, as JSON, in the same order
    rest : rest runs
    models : folders of the networks that are used as they are
    settings : section check_data of the config, as JSON
    prepare_stimuli : section prepare_stimuli of the config, as JSON
    preprocess_run : section preprocess_run of the config, as JSON
    package : kind of the preprocessed packages in place of runs, their movies, repeats and clips, as JSON
    out : report, one row per file (TSV)
    model_names : their keys in the config section models
    package_train : training fMRI of packages, a file per subject
    package_test : test fMRI of packages, a file per subject
    package_vertex : where the columns of packages lie, a file per subject or none at all
    stops : what is not computed where a file is bad, for the message
    """
    trains, tests = package_train or [], package_test or []
    places: list[Path | None] = list(package_vertex) if package_vertex else [None] * len(trains)
    packages = [
        Package({"train": train, "test": test}, package, vertex)
        for train, test, vertex in zip(trains, tests, places, strict=True)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    looks = (
        pair(stimuli, [Movie.read(text) for text in movies]),
        pair(runs, [Recording.read(text) for text in recordings]),
    )
    table = check_data(
        *looks,
        rest,
        models,
        out.parent,
        settings,
        prepare_stimuli,
        preprocess_run,
        packages,
        model_names or (),
        stops,
    )
    write_table(out, table)


if __name__ == "__main__":
    main()
