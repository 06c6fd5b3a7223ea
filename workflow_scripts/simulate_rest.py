"""Simulate rest runs in the manner of the Human Connectome Project."""

from pathlib import Path

from neurocine.cli import program, progress
from neurocine.datasets.base import pair
from neurocine.fmri.cifti import write_dtseries
from neurocine.simulate.rest import SimulateRestSettings, simulate_rest


@program
def main(*, subjects: list[str], seed: int, settings: SimulateRestSettings, out: list[Path]) -> None:
    """Simulate rest runs.

    Parameters
    ----------
    subjects : of each run, in the same order as ``out``
    seed : of the study
    settings : section simulate_rest of the config, as JSON
    out : dense time series to write; their names distinguish the runs of a subject
    """
    runs = pair(out, subjects)
    for path, subject in progress(runs, len(runs), "rest runs"):
        write_dtseries(path, simulate_rest(subject, settings, seed, run=path.name), settings.tr)


if __name__ == "__main__":
    main()
