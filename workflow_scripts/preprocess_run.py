"""Clean the fMRI runs of one or more movies of one subject."""

from pathlib import Path

from neurocine.cli import program
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
    vertices: Path,
    settings: PreprocessRunSettings,
    out: Path,
    excluded: list[str] | None = None,
) -> None:
    """Crop runs to the movie, remove drift and z-score each vertex.

    Parameters
    ----------
    runs : of one subject, named {movie}_{repeat}_Atlas.dtseries.nii or {movie}_{repeat}_mni.nii.gz
    vertices : file of select_vertices
    settings : section preprocess_run of the config, as JSON
    out : one array per movie (repeats, samples, vertices); missing and excluded repeats are NaN
    excluded : runs not to use, as movie:repeat
    """
    selection = VertexSelection.read(vertices, needs_places=True)
    left_out = parse_excluded(excluded or [])
    cleaned = preprocess_run(runs, selection.vertex, settings, left_out, selection.grid)
    meta = header(
        "preprocess_run",
        settings,
        sorted({*cleaned, *movies_behind([vertices])}),
        movies=list(cleaned),
        runs=[path.name for path in runs],
        excluded=excluded or [],
        vertices=vertices_digest(selection.vertex),
        axes="repeat, sample (TR), vertex; z-score",
    )
    write_arrays(out, cleaned, meta)


if __name__ == "__main__":
    main()
