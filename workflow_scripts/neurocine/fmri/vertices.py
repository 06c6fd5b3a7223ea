"""Choose the vertices of visual cortex and put them in the order of the visual hierarchy.

Tokens of the fMRI encoder are 16 neighbours in this order, so it decides which vertices share a token. The
order of areas is early, dorsal, ventral, lateral (NeuroCine section 3.1 asks for "the visual hierarchy" and
gives no list; areas and order here are our reading). Within an area: left then right, ascending.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.fmri.parcellation import AreaVertices, area_vertices
from neurocine.fmri.volumes import GIVE_ATLAS, VoxelGrid, area_voxels, check_volumes
from neurocine.io import read_arrays
from neurocine.settings import Count, CountOrZero, Settings, ShareBelowOne, Unique, Unit

HIERARCHY: dict[str, tuple[str, ...]] = {
    "early": ("V1", "V2", "V3", "V4"),
    "dorsal": ("V3A", "V3B", "V6", "V6A", "V7", "IPS1", "DVT"),
    "ventral": ("V8", "VVC", "PIT", "FFC", "VMV1", "VMV2", "VMV3"),
    "lateral": ("V3CD", "LO1", "LO2", "LO3", "V4t", "FST", "MT", "MST", "PH"),
    "tpoj": ("TPOJ1", "TPOJ2", "TPOJ3"),
    "pha": ("PHA1", "PHA2", "PHA3"),
}
GROUP_OF = {area: group for group, areas in HIERARCHY.items() for area in areas}
SHOWN_AREAS = 8  # listed where a name is wrong
OTHER_GROUP = "other"  # areas outside this list of visual areas
ALL = "all"  # in place of a group or an area, where a row is of several
UNKNOWN = "unknown"  # area, group and hemisphere of vertices whose positions are unknown


def _areas(*groups: str) -> tuple[str, ...]:
    return tuple(area for group in groups for area in HIERARCHY[group])


RoiSet = Literal["v1v4", "ma12", "visual27", "visual30", "visual33", "all", "rel4500"]
ROI_SETS: dict[RoiSet, tuple[str, ...]] = {
    "v1v4": _areas("early"),  # DC-MAE
    "ma12": (  # Mind-Animator on HCP 7T
        *("V1", "V2", "V3", "V4", "V3A", "V3B", "LO1", "LO2", "MT", "MST", "TPOJ1", "TPOJ2"),
    ),
    "visual27": _areas("early", "dorsal", "ventral", "lateral"),
    "visual30": _areas("early", "dorsal", "ventral", "lateral", "tpoj"),
    "visual33": _areas(*HIERARCHY),
    "all": (),  # every area of the atlas
    "rel4500": (),  # Mind-Animator on CC2017: all of cortex, thinned by reliability to 4500 vertices
}
RELIABLE: dict[RoiSet, int] = {"rel4500": 4500}  # sets that are defined by reliability -> vertices kept


class SelectVerticesSettings(Settings):
    """Which vertices are decoded."""

    roi_set: RoiSet = "visual27"
    """Vertices of this set of areas are decoded: all has every area of the atlas; unused where areas are
    named.
    """
    areas: Annotated[tuple[str, ...], Unique()] = ()
    """Name areas of the atlas in place of a set; both hemispheres of each are taken."""
    every: Annotated[Count, Unit("vertices")] = 1
    """Each k-th vertex of an area and hemisphere is kept, where k is this value; more than 1 for small
    studies.
    """
    reliable_count: Annotated[CountOrZero, Unit("vertices")] = 0
    """Per subject, this many vertices whose training repeats agree best are kept; 0 sets no limit."""
    reliable_p: ShareBelowOne = 0.0
    """Per subject, vertices whose repeats agree at this level (Bonferroni) are kept; 0 keeps all."""

    @property
    def count(self) -> int:
        """Vertices that the reliability mask keeps at most; 0 = no limit."""
        return self.reliable_count or (0 if self.areas else RELIABLE.get(self.roi_set, 0))

    @property
    def reliable(self) -> bool:
        """Whether vertices are chosen by reliability, so that they differ between subjects."""
        return bool(self.count or self.reliable_p)


@dataclass(frozen=True)
class VertexSelection:
    """Chosen vertices in the order in which all arrays of fMRI hold them.

    Attributes
    ----------
    vertex : (V,) int64, cortical grayordinates 0...59 411; with a grid, places in the flattened grid; of
        unknown places 0...V-1
    area : (V,) int64, index into `areas`
    hemisphere : (V,) int8, 0 left, 1 right, -1 unknown
    areas : names in hierarchy order
    groups : group of each of `areas`
    grid : of the volumes, where the vertices are voxels
    placed : whether it is known where the vertices lie
    """

    vertex: np.ndarray
    area: np.ndarray
    hemisphere: np.ndarray
    areas: tuple[str, ...]
    groups: tuple[str, ...]
    grid: VoxelGrid | None = None
    placed: bool = True

    @classmethod
    def unplaced(cls, n_vertices: int, sizes: Mapping[str, int] | None = None) -> "VertexSelection":
        """Make a selection of n vertices at unknown positions, in no hemisphere.

        Parameters
        ----------
        n_vertices : V
        sizes : area -> number of its vertices, which sum to V, in order; by default one area, unknown
        """
        sizes = sizes or {UNKNOWN: n_vertices}
        return cls(
            vertex=np.arange(n_vertices),
            area=np.repeat(np.arange(len(sizes)), list(sizes.values())),
            hemisphere=np.full(n_vertices, -1, np.int8),
            areas=tuple(sizes),
            groups=tuple(UNKNOWN if area == UNKNOWN else GROUP_OF.get(area, OTHER_GROUP) for area in sizes),
            placed=False,
        )

    def keep(self, mask: np.ndarray) -> "VertexSelection":
        """Return the selection with the vertices (V,) bool only, in the same order; areas without any go."""
        numbers = np.unique(self.area[mask])
        return dataclasses.replace(
            self,
            vertex=self.vertex[mask],
            area=np.searchsorted(numbers, self.area[mask]),
            hemisphere=self.hemisphere[mask],
            areas=tuple(self.areas[number] for number in numbers),
            groups=tuple(self.groups[number] for number in numbers),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays as stored in ``vertices.safetensors``: vertex and area (V,) i64, hemisphere (V,) i8."""
        return {"vertex": self.vertex, "area": self.area, "hemisphere": self.hemisphere}

    def table(self) -> pd.DataFrame:
        """One row per vertex: vertex, area, group, hemisphere (left, right, unknown)."""
        return pd.DataFrame(
            {
                "vertex": self.vertex,
                "area": np.array(self.areas)[self.area],
                "group": np.array(self.groups)[self.area],
                "hemisphere": np.array(["left", "right", UNKNOWN])[self.hemisphere],
            }
        )

    def meta(self) -> dict[str, Any]:
        """Metadata that `read` needs."""
        meta: dict[str, Any] = {"areas": list(self.areas), "groups": list(self.groups)}
        if not self.placed:
            return meta | {"vertex": "columns of a package; where they lie is unknown", "placed": False}
        if self.grid is None:
            return meta | {"vertex": "cortical grayordinates of the 91k space, 0...59411"}
        return meta | {"vertex": "voxels of the grid, flattened in C order", "grid": self.grid.meta()}

    @classmethod
    def read(cls, path: Path, needs_places: bool = False) -> "VertexSelection":
        """Read the file that select_vertices or import_fmri wrote.

        Parameters
        ----------
        path : the file
        needs_places : refuse vertices of which it is unknown where they lie

        Raises
        ------
        InputError : no such file, another kind of file, or unknown places where they are needed
        """
        arrays, meta = read_arrays(path, ["vertex", "area", "hemisphere"])
        if "areas" not in meta or "groups" not in meta:
            raise InputError(path, "no list of areas", "a file of select_vertices", "Make the file again.")
        grid = VoxelGrid.from_meta(meta["grid"]) if "grid" in meta else None
        placed = meta.get("placed", True)
        if needs_places and not placed:
            found, expected = f"{len(arrays['vertex'])} vertices at unknown places", "vertices on the cortex"
            raise InputError(path, found, expected, "Give package.vertex_masks in the config (docs/data.md).")
        areas, groups = tuple(meta["areas"]), tuple(meta["groups"])
        return cls(**arrays, areas=areas, groups=groups, grid=grid, placed=placed)


def _ordered_areas(settings: SelectVerticesSettings, by_area: AreaVertices) -> list[str]:
    """Areas in hierarchy order; own areas outside the hierarchy follow in the order given."""
    names = list(dict.fromkeys(area for _, area in by_area))
    chosen = settings.areas or ROI_SETS[settings.roi_set] or names
    for area in chosen:
        if area not in names:
            near = difflib.get_close_matches(area, names, n=1)
            some = ", ".join(names[:SHOWN_AREAS]) + (", ..." if len(names) > SHOWN_AREAS else "")
            hint = f"Did you mean {near[0]}?" if near else f"Its areas are {some}."
            raise InputError("select_vertices.areas", f"area {area}", "an area of the atlas", hint)
    hierarchy = list(GROUP_OF)
    return sorted(chosen, key=lambda area: hierarchy.index(area) if area in GROUP_OF else len(hierarchy))


def select_vertices(
    settings: SelectVerticesSettings,
    atlas: Path | None = None,
    labels: Path | None = None,
    like: Path | None = None,
) -> VertexSelection:
    """Choose vertices, or voxels of volumes in MNI space, of visual areas, in hierarchy order.

    Parameters
    ----------
    settings : section select_vertices of the config
    atlas : HCP-MMP 1.0 ``.dlabel.nii``; by default the installed table, which holds the same areas. For
        voxels a NIfTI image of area numbers, or a mask
    labels : for voxels, the names of the numbers (see `area_voxels`)
    like : for voxels, a run, whose grid all runs have

    Raises
    ------
    InputError : an unknown area, or a bad file
    """
    grid = None
    if like is None:
        by_area = area_vertices(atlas)
    elif atlas is None:
        raise InputError("atlas", "none", "a file, where voxels are chosen", GIVE_ATLAS)
    else:
        grid = check_volumes(like)[1]
        by_area = area_voxels(atlas, labels, grid)
    areas = _ordered_areas(settings, by_area)
    nothing = np.zeros(0, np.int64)  # of an area that the atlas has on one side only
    parts = [
        (number, hemisphere, by_area.get((hemisphere, area), nothing)[:: settings.every])
        for number, area in enumerate(areas)
        for hemisphere in (0, 1)
    ]
    lengths = [len(vertices) for _, _, vertices in parts]
    return VertexSelection(
        vertex=np.concatenate([vertices for _, _, vertices in parts]),
        area=np.repeat(np.array([number for number, _, _ in parts], np.int64), lengths),
        hemisphere=np.repeat(np.array([hemisphere for _, hemisphere, _ in parts], np.int8), lengths),
        areas=tuple(areas),
        groups=tuple(GROUP_OF.get(area, OTHER_GROUP) for area in areas),
        grid=grid,
    )


@dataclass(frozen=True)
class Part:
    """A row of tables: all vertices, a group of areas, or an area, in both hemispheres.

    Parameters
    ----------
    group : of areas, or ALL
    area : or ALL
    members : (n,) int64, rows of the fMRI's vertices
    """

    group: str
    area: str
    members: np.ndarray


def list_parts(selection: VertexSelection) -> list[Part]:
    """List all vertices together and, where their areas are known, each group of areas and each area."""
    groups = np.array(selection.groups)[selection.area]
    masks = [(ALL, ALL, np.ones(len(groups), bool))]
    if selection.areas != (UNKNOWN,):
        masks += [(group, ALL, groups == group) for group in dict.fromkeys(selection.groups)]
        masks += [
            (group, area, selection.area == number)
            for number, (area, group) in enumerate(zip(selection.areas, selection.groups, strict=True))
        ]
    return [Part(group, area, np.flatnonzero(inside)) for group, area, inside in masks if inside.any()]
