"""Draw the attention and occlusion maps of one subject and experiment on inflated cortex, or on slices."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import read_arrays
from neurocine.surface.plot import PlotSurfaceSettings, plot_surface, select_maps


@program
def main(
    *, attention: Path, settings: PlotSurfaceSettings, out: Path, name: str = "", fill_areas: bool = False
) -> None:
    """Draw one PNG per training stage and layer, one of the occlusion, and an overview of all.

    Parameters
    ----------
    attention : maps of extract_attention
    settings : section plot_surface of the config, as JSON
    out : folder for attention_{stage}_layer{n}.png, occlusion.png and overview.png
    name : what the maps show, written under the titles, for example "subject 1, paper_main"
    fill_areas : each vertex was kept for its neighbours (select_vertices.every): paint them alike
    """
    arrays, meta = read_arrays(attention)
    maps, occlusion = select_maps(arrays, meta["stages"], meta["layers"], settings.quantity)
    grid = VoxelGrid.from_meta(meta["grid"]) if "grid" in meta else None
    plot_surface(maps, occlusion, settings, out, name, grid, fill_areas)


if __name__ == "__main__":
    main()
