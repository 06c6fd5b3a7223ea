"""Haemodynamic response and acquisition times of the simulated runs."""

import numpy as np
import pytest
from scipy.stats import gamma

from neurocine.errors import InputError
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.simulate.response import haemodynamic_kernel, kept_times, response_at, volume_times


def canonical(time: np.ndarray) -> np.ndarray:
    """SPM's double gamma, as a density over seconds."""
    return gamma.pdf(time, 6) - gamma.pdf(time, 16) / 6


def test_kernel_is_the_integrated_double_gamma() -> None:
    fine = np.arange(0, 32, 0.001) + 0.0005
    expected = canonical(fine).reshape(64, 500).sum(1)
    np.testing.assert_allclose(haemodynamic_kernel(0.5), expected / expected.sum(), atol=1e-7)


def test_kernel_peaks_at_five_seconds_and_undershoots() -> None:
    kernel = haemodynamic_kernel(0.1)
    assert kernel.argmax() * 0.1 == pytest.approx(5.0, abs=0.11)
    assert kernel[130:200].max() < 0


@pytest.mark.parametrize("n_volumes", [245, 246])
def test_kept_volumes_sit_five_seconds_after_their_clip(n_volumes: int) -> None:
    first, last = PreprocessRunSettings().crop[n_volumes]
    kept = volume_times(n_volumes)[first : n_volumes - last]
    np.testing.assert_array_equal(kept, 2 * np.arange(240) + 5)
    np.testing.assert_array_equal(kept, kept_times())


def test_other_numbers_of_volumes_are_refused() -> None:
    with pytest.raises(InputError, match="244"):
        volume_times(244)


def test_response_equals_the_slow_sum() -> None:
    features = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    kernel = haemodynamic_kernel()
    times = np.array([0.0, 0.5, 3.0, 17.5, 30.0])
    expected = np.zeros((5, 2))
    for row, time in enumerate(times):
        for k in range(60):
            lag = round(time / 0.5) - 1 - k
            if 0 <= lag < len(kernel):
                expected[row] += kernel[lag] * features[k]
    np.testing.assert_allclose(response_at(features, times), expected, atol=1e-5)
    halfway = response_at(features, np.array([3.25]))
    around = response_at(features, np.array([3.0, 3.5]))
    np.testing.assert_allclose(halfway[0], around.mean(0), atol=1e-6)


def test_nothing_is_seen_before_the_movie() -> None:
    assert not response_at(np.ones((20, 1), np.float32), np.array([-8.0, 0.0])).any()


def test_times_beyond_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match="end at 10"):
        response_at(np.ones((20, 1), np.float32), np.array([10.5]))


@pytest.mark.parametrize("clip", [0, 7, 230])
def test_a_clip_peaks_at_its_own_sample_or_the_next(clip: int) -> None:
    features = np.zeros((984, 1), np.float32)
    features[clip * 4 : clip * 4 + 4] = 1
    samples = response_at(features, kept_times())[:, 0]
    assert samples.argmax() - clip in (0, 1)
    # Own sample and next, the window of two, carry the response; the one before is far lower.
    assert samples[clip] > 0.8 * samples.max()
    assert clip == 0 or samples[clip - 1] < 0.5 * samples.max()
