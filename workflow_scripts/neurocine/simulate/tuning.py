"""Which cortical vertex is tuned to what: areas of the HCP-MMP parcellation and random tuning within them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurocine.fmri.parcellation import AreaVertices
from neurocine.simulate.features import GRID, GROUPS

COLUMN = 8  # neighbouring vertices that share half of their tuning, as cortical columns do
ACTIVE_VARIANCE = 1e-6  # features with less variance in training carry nothing


@dataclass(frozen=True)
class AreaTuning:
    """An area's tuning.

    shares : group -> share of the tuned variance
    strength : factor on the signal's share of the variance
    field : standard deviation of receptive fields on the contrast grid, cells
    """

    shares: Mapping[str, float]
    strength: float = 1.0
    field: float = 2.0


_MOTION = AreaTuning({"motion": 1.0})
_SHAPE = AreaTuning({"shape": 0.8, "colour": 0.2})
_WEAK = AreaTuning({"motion": 0.5, "contrast": 0.5}, 0.3, 2.5)
_MIXED = AreaTuning({"shape": 0.4, "motion": 0.4, "colour": 0.2}, 0.5)

# Areas that are not listed, and everything below the cortex, carry no stimulus signal.
AREAS: dict[str, AreaTuning] = {
    "V1": AreaTuning({"contrast": 1.0}, 1.1, 0.8),
    "V2": AreaTuning({"contrast": 1.0}, 1.05, 1.0),
    "V3": AreaTuning({"contrast": 1.0}, 1.0, 1.3),
    "V4": AreaTuning({"colour": 0.7, "contrast": 0.3}, 1.0, 2.0),
    "V8": AreaTuning({"colour": 0.8, "contrast": 0.2}, 0.9, 2.0),
    "V3A": _MOTION,
    "V3B": _MOTION,
    "V6": _MOTION,
    "V3CD": _MOTION,
    "V4t": _MOTION,
    "FST": _MOTION,
    "MT": _MOTION,
    "MST": _MOTION,
    "V6A": _WEAK,
    "V7": _WEAK,
    "IPS1": _WEAK,
    "LO1": _SHAPE,
    "LO2": _SHAPE,
    "LO3": _SHAPE,
    "PIT": _SHAPE,
    "FFC": _SHAPE,
    "VVC": _SHAPE,
    "VMV1": _SHAPE,
    "VMV2": _SHAPE,
    "VMV3": _SHAPE,
    "PH": _SHAPE,
    "TPOJ1": _MIXED,
    "TPOJ2": _MIXED,
    "TPOJ3": _MIXED,
}


@dataclass(frozen=True)
class Tuning:
    """Tuning of the vertices that see the stimulus.

    vertex : (N,) i64, cortical grayordinates, ascending
    weights : (N, n_features) f32, scaled so that the response has unit variance
    group_share : (N, n_groups) f32, share of each group of GROUPS in the tuning
    strength : (N,) f32, the area's factor
    """

    vertex: np.ndarray
    weights: np.ndarray
    group_share: np.ndarray
    strength: np.ndarray


def tuned_among(rows: np.ndarray, tuning: Tuning) -> tuple[np.ndarray, np.ndarray]:
    """Find the tuned vertices among some grayordinates.

    Parameters
    ----------
    rows : (V,) i64, grayordinates, ascending
    tuning : of a subject, all tuned vertices

    Returns
    -------
    (n,) i64, rows of ``tuning`` that are there, and (n,) i64, their positions in ``rows``

    Raises
    ------
    ValueError : rows that do not ascend
    """
    if np.any(np.diff(rows) <= 0):
        raise ValueError("rows must ascend, each grayordinate once")
    inside = np.flatnonzero(np.isin(tuning.vertex, rows))
    return inside, np.searchsorted(rows, tuning.vertex[inside])


def receptive_fields(n: int, hemisphere: int, width: float, generator: np.random.Generator) -> np.ndarray:
    """Place Gaussian receptive fields over the contrast grid, moving smoothly with vertex order.

    The centres sweep the opposite half of the visual field in rows, from a random starting point.

    Parameters
    ----------
    n : vertices
    hemisphere : 0 left (sees the right half), 1 right
    width : standard deviation, cells
    generator : draws the starting point

    Returns
    -------
    (n, GRID * GRID) f64
    """
    along = (np.arange(n) / n + generator.random()) % 1
    row = along * GRID - 0.5
    column = (GRID / 2) * np.abs((along * GRID) % 2 - 1)
    middle = (GRID - 1) / 2
    centre = middle + column if hemisphere == 0 else middle - column
    cells = np.arange(GRID)
    rows = np.exp(-0.5 * ((cells - row[:, None]) / width) ** 2)
    columns = np.exp(-0.5 * ((cells - centre[:, None]) / width) ** 2)
    return np.asarray((rows[:, :, None] * columns[:, None, :]).reshape(n, -1))


def sparse_weights(n: int, n_features: int, density: float, generator: np.random.Generator) -> np.ndarray:
    """Draw sparse Gaussian weights, half of them shared within columns of vertices: (n, n_features) f64."""

    def draw(count: int) -> np.ndarray:
        chosen = generator.random((count, n_features)) < density
        chosen[np.arange(count), generator.integers(n_features, size=count)] = True
        return chosen * generator.standard_normal((count, n_features))

    shared = np.repeat(draw(-(-n // COLUMN)), COLUMN, axis=0)[:n]
    return draw(n) + shared


def _unit_variance(weights: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Scale rows so that their response has unit variance; rows without variance become 0."""
    deviation = np.sqrt(np.einsum("nf,nf->n", weights @ covariance, weights).clip(0))
    return weights * np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-4)[:, None]


def _area_weights(
    tuning: AreaTuning,
    n: int,
    hemisphere: int,
    group: np.ndarray,
    covariance: np.ndarray,
    density: float,
    generator: np.random.Generator,
) -> np.ndarray:
    weights = np.zeros((n, len(group)))
    for name, share in tuning.shares.items():
        active = np.flatnonzero((group == GROUPS.index(name)) & (np.diag(covariance) > ACTIVE_VARIANCE))
        if not len(active):
            continue
        if name == "contrast":
            offset = np.flatnonzero(group == GROUPS.index("contrast"))[0]
            drawn = receptive_fields(n, hemisphere, tuning.field, generator)[:, active - offset]
        else:
            drawn = sparse_weights(n, len(active), density, generator)
        weights[:, active] = _unit_variance(drawn, covariance[np.ix_(active, active)]) * np.sqrt(share)
    return _unit_variance(weights, covariance)


def draw_tuning(
    areas: AreaVertices,
    group: np.ndarray,
    covariance: np.ndarray,
    density: float,
    generator: np.random.Generator,
) -> Tuning:
    """Draw one subject's tuning of the whole cortex.

    Parameters
    ----------
    areas : (hemisphere, area) -> cortical grayordinates
    group : (n_features,) i64, group of each feature
    covariance : (n_features, n_features) of the haemodynamic response to the features in training
    density : probability that a vertex weighs a feature of its group
    generator : draws weights and receptive fields
    """
    vertices, weights, shares, strengths = [], [], [], []
    for name, tuning in AREAS.items():
        for side in (0, 1):
            vertex = areas[side, name]
            drawn = _area_weights(tuning, len(vertex), side, group, covariance, density, generator)
            keep = np.any(drawn != 0, axis=1)
            vertices.append(vertex[keep])
            weights.append(drawn[keep])
            shares.append(np.tile([tuning.shares.get(g, 0.0) for g in GROUPS], (keep.sum(), 1)))
            strengths.append(np.full(keep.sum(), tuning.strength))
    vertex = np.concatenate(vertices)
    order = np.argsort(vertex)
    return Tuning(
        vertex[order],
        np.concatenate(weights)[order].astype(np.float32),
        np.concatenate(shares)[order].astype(np.float32),
        np.concatenate(strengths)[order].astype(np.float32),
    )
