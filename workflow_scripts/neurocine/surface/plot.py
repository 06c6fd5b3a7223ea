"""Maps of cortical vertices drawn on the inflated fs_LR 32k surface, and of voxels on slices, with Nilearn.

Every view is drawn once into an array and the figures are put together from these arrays: a view costs
about 0.2 s, so a study's dozen maps take seconds.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from pydantic import Field

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import replacing
from neurocine.pictures import tile
from neurocine.settings import Settings, Unique, Unit
from neurocine.surface.mesh import (
    HEMISPHERES,
    SurfaceName,
    View,
    camera,
    fill_areas,
    load_hemisphere,
    spread,
    visible_faces,
)

SLICES = 6  # drawn of a volume
TITLE, SMALL = FontProperties(size=13, weight="bold"), FontProperties(size=9)
STAGES = {
    "pretrained": "after pretraining",
    "contrastive": "after contrastive training",
    "full": "full model",
}


class PlotSurfaceSettings(Settings):
    """How brain maps are drawn."""

    views: Annotated[tuple[View, ...], Field(min_length=1)] = ("lateral", "medial", "ventral")
    """Each hemisphere is drawn from these sides; unused for volumes."""
    surface: SurfaceName = "inflated"
    """Maps are drawn on this surface; unused for volumes."""
    quantity: Literal["softmax", "l2row"] = "softmax"
    """Attention is drawn as softmax rows or as rows of unit l2 norm (l2row)."""
    percentile: Annotated[float, Field(gt=50, le=100)] = 99.0
    """The common colour scale ends at this percentile of all values of all maps."""
    dpi: Annotated[int, Field(ge=30, le=600), Unit("dots/inch")] = 120
    """Written files have this resolution."""


class PlotAgreementSettings(Settings):
    """Which maps of agree_fmri are drawn; how is said by ``plot_surface``."""

    conditions: Annotated[tuple[str, ...], Field(min_length=1), Unique()] = (
        *("original", "caption", "fmri", "shifted"),
    )
    """Maps of these conditions are drawn from above where they were made; original are the clips as shown."""


@dataclass(frozen=True)
class ColourScale:
    """One colour scale that several maps share."""

    low: float
    high: float
    colours: str  # name of a Matplotlib colour map
    label: str

    def arguments(self) -> dict[str, Any]:
        """Arguments of Nilearn's plotting functions; the bar is drawn once for several maps."""
        return {
            "cmap": self.colours,
            "vmin": self.low,
            "vmax": self.high,
            "symmetric_cbar": False,
            "colorbar": False,
        }


def crop_white(picture: np.ndarray) -> np.ndarray:
    """Cut the white border off an (height, width, 3) uint8 picture, leaving 4 pixels."""
    inked = np.any(picture < 250, axis=2)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not rows.size:
        return picture
    top, left = max(rows[0] - 4, 0), max(columns[0] - 4, 0)
    return picture[top : rows[-1] + 5, left : columns[-1] + 5]


def draw_view(
    values: np.ndarray,
    hemisphere: str,
    view: View,
    scale: ColourScale,
    settings: PlotSurfaceSettings,
    outlined: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one view of one hemisphere.

    Parameters
    ----------
    values : (59412,) float, cortical grayordinates, NaN where nothing is known
    hemisphere : left or right
    view : of CAMERAS
    scale : colours
    settings : how maps are drawn
    outlined : (59412,), 1 in what gets a black outline, else 0 or NaN

    Returns
    -------
    (height, width, 3) uint8 without white border; sulci in light grey where values are NaN
    """
    from nilearn.plotting import plot_surf_contours, plot_surf_stat_map

    coordinates, faces, sulci = load_hemisphere(settings.surface, hemisphere)
    elevation, azimuth = camera(hemisphere, view)
    # A copy, because Nilearn centres the coordinates in place.
    mesh = (coordinates.copy(), visible_faces(coordinates, faces, elevation, azimuth))
    # Sulcal depth clipped to light greys (0 white, 1 black): the map is what should be seen.
    relief = 0.28 + 0.14 * np.clip(sulci, -1.0, 1.0)
    figure = Figure(figsize=(4.4, 4.4), dpi=settings.dpi)
    axes = figure.add_axes((-0.1, -0.1, 1.2, 1.2), projection="3d")
    plot_surf_stat_map(
        mesh,
        spread(np.clip(values, scale.low, scale.high), hemisphere),
        hemi=hemisphere,
        view=(elevation, azimuth),
        bg_map=relief,
        engine="matplotlib",
        axes=axes,
        **scale.arguments(),
    )
    inside = np.zeros(len(coordinates))
    if outlined is not None:
        inside = (spread(np.nan_to_num(outlined), hemisphere, fill=0.0) > 0).astype(float)
    if np.ptp(inside[mesh[1]], axis=1).any() and inside[mesh[1]].all(axis=1).any():  # a region with an edge
        plot_surf_contours(mesh, inside, levels=[1], colors=["black"], axes=axes, figure=figure)
    return crop_white(figure_pixels(figure))


def figure_pixels(figure: Figure) -> np.ndarray:
    """Render a figure to (height, width, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_map(
    values: np.ndarray,
    scale: ColourScale,
    settings: PlotSurfaceSettings,
    fill: bool = False,
    outlined: np.ndarray | None = None,
) -> np.ndarray:
    """Draw all views of both hemispheres: one row per hemisphere, (height, width, 3) uint8.

    Parameters
    ----------
    values : (59412,) float, NaN where nothing is known
    scale : colours
    settings : how maps are drawn
    fill : the values are a regular thinning of their areas, see `fill_areas`
    outlined : (59412,), 1 in what gets a black outline

    Raises
    ------
    InputError : another number of values
    """
    if values.shape != (CORTEX,):
        raise InputError("a brain map", f"shape {values.shape}", f"({CORTEX},)", "Extract the maps again.")
    shown = fill_areas(values) if fill else values
    lined = fill_areas(outlined) if fill and outlined is not None else outlined
    return tile(
        [
            [draw_view(shown, side, view, scale, settings, lined) for view in settings.views]
            for side in HEMISPHERES
        ],
        gap=settings.dpi // 10,
    )


def draw_slices(
    values: np.ndarray, grid: VoxelGrid, scale: ColourScale, settings: PlotSurfaceSettings
) -> np.ndarray:
    """Draw the voxels of a volume on axial slices of the MNI template, (height, width, 3) uint8.

    Parameters
    ----------
    values : (n_voxels,) float, NaN where nothing is known; zeros are not seen either
    grid : of the voxels
    scale : colours
    settings : how maps are drawn
    """
    from nilearn.plotting import plot_stat_map

    if values.shape != (np.prod(grid.shape),):
        raise InputError("a brain map", f"shape {values.shape}", f"the voxels of {grid}", "Extract it again.")
    heights = grid.position(np.flatnonzero(np.isfinite(values)))[2]
    lowest, highest = np.percentile(heights, [5, 95])
    figure = Figure(figsize=(2.0 * SLICES, 2.6), dpi=settings.dpi)
    plot_stat_map(
        grid.image(np.nan_to_num(np.clip(values, scale.low, scale.high))),
        display_mode="z",
        cut_coords=np.linspace(lowest, highest, SLICES),
        figure=figure,
        black_bg=False,
        **scale.arguments(),
        resampling_interpolation="nearest",
    )
    return crop_white(figure_pixels(figure))


def attention_scale(maps: Sequence[np.ndarray], settings: PlotSurfaceSettings) -> ColourScale:
    """Choose one scale for all attention maps.

    Softmax maps are in per cent above or below uniform attention, so the scale is symmetric about zero.
    Maps of unit-l2 rows have no such centre (their mean lies between 1, one token gets all, and √p, all
    get the same) and are drawn on a sequential scale.

    Parameters
    ----------
    maps : (59412,) each, or (voxels of the grid,) on volumes; NaN outside the vertices
    settings : section plot_surface
    """
    values = np.concatenate([array[np.isfinite(array)] for array in maps])
    if settings.quantity == "softmax":
        end = max(float(np.percentile(np.abs(values), settings.percentile)), 1e-6)
        return ColourScale(-end, end, "RdBu_r", "attention received, % above or below uniform")
    low, high = np.percentile(values, [100 - settings.percentile, settings.percentile])
    label = "attention received × tokens, rows of unit ℓ2 norm"
    return ColourScale(float(low), float(max(high, low + 1e-6)), "viridis", label)


def occlusion_scale(values: np.ndarray, settings: PlotSurfaceSettings) -> ColourScale:
    """Choose the scale of the occlusion map: symmetric, red where occlusion hurts.

    ``values`` are (59412,), or (voxels of the grid,) of maps on volumes; NaN where nothing was occluded.
    """
    finite = np.abs(values[np.isfinite(values)])
    end = max(float(np.percentile(finite, settings.percentile)) if finite.size else 0.0, 1e-6)
    return ColourScale(-end, end, "RdBu_r", "fall of cosine to CLIP when the area is occluded")


def _colour_bar(figure: Figure, place: tuple[float, float, float, float], scale: ColourScale) -> None:
    axes = figure.add_axes(place)
    mappable = matplotlib.cm.ScalarMappable(Normalize(scale.low, scale.high), scale.colours)
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.set_label(scale.label, fontsize=9, color="#333333")
    bar.ax.tick_params(labelsize=8, length=2, color="#888888", labelcolor="#333333")
    bar.outline.set_visible(False)


def _save(figure: Figure, path: Path, dpi: int) -> None:
    with replacing(path) as temporary:
        # No Software/version chunk: equal maps give equal files.
        figure.savefig(temporary, dpi=dpi, facecolor="white", metadata={"Software": None})


def text_inches(text: str, font: FontProperties) -> float:
    """Width of a line of text, inches, with room for letters that few dots per inch make wider."""
    return 1.05 * float(TextPath((0, 0), text, prop=font).get_extents().width) / 72 if text else 0.0


def write_map(
    picture: np.ndarray,
    title: str,
    subtitle: str,
    scale: ColourScale,
    path: Path,
    dpi: int,
    rows: Sequence[str] = HEMISPHERES,
) -> None:
    """Write one drawn map with its title and colour bar as PNG.

    Parameters
    ----------
    picture : (height, width, 3) uint8 of draw_map or draw_slices; the file is wider where the text is
    title, subtitle : text above it
    scale : the scale it was drawn with
    path : the file
    dpi : dots per inch
    rows : names of its two rows, or none
    """
    height, width = picture.shape[:2]
    above, below = 0.62, 0.62  # inches
    texts = ((title, TITLE), (subtitle, SMALL), (scale.label, SMALL))
    widest = max(width / dpi, *(text_inches(text, font) for text, font in texts))
    inches = (widest + 0.2, height / dpi + above + below)
    figure = Figure(figsize=inches, dpi=dpi)
    figure.figimage(picture, xo=round(0.1 * dpi), yo=round(below * dpi))
    figure.text(0.1 / inches[0], 1 - 0.12 / inches[1], title, va="top", fontproperties=TITLE)
    figure.text(
        0.1 / inches[0], 1 - 0.37 / inches[1], subtitle, va="top", fontproperties=SMALL, color="#555555"
    )
    for side, share, align in zip(rows, (0.98, 0.02), ("top", "bottom"), strict=False):
        y = (below + share * height / dpi) / inches[1]
        figure.text(0.1 / inches[0], y, side, va=align, fontsize=9, color="#555555")
    _colour_bar(figure, (0.3, 0.42 / inches[1], 0.4, 0.09 / inches[1]), scale)
    _save(figure, path, dpi)


def write_overview(
    pictures: Mapping[tuple[str, int], np.ndarray],
    stages: Sequence[str],
    layers: Sequence[int],
    title: str,
    scale: ColourScale,
    path: Path,
    dpi: int,
) -> None:
    """Write the grid of all maps, stages as columns and layers as rows, as PNG.

    Parameters
    ----------
    pictures : drawn map per (stage, layer)
    stages, layers : order of columns and rows
    title : text above
    scale : the scale that all were drawn with
    path : the file
    dpi : dots per inch
    """
    shrunk = {key: shrink(picture, 2) for key, picture in pictures.items()}
    gap = round(0.25 * dpi)
    grid = tile([[shrunk[stage, layer] for stage in stages] for layer in layers], gap)
    left, above, below = 0.65, 0.8, 0.65  # inches
    inches = (grid.shape[1] / dpi + left + 0.1, grid.shape[0] / dpi + above + below)
    figure = Figure(figsize=inches, dpi=dpi)
    figure.figimage(grid, xo=round(left * dpi), yo=round(below * dpi))
    figure.text(0.1 / inches[0], 1 - 0.12 / inches[1], title, va="top", fontsize=13, fontweight="bold")
    cell = (grid.shape[1] / dpi / len(stages), grid.shape[0] / dpi / len(layers))
    for column, stage in enumerate(stages):
        x = (left + cell[0] * (column + 0.5)) / inches[0]
        figure.text(x, 1 - 0.58 / inches[1], STAGES.get(stage, stage), ha="center", va="center", fontsize=11)
    for row, layer in enumerate(layers):
        y = 1 - (above + cell[1] * (row + 0.5)) / inches[1]
        figure.text(0.3 / inches[0], y, f"layer {layer}", ha="center", va="center", rotation=90, fontsize=11)
    _colour_bar(figure, (0.35, 0.43 / inches[1], 0.3, 0.09 / inches[1]), scale)
    _save(figure, path, dpi)


def shrink(picture: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor × factor pixels of an (height, width, 3) uint8 picture."""
    height, width = (length // factor * factor for length in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def select_maps(
    arrays: Mapping[str, np.ndarray], stages: Sequence[str], layers: Sequence[int], quantity: str
) -> tuple[dict[tuple[str, int], np.ndarray], np.ndarray]:
    """Take the maps to draw out of the arrays of extract_attention.

    Parameters
    ----------
    arrays : ``attention/{stage}/layer{n}/{quantity}`` and ``occlusion/cosine``, (59412,) each
    stages, layers : order of the maps
    quantity : softmax or l2row; softmax maps (1 = uniform) become per cent above or below uniform

    Returns
    -------
    attention per (stage, layer), and the occlusion map
    """
    maps = {}
    for stage in stages:
        for layer in layers:
            values = arrays[f"attention/{stage}/layer{layer}/{quantity}"]
            maps[stage, layer] = 100 * (values - 1) if quantity == "softmax" else values
    return maps, arrays["occlusion/cosine"]


def plot_surface(
    attention: Mapping[tuple[str, int], np.ndarray],
    occlusion: np.ndarray,
    settings: PlotSurfaceSettings,
    out: Path,
    name: str = "",
    grid: VoxelGrid | None = None,
    fill: bool = False,
) -> list[Path]:
    """Draw all brain maps of one subject and experiment.

    Parameters
    ----------
    attention : per (stage, layer), (59412,), or the voxels of a grid, in the unit of settings.quantity; NaN
        outside the vertices
    occlusion : fall of the score, likewise
    settings : how maps are drawn
    out : folder for attention_{stage}_layer{n}.png, occlusion.png and overview.png
    name : the data shown, for example "subject 1, paper_main"
    grid : of volumes, which are drawn on slices
    fill : the vertices are a regular thinning of their areas, see `fill_areas`

    Returns
    -------
    the files written
    """
    log = logging.getLogger(__name__)
    sides = HEMISPHERES if grid is None else ()

    def draw(values: np.ndarray, scale: ColourScale) -> np.ndarray:
        if grid is not None:
            return draw_slices(values, grid, scale, settings)
        return draw_map(values, scale, settings, fill)

    stages = list(dict.fromkeys(stage for stage, _ in attention))
    layers = sorted({layer for _, layer in attention})
    scale = attention_scale(list(attention.values()), settings)
    pictures, written = {}, []
    for (stage, layer), values in attention.items():
        pictures[stage, layer] = draw(values, scale)
        path = out / f"attention_{stage}_layer{layer}.png"
        title = f"Attention, {STAGES.get(stage, stage)}, layer {layer}"
        write_map(pictures[stage, layer], title, name, scale, path, settings.dpi, sides)
        written.append(path)
        log.info("drew %s", path.name)
    scale_fall = occlusion_scale(occlusion, settings)
    picture = draw(occlusion, scale_fall)
    write_map(picture, "Occlusion of each area", name, scale_fall, out / "occlusion.png", settings.dpi, sides)
    title = f"Attention per training stage and layer{': ' + name if name else ''}"
    write_overview(pictures, stages, layers, title, scale, out / "overview.png", settings.dpi)
    return [*written, out / "occlusion.png", out / "overview.png"]


def tile_in_pairs(pictures: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Put pictures (h, w, 3) of one size into two columns, row by row, with gaps in pixels between them."""
    white = [np.full_like(pictures[0], 255)] * (len(pictures) % 2)
    whole = [*pictures, *white]
    return tile(list(zip(whole[::2], whole[1::2], strict=True)), gap=gap)


def agreement_scale(maps: Iterable[np.ndarray], settings: PlotSurfaceSettings) -> ColourScale:
    """Choose one scale for maps of agree_fmri, (59412,) or the voxels of a grid: symmetric about zero."""
    values = np.concatenate([np.abs(part[np.isfinite(part)]) for part in maps])
    end = max(float(np.percentile(values, settings.percentile)), 1e-6)
    return ColourScale(-end, end, "RdBu_r", "correlation of fMRI predicted from clips with measured fMRI")


def plot_agreement(
    maps: Mapping[str, np.ndarray],
    settings: PlotAgreementSettings,
    surface: PlotSurfaceSettings,
    out: Path,
    name: str = "",
    grid: VoxelGrid | None = None,
    fill: bool = False,
) -> None:
    """Draw the agreement with measured fMRI of several conditions below each other, as one PNG.

    Parameters
    ----------
    maps : condition -> (59412,), or the voxels of a grid; NaN outside the vertices
    settings : which of them are drawn
    surface : how maps are drawn
    out : the file
    name : the data shown, for example "subject 1, paper_main"
    grid : of volumes, which are drawn on slices
    fill : the vertices are a regular thinning of their areas, see `fill_areas`

    Raises
    ------
    InputError : none of the conditions was made
    """
    chosen = {condition: maps[condition] for condition in settings.conditions if condition in maps}
    if not chosen:
        found = f"{', '.join(settings.conditions)}, of which none was made"
        raise InputError("plot_agreement.conditions", found, f"some of {', '.join(maps)}", "Correct it.")
    scale = agreement_scale(chosen.values(), surface)

    def draw(part: np.ndarray) -> np.ndarray:
        if grid is not None:
            return draw_slices(part, grid, scale, surface)
        return draw_map(part, scale, surface, fill)

    pictures = [shrink(draw(part), 2) for part in chosen.values()]
    picture = tile_in_pairs(pictures, surface.dpi // 4)
    below = ": ".join(filter(None, (name, ", ".join(chosen)))) + ", row by row"
    write_map(picture, "Agreement with the measured brain", below, scale, out, surface.dpi, rows=())
