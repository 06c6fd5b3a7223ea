"""What a config says of the vertices: whether their places are known, and whether subjects have their own."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]


def vertices_known(config: Config) -> bool:
    """Say whether it is known where the vertices lie."""
    # A package of arrays has its vertex_index.npy.
    return config["fmri_from"] in ("runs", "arrays") or bool(config["package"]["vertex_masks"])


def vertices_per_subject(config: Config) -> bool:
    """Say whether vertices are chosen by reliability, which differs between subjects."""
    section = config["select_vertices"]
    by_set = section["roi_set"] == "rel4500" and not section["areas"]
    return by_set or section["reliable_count"] > 0 or section["reliable_p"] > 0
