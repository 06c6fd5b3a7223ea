"""Simulate one rest run in the manner of the Human Connectome Project."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.cifti import write_dtseries
from neurocine.simulate.rest import SimulateRestSettings, simulate_rest


@program
def main(*, subject: str, seed: int, settings: SimulateRestSettings, out: Path) -> None:
    """Simulate one subject's rest run.

    Parameters
    ----------
    subject : id of the subject
    seed : of the study
    settings : section simulate_rest of the config, as JSON
    out : dense time series to write; its name distinguishes the runs of a subject
    """
    write_dtseries(out, simulate_rest(subject, settings, seed, run=out.name), settings.tr)


if __name__ == "__main__":
    main()
