"""Turn the resting runs of one HCP subject into samples for pretraining."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.preprocess import vertices_digest
from neurocine.fmri.rest import PreprocessHcpSettings, preprocess_hcp
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(*, rest: list[Path], vertices: Path, settings: PreprocessHcpSettings, out: Path) -> None:
    """Standardise resting runs and average windows of volumes.

    Parameters
    ----------
    rest : cleaned dense time series of one subject, rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii
    vertices : file of select_vertices or import_fmri
    settings : section preprocess_hcp of the config, as JSON
    out : array bold (samples, vertices)
    """
    vertex = VertexSelection.read(vertices, needs_places=True).vertex
    bold = preprocess_hcp(rest, vertex, settings)
    meta = header(
        "preprocess_hcp",
        settings,
        movies_behind([vertices]),
        runs=sorted(path.name for path in rest),
        vertices=vertices_digest(vertex),
        axes="sample, vertex; one z-score over all values",
    )
    write_arrays(out, {"bold": bold}, meta)


if __name__ == "__main__":
    main()
