"""Clean the fMRI runs of one or more movies of one subject."""

from pathlib import Path

from neurocine.cli import program
from neurocine.datasets.base import Recording
from neurocine.fmri.preprocess import (
    PreprocessRunSettings,
    parse_excluded,
    preprocess_run,
    vertices_digest,
)
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(
    *,
    runs: list[Path],
    recordings: list[str],
    vertices: Path,
    settings: PreprocessRunSettings,
    out: Path,
    excluded: list[str] | None = None,
    confounds: list[str] | None = None,
) -> None:
    """Crop runs to the movie, remove drift and z-score each vertex.

    Parameters
    ----------
    runs : of one subject, dense time series (.dtseries.nii) or volumes in MNI space
    recordings : what each run is a recording of, as JSON, in the same order
    vertices : file of select_vertices
    settings : section preprocess_run of the config, as JSON
    out : one array per movie (repeats, samples, vertices); missing and excluded repeats are NaN
    excluded : runs not to use, as movie:repeat
    confounds : columns of the recordings' tables that are removed
    """
    selection = VertexSelection.read(vertices, needs_places=True)
    left_out = parse_excluded(excluded or [])
    rows = [Recording.read(text) for text in recordings]
    cleaned = preprocess_run(
        runs, rows, selection.vertex, settings, left_out, selection.grid, confounds or []
    )
    meta = header(
        "preprocess_run",
        settings,
        sorted({*cleaned, *movies_behind([vertices])}),
        movies=list(cleaned),
        runs=[path.name for path in runs],
        excluded=excluded or [],
        confounds=confounds or [],
        vertices=vertices_digest(selection.vertex),
        axes="repeat, sample (TR), vertex; z-score",
    )
    write_arrays(out, cleaned, meta)


if __name__ == "__main__":
    main()
