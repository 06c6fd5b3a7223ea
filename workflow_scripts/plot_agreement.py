"""Draw where fMRI predicted from clips agrees with the measured one, on inflated cortex or on slices."""

from pathlib import Path

from neurocine.cli import program
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import read_arrays
from neurocine.surface.plot import PlotAgreementSettings, PlotSurfaceSettings, plot_agreement


@program
def main(
    *,
    agreement: Path,
    settings: PlotAgreementSettings,
    surface: PlotSurfaceSettings,
    out: Path,
    name: str = "",
    fill_areas: bool = False,
) -> None:
    """Draw the correlation of each vertex, a row of pictures for each of a few conditions.

    Parameters
    ----------
    agreement : maps of agree_fmri
    settings : section plot_agreement of the config, as JSON
    surface : section plot_surface of the config, as JSON
    out : picture (PNG)
    name : what the maps show, written above, for example "subject 1, paper_main"
    fill_areas : each vertex was kept for its neighbours (select_vertices.every): paint them alike
    """
    arrays, meta = read_arrays(agreement)
    grid = VoxelGrid.from_meta(meta["grid"]) if "grid" in meta else None
    maps = {condition: arrays[condition] for condition in meta["conditions"]}
    plot_agreement(maps, settings, surface, out, name, grid, fill_areas)


if __name__ == "__main__":
    main()
