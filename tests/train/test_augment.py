"""Views against loops written from the paper's text and equation 1."""

import itertools

import pytest
import torch

from neurocine.train.augment import interpolation_mix, random_order, replaced_frames, spatial_keep
from neurocine.train.encoder import TrainEncoderSettings


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("mode", "axis_size", "shape"), [("token", 10, (50, 10, 1)), ("feature", 8, (50, 1, 8))]
)
@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.6, 1.0])
def test_mask_hides_exactly_the_ratio_and_differs_between_samples(
    mode: str, axis_size: int, shape: tuple[int, ...], ratio: float
) -> None:
    keep = spatial_keep(50, 10, 8, ratio, mode, generator())
    assert keep.shape == shape
    assert set(keep.unique().tolist()) <= {0.0, 1.0}
    assert ((keep == 0).sum(dim=(1, 2)) == round(ratio * axis_size)).all()
    if 0 < ratio < 1:
        assert len(keep.flatten(1).unique(dim=0)) > 20
        assert (keep == 0).float().mean(dim=0).flatten().std() < 0.15  # no favourite place
    assert torch.equal(keep, spatial_keep(50, 10, 8, ratio, mode, generator()))


def test_orders_are_permutations() -> None:
    order = random_order(40, 7, generator())
    assert torch.equal(order.sort(dim=1).values, torch.arange(7).expand(40, 7))
    assert len(order.unique(dim=0)) > 30


def patterns(window: int, ratio: float, min_one: bool) -> dict[tuple[int, ...], float]:
    """Probability of each pattern of replaced frames, by listing every draw of every frame."""
    found: dict[tuple[int, ...], float] = {}
    for drawn in itertools.product((0, 1), repeat=window):
        chance = ratio ** sum(drawn) * (1 - ratio) ** (window - sum(drawn))
        all_or_none = all(drawn) or (min_one and not any(drawn))
        for frame in range(window):  # of which all but one are left, or only one is taken
            made = list(drawn)
            if all_or_none:
                made[frame] = 1 - made[frame]
            found[tuple(made)] = found.get(tuple(made), 0.0) + chance / window
    return found


@pytest.mark.parametrize("window", [2, 3])
@pytest.mark.parametrize("ratio", [0.0, 1 / 3, 0.5, 1.0])
@pytest.mark.parametrize("min_one", [True, False])
def test_patterns_of_replaced_frames_have_their_probabilities(
    window: int, ratio: float, min_one: bool
) -> None:
    drawn = replaced_frames(20_000, window, ratio, min_one, generator()).int()
    expected = patterns(window, ratio, min_one)
    for pattern in itertools.product((0, 1), repeat=window):
        share = (drawn == torch.tensor(pattern)).all(dim=1).float().mean().item()
        assert share == pytest.approx(expected.get(pattern, 0.0), abs=0.015), pattern


def test_the_ratio_changes_the_views_of_the_published_window() -> None:
    """Table 1 varies it between 1/3 and 1/2; with one frame forced, both would be one distribution."""
    default = TrainEncoderSettings()
    touched = {
        ratio: replaced_frames(20_000, default.window, ratio, default.interpolate_min_one, generator())
        .any(dim=1)
        .float()
        .mean()
        .item()
        for ratio in (0.0, 1 / 3, 0.5)
    }
    assert touched == pytest.approx({0.0: 0.0, 1 / 3: 5 / 9, 0.5: 3 / 4}, abs=0.015)
    forced = [replaced_frames(1000, 2, ratio, True, generator()).sum(dim=1) for ratio in (0.0, 0.5, 1.0)]
    assert all((counts == 1).all() for counts in forced)


def slow_interpolation(frames: torch.Tensor, replaced: list[bool], normalise: bool) -> torch.Tensor:
    """Equation 1 for one window (w, ...), from original values."""
    window = len(frames)
    result = frames.clone()
    for i in range(window):
        if replaced[i]:
            weights = {j: 1 - abs(i - j) / window for j in range(window) if j != i}
            total = sum(weights.values()) if normalise else 1.0
            result[i] = sum(weight / total * frames[j] for j, weight in weights.items())
    return result


@pytest.mark.parametrize("window", [2, 3, 6])
@pytest.mark.parametrize("normalise", [True, False])
def test_interpolation_equals_equation_1(window: int, normalise: bool) -> None:
    frames = torch.randn(20, window, 5, 4, generator=generator(1))
    before = frames.clone()
    replaced = replaced_frames(20, window, 0.5, True, generator())
    mixed = torch.einsum("bij,bjpd->bipd", interpolation_mix(replaced, normalise), frames)
    expected = torch.stack(
        [
            slow_interpolation(one, which, normalise)
            for one, which in zip(frames, replaced.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(mixed, expected)
    assert torch.equal(frames, before)


def test_printed_weights_of_window_two_and_three() -> None:
    edge = interpolation_mix(torch.tensor([[True, False]]), normalise=False)
    assert edge[0].tolist() == [[0.0, 0.5], [0.0, 1.0]]
    centre = interpolation_mix(torch.tensor([[False, True, False]]), normalise=False)
    assert centre[0, 1].tolist() == pytest.approx([2 / 3, 0, 2 / 3])
    assert interpolation_mix(torch.tensor([[True, False]]), normalise=True)[0].tolist() == [[0, 1], [0, 1]]


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="ratio"):
        spatial_keep(1, 4, 4, 1.5, "token", generator())
    with pytest.raises(ValueError, match="mode"):
        spatial_keep(1, 4, 4, 0.5, "voxel", generator())
    with pytest.raises(ValueError, match="ratio"):
        replaced_frames(1, 2, -0.1, True, generator())
    with pytest.raises(ValueError, match="one frame"):
        replaced_frames(1, 1, 0.5, True, generator())
