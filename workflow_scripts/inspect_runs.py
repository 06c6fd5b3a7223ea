"""Look at the recorded runs of one subject and mark what is unusual; nothing is left out for it."""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.datasets.base import Recording
from neurocine.fmri.inspect import InspectRunsSettings, inspect_runs
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import fixed_digits


@program
def main(
    *,
    runs: list[Path],
    recordings: list[str],
    vertices: Path,
    settings: InspectRunsSettings,
    preprocess_run: PreprocessRunSettings,
    out: Path,
) -> None:
    """Measure length, TR, coverage, temporal SNR and agreement with the other repeats of each run.

    Parameters
    ----------
    runs : of one subject, dense time series (.dtseries.nii) or volumes in MNI space
    recordings : what each run is a recording of, as JSON, in the same order
    vertices : file of select_vertices
    settings : section inspect_runs of the config, as JSON
    preprocess_run : section preprocess_run of the config, as JSON
    out : table (TSV), a row per run
    """
    selection = VertexSelection.read(vertices, needs_places=True)
    rows = [Recording.read(text) for text in recordings]
    write_described_table(out, fixed_digits(inspect_runs(runs, rows, selection, preprocess_run, settings)))


if __name__ == "__main__":
    main()
