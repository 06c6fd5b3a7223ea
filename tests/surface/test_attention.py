"""Attention of tokens on vertices and areas, against slow loops and hand-worked maps."""

import math

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.models.fmri_encoder import Block, FmriEncoder, FmriEncoderConfig
from neurocine.surface.attention import (
    ExtractAttentionSettings,
    inverse_embedding,
    measure_attention,
    random_encoder,
    received_attention,
)
from neurocine.surface.regions import (
    WHOLE_GROUP,
    average_wrapped,
    list_regions,
    region_means,
    scatter_to_brain,
    spread_tokens,
)

CONFIG = FmriEncoderConfig(
    n_vertices=10, patch=4, depth=3, width=8, heads=2, tokens=3, text_width=6, embedding_width=5
)
SETTINGS = ExtractAttentionSettings(layers=(1, 3), batch_size=2)


def small_selection() -> VertexSelection:
    """Ten vertices: V1 left 4 and right 2, V2 right 1 (early); MT left 3 (lateral)."""
    return VertexSelection(
        vertex=np.array([5, 6, 7, 8, 30000, 30001, 30005, 100, 101, 102]),
        area=np.array([0, 0, 0, 0, 0, 0, 1, 2, 2, 2]),
        hemisphere=np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0], np.int8),
        areas=("V1", "V2", "MT"),
        groups=("early", "early", "lateral"),
    )


def test_received_attention_equals_loops() -> None:
    maps = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0)).mul(2).softmax(-1)
    found = received_attention(maps)
    for n in range(3):
        for token in range(5):
            soft, unit, entropy = [], [], []
            for head in range(2):
                for query in range(5):
                    row = maps[n, head, query]
                    soft.append(float(row[token]))
                    unit.append(float(row[token]) / math.sqrt(sum(float(a) ** 2 for a in row)))
                entropy.append(-sum(float(a) * math.log(float(a)) for a in maps[n, head, token]))
            assert float(found["softmax"][n, token]) == pytest.approx(5 * np.mean(soft), rel=1e-5)
            assert float(found["l2row"][n, token]) == pytest.approx(5 * np.mean(unit), rel=1e-5)
            assert float(found["entropy"][n, token]) == pytest.approx(np.mean(entropy), rel=1e-5)


def test_concentration_of_uniform_and_of_one_token() -> None:
    uniform = received_attention(torch.full((1, 1, 9, 9), 1 / 9))
    np.testing.assert_allclose(uniform["softmax"], 1, rtol=1e-6)
    np.testing.assert_allclose(uniform["l2row"].mean(), 3, rtol=1e-6)  # √p
    np.testing.assert_allclose(uniform["entropy"], math.log(9), rtol=1e-6)
    one = torch.zeros(1, 1, 9, 9)
    one[..., 4] = 1.0
    single = received_attention(one)
    np.testing.assert_allclose(single["l2row"].mean(), 1, rtol=1e-6)
    np.testing.assert_array_equal(single["entropy"], 0)
    assert single["softmax"][0].tolist() == [0, 0, 0, 0, 9, 0, 0, 0, 0]


def test_wrapped_positions_are_averaged_with_their_originals() -> None:
    tokens = torch.tensor(
        [[1.0, 2.0, 5.0]]
    )  # patch 4, ten vertices: positions 10 and 11 hold vertices 0 and 1
    expected = [(1 + 5) / 2, (1 + 5) / 2, 1, 1, 2, 2, 2, 2, 5, 5]
    assert spread_tokens(tokens, 4, 10)[0].tolist() == expected
    assert average_wrapped(torch.arange(8.0)[None], 8)[0].tolist() == list(range(8))


def test_padding_agrees_with_the_encoder() -> None:
    """What the encoder puts at a position comes back to the vertex it came from."""
    bold = torch.arange(10.0)[None, None]
    padded = FmriEncoder(CONFIG).pad(bold)
    np.testing.assert_allclose(average_wrapped(padded[0], 10)[0], bold[0, 0])


def test_regions_count_and_average_vertices() -> None:
    regions = list_regions(small_selection())
    sizes = {(r.area, r.group, r.hemisphere): len(r.members) for r in regions}
    assert sizes == {
        (WHOLE_GROUP, "early", "both"): 7,
        (WHOLE_GROUP, "early", "left"): 4,
        (WHOLE_GROUP, "early", "right"): 3,
        (WHOLE_GROUP, "lateral", "both"): 3,
        (WHOLE_GROUP, "lateral", "left"): 3,
        ("V1", "early", "both"): 6,
        ("V1", "early", "left"): 4,
        ("V1", "early", "right"): 2,
        ("V2", "early", "both"): 1,
        ("V2", "early", "right"): 1,
        ("MT", "lateral", "both"): 3,
        ("MT", "lateral", "left"): 3,
    }
    means = region_means(torch.arange(10.0)[None], regions)[0].tolist()
    found = dict(zip(sizes, means, strict=True))
    assert found["V1", "early", "right"] == 4.5
    assert found[WHOLE_GROUP, "early", "both"] == 3
    assert found["MT", "lateral", "left"] == 8


def test_real_regions_cover_every_vertex_once() -> None:
    selection = select_vertices(SelectVerticesSettings())
    single = [r for r in list_regions(selection) if not r.is_group and r.hemisphere != "both"]
    members = np.concatenate([region.members for region in single])
    np.testing.assert_array_equal(np.sort(members), np.arange(len(selection.vertex)))
    assert len(single) == 2 * 27


def test_scatter_to_brain() -> None:
    cortex = scatter_to_brain(np.arange(10.0), small_selection())
    assert cortex.shape == (CORTEX,)
    assert cortex.dtype == np.float32
    assert np.isfinite(cortex).sum() == 10
    assert cortex[30005] == 6
    assert np.isnan(cortex[9])


def test_measure_attention_equals_a_loop_over_clips() -> None:
    encoder = random_encoder(CONFIG, seed=1, number=0)
    bold = np.random.default_rng(0).normal(size=(5, 2, 10)).astype(np.float32)
    regions = list_regions(small_selection())
    found = measure_attention(encoder, bold, regions, SETTINGS, "the encoder")
    assert set(found) == {1, 3}
    for layer in (1, 3):
        expected = np.zeros((5, 10))
        for clip in range(5):
            maps = encoder.attention_maps(torch.from_numpy(bold[clip : clip + 1]), [layer])[layer]
            tokens = 3 * maps.mean((0, 1, 2))  # over frames, heads, queries
            expected[clip] = spread_tokens(tokens[None], 4, 10)[0]
        np.testing.assert_allclose(found[layer].vertices["softmax"], expected.mean(0), rtol=1e-5)
        group = expected[:, regions[0].members].mean(1)
        np.testing.assert_allclose(found[layer].regions["softmax"][:, 0], group, rtol=1e-5)


def test_attention_finds_the_token_that_keys_point_to() -> None:
    """An encoder made by hand, whose queries all look at tokens of large fMRI."""
    config = FmriEncoderConfig(n_vertices=12, patch=4, depth=1, width=2, heads=1, temporal=False, tokens=0)
    encoder = FmriEncoder(config).eval()
    block = encoder.blocks[0]
    assert isinstance(block, Block)
    with torch.no_grad():
        encoder.pos_embed.zero_()
        embed = encoder.patch_embed["proj"]
        embed.weight[0], embed.weight[1] = 1.0, -1.0
        block.norm1 = torch.nn.Identity()  # type: ignore[assignment]
        block.attn.qkv.weight.zero_()
        block.attn.qkv.bias.copy_(torch.tensor([1.0, 0, 0, 0, 0, 0]))  # queries: (1, 0)
        block.attn.qkv.weight[2, 0] = 1.0  # keys: sum of the patch
    bold = np.zeros((1, 1, 12), np.float32)
    bold[..., 4:8] = 2.0
    selection = VertexSelection(
        np.arange(12), np.repeat([0, 1, 2], 4), np.zeros(12, np.int8), ("V1", "V2", "MT"), ("a", "a", "b")
    )
    settings = ExtractAttentionSettings(layers=(1,))
    found = measure_attention(encoder, bold, list_regions(selection), settings, "made by hand")[1]
    weights = np.exp(np.array([0.0, 8.0, 0.0]) / math.sqrt(2))
    np.testing.assert_allclose(
        found.vertices["softmax"], np.repeat(3 * weights / weights.sum(), 4), rtol=1e-4
    )


def test_inverse_embedding_gives_the_fmri_back() -> None:
    encoder = random_encoder(CONFIG, seed=2, number=0)  # width 8 > patch 4: the embedding can be inverted
    bold = torch.randn(3, 2, 10, generator=torch.Generator().manual_seed(1))
    tokens = encoder.tokenize(bold) + encoder.pos_embed
    signal = inverse_embedding(encoder, tokens)
    np.testing.assert_allclose(signal.detach(), encoder.pad(bold), atol=1e-4)


def test_pinv_weighs_with_the_size_of_the_signal() -> None:
    encoder = random_encoder(CONFIG, seed=2, number=0)
    bold = np.random.default_rng(3).normal(size=(4, 2, 10)).astype(np.float32)
    bold[..., 3] = 0.0
    regions = list_regions(small_selection())
    uniform = measure_attention(encoder, bold, regions, ExtractAttentionSettings(layers=(1,)), "e")[1]
    pinv = ExtractAttentionSettings(layers=(1,), token_to_vertex="pinv")
    found = measure_attention(encoder, bold, regions, pinv, "e")[1]
    assert found.vertices["softmax"][3] == pytest.approx(0, abs=1e-4)
    assert uniform.vertices["softmax"][3] > 0.5
    assert found.vertices["softmax"].mean() == pytest.approx(uniform.vertices["softmax"].mean(), rel=1e-5)
    np.testing.assert_allclose(found.vertices["entropy"], uniform.vertices["entropy"], rtol=1e-6)


def test_random_encoder_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (random_encoder(CONFIG, 1, number) for number in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.blocks[0].mlp.fc1.weight, again.blocks[0].mlp.fc1.weight)
    assert not torch.equal(first.blocks[0].mlp.fc1.weight, other.blocks[0].mlp.fc1.weight)


def test_bad_layers_vertices_and_settings_are_refused() -> None:
    encoder = random_encoder(CONFIG, 1, 0)
    regions = list_regions(small_selection())
    bold = np.zeros((2, 2, 10), np.float32)
    with pytest.raises(InputError, match="layers 1 to 3"):
        measure_attention(encoder, bold, regions, ExtractAttentionSettings(layers=(1, 12)), "e")
    with pytest.raises(InputError, match="10 vertices"):
        measure_attention(encoder, bold[..., :8], regions, SETTINGS, "e")
    for wrong in ({"layers": (0,)}, {"layers": (1, 1)}, {"token_to_vertex": "mean"}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ExtractAttentionSettings(**wrong)  # type: ignore[arg-type]
