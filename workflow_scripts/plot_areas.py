"""Draw which areas a method decodes from, on inflated cortex or on slices."""

from pathlib import Path

from neurocine.cli import program
from neurocine.errors import InputError
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import read_arrays
from neurocine.surface.plot import PlotSurfaceSettings
from neurocine.surface.plot_areas import PlotAreasSettings, plot_areas


@program
def main(
    *,
    areas: Path,
    settings: PlotAreasSettings,
    surface: PlotSurfaceSettings,
    out: Path,
    name: str = "",
    fill_areas: bool = False,
) -> None:
    """Draw what a method loses without each area, and outline what exceeds its null.

    Parameters
    ----------
    areas : maps of rank_areas
    settings : section plot_areas of the config, as JSON
    surface : section plot_surface of the config, as JSON
    out : picture (PNG)
    name : what the maps show, written above, for example "subject 1, paper_main"
    fill_areas : each vertex was kept for its neighbours (select_vertices.every): paint them alike
    """
    arrays, meta = read_arrays(areas)
    if "losses" not in meta:
        raise InputError(areas, "no list of losses", "maps of rank_areas", "Give the file of rank_areas.")
    grid = VoxelGrid.from_meta(meta["grid"]) if "grid" in meta else None
    plot_areas(arrays, meta["losses"], settings, surface, out, name, grid, fill_areas)


if __name__ == "__main__":
    main()
