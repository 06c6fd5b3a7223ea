"""Noise of the simulated runs against references and predicted moments."""

import numpy as np
import pytest
from scipy.signal import lfilter

from neurocine.fmri.preprocess import PreprocessRunSettings, detrend
from neurocine.simulate.noise import (
    KNOT_SPACING,
    autoregressive,
    drift,
    drift_basis,
    residual_variance,
    spatial_modes,
    spontaneous_activity,
)


def test_autoregressive_equals_a_filter_of_the_same_draws() -> None:
    noise = autoregressive((50, 3), 0.4, np.random.default_rng(1))
    drawn = np.random.default_rng(1).standard_normal((50, 3), dtype=np.float32).astype(np.float64)
    drawn[1:] *= np.sqrt(1 - 0.4**2)
    np.testing.assert_allclose(noise, lfilter([1], [1, -0.4], drawn, axis=0), atol=1e-5)
    assert noise.dtype == np.float32


@pytest.mark.parametrize("coefficient", [0.0, 0.4, 0.9])
def test_autoregressive_has_the_coefficient_and_unit_variance(coefficient: float) -> None:
    noise = autoregressive((60, 20000), coefficient, np.random.default_rng(2))
    assert noise.var() == pytest.approx(1, abs=0.02)
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(coefficient, abs=0.02)
    # Stationary from the first volume on.
    assert noise[0].var() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("n_volumes", [245, 246])
@pytest.mark.parametrize(("coefficient", "deviation"), [(0.4, 1.0), (0.0, 0.0), (0.8, 3.0)])
def test_residual_variance_is_what_detrending_leaves(
    n_volumes: int, coefficient: float, deviation: float
) -> None:
    generator = np.random.default_rng(3)
    noise = autoregressive((n_volumes, 3000), coefficient, generator)
    noise = noise + drift(n_volumes, 3000, deviation, generator)
    first, last = PreprocessRunSettings().crop[n_volumes]
    measured = (detrend(noise[first : n_volumes - last], 4) ** 2).mean()
    assert residual_variance(n_volumes, coefficient, deviation) == pytest.approx(measured, rel=0.02)


def test_drift_is_slow_and_has_its_deviation() -> None:
    slow = drift(245, 5000, 2.0, np.random.default_rng(4))
    assert (slow**2).mean() == pytest.approx(4, rel=0.03)
    np.testing.assert_allclose((drift_basis(245) ** 2).mean(0), 1)
    assert np.diff(slow, axis=0).std() < 0.1 * slow.std()


def test_spontaneous_activity_is_shared_by_neighbours_areas_and_tuning() -> None:
    rows = np.array(
        [
            0,
            1,
            2 * KNOT_SPACING,
            100 * KNOT_SPACING,
            200 * KNOT_SPACING,
            300 * KNOT_SPACING,
            300 * KNOT_SPACING + KNOT_SPACING // 2,
        ]
    )
    area = np.array([0, 1, 0, 2, 3, 4, 5])
    tuned = np.array([3, 4])
    weights = np.array([[2.0, 0.0], [3.0, 0.0]])
    modes = spatial_modes(rows, area, tuned, weights)
    activity = spontaneous_activity(modes, 40000, 0.3, np.random.default_rng(5))
    correlation = np.corrcoef(activity.T)
    np.testing.assert_allclose(activity.var(0), 1, atol=0.05)
    assert correlation[0, 1] == pytest.approx(0.5, abs=0.05)  # the local mode, other areas
    assert correlation[0, 2] == pytest.approx(0.5, abs=0.05)  # the area's mode, other places
    assert correlation[3, 4] == pytest.approx(1 / 3, abs=0.05)  # the feature's mode, other places and areas
    assert correlation[5, 6] == pytest.approx(0.5 / np.sqrt(2), abs=0.05)  # half way between two knots
    assert abs(correlation[0, 5]) < 0.05
