"""Turn the resting runs of HCP subjects into samples for pretraining."""

from pathlib import Path

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.fmri.preprocess import vertices_digest
from neurocine.fmri.rest import PreprocessHcpSettings, preprocess_hcp
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import write_arrays
from neurocine.provenance import header, movies_behind


@program
def main(
    *, rest: list[Path], subjects: list[str], vertices: Path, settings: PreprocessHcpSettings, out: Path
) -> None:
    """Standardise resting runs and average windows of volumes.

    Parameters
    ----------
    rest : cleaned dense time series, rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii
    subjects : whose each of them is, in the same order
    vertices : file of select_vertices or import_fmri
    settings : section preprocess_hcp of the config, as JSON
    out : an array (samples, vertices) per subject
    """
    if len(rest) != len(subjects):
        found, expected = f"{len(subjects)} subjects", f"{len(rest)}, one per file"
        raise InputError("--subjects", found, expected, "Name one for each file of --rest.")
    vertex = VertexSelection.read(vertices, needs_places=True).vertex
    runs: dict[str, list[Path]] = {}
    for subject, path in zip(subjects, rest, strict=True):
        runs.setdefault(subject, []).append(path)
    bold = {subject: preprocess_hcp(paths, vertex, settings) for subject, paths in runs.items()}
    meta = header(
        "preprocess_hcp",
        settings,
        movies_behind([vertices]),
        runs={subject: sorted(path.name for path in paths) for subject, paths in runs.items()},
        vertices=vertices_digest(vertex),
        axes="sample, vertex; one z-score over all values of a subject",
    )
    write_arrays(out, bold, meta)


if __name__ == "__main__":
    main()
