"""Noise of simulated runs: autocorrelated, drifting, and partly shared between grayordinates."""

from dataclasses import dataclass

import numpy as np

from neurocine.simulate.response import CROP_FIRST, N_KEPT

KNOT_SPACING = 24  # grayordinates between the knots of the local modes
N_POLYNOMIALS, N_COSINES = 3, 4  # of the drift
DETREND_ORDER = 4  # of the preprocessing whose residual variance is predicted


def autoregressive(shape: tuple[int, int], coefficient: float, generator: np.random.Generator) -> np.ndarray:
    """Draw stationary AR(1) noise of unit variance along the first axis: (n_volumes, n) f32."""
    noise = generator.standard_normal(shape, dtype=np.float32)
    noise[1:] *= np.float32(np.sqrt(1 - coefficient**2))
    # A loop over volumes runs along memory, a filter along the first axis of a C-ordered array does not.
    for now, before in zip(noise[1:], noise[:-1], strict=True):
        now += np.float32(coefficient) * before
    return noise


def drift_basis(n_volumes: int) -> np.ndarray:
    """Return slow functions of time with unit mean square: (n_volumes, 7) f64, polynomials then cosines."""
    time = np.linspace(-1, 1, n_volumes)
    polynomials = np.polynomial.legendre.legvander(time, N_POLYNOMIALS)[:, 1:]
    phase = np.pi * (np.arange(n_volumes) + 0.5) / n_volumes
    cosines = np.cos(phase[:, None] * np.arange(1, N_COSINES + 1))
    basis = np.concatenate([polynomials, cosines], axis=1)
    return np.asarray(basis / np.sqrt((basis**2).mean(0)))


def residual_variance(n_volumes: int, coefficient: float, drift: float, n_kept: int = N_KEPT) -> float:
    """Expected variance that the noise keeps after the crop and the polynomial detrending of one run.

    With the projection M onto the residuals and the noise covariance S this is trace(M S) / n_kept, exactly.

    Parameters
    ----------
    n_volumes : 5 or 6 more than ``n_kept``
    coefficient : of the AR(1) part, which has unit variance
    drift : standard deviation of the drift
    n_kept : volumes that the crop keeps
    """
    first = CROP_FIRST[n_volumes - n_kept]
    index = np.arange(n_kept)
    basis = drift_basis(n_volumes)[first : first + n_kept]
    covariance = coefficient ** np.abs(index[:, None] - index) + drift**2 / basis.shape[1] * basis @ basis.T
    trend, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, n_kept), DETREND_ORDER))
    return float((np.trace(covariance) - np.trace(trend.T @ covariance @ trend)) / n_kept)


@dataclass(frozen=True)
class Modes:
    """Spatial modes of spontaneous activity: what grayordinates share beside the stimulus.

    knot, blend : (V,) position along grayordinate order: lower knot and weight of the upper one
    area : (V,) i64, index of the area or structure
    tuned : (N,) i64, positions with tuning
    tuning : (n_features, N) f32, unit columns
    """

    knot: np.ndarray
    blend: np.ndarray
    area: np.ndarray
    tuned: np.ndarray
    tuning: np.ndarray


def spatial_modes(rows: np.ndarray, area: np.ndarray, tuned: np.ndarray, weights: np.ndarray) -> Modes:
    """Build the modes of some grayordinates.

    Parameters
    ----------
    rows : (V,) i64, grayordinates
    area : (V,) i64, index of the area or structure of each
    tuned : (N,) i64, positions in ``rows`` that have tuning
    weights : (N, n_features) f32, tuning
    """
    place = rows / KNOT_SPACING
    knot = place.astype(np.int64)
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    blend = (place - knot).astype(np.float32)
    return Modes(knot, blend, area, tuned, np.ascontiguousarray(unit.T, np.float32))


def spontaneous_activity(
    modes: Modes, n_volumes: int, coefficient: float, generator: np.random.Generator
) -> np.ndarray:
    """Draw activity that neighbours, areas and equally tuned vertices share.

    Each grayordinate sums a local mode, its area's mode and, if tuned, the modes of its features, in equal
    parts of the variance. All modes are AR(1) in time.

    Returns
    -------
    (n_volumes, V) f32, unit variance
    """

    def modes_of(n_modes: int) -> np.ndarray:
        return autoregressive((n_volumes, n_modes), coefficient, generator)

    local = modes_of(int(modes.knot.max()) + 2)
    areas = modes_of(int(modes.area.max()) + 1)
    features = modes_of(len(modes.tuning))
    parts = np.full(len(modes.knot), 2, np.float32)
    parts[modes.tuned] = 3
    share = 1 / np.sqrt(parts)
    scale = share / np.sqrt((1 - modes.blend) ** 2 + modes.blend**2)
    activity = np.take(local, modes.knot, axis=1)
    activity *= (1 - modes.blend) * scale
    part = np.take(local, modes.knot + 1, axis=1)
    part *= modes.blend * scale
    activity += part
    np.take(areas, modes.area, axis=1, out=part)
    part *= share
    activity += part
    activity[:, modes.tuned] += features @ (modes.tuning * np.float32(1 / np.sqrt(3)))
    return activity


def drift(n_volumes: int, n: int, deviation: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a slow drift of standard deviation ``deviation`` for each grayordinate: (n_volumes, n) f32."""
    basis = drift_basis(n_volumes)
    weights = generator.standard_normal((basis.shape[1], n), dtype=np.float32)
    return np.asarray((basis * (deviation / np.sqrt(basis.shape[1]))).astype(np.float32) @ weights)
