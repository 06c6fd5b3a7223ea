"""Dependent noise against its definition: variance, correlation, and both ends of the ratio."""

import pytest
import torch

from neurocine.diffusion.noise import dependent_noise


def draw(ratio: float, shape: tuple[int, ...] = (400, 4, 6, 4, 4), seed: int = 0) -> torch.Tensor:
    return dependent_noise(shape, ratio, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("ratio", [0.0, 0.25, 0.75, 1.0])
def test_every_frame_has_unit_variance_and_frames_correlate_by_the_ratio(ratio: float) -> None:
    frames = draw(ratio).transpose(1, 2).transpose(0, 1).flatten(1)  # (F, samples)
    covariance = torch.cov(frames.double())
    expected = torch.full((6, 6), ratio, dtype=torch.double).fill_diagonal_(1.0)
    assert (covariance - expected).abs().max() < 0.03  # 25,600 samples: standard error below 0.009


def test_ratio_zero_is_plain_noise_and_one_repeats_the_frame() -> None:
    still = draw(1.0)
    assert torch.equal(still, still[:, :, :1].expand_as(still))
    generator = torch.Generator().manual_seed(0)
    torch.randn(400, 4, 1, 4, 4, generator=generator)  # the shared part is drawn first
    assert torch.equal(draw(0.0), torch.randn(400, 4, 6, 4, 4, generator=generator))


def test_clips_and_channels_are_independent() -> None:
    noise = draw(1.0)[:, :, 0].transpose(0, 1).flatten(1)  # (C, samples)
    assert torch.corrcoef(noise).fill_diagonal_(0).abs().max() < 0.05
    assert not torch.equal(draw(1.0)[0], draw(1.0)[1])


def test_same_generator_state_gives_same_noise_in_the_dtype_asked_for() -> None:
    first = draw(0.5, (2, 4, 6, 2, 2), seed=3)
    assert torch.equal(first, draw(0.5, (2, 4, 6, 2, 2), seed=3))
    half = dependent_noise((2, 4, 6, 2, 2), 0.5, torch.Generator().manual_seed(3), dtype=torch.float16)
    assert half.dtype == torch.float16
    assert torch.equal(half, first.half())


@pytest.mark.parametrize("ratio", [-0.01, 1.01, float("nan")])
def test_a_ratio_outside_its_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="noise ratio"):
        draw(ratio)


def test_a_shape_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, C, F, h, w\)"):
        draw(0.5, (2, 4, 8, 8))
