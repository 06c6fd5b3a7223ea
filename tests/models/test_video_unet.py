"""The video UNet against the image UNet it is made of, and against a slow list of which frame sees which."""

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.models.video_unet import (
    SparseCausalAttnProcessor,
    VideoTransformerBlock,
    VideoUNet,
    attended_frames,
    frame_code,
    is_temporal,
)

FRAMES = 5
MODES = [
    (frames, include_self, position)
    for frames in ("prev2", "first_prev", "own")
    for include_self in (True, False)
    for position in ("after_self", "block_end")
]


def image_unet(condition_width: int = 12) -> UNet2DConditionModel:
    torch.manual_seed(0)
    net = UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=condition_width,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    return net.eval()


def wake_temporal(net: VideoUNet) -> VideoUNet:
    """Give the zero output layers of the temporal attentions weights, as training would."""
    torch.manual_seed(1)
    for name, parameter in net.named_parameters():
        if "attn_temp.to_out" in name:
            nn.init.normal_(parameter, std=0.5)
    return net


def inputs(clips: int = 2, frames: int = FRAMES, seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(clips, 4, frames, 4, 4, generator=generator)
    states = torch.randn(clips, 7, 12, generator=generator)
    return sample, torch.tensor([10, 500, 900][:clips]), states


@pytest.mark.parametrize(("sc_frames", "include_self", "position"), MODES)
def test_one_frame_video_equals_the_image_unet(sc_frames: str, include_self: bool, position: str) -> None:
    image = image_unet()
    video = wake_temporal(VideoUNet.from_unet2d(image, sc_frames, include_self, position))
    sample, times, states = inputs(frames=1)
    expected = image(sample[:, :, 0], times, states).sample
    torch.testing.assert_close(video(sample, times, states).sample[:, :, 0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(video(sample[:, :, 0], times, states).sample, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("position", ["after_self", "block_end"])
def test_with_own_frame_attention_a_new_video_unet_is_the_image_unet_on_each_frame(position: str) -> None:
    image = image_unet()
    video = VideoUNet.from_unet2d(image, "own", temporal_position=position)
    sample, times, states = inputs()
    output = video(sample, times, states, return_dict=False)[0]
    for frame in range(FRAMES):
        expected = image(sample[:, :, frame], times, states).sample
        torch.testing.assert_close(output[:, :, frame], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("sc_frames", "include_self", "position"), MODES)
def test_a_still_clip_gives_the_image_output_on_every_frame(
    sc_frames: str, include_self: bool, position: str
) -> None:
    image = image_unet()
    video = VideoUNet.from_unet2d(image, sc_frames, include_self, position)
    sample, times, states = inputs()
    still = sample[:, :, :1].expand_as(sample)
    expected = image(sample[:, :, 0], times, states).sample.unsqueeze(2).expand_as(sample)
    torch.testing.assert_close(video(still, times, states).sample, expected, rtol=1e-4, atol=1e-5)


def test_attended_frames_by_hand() -> None:
    assert attended_frames(4, "prev2", False) == [[0, 0], [0, 0], [0, 1], [1, 2]]
    assert attended_frames(4, "prev2", True) == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert attended_frames(4, "first_prev", False) == [[0, 0], [0, 0], [0, 1], [0, 2]]
    assert attended_frames(3, "own", True) == attended_frames(3, "own", False) == [[0], [1], [2]]


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("sc_frames", ["prev2", "first_prev", "own"])
def test_self_attention_reads_exactly_the_listed_frames(sc_frames: str, include_self: bool) -> None:
    """Perturb each frame in turn and see which outputs of one attention layer move."""
    video = VideoUNet.from_unet2d(image_unet(), sc_frames, include_self)
    attention = video.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    tokens = torch.randn(FRAMES, 6, 8, generator=torch.Generator().manual_seed(0))
    before = attention(tokens, n_frames=FRAMES)
    listed = attended_frames(FRAMES, sc_frames, include_self)
    for perturbed in range(FRAMES):
        changed = tokens.clone()
        changed[perturbed] += 1.0
        moved = (attention(changed, n_frames=FRAMES) - before).abs().amax((1, 2)) > 1e-6
        # A frame's own query moves its output whether or not its keys are among those seen.
        expected = [frame == perturbed or perturbed in listed[frame] for frame in range(FRAMES)]
        assert moved.tolist() == expected


def test_sparse_causal_attention_equals_one_frame_at_a_time() -> None:
    video = VideoUNet.from_unet2d(image_unet(), "prev2", True)
    attention = video.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    tokens = torch.randn(2, FRAMES, 6, 8, generator=torch.Generator().manual_seed(0))
    fast = attention(tokens.flatten(0, 1), n_frames=FRAMES).unflatten(0, (2, FRAMES))
    for clip in range(2):
        for frame, seen in enumerate(attended_frames(FRAMES, "prev2", True)):
            keys = torch.cat([tokens[clip, other] for other in seen])
            slow = []
            for head in range(attention.heads):
                part = slice(head * 4, head * 4 + 4)
                query = attention.to_q(tokens[clip, frame])[:, part]
                weights = (query @ attention.to_k(keys)[:, part].T / 2.0).softmax(1)  # sqrt(head width)
                slow.append(weights @ attention.to_v(keys)[:, part])
            expected = attention.to_out[0](torch.cat(slow, 1))
            torch.testing.assert_close(fast[clip, frame], expected, rtol=1e-4, atol=1e-5)


def test_without_temporal_attention_later_frames_do_not_reach_earlier_ones() -> None:
    sample, times, states = inputs()
    changed = sample.clone()
    changed[:, :, 3] += 1.0
    fresh = VideoUNet.from_unet2d(image_unet())
    moved = (fresh(changed, times, states).sample - fresh(sample, times, states).sample).abs()
    moved = moved.amax((0, 1, 3, 4))
    assert (moved[:3] == 0).all()
    assert (moved[3:] > 1e-5).all()
    awake = wake_temporal(fresh)
    moved = (awake(changed, times, states).sample - awake(sample, times, states).sample).abs()
    assert (moved.amax((0, 1, 3, 4)) > 1e-6).all()


def test_temporal_attention_knows_the_order_of_frames() -> None:
    block = wake_temporal(VideoUNet.from_unet2d(image_unet())).mid_block.attentions[0].transformer_blocks[0]
    tokens = torch.randn(FRAMES, 6, 16, generator=torch.Generator().manual_seed(0))
    forward, backward = block._temporal(tokens, FRAMES), block._temporal(tokens.flip(0), FRAMES).flip(0)
    assert (forward - backward).abs().max() > 1e-3
    codes = frame_code(6, 8, tokens)
    assert codes.shape == (6, 8)
    assert torch.cdist(codes, codes).fill_diagonal_(9.0).min() > 0.5


def test_clips_of_a_batch_do_not_mix() -> None:
    video = wake_temporal(VideoUNet.from_unet2d(image_unet()))
    sample, times, states = inputs(clips=3)
    together = video(sample, times, states).sample
    for clip in range(3):
        one = slice(clip, clip + 1)
        alone = video(sample[one], times[one], states[one]).sample
        torch.testing.assert_close(together[one], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("sc_frames", "include_self", "position"), MODES[1:5])
def test_config_and_weights_survive_saving(
    tmp_path: Path, sc_frames: str, include_self: bool, position: str
) -> None:
    video = wake_temporal(VideoUNet.from_unet2d(image_unet(), sc_frames, include_self, position))
    video.save_pretrained(tmp_path)
    again = VideoUNet.from_pretrained(tmp_path)
    assert (again.config.sc_frames, again.config.sc_include_self) == (sc_frames, include_self)
    assert again.config.temporal_position == position
    assert again.config.block_out_channels == [8, 16]
    assert torch.equal(again(*inputs()).sample, video(*inputs()).sample)


def test_a_half_precision_image_unet_gives_one_for_video() -> None:
    video = VideoUNet.from_unet2d(image_unet().to(torch.bfloat16))
    assert {parameter.dtype for parameter in video.parameters()} == {torch.bfloat16}
    sample, times, states = (value.bfloat16() if value.is_floating_point() else value for value in inputs())
    assert video(sample, times, states).sample.dtype == torch.bfloat16


def test_an_image_unet_folder_is_refused(tmp_path: Path) -> None:
    image_unet().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="from_unet2d"):
        VideoUNet.from_pretrained(tmp_path)


def test_unknown_options_and_mismatched_weights_are_refused() -> None:
    image = image_unet()
    with pytest.raises(ValueError, match="sc_frames"):
        VideoUNet.from_unet2d(image, "next2")
    with pytest.raises(ValueError, match="temporal_position"):
        VideoUNet.from_unet2d(image, temporal_position="before")
    with pytest.raises(ValueError, match="trainable"):
        VideoUNet.from_unet2d(image).set_trainable("attn")
    image.extra = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="unknown"):
        VideoUNet.from_unet2d(image)
    video = VideoUNet.from_unet2d(image_unet())
    sample, times, states = inputs()
    with pytest.raises(ValueError, match="2 clips but 1 conditions"):
        video(sample, times, states[:1])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("which", ["attention", "all"])
def test_gradients_reach_exactly_the_trainable_parameters(which: str, checkpointing: bool) -> None:
    video = wake_temporal(VideoUNet.from_unet2d(image_unet())).train()
    video.set_trainable(which)
    if checkpointing:
        video.enable_gradient_checkpointing()
    video(*inputs()).sample.square().mean().backward()
    for name, parameter in video.named_parameters():
        trained = which == "all" or any(f".{part}." in name for part in ("attn1", "attn2", "attn_temp"))
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == trained, name


def test_checkpointing_gives_the_same_gradients_even_when_clip_lengths_alternate() -> None:
    gradients = []
    for checkpointing in (False, True):
        video = wake_temporal(VideoUNet.from_unet2d(image_unet())).train()
        if checkpointing:
            video.enable_gradient_checkpointing()
        long, short = video(*inputs()).sample, video(*inputs(frames=2)).sample
        (long.square().mean() + short.square().mean()).backward()
        gradients.append([parameter.grad.clone() for parameter in video.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, rtol=1e-4, atol=1e-7)


def test_checkpointing_reaches_every_transformer_block_and_keeps_less() -> None:
    kept, calls = [], []
    for checkpointing in (False, True):
        video = VideoUNet.from_unet2d(image_unet()).train()
        if checkpointing:
            video.enable_gradient_checkpointing()
        blocks = [part for part in video.modules() if isinstance(part, VideoTransformerBlock)]
        count = dict.fromkeys(range(len(blocks)), 0)
        for number, block in enumerate(blocks):
            block.register_forward_pre_hook(
                lambda *_, number=number, count=count: count.update({number: count[number] + 1})
            )
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.nelement())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = video(*inputs()).sample.square().mean()
        kept.append(sum(sizes))
        loss.backward()
        calls.append(set(count.values()))
    assert calls == [{1}, {2}]  # forward once more in the backward pass
    assert kept[1] < kept[0] / 2


@pytest.mark.parametrize("position", ["after_self", "block_end"])
def test_output_layers_of_new_temporal_attentions_are_zero_and_nothing_else_is(position: str) -> None:
    video = VideoUNet.from_unet2d(image_unet(), temporal_position=position)
    zero = {name for name, value in video.named_parameters() if is_temporal(name) and not value.any()}
    outputs = {name for name, _ in video.named_parameters() if ".attn_temp.to_out.0." in name}
    norms = {name for name, _ in video.named_parameters() if name.endswith("norm_temp.bias")}
    assert len(outputs) == 2 * len(norms) == 2 * 4  # weight and bias in each of this UNet's four blocks
    assert zero == outputs | norms


def test_stable_diffusion_weights_have_a_place_name_for_name() -> None:
    with torch.device("meta"):
        image = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)  # as its config.json says
        video = VideoUNet(sample_size=32, cross_attention_dim=768)
    published = {name: value.shape for name, value in image.state_dict().items()}
    ours = {name: value.shape for name, value in video.state_dict().items() if not is_temporal(name)}
    assert ours == published
    assert len(published) == 686
    assert sum(shape.numel() for shape in published.values()) == 859_520_964


def test_stable_diffusion_size_has_the_published_parameters() -> None:
    with torch.device("meta"):
        video = VideoUNet(sample_size=32, cross_attention_dim=768)  # the other defaults are SD 1's
    sizes = {name: parameter.numel() for name, parameter in video.named_parameters()}
    temporal = sum(size for name, size in sizes.items() if is_temporal(name))
    assert round(sum(sizes.values()) / 1e6, 2) == 909.12
    assert round(temporal / 1e6, 2) == 49.60
    assert sum(name.endswith("attn_temp.to_q.weight") for name in sizes) == 16
    video.set_trainable("attention")
    trained = sum(value.numel() for value in video.parameters() if value.requires_grad)
    assert round(trained / 1e6, 1) == 143.1


@pytest.mark.parametrize("n_frames", [2, 6])
@pytest.mark.parametrize(("kind", "include_self"), [("prev2", True), ("prev2", False), ("first_prev", True)])
def test_keys_of_other_frames_have_the_bits_of_an_index(kind: str, include_self: bool, n_frames: int) -> None:
    frames = attended_frames(n_frames, kind, include_self)
    tokens = torch.randn(2 * n_frames, 5, 8, generator=torch.Generator().manual_seed(0))
    found = []

    def by_index(tokens: Tensor, frames: list[list[int]]) -> Tensor:
        clips = tokens.unflatten(0, (-1, len(frames)))
        columns = [clips[:, list(column)] for column in zip(*frames, strict=True)]
        return torch.cat(columns, dim=2).flatten(0, 1)

    for gather in (by_index, SparseCausalAttnProcessor._gather):
        leaf = tokens.clone().requires_grad_()
        keys = gather(leaf, frames)
        (keys * torch.linspace(0.1, 3, keys.numel()).sin().view_as(keys)).sum().backward()
        found.append((keys.detach(), leaf.grad))
    for value, reference in zip(found[1], found[0], strict=True):
        assert torch.equal(value, reference)


def test_a_saved_network_does_not_name_the_folder_it_came_from(tmp_path: Path) -> None:
    image_unet().save_pretrained(tmp_path / "image")
    folder = tmp_path / "image"
    for name in ("first", "second"):
        if name == "first":
            unet = VideoUNet.from_unet2d(UNet2DConditionModel.from_pretrained(folder))
        else:
            unet = VideoUNet.from_pretrained(folder)
        folder = tmp_path / name
        unet.save_pretrained(folder)
        assert str(tmp_path) not in (folder / "config.json").read_text()
        assert VideoUNet.from_pretrained(folder).config["sc_frames"] == "prev2"
