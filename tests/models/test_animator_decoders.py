"""The semantic and the structure decoder: sizes, what they put together, and their files."""

import json
from pathlib import Path

import pytest
import torch

from neurocine.errors import InputError
from neurocine.models.motion import MotionConfig, MotionGenerator
from neurocine.models.saved import SavedNetwork
from neurocine.models.semantic import SemanticConfig, SemanticDecoder
from neurocine.models.structure import LinearBlock, StructureConfig, StructureDecoder

SEMANTIC = SemanticConfig(n_vertices=7, width=6, n_tokens=4, text_width=5, head_widths=(8, 9))
STRUCTURE = StructureConfig(n_vertices=7, latent_shape=(4, 2, 3), width=6)
MOTION = MotionConfig(n_vertices=7, n_frames=3, latent_shape=(4, 2, 2), encoder_width=6, feedforward_width=6)
NETWORKS = [(SemanticDecoder, SEMANTIC), (StructureDecoder, STRUCTURE), (MotionGenerator, MOTION)]


def test_published_sizes() -> None:
    with torch.device("meta"):
        semantic = SemanticDecoder(SemanticConfig(n_vertices=4500, width=512, n_tokens=20, text_width=768))
        structure = StructureDecoder(StructureConfig(n_vertices=4500, latent_shape=(4, 64, 64)))
    assert sum(p.numel() for p in semantic.parameters()) == pytest.approx(72.3e6, rel=0.001)
    assert sum(p.numel() for p in structure.parameters()) == pytest.approx(23.5e6, rel=0.002)


def test_the_semantic_decoder_gives_an_embedding_and_all_states_but_the_first() -> None:
    net = SemanticDecoder(SEMANTIC).eval()
    net.first_state.fill_(3.0)
    embedding, states = net(torch.randn(2, 7))
    assert embedding.shape == (2, 6)
    assert states.shape == (2, 3, 5)
    whole = net.with_first_state(states)
    assert torch.equal(whole[:, 0], torch.full((2, 5), 3.0))
    assert torch.equal(whole[:, 1:], states)


def test_the_structure_decoder_is_linear_up_to_its_norm() -> None:
    net = StructureDecoder(STRUCTURE).eval()
    assert net(torch.randn(2, 7)).shape == (2, 4, 2, 3)
    block = LinearBlock(6, 0.2).eval()
    x, linear = torch.randn(3, 6), block.layer[0]
    assert isinstance(linear, torch.nn.Linear)
    assert torch.allclose(block(x), x + x @ linear.weight.T + linear.bias, atol=1e-6)


@pytest.mark.parametrize(("kind", "config"), NETWORKS)
def test_saved_and_read_again(kind: type[SavedNetwork], config: object, tmp_path: Path) -> None:
    net = kind(config).eval()
    net.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert again.config == config
    assert not again.training
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    StructureDecoder(STRUCTURE).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"a network StructureDecoder; expected a SemanticDecoder"):
        SemanticDecoder.from_pretrained(tmp_path)


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json.*Run the training that makes it, to its end"):
        StructureDecoder.from_pretrained(tmp_path)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    StructureDecoder(STRUCTURE).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"n_vertices": 8}))
    with pytest.raises(InputError, match="unusable weights"):
        StructureDecoder.from_pretrained(tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="no usable config"):
        StructureDecoder.from_pretrained(tmp_path)
