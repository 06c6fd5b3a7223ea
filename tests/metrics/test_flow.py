"""Optical flow against OpenCV's own values, and what the motion metrics say of known motion."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from metrics.tiny import moving_pictures
from neurocine.metrics import flow
from neurocine.metrics.flow import (
    clip_flows,
    epe_pairs,
    farneback,
    flow_cosine_pairs,
    grey_bytes,
    motion_energy_pairs,
    motion_identification_pairs,
)

REFERENCE = json.loads((Path(__file__).parent / "opencv_reference.json").read_text())


def drifting(directions: list[tuple[float, float]], size: int = 48, frames: int = 3) -> np.ndarray:
    """Clips of a soft texture that drifts by (dx, dy) pixels per frame: uint8 (n, F, size, size, 3)."""
    generator = np.random.default_rng(0)
    waves = generator.normal(size=(12, 2)) / 6
    phases = generator.uniform(0, 6.3, 12)
    y, x = np.mgrid[:size, :size].astype(np.float64)
    clips = []
    for dx, dy in directions:
        pictures = []
        for t in range(frames):
            angles = waves[:, 0, None, None] * (x - dx * t) + waves[:, 1, None, None] * (y - dy * t)
            pictures.append(128 + 15 * np.cos(angles + phases[:, None, None]).sum(0))
        clips.append(np.repeat(np.clip(pictures, 0, 255)[..., None], 3, axis=-1))
    return np.stack(clips).astype(np.uint8)


@pytest.mark.parametrize("size", [48, 80, 144])
def test_flow_equals_opencv(size: int) -> None:
    frames = torch.from_numpy(np.stack(moving_pictures(size))).float()
    found = farneback(frames[None])[0, 0].permute(1, 2, 0).numpy()
    # 48 pixels make one level, 144 three; sampled over the whole frame with its edges.
    np.testing.assert_allclose(found[4::16, 4::16], REFERENCE["flow"][str(size)], atol=2e-3)


def test_grey_values_equal_opencv() -> None:
    colours = np.array(REFERENCE["colours"], dtype=np.uint8)
    np.testing.assert_array_equal(grey_bytes(colours), REFERENCE["grey"])


def test_flow_of_a_drifting_texture_is_its_speed() -> None:
    flows = clip_flows(drifting([(1.5, -0.5), (0, 0)]))
    np.testing.assert_allclose(np.median(flows[0], axis=(0, 1, 2)), (1.5, -0.5), atol=0.1)
    assert not flows[1].any()


def test_clips_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    videos = drifting([(1, 0), (0, 1), (-1, 2)])
    together = clip_flows(videos)
    monkeypatch.setattr(flow, "BATCH_PIXELS", 1)
    np.testing.assert_allclose(clip_flows(videos), together, atol=2e-3)


def test_the_kept_places_give_the_error_of_all_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.stack(moving_pictures(128)), np.stack(moving_pictures(128)[::-1])
    videos = [np.repeat(part[None, ..., None], 3, axis=-1) for part in (first, second)]
    sampled = epe_pairs(*(clip_flows(part) for part in videos))
    monkeypatch.setattr(flow, "GRID", 128)
    every = [clip_flows(part) for part in videos]
    assert every[0].shape[2:4] == (128, 128)
    np.testing.assert_allclose(sampled, epe_pairs(*every), rtol=0.03)


def test_mind_animators_flow_takes_red_for_blue() -> None:
    """Its code converts RGB frames to grey as BGR: the flow of the same frames with channels exchanged."""
    videos = np.random.default_rng(3).integers(0, 256, (2, 3, 48, 48, 3), dtype=np.uint8)
    theirs = clip_flows(videos, exchanged=True)
    np.testing.assert_array_equal(theirs, clip_flows(videos[..., ::-1]))
    assert not np.array_equal(theirs, clip_flows(videos))


def test_epe_equals_the_loop() -> None:
    generator = np.random.default_rng(1)
    first, second = (generator.normal(size=(n, 2, 4, 5, 2)).astype(np.float16) for n in (3, 2))
    expected = [
        [np.mean(np.sqrt(((a.astype(float) - b.astype(float)) ** 2).sum(-1))) for b in second] for a in first
    ]
    np.testing.assert_allclose(epe_pairs(first, second), expected, rtol=1e-5)


def test_epe_rewards_a_frozen_video_and_the_others_do_not() -> None:
    truth = clip_flows(drifting([(2, 0), (0, 2), (-1.5, -1.5), (-2, 1)]))
    against, frozen = -truth, np.zeros_like(truth)
    error = [np.diagonal(epe_pairs(part, truth)).mean() for part in (against, frozen)]
    speed = np.hypot(truth[..., 0], truth[..., 1]).mean()
    assert error[1] == pytest.approx(speed, rel=1e-3)
    assert error[1] < error[0]
    assert (flow_cosine_pairs(frozen, truth) == 0).all()
    assert (flow_cosine_pairs(frozen, truth, centred=True) == 0).all()
    assert (motion_energy_pairs(frozen, truth) == 0).all()
    assert (motion_identification_pairs(frozen, truth) == 0.5).all()


def test_cosines_tell_direction_and_ignore_speed() -> None:
    truth = clip_flows(drifting([(1, 0), (0, 1), (-1, 0)]))
    np.testing.assert_allclose(np.diagonal(flow_cosine_pairs(2 * truth, truth)), 1, atol=1e-3)
    pairs = flow_cosine_pairs(truth, truth)
    assert pairs[0, 2] < -0.9
    assert abs(pairs[0, 1]) < 0.3


def test_centred_cosine_is_pearsons_correlation() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.normal(size=(2, 3, 2, 4, 5, 2)) + 1
    pairs = flow_cosine_pairs(first, second, centred=True)
    x, y = (part[1] - part[1].mean(axis=(0, 1, 2)) for part in (first, second))
    assert pairs[1, 1] == pytest.approx(np.corrcoef(x.ravel(), y.ravel())[0, 1], abs=1e-6)


def test_motion_energy_is_spearmans_rho() -> None:
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=(2, 9, 2, 3, 3, 2)) * generator.uniform(0.5, 3, (2, 9, 1, 1, 1, 1))
    speeds = [np.hypot(part[..., 0], part[..., 1]).mean(axis=(1, 2, 3)) for part in (first, second)]
    rho = np.diagonal(motion_energy_pairs(first, second)).mean()
    assert rho == pytest.approx(spearmanr(*speeds).statistic)


def test_motion_identification_of_shuffled_clips_is_at_chance() -> None:
    generator = np.random.default_rng(4)
    flows = generator.normal(size=(7, 2, 3, 3, 2))
    pairs = motion_identification_pairs(flows, flows)
    assert (np.diagonal(pairs) == 1).all()
    # Over all re-pairings the mean is exactly one half.
    assert pairs.mean() == pytest.approx(0.5)
