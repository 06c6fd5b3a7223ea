"""Maps of rank_areas: what a method loses without each area, and which areas exceed their null."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from neurocine.errors import InputError
from neurocine.fmri.volumes import VoxelGrid
from neurocine.settings import Settings, Unique
from neurocine.surface.plot import (
    ColourScale,
    PlotSurfaceSettings,
    draw_map,
    draw_slices,
    shrink,
    tile_in_pairs,
    write_map,
)


class PlotAreasSettings(Settings):
    """Which maps of rank_areas are drawn; how is said by ``plot_surface``."""

    scores: Annotated[tuple[str, ...], Unique()] = ("identification",)
    """Maps of occlusion are drawn for a method's own losses and for these scores."""


def chosen_maps(
    maps: Mapping[str, np.ndarray], losses: Sequence[str], settings: PlotAreasSettings
) -> dict[str, np.ndarray]:
    """Take the maps of occlusion that are drawn: the method's losses, then scores.

    Parameters
    ----------
    maps : of rank_areas, (59412,) or the voxels of a grid each
    losses : measures that the method was trained on
    settings : section plot_areas

    Raises
    ------
    InputError : none of them is there
    """
    wanted = [name for name in (*losses, *settings.scores) if f"occlusion/{name}" in maps]
    if not wanted:
        found = f"{', '.join((*losses, *settings.scores))}, of which none was made"
        raise InputError("plot_areas.scores", found, f"some of {', '.join(maps)}", "Correct it.")
    return {name: maps[f"occlusion/{name}"] for name in wanted}


def plot_areas(
    maps: Mapping[str, np.ndarray],
    losses: Sequence[str],
    settings: PlotAreasSettings,
    surface: PlotSurfaceSettings,
    out: Path,
    name: str = "",
    grid: VoxelGrid | None = None,
    fill: bool = False,
) -> None:
    """Draw what a method loses without each area, one measure after the other, as one PNG.

    Measures have different units, so each is drawn as a share of its largest fall. Areas that exceed their
    null are outlined; on slices of volumes those that do not are left out instead.

    Parameters
    ----------
    maps : of rank_areas, (59412,) or the voxels of a grid each
    losses : measures that the method was trained on
    settings : which of them are drawn
    surface : how maps are drawn
    out : the file
    name : the data shown, for example "subject 1, paper_main"
    grid : of volumes, which are drawn on slices
    fill : the vertices are a regular thinning of their areas, see `fill_areas`

    Raises
    ------
    InputError : no map to draw
    """
    scale = ColourScale(-1.0, 1.0, "RdBu_r", "loss without the area, as a share of the largest")

    def draw(measure: str, values: np.ndarray) -> np.ndarray:
        largest = np.nanmax(np.abs(values))
        share = values / (largest if largest > 0 else 1.0)
        outlined = maps[f"exceeds/occlusion/{measure}"]
        if grid is not None:
            seen = np.where(outlined > 0, share, np.where(np.isfinite(share), 0.0, np.nan))
            return draw_slices(seen, grid, scale, surface)
        return draw_map(share, scale, surface, fill, outlined)

    shown = chosen_maps(maps, losses, settings)
    pictures = [shrink(draw(measure, values), 2) for measure, values in shown.items()]
    picture = tile_in_pairs(pictures, surface.dpi // 4)
    below = ": ".join(filter(None, (name, ", ".join(shown)))) + ", row by row; outlined: exceeds its null"
    write_map(picture, "Areas that are decoded from", below, scale, out, surface.dpi, rows=())
