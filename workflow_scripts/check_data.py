"""Check every raw file of a study before anything is computed."""

from pathlib import Path

from neurocine.check import CheckDataSettings, check_data
from neurocine.cli import program
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.io import write_table
from neurocine.stimuli.prepare import PrepareStimuliSettings


@program
def main(
    *,
    stimuli: list[Path],
    runs: list[Path],
    rest: list[Path],
    models: list[Path],
    settings: CheckDataSettings,
    prepare_stimuli: PrepareStimuliSettings,
    preprocess_run: PreprocessRunSettings,
    out: Path,
) -> None:
    """Check movies, fMRI runs and models from their headers and sizes, and tell all problems at once.

    Parameters
    ----------
    stimuli : movies
    runs : fMRI runs of all subjects
    rest : rest runs
    models : folders of the networks that are used as they are
    settings : section check_data of the config, as JSON
    prepare_stimuli : section prepare_stimuli of the config, as JSON
    preprocess_run : section preprocess_run of the config, as JSON
    out : report, one row per file (TSV)
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    table = check_data(stimuli, runs, rest, models, out.parent, settings, prepare_stimuli, preprocess_run)
    write_table(out, table)


if __name__ == "__main__":
    main()
