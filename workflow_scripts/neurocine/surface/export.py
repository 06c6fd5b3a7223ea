"""Brain maps for other tools: CIFTI for Connectome Workbench, NIfTI in MNI space, an interactive page."""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

from neurocine.fmri.grayordinates import CORTEX, MESH_VERTICES, SIDES, mesh_vertices
from neurocine.fmri.volumes import VoxelGrid
from neurocine.io import replacing, write_json
from neurocine.surface.mesh import HEMISPHERES, load_hemisphere, spread
from neurocine.surface.plot import STAGES, ColourScale, PlotSurfaceSettings, agreement_scale

SURFACE = "inflated"  # that the interactive map is drawn on
# How Connectome Workbench colours a map: symmetric about zero, up to the given value.
PALETTE = """<PaletteColorMapping Version="1">
 <ScaleMode>MODE_USER_SCALE</ScaleMode>
 <AutoScalePercentageValues>98.0 2.0 2.0 98.0</AutoScalePercentageValues>
 <UserScaleValues>{low:.6g} 0.0 0.0 {high:.6g}</UserScaleValues>
 <PaletteName>ROY-BIG-BL</PaletteName>
 <InterpolatePalette>true</InterpolatePalette>
 <DisplayPositiveData>true</DisplayPositiveData>
 <DisplayZeroData>false</DisplayZeroData>
 <DisplayNegativeData>true</DisplayNegativeData>
 <ThresholdTest>THRESHOLD_TEST_SHOW_OUTSIDE</ThresholdTest>
 <ThresholdType>THRESHOLD_TYPE_OFF</ThresholdType>
</PaletteColorMapping>"""


@dataclass(frozen=True)
class BrainMap:
    """One map with its name, and what its values are.

    Parameters
    ----------
    name : short, as tools list it
    values : (59412,) cortical grayordinates, or the voxels of a grid; NaN where nothing is known
    unit : of the values
    scale : of colours, which maps of one kind share
    """

    name: str
    values: np.ndarray
    unit: str
    scale: ColourScale


def named_maps(
    attention: Mapping[tuple[str, int], np.ndarray],
    occlusion: np.ndarray,
    scales: tuple[ColourScale, ColourScale],
) -> list[BrainMap]:
    """Name the maps of `neurocine.surface.plot.select_maps`: the occlusion first, then by stage and layer.

    Parameters
    ----------
    attention : per (stage, layer), (59412,) or the voxels of a grid
    occlusion : likewise
    scales : of attention, and of occlusion
    """
    maps = [BrainMap("occlusion", occlusion, scales[1].label, scales[1])]
    for (stage, layer), values in attention.items():
        name = f"attention {STAGES.get(stage, stage)}, layer {layer}"
        maps.append(BrainMap(name, values, scales[0].label, scales[0]))
    return maps


def agreement_maps(maps: Mapping[str, np.ndarray], settings: PlotSurfaceSettings) -> list[BrainMap]:
    """Name the maps of agree_fmri, condition -> (59412,) or the voxels of a grid."""
    scale = agreement_scale(maps.values(), settings)
    return [
        BrainMap(f"agreement, {name}", values, "correlation with measured fMRI", scale)
        for name, values in maps.items()
    ]


def area_maps(maps: Mapping[str, np.ndarray]) -> list[BrainMap]:
    """Name the maps of rank_areas, each followed by that of the areas that exceed its null, 1 or 0.

    Parameters
    ----------
    maps : (59412,) or the voxels of a grid each, ``{kind}/{measure}`` and ``exceeds/{kind}/{measure}``
    """
    named = []
    for name, values in maps.items():
        if name.startswith("exceeds/"):
            continue
        largest = float(np.nanmax(np.abs(values), initial=1e-6))
        unit = f"{name.rpartition('/')[2]}, positive where the area is missed"
        said = name.replace("/", " ")
        named.append(BrainMap(f"areas, {said}", values, unit, ColourScale(-largest, largest, "RdBu_r", unit)))
        outlined = maps.get(f"exceeds/{name}")
        if outlined is not None:
            whole = ColourScale(-1.0, 1.0, "RdBu_r", "1 where the null is exceeded")
            named.append(BrainMap(f"areas that exceed their null, {said}", outlined, whole.label, whole))
    return named


def cortex_axis() -> BrainModelAxis:
    """Return the cortical part of the 91k space: left, then right, without the medial wall."""
    left, right = (
        BrainModelAxis.from_surface(vertices, MESH_VERTICES, side)
        for vertices, side in zip(mesh_vertices(), SIDES, strict=True)
    )
    return left + right


def write_dscalar(maps: Sequence[BrainMap], path: Path) -> None:
    """Write maps of cortical vertices as CIFTI scalars, one map after the other, both hemispheres.

    Parameters
    ----------
    maps : values (59412,) each
    path : ending in .dscalar.nii

    Raises
    ------
    ValueError : another number of values
    """
    values = np.stack([entry.values for entry in maps]).astype(np.float32)
    if values.shape[1] != CORTEX:
        raise ValueError(f"maps of {values.shape[1]} values, not of {CORTEX} cortical vertices")
    meta = [
        {"Unit": m.unit, "PaletteColorMapping": PALETTE.format(low=m.scale.low, high=m.scale.high)}
        for m in maps
    ]
    axis = ScalarAxis([entry.name for entry in maps], meta)
    image = Cifti2Image(values, header=(axis, cortex_axis()))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
    with replacing(path) as temporary:
        image.to_filename(temporary)


def write_volumes(maps: Sequence[BrainMap], grid: VoxelGrid, path: Path) -> None:
    """Write maps of voxels as one NIfTI image in MNI space, a volume per map; zero where nothing is known.

    Parameters
    ----------
    maps : values (n_voxels,) each
    grid : of the voxels
    path : ending in .nii.gz; equal maps give equal files
    """
    volumes = [np.nan_to_num(entry.values).reshape(grid.shape) for entry in maps]
    image = nibabel.Nifti1Image(np.stack(volumes, axis=-1).astype(np.float32), grid.affine)
    image.header.set_sform(grid.affine, code="mni")
    image.header.set_qform(grid.affine, code="mni")
    image.header.set_xyzt_units("mm")
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))  # neither name nor time in its header


def sidecar(maps: Sequence[BrainMap], sources: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the maps of a file: name, unit and colour scale of each, and where they come from."""
    return {
        "Maps": [
            {"Name": m.name, "Unit": m.unit, "ColourScale": [round(m.scale.low, 6), round(m.scale.high, 6)]}
            for m in maps
        ],
        **sources,
    }


def interactive_surface(shown: BrainMap, title: str) -> str:
    """Draw a map on both hemispheres, to be turned in a browser; the HTML needs no network.

    Parameters
    ----------
    shown : values (59412,)
    title : above the brain
    """
    from nilearn.plotting import view_surf
    from nilearn.surface import InMemoryMesh, PolyData, PolyMesh, SurfaceImage

    meshes, values, relief = {}, {}, {}
    for side in HEMISPHERES:
        coordinates, faces, sulci = load_hemisphere(SURFACE, side)
        meshes[side] = InMemoryMesh(coordinates.copy(), faces)  # Nilearn centres coordinates in place
        values[side], relief[side] = np.nan_to_num(spread(shown.values, side)), sulci
    mesh = PolyMesh(**meshes)
    view = view_surf(
        mesh,
        SurfaceImage(mesh, PolyData(**values)),
        bg_map=SurfaceImage(mesh, PolyData(**relief)),
        hemi="both",
        cmap=shown.scale.colours,
        threshold=1e-9,
        vmax=shown.scale.high,
        symmetric_cmap=shown.scale.low < 0,
        title=title,
    )
    return str(view.get_standalone())


def interactive_volume(shown: BrainMap, grid: VoxelGrid, title: str) -> str:
    """Draw a map on slices of the MNI template, to be moved in a browser; the HTML needs no network.

    Parameters
    ----------
    shown : values (n_voxels,)
    grid : of the voxels
    title : above the slices
    """
    from nilearn.plotting import view_img

    image = grid.image(np.nan_to_num(shown.values))
    view = view_img(image, threshold=1e-9, vmax=shown.scale.high, cmap=shown.scale.colours, title=title)
    return str(view.get_standalone())


def export_maps(
    maps: Sequence[BrainMap],
    grid: VoxelGrid | None,
    title: str,
    sources: Mapping[str, Any],
    out: Path,
    page: Path,
) -> None:
    """Write maps for other tools, with a description beside them, and the first as an interactive page.

    Parameters
    ----------
    maps : in order
    grid : of volumes; None for cortical vertices
    title : of the page
    sources : further entries of the description
    out : .dscalar.nii, or .nii.gz where there is a grid; the description has the ending .json
    page : HTML
    """
    if grid is None:
        write_dscalar(maps, out)
        html = interactive_surface(maps[0], title)
    else:
        write_volumes(maps, grid, out)
        html = interactive_volume(maps[0], grid, title)
    write_json(out.parent / f"{out.name.partition('.')[0]}.json", sidecar(maps, sources))
    with replacing(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
