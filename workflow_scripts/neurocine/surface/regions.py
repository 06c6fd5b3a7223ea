"""From tokens of the encoder to vertices of cortex, and from vertices to areas."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.vertices import VertexSelection

HEMISPHERES = ("left", "right")
WHOLE_GROUP = "all"  # in place of an area's name, where a row is a whole group


@dataclass(frozen=True)
class Region:
    """An area or a whole group of areas, in one hemisphere or in both.

    Parameters
    ----------
    area : name of the area, or WHOLE_GROUP
    group : its group of areas
    hemisphere : left, right or both
    members : (n,) int64, rows of the fMRI's vertices
    """

    area: str
    group: str
    hemisphere: str
    members: np.ndarray

    @property
    def is_group(self) -> bool:
        """Whether it is a whole group."""
        return self.area == WHOLE_GROUP


def list_regions(selection: VertexSelection) -> list[Region]:
    """List groups and areas that hold vertices, each in both hemispheres together, left and right."""
    groups = np.array(selection.groups)[selection.area]
    names = [(WHOLE_GROUP, group) for group in dict.fromkeys(selection.groups)]
    names += list(zip(selection.areas, selection.groups, strict=True))
    regions = []
    for area, group in names:
        inside = groups == group
        if area != WHOLE_GROUP:
            inside = selection.area == selection.areas.index(area)
        for number, hemisphere in enumerate(("both", *HEMISPHERES), -1):
            members = np.flatnonzero(inside & ((number < 0) | (selection.hemisphere == number)))
            if members.size:
                regions.append(Region(area, group, hemisphere, members))
    return regions


def region_means(values: Tensor, regions: list[Region]) -> Tensor:
    """Average vertices: (n, V) to (n, regions)."""
    columns = [values[:, torch.as_tensor(region.members, device=values.device)].mean(1) for region in regions]
    return torch.stack(columns, dim=1)


def average_wrapped(padded: Tensor, n_vertices: int) -> Tensor:
    """Bring values of padded positions back to vertices.

    The last patch is filled with vertices from the start: these have two positions, which are averaged.

    Parameters
    ----------
    padded : (n, p patch), values of all positions; position j holds vertex j mod V
    n_vertices : V

    Returns
    -------
    (n, V)
    """
    vertex = torch.arange(padded.shape[1], device=padded.device) % n_vertices
    total = padded.new_zeros(len(padded), n_vertices).index_add_(1, vertex, padded)
    return total / torch.bincount(vertex, minlength=n_vertices)


def spread_tokens(tokens: Tensor, patch: int, n_vertices: int) -> Tensor:
    """Give every vertex the value of its token: (n, p) to (n, V)."""
    return average_wrapped(tokens.repeat_interleave(patch, dim=1), n_vertices)


def scatter_to_brain(values: np.ndarray, selection: VertexSelection) -> np.ndarray:
    """Put values (V,) on the 59 412 cortical grayordinates or the voxels of the grid, else NaN; float32."""
    size = CORTEX if selection.grid is None else int(np.prod(selection.grid.shape))
    brain = np.full(size, np.nan, np.float32)
    brain[selection.vertex] = values
    return brain
