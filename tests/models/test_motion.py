"""The motion generator and its masks against plain loops."""

import math

import pytest
import torch

from neurocine.models.motion import (
    Attention,
    MotionConfig,
    MotionGenerator,
    causal_mask,
    position_code,
    released_mask,
    sparse_causal_mask,
)

SHAPE = (4, 2, 2)


def tiny(**values: object) -> MotionGenerator:
    sizes = {
        "n_vertices": 9,
        "n_frames": 5,
        "latent_shape": SHAPE,
        "encoder_width": 8,
        "feedforward_width": 8,
    }
    torch.manual_seed(0)
    return MotionGenerator(MotionConfig(**{**sizes, **values})).eval()  # type: ignore[arg-type]


def given(n_clips: int = 3, n_frames: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(n_clips, n_frames, *SHAPE, generator=generator)
    return torch.randn(n_clips, 9, generator=generator), frames


@pytest.mark.parametrize("hide", [0.0, 0.6, 1.0])
def test_the_paper_mask_equals_a_double_loop(hide: float) -> None:
    seen = sparse_causal_mask(8, hide, torch.Generator().manual_seed(3))
    draws = torch.rand(8, 8, generator=torch.Generator().manual_seed(3))
    for i in range(8):
        for j in range(8):
            allowed = j <= i and (j == 0 or j == i or bool(draws[i, j] >= hide))
            assert bool(seen[i, j]) == allowed, (i, j)


@pytest.mark.parametrize("keep", [0.0, 0.6, 1.0])
def test_the_released_mask_equals_a_double_loop(keep: float) -> None:
    seen = released_mask(8, keep, torch.Generator().manual_seed(3))
    draws = torch.rand(8, 8, generator=torch.Generator().manual_seed(3))
    for i in range(8):
        for j in range(8):
            allowed = j <= i and not (i > 1 and j != 0 and bool(draws[i, j] >= keep))
            assert bool(seen[i, j]) == allowed, (i, j)


def test_the_masks_hide_as_often_as_they_say() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.stack([~sparse_causal_mask(6, 0.6, generator) for _ in range(3000)]).float().mean(0)
    assert abs(float(hidden[5, 2]) - 0.6) < 0.03
    assert hidden[5, 0] == hidden[5, 5] == 0
    shown = torch.stack([released_mask(6, 0.6, generator) for _ in range(3000)]).float().mean(0)
    assert abs(float(shown[5, 2]) - 0.6) < 0.03
    assert abs(float(shown[5, 5]) - 0.6) < 0.03, "the released mask may hide a frame from itself"


def test_the_released_mask_at_inference_shows_frame_0_alone() -> None:
    seen = released_mask(5, 0.0, torch.Generator())
    assert seen.sum(1).tolist() == [1, 2, 1, 1, 1]
    assert bool(seen[:, 0].all())


def test_attention_equals_sums_over_single_tokens() -> None:
    torch.manual_seed(0)
    attention = Attention(6, 8, 2, dropout=0.0).double().eval()
    x, memory = torch.randn(2, 3, 6).double(), torch.randn(2, 3, 6).double()
    seen = causal_mask(3)
    made = attention(x, memory, seen)
    q, k, v = attention.query(x), attention.key(memory), attention.value(memory)
    for clip in range(2):
        for i in range(3):
            heads = []
            for head in range(2):
                part = slice(4 * head, 4 * head + 4)
                weights = [
                    math.exp(float((q[clip, i, part] @ k[clip, j, part]).detach()) / 2.0)
                    if seen[i, j]
                    else 0.0
                    for j in range(3)
                ]
                mixed = [w * v[clip, j, part] for j, w in enumerate(weights)]
                heads.append(torch.stack(mixed).sum(0) / sum(weights))
            assert torch.allclose(made[clip, i], attention.out(torch.cat(heads)))


def test_positions_are_the_sines_and_cosines_of_the_formula() -> None:
    code = position_code(4, 10)
    for position in range(4):
        for feature in range(10):
            angle = position / 10_000 ** (2 * (feature // 2) / 10)
            expected = math.cos(angle) if feature % 2 else math.sin(angle)
            assert float(code[position, feature]) == pytest.approx(expected, abs=1e-6)


def test_what_comes_later_changes_no_earlier_prediction() -> None:
    net, (bold, frames) = tiny(), given()
    before = net(bold, frames, causal_mask(4))
    frames[:, 2:] += 1
    after = net(bold, frames, causal_mask(4))
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2:], after[:, 2:])


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_rolling_out_a_batch_equals_clip_by_clip_and_frame_by_frame(variant: str) -> None:
    net, (bold, frames) = tiny(variant=variant), given()
    made = net.roll_out(bold, frames[:, 0])
    assert made.shape == (3, 5, *SHAPE)
    assert torch.equal(made[:, 0], frames[:, 0])
    mask = causal_mask(4) if variant == "paper" else released_mask(4, 0.0, torch.Generator())
    for clip in range(3):
        known = [frames[clip, 0]]
        while len(known) < 5:
            n = len(known)
            after = net(bold[clip : clip + 1], torch.stack(known)[None], mask[:n, :n])[0, -1]
            known.append(after)
        assert torch.allclose(made[clip], torch.stack(known), atol=1e-6)


def test_one_memory_token_adds_the_same_to_every_frame() -> None:
    net, (bold, frames) = tiny(), given()
    memory = net.memory(bold)
    assert memory.shape == (3, 1, 16)
    added = net.layers[0].cross_attention(frames.flatten(2), memory)
    assert torch.allclose(added, added[:, :1].expand_as(added), atol=1e-6)
    assert tiny(memory_tokens=3).memory(bold).shape == (3, 3, 16)


def test_a_generator_without_fmri_is_blind_to_it() -> None:
    (bold, frames), blind = given(), tiny(from_fmri=False)
    assert torch.equal(blind.roll_out(bold, frames[:, 0]), blind.roll_out(bold + 1, frames[:, 0]))
    seeing = tiny()
    assert not torch.allclose(seeing.roll_out(bold, frames[:, 0]), seeing.roll_out(bold + 1, frames[:, 0]))


def test_the_published_size() -> None:
    with torch.device("meta"):
        net = MotionGenerator(MotionConfig(n_vertices=4500, n_frames=8, latent_shape=(4, 64, 64)))
    assert net.config.inner_width() == 1024
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(335.4e6, rel=0.002)


def test_a_width_that_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        tiny(attention_width=6, heads=4)
