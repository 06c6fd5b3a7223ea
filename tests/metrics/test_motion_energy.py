"""Motion energy against filters written out place by place, and gratings whose motion is known."""

import numpy as np
import pytest

from neurocine.metrics.motion_energy import (
    CYCLES,
    DIRECTIONS,
    GREY,
    SIDE,
    SPATIAL_SD,
    STEPS,
    TEMPORAL_SD,
    filter_parameters,
    gabor_filters,
    motion_energy,
)

FRAMES = 6


def grating(cycles: float, direction: float, step: float, phase: float = 0.0, size: int = SIDE) -> np.ndarray:
    """A clip of a grating that fills the frame, (1, FRAMES, size, size, 3) uint8."""
    place = (np.arange(size) + 0.5) / size
    along = place[None, :] * np.cos(direction) + place[:, None] * np.sin(direction)
    frames = [np.cos(2 * np.pi * (cycles * along - step * t) + phase) for t in range(FRAMES)]
    grey = np.round(127.5 + 100 * np.stack(frames)).astype(np.uint8)
    return np.repeat(grey[None, ..., None], 3, axis=-1)


def by_place(clip: np.ndarray, cycles: int, direction: float, step: float, x: float, y: float) -> float:
    """One filter's energy, summed over frames and pixels one after the other."""
    hulls, waves, values = [], [], []
    for t in range(FRAMES):
        for row in range(SIDE):
            for column in range(SIDE):
                u, v, w = (column + 0.5) / SIDE - x, (row + 0.5) / SIDE - y, t - (FRAMES - 1) / 2
                near = np.exp(-0.5 * ((u * u + v * v) / (SPATIAL_SD / cycles) ** 2))
                hulls.append(near * np.exp(-0.5 * (w / FRAMES / TEMPORAL_SD) ** 2))
                turn = cycles * (u * np.cos(direction) + v * np.sin(direction)) - step * w
                waves.append(np.exp(2j * np.pi * turn))
                values.append(float(clip[t, row, column] @ np.array(GREY)) / 255)
    hull, wave = np.array(hulls), np.array(waves)
    gabor = hull * (wave - (hull * wave).sum() / hull.sum())
    return float(abs((np.array(values) * gabor).sum()) / np.sqrt((np.abs(gabor) ** 2).sum()))


def test_filters_are_as_written_out() -> None:
    clip = np.random.default_rng(0).integers(256, size=(1, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    found = motion_energy(clip)
    parameters = filter_parameters()
    assert found.shape == (1, len(parameters)) == (1, sum(n * n for n in CYCLES) * (2 * DIRECTIONS + 4))
    for number in np.random.default_rng(1).choice(len(parameters), 6, replace=False):
        assert found[0, number] == pytest.approx(by_place(clip[0], *parameters[number]), rel=1e-4)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("step", STEPS)
def test_a_moving_grating_excites_the_filters_of_its_motion_most(direction: int, step: float) -> None:
    angle = direction * 2 * np.pi / DIRECTIONS
    energy = motion_energy(grating(4, angle, step))[0]
    kinds: dict[tuple[int, int, float], list[float]] = {}
    for (cycles, turn, speed, _, _), value in zip(filter_parameters(), energy, strict=True):
        kinds.setdefault((cycles, round(turn * DIRECTIONS / (2 * np.pi)), speed), []).append(float(value))
    means = {kind: np.mean(values) for kind, values in kinds.items()}
    assert max(means, key=lambda kind: means[kind]) == (4, direction, step)
    assert means[4, (direction + DIRECTIONS // 2) % DIRECTIONS, step] < 0.35 * means[4, direction, step]


def test_what_stands_still_excites_no_direction_more_than_its_opposite() -> None:
    energy = motion_energy(grating(4, 0.0, 0.0))[0]
    parameters = filter_parameters()
    of = {
        kind: np.mean([e for p, e in zip(parameters, energy, strict=True) if (p[0], p[1], p[2]) == kind])
        for kind in ((4, 0.0, 0.0), (4, 0.0, STEPS[0]), (4, np.pi, STEPS[0]))
    }
    assert of[4, 0.0, STEPS[0]] == pytest.approx(of[4, np.pi, STEPS[0]], rel=0.02)
    assert of[4, 0.0, 0.0] > 2 * of[4, 0.0, STEPS[0]]


def test_phase_grey_level_and_size_of_frames_hardly_matter() -> None:
    one = motion_energy(grating(4, 0.0, STEPS[0]))
    other = motion_energy(grating(4, 0.0, STEPS[0], phase=1.3))
    strong = one > 0.3 * one.max()
    np.testing.assert_allclose(other[strong], one[strong], rtol=0.1)
    large = motion_energy(grating(4, 0.0, STEPS[0], size=4 * SIDE))
    np.testing.assert_allclose(large[strong], one[strong], rtol=0.1)
    darker = (grating(4, 0.0, STEPS[0]) - 25).astype(np.uint8)
    np.testing.assert_allclose(motion_energy(darker), one, atol=1e-3)
    grey = np.full((2, FRAMES, 20, 30, 3), 77, np.uint8)
    np.testing.assert_allclose(motion_energy(grey), 0, atol=1e-4)


def test_clips_do_not_depend_on_those_beside_them() -> None:
    clips = np.random.default_rng(2).integers(256, size=(3, 2, 16, 16, 3), dtype=np.uint8)
    each = np.concatenate([motion_energy(clip[None]) for clip in clips])
    np.testing.assert_allclose(motion_energy(clips), each, atol=1e-5)
    gabor = gabor_filters(2)
    np.testing.assert_allclose(np.linalg.norm(gabor, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(gabor.sum(axis=1), 0, atol=1e-4)
