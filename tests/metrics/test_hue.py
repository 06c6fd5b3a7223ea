"""Hue metrics against OpenCV's conversion, scikit-image and slow loops."""

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.color import hsv2rgb, rgb2hsv

from neurocine.metrics.hue import hue_and_saturation, hue_circ_corr_pairs, hue_cos_ma_pairs, opencv_hue

REFERENCE = json.loads((Path(__file__).parent / "opencv_reference.json").read_text())


def colourful(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 2, 8, 9, 3), dtype=np.uint8)


def turned(hue: float, spread: float) -> np.ndarray:
    """A clip whose hues lie around a mean: uint8 (1, 2, 12, 12, 3)."""
    ramp = np.linspace(-spread, spread, 144).reshape(12, 12)
    colours = hsv2rgb(np.stack([(hue + ramp) % 1, np.full_like(ramp, 0.8), np.full_like(ramp, 0.7)], -1))
    return np.rint(255 * np.stack([colours, colours])[None]).astype(np.uint8)


def test_hue_equals_opencv() -> None:
    colours = np.array(REFERENCE["colours"], dtype=np.uint8)
    np.testing.assert_array_equal(opencv_hue(colours), REFERENCE["hue"])


def test_published_cosine_equals_the_loop() -> None:
    first, second = colourful(2, 0), colourful(3, 1)
    pairs = hue_cos_ma_pairs(first, second)
    for i, j in np.ndindex(*pairs.shape):
        cosines = []
        for a, b in zip(opencv_hue(first[i]) / 360, opencv_hue(second[j]) / 360, strict=True):
            cosines.append((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
        assert pairs[i, j] == pytest.approx(np.mean(cosines), abs=1e-6)


def test_published_cosine_is_high_for_unrelated_frames_and_the_correlation_is_not() -> None:
    first, second = colourful(5, 2), colourful(5, 3)
    assert hue_cos_ma_pairs(first, second).min() > 0.6
    assert abs(hue_circ_corr_pairs(first, second).mean()) < 0.1


def test_hue_and_saturation_equal_skimage() -> None:
    frames = colourful(1, 4)
    hue, saturation = hue_and_saturation(frames)
    expected = rgb2hsv(frames)
    np.testing.assert_allclose((hue / (2 * np.pi)) % 1, expected[..., 0], atol=1e-6)
    np.testing.assert_allclose(saturation, expected[..., 1], atol=1e-6)


def test_circular_correlation_equals_the_loop() -> None:
    first, second = colourful(2, 5), colourful(2, 6)
    pairs = hue_circ_corr_pairs(first, second)
    for i, j in np.ndindex(2, 2):
        values = []
        for a, b in zip(rgb2hsv(first[i]), rgb2hsv(second[j]), strict=True):
            sides = []
            for hsv in (a, b):
                phasors = hsv[..., 1] * np.exp(2j * np.pi * hsv[..., 0])
                mean = np.angle(phasors.sum())
                sides.append((phasors * np.exp(-1j * mean)).imag)
            x, y = sides
            values.append((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
        assert pairs[i, j] == pytest.approx(np.mean(values), abs=1e-5)


def test_red_does_not_wrap() -> None:
    # Hues around red lie at both ends of the scale; turning all hues changes nothing.
    at_red, at_green = turned(0.0, 0.1), turned(0.4, 0.1)
    assert hue_circ_corr_pairs(at_red, at_green)[0, 0] == pytest.approx(1, abs=0.01)
    assert hue_circ_corr_pairs(at_red, at_red[:, :, ::-1, ::-1])[0, 0] < -0.5


def test_frames_without_colour_count_nothing() -> None:
    grey = np.full((1, 2, 8, 9, 3), 90, dtype=np.uint8)
    assert hue_circ_corr_pairs(grey, colourful(1, 7))[0, 0] == 0
    assert hue_cos_ma_pairs(grey, colourful(1, 7))[0, 0] == 0
