"""Measure how well the fMRI of the test movies could be predicted at best, from its repeats."""

from pathlib import Path

import numpy as np

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.errors import InputError
from neurocine.fmri.ceiling import MeasureNoiseCeilingSettings, measure_noise_ceiling
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import fixed_digits, open_arrays
from neurocine.stimuli.cached import movies_in


@program
def main(
    *, runs: list[Path], vertices: Path, seed: int, settings: MeasureNoiseCeilingSettings, out: Path
) -> None:
    """Measure the split-half noise ceiling of one subject, per area, group of areas and overall.

    Parameters
    ----------
    runs : files of preprocess_run or import_fmri with the test movies
    vertices : file of select_vertices or import_fmri
    seed : of the drawn splits
    settings : section measure_noise_ceiling of the config, as JSON
    out : table (TSV)
    """
    repeats: dict[str, np.ndarray] = {}
    for path in runs:
        with open_arrays(path) as handle:
            for movie in movies_in(handle):
                if movie in repeats:
                    raise InputError(path, f"{movie} once more", "each movie in one file", "Give it once.")
                repeats[movie] = handle.get_tensor(movie)
    table = measure_noise_ceiling(repeats, VertexSelection.read(vertices), settings, seed)
    write_described_table(out, fixed_digits(table))


if __name__ == "__main__":
    main()
