"""The fMRI encoder: padding, equations against slow loops, zero start of temporal attention, files, sizes."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from neurocine.errors import InputError
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig, load_backbone_from, position_table
from neurocine.models.masked_autoencoder import DecoderConfig, MaskedAutoencoder

TINY = FmriEncoderConfig(
    n_vertices=21, window=2, patch=4, depth=2, width=8, heads=2, tokens=3, text_width=5, embedding_width=6
)
SINGLE = TINY.replace(window=1, temporal=False, tokens=0)


def make(config: FmriEncoderConfig = TINY, seed: int = 0) -> FmriEncoder:
    torch.manual_seed(seed)
    encoder = FmriEncoder(config)
    for name, parameter in encoder.named_parameters():  # no zeros or ones left that could hide an error
        if parameter.ndim == 1 or "attn_temp.proj" in name:
            nn.init.normal_(parameter, mean=0.5 if "norm" in name and "weight" in name else 0.0, std=0.3)
    return encoder.eval()


def bold(n: int = 3, config: FmriEncoderConfig = TINY) -> Tensor:
    return torch.randn(n, config.window, config.n_vertices, generator=torch.Generator().manual_seed(1))


def slow_attention(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Attention over (tokens, width), one query and head at a time."""
    width = tokens.shape[1]
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query, key, value = (
        tokens @ weight[i * width : (i + 1) * width].T + bias[i * width : (i + 1) * width] for i in range(3)
    )
    size = width // attention.heads
    rows = []
    for i in range(len(tokens)):
        mixed = []
        for head in range(attention.heads):
            part = slice(head * size, (head + 1) * size)
            share = torch.stack([query[i, part] @ key[j, part] / math.sqrt(size) for j in range(len(tokens))])
            share = share.exp() / share.exp().sum()
            mixed.append(sum(share[j] * value[j, part] for j in range(len(tokens))))
        rows.append(torch.cat(mixed))
    return attention.proj(torch.stack(rows))


def slow_forward(encoder: FmriEncoder, sample: Tensor) -> Tensor:
    """One window (w, V), loop by loop as the method says."""
    config = encoder.config
    kernel, bias = encoder.patch_embed["proj"].weight[:, 0], encoder.patch_embed["proj"].bias
    frames = []
    for frame in sample:
        values = [frame[i % config.n_vertices] for i in range(config.n_patches * config.patch)]
        patches = torch.stack(values).view(config.n_patches, config.patch)
        frames.append(patches @ kernel.T + bias + position_table(config.n_patches, config.width))
    for block in encoder.blocks:
        frames = [frame + slow_attention(block.attn, block.norm1(frame)) for frame in frames]
        moved = [frame.clone() for frame in frames]
        for place in range(config.n_patches):
            here = torch.stack([frame[place] for frame in frames])
            changed = here + slow_attention(block.attn_temp, block.norm_temp(here))
            for number in range(config.window):
                moved[number][place] = changed[number]
        frames = [frame + block.mlp(block.norm2(frame)) for frame in moved]
    joined = encoder.norm(torch.cat(frames))
    mapped = encoder.proj_head.channel_mapper.weight @ joined
    projected = mapped @ encoder.proj_head.projection.weight.T
    return projected + torch.nn.functional.gelu(projected) @ encoder.proj_head.fc.weight.T


def test_forward_equals_slow_loops() -> None:
    encoder = make()
    with torch.no_grad():
        expected = torch.stack([slow_forward(encoder, sample) for sample in bold()])
        torch.testing.assert_close(encoder(bold()), expected, rtol=1e-4, atol=1e-5)
    assert encoder(bold()).shape == (3, 3, 5)
    torch.testing.assert_close(encoder.embedding(expected), encoder.pool(expected.mean(1)))


def test_flat_head_equals_one_matrix_per_output_token() -> None:
    config = TINY.replace(head="flat", head_channels=3, head_rank=4)
    encoder = make(config)
    head = encoder.proj_head
    joined = torch.randn(2, 2 * config.n_patches, config.width)
    expected = torch.zeros(2, config.tokens, config.text_width)
    for sample in range(2):
        for token in range(config.tokens):
            for feature in range(config.text_width):
                row = token * config.text_width + feature
                total = head.up.bias[row].clone()
                for place in range(2 * config.n_patches):
                    down = head.down.weight[:, 3 * place : 3 * place + 3]
                    total += head.up.weight[row] @ down @ head.reduce.weight @ joined[sample, place]
                expected[sample, token, feature] = total
    expected = expected + torch.nn.functional.gelu(expected) @ head.fc.weight.T
    torch.testing.assert_close(head(joined), expected, rtol=1e-4, atol=1e-5)
    assert encoder(bold()).shape == (3, 3, 5)


def test_only_a_frame_code_tells_attention_the_order_of_frames() -> None:
    for coded in (False, True):
        encoder = make(TINY.replace(frame_code=coded))
        tokens = encoder.tokenize(bold()) + encoder.pos_embed
        with torch.no_grad():
            swapped = encoder.encode(tokens.flip(1)).flip(1)
            same = torch.allclose(swapped, encoder.encode(tokens), atol=1e-6)
        assert same == (not coded)
        assert not any("frame_code" in name for name in encoder.state_dict())  # nothing to load or to miss


def test_frame_code_and_flat_head_start_from_the_pretrained_encoder_and_come_back(tmp_path: Path) -> None:
    pretrained = make(SINGLE)
    pretrained.save_pretrained(tmp_path / "pretrained")
    torch.manual_seed(5)
    encoder = FmriEncoder(TINY.replace(frame_code=True, head="flat"))
    load_backbone_from(tmp_path / "pretrained", encoder)
    tokens = encoder.tokenize(bold()) + encoder.pos_embed
    each = torch.stack([pretrained.encode(tokens[:, [frame]])[:, 0] for frame in range(2)], dim=1)
    assert torch.equal(encoder.encode(tokens), each)
    nn.init.normal_(encoder.blocks[0].attn_temp.proj.weight)
    encoder.save_pretrained(tmp_path / "trained")
    torch.testing.assert_close(FmriEncoder.from_pretrained(tmp_path / "trained")(bold()), encoder(bold()))


@pytest.mark.parametrize(("n_vertices", "patches"), [(20, 5), (21, 6), (4, 1), (3, 1)])
def test_padding_wraps_and_adds_no_patch_to_whole_ones(n_vertices: int, patches: int) -> None:
    encoder = make(TINY.replace(n_vertices=n_vertices))
    values = torch.arange(n_vertices, dtype=torch.float32)
    expected = [i % n_vertices for i in range(4 * patches)]
    assert encoder.config.n_patches == patches
    assert encoder.pad(values).tolist() == expected


def test_positions_are_told_apart_and_fixed() -> None:
    table = position_table(50, 8)
    assert table[0].tolist() == [0.0] * 4 + [1.0] * 4
    assert table[7, 1].item() == pytest.approx(math.sin(7 * 10000 ** (-1 / 4)))
    assert torch.cdist(table, table).add(torch.eye(50) * 9).min() > 0.1
    assert "pos_embed" not in dict(make().named_parameters())


def test_new_temporal_attention_changes_nothing_at_first(tmp_path: Path) -> None:
    pretrained = make(SINGLE)
    pretrained.save_pretrained(tmp_path)
    torch.manual_seed(5)
    encoder = FmriEncoder(TINY)
    load_backbone_from(tmp_path, encoder)
    tokens = encoder.tokenize(bold()) + encoder.pos_embed
    each = torch.stack([pretrained.encode(tokens[:, [frame]])[:, 0] for frame in range(2)], dim=1)
    assert torch.equal(encoder.encode(tokens), each)
    encoder.encode(tokens).square().sum().backward()
    assert encoder.blocks[0].attn_temp.proj.weight.grad.abs().max() > 0  # but it can learn


def test_published_checkpoints_load_by_name_and_interpolate_positions() -> None:
    """Names of MinD-Vis / DC-MAE weights, with class token, decoder and a table of another length."""
    source = {f"{name}": tensor for name, tensor in make(SINGLE).state_dict().items()}
    table = torch.cat([torch.zeros(1, 1, 8), position_table(11, 8)[None]], dim=1)
    source |= {"pos_embed": table, "cls_token": torch.zeros(1, 1, 8), "mask_token": torch.zeros(1, 1, 8)}
    source |= {"decoder_embed.weight": torch.zeros(4, 8)}
    encoder = FmriEncoder(TINY)
    encoder.load_backbone(source, "weights.pth")
    assert torch.equal(encoder.blocks[1].attn.qkv.weight, source["blocks.1.attn.qkv.weight"])
    assert encoder.pos_embed.shape == (1, 6, 8)
    # 6 samples of 11 tokens, cell centres: 0.4167, 2.25, ...
    torch.testing.assert_close(encoder.pos_embed[0, 1], 0.75 * table[0, 3] + 0.25 * table[0, 4])
    with pytest.raises(InputError, match="qkv"):
        encoder.load_backbone({**source, "blocks.1.attn.qkv.weight": torch.zeros(3, 8)}, "weights.pth")


def test_mask_and_mix_act_on_patch_embeddings_before_positions() -> None:
    encoder = make()
    keep = torch.ones(3, 6, 1)
    keep[0, 2] = 0
    mix = torch.eye(2).repeat(3, 1, 1)
    mix[1] = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    seen: list[Tensor] = []
    encoder.blocks[0].register_forward_pre_hook(lambda block, given: seen.append(given[0]))
    encoder(bold(), keep, mix)
    plain = encoder.tokenize(bold())
    expected = plain + encoder.pos_embed
    expected[0, :, 2] = encoder.pos_embed[0, 2]
    expected[1, 0] = expected[1, 1]
    torch.testing.assert_close(seen[0], expected)
    torch.testing.assert_close(
        encoder(bold(), torch.ones(3, 6, 1), torch.eye(2).repeat(3, 1, 1)), encoder(bold())
    )


def test_attention_maps_are_those_of_the_forward_pass() -> None:
    encoder = make()
    maps = encoder.attention_maps(bold(), [1, 2])
    assert {layer: tuple(value.shape) for layer, value in maps.items()} == {1: (6, 2, 6, 6), 2: (6, 2, 6, 6)}
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    for number, block in enumerate(encoder.blocks, 1):
        block.attn.register_forward_hook(
            lambda module, given, result, n=number: (
                inputs.update({n: given[0]}),
                outputs.update({n: result}),
                None,
            )[-1]
        )
    encoder(bold())
    for number, block in enumerate(encoder.blocks, 1):
        torch.testing.assert_close(maps[number].sum(-1), torch.ones(6, 2, 6))
        value = block.attn.qkv(inputs[number])[..., 16:].unflatten(-1, (2, 4)).transpose(1, 2)
        again = block.attn.proj((maps[number] @ value).transpose(1, 2).flatten(2))
        torch.testing.assert_close(again, outputs[number], rtol=1e-4, atol=1e-5)
    assert list(encoder.attention_maps(bold(), [2])) == [2]
    with pytest.raises(ValueError, match="1 to 2"):
        encoder.attention_maps(bold(), [0])


def test_saved_encoder_loads_and_bad_files_are_named(tmp_path: Path) -> None:
    encoder = make(TINY.replace(pooling="flatten", head_norm=True))
    encoder.save_pretrained(tmp_path)
    again = FmriEncoder.from_pretrained(tmp_path)
    assert again.config == encoder.config
    assert not again.training
    assert torch.equal(again.embedding(again(bold())), encoder.embedding(encoder(bold())))

    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[:200])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        FmriEncoder.from_pretrained(tmp_path)
    make(TINY.replace(depth=1)).save_pretrained(tmp_path / "other")
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"weights of its config\.json"):
        FmriEncoder.from_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json"):
        FmriEncoder.from_pretrained(tmp_path)


def test_checkpointing_reaches_the_blocks_and_keeps_gradients() -> None:
    gradients = []
    for flag in (False, True):
        encoder = make().train()
        encoder.gradient_checkpointing = flag
        calls: list[int] = []
        encoder.blocks[0].norm1.register_forward_hook(lambda *unused, calls=calls: calls.append(1))
        encoder.embedding(encoder(bold())).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in encoder.parameters()])
        assert len(calls) == 1 + flag  # forward once more in the backward pass: nothing was kept
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])


def test_wrong_inputs_are_told() -> None:
    encoder = make()
    with pytest.raises(ValueError, match="20 vertices"):
        encoder(torch.zeros(1, 2, 20))
    with pytest.raises(ValueError, match="window of 3"):
        encoder(torch.zeros(1, 3, 21))
    with pytest.raises(ValueError, match="head"):
        make(SINGLE)(torch.zeros(1, 1, 21))
    for wrong in ({"heads": 3}, {"pooling": "max"}, {"tokens": -1}, {"patch": 0}, {"mlp_ratio": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TINY.replace(**wrong)


def test_real_size_on_the_meta_device() -> None:
    """Published architecture: counts worked out by hand from its sizes."""
    d, depth, p = 1024, 24, 282
    block = (
        2 * 2 * d + (3 * d * d + 3 * d) + (d * d + d) + 2 * (d * d + d)
    )  # two norms, qkv, proj, MLP of ratio 1
    with torch.device("meta"):
        backbone = FmriEncoder(FmriEncoderConfig(n_vertices=4500, temporal=False, tokens=0, window=1))
        encoder = FmriEncoder(FmriEncoderConfig(n_vertices=4500))
    backbone_count = sum(parameter.numel() for parameter in backbone.parameters())
    assert backbone_count == depth * block + (16 * d + d) + 2 * d
    temporal = depth * (2 * d + (3 * d * d + 3 * d) + (d * d + d))
    head = 2 * p * 77 + d * 768 + 768 * 768
    pool = 768 * 768 + 768
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert count == backbone_count + temporal + head + pool


def test_autoencoder_sees_only_visible_tokens_and_uses_all_parameters() -> None:
    torch.manual_seed(0)
    model = MaskedAutoencoder(SINGLE, DecoderConfig(width=8, depth=1, heads=2))
    frames = torch.randn(2, 21)
    visible = torch.tensor([[0, 3], [5, 1]])
    made = model(frames, visible)
    assert made.shape == (2, 6, 4)
    hidden = frames.clone()
    hidden[0, 4:12] += 1.0  # patches 1 and 2 of the first sample are hidden
    assert torch.equal(model(hidden, visible), made)
    hidden[0, 12:16] += 1.0  # patch 3 is not
    assert not torch.equal(model(hidden, visible), made)
    assert torch.equal(model.patches(frames)[:, 5], torch.cat([frames[:, 20:], frames[:, :3]], dim=1))
    made.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with pytest.raises(ValueError, match="single frames"):
        MaskedAutoencoder(TINY, DecoderConfig())


def test_autoencoder_puts_tokens_back_in_their_places() -> None:
    """Given the same visible set in another order, the reconstruction is the same."""
    torch.manual_seed(0)
    model = MaskedAutoencoder(SINGLE, DecoderConfig(width=8, depth=1, heads=2))
    frames = torch.randn(1, 21)
    one, two = model(frames, torch.tensor([[4, 0, 2]])), model(frames, torch.tensor([[0, 2, 4]]))
    torch.testing.assert_close(one, two)
