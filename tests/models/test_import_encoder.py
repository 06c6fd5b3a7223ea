"""Published encoder weights: small files in the layouts of their repositories, and files that would run."""

import os
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import import_encoder as program
from neurocine.errors import InputError
from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.io import read_table, write_arrays
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig, position_table
from neurocine.models.published_encoder import ImportEncoderSettings, import_encoder, read_tensors
from neurocine.provenance import movies_behind

WIDTH, PATCH, DEPTH = 8, 4, 2
HEADS = ImportEncoderSettings(heads=2)


def published_weights(n_tokens: int = 11) -> dict[str, Tensor]:
    """Weights with the names of MinD-Vis: class slot in the positions, decoder, mask token."""
    torch.manual_seed(3)
    config = FmriEncoderConfig(
        n_vertices=n_tokens * PATCH, window=1, patch=PATCH, depth=DEPTH, width=WIDTH, heads=2, temporal=False,
        tokens=0,
    )  # fmt: skip
    weights = dict(FmriEncoder(config).state_dict())
    weights["pos_embed"] = torch.cat([torch.zeros(1, 1, WIDTH), position_table(n_tokens, WIDTH)[None]], dim=1)
    weights |= {"cls_token": torch.zeros(1, 1, WIDTH), "mask_token": torch.zeros(1, 1, WIDTH)}
    return weights | {"decoder_embed.weight": torch.zeros(4, WIDTH)}


def save_with_settings(path: Path, content: dict[str, object]) -> None:
    """Save beside the weights an object of a class that exists only while writing, as those files have."""
    module = types.ModuleType("config_of_another_repository")
    settings = type("Config_MBM_fMRI", (), {"__module__": module.__name__})
    module.Config_MBM_fMRI = settings
    sys.modules[module.__name__] = module
    made = settings()
    made.__dict__.update(lr=2.5e-4, roots=["."], shape=(1, 2))
    torch.save({**content, "config": made}, path)
    del sys.modules[module.__name__]


@pytest.mark.parametrize("prefix", ["", "module.", "module.encoder.", "cond_stage_model.mae."])
def test_weights_are_found_in_every_layout(tmp_path: Path, prefix: str) -> None:
    weights = published_weights()
    named = {prefix + name: value for name, value in weights.items()}
    save_with_settings(tmp_path / "a.pth", {"model": named, "epoch": 3})
    torch.save(named, tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        read = read_tensors(tmp_path / name)
        assert read.keys() == weights.keys()
        assert all(torch.equal(read[key], weights[key]) for key in weights)
    assert "config_of_another_repository" not in sys.modules


def test_other_numbers_of_tokens_get_interpolated_positions_and_a_report(tmp_path: Path) -> None:
    weights = published_weights()
    torch.save({"model": weights}, tmp_path / "a.pth")
    encoder, table = import_encoder(tmp_path / "a.pth", 21, HEADS)  # 6 tokens
    assert encoder.config.depth == DEPTH
    assert encoder.config.mlp_ratio == 1.0
    assert torch.equal(encoder.blocks[1].attn.qkv.weight, weights["blocks.1.attn.qkv.weight"])
    # Six cell centres among 11: the second lies at 0.5 + 1.5 * 11 / 6 - 1 = 2.25.
    expected = 0.75 * weights["pos_embed"][0, 3] + 0.25 * weights["pos_embed"][0, 4]
    torch.testing.assert_close(encoder.pos_embed[0, 1], expected)
    what = dict(zip(table["name"], table["what"], strict=True))
    assert what["pos_embed"] == "interpolated"
    assert {name for name, value in what.items() if value == "left_out"} == {
        *("cls_token", "mask_token", "decoder_embed.weight")
    }
    assert set(what.values()) == {"interpolated", "left_out", "loaded"}
    same, table = import_encoder(tmp_path / "a.pth", 11 * PATCH, HEADS)
    assert torch.equal(same.pos_embed[0], weights["pos_embed"][0, 1:])
    assert dict(zip(table["name"], table["what"], strict=True))["pos_embed"] == "loaded"


class Danger:
    """Calls a function when unpickled the plain way."""

    def __init__(self, function: Callable[..., object], *arguments: str) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return self.call


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = published_weights()
    torch.save({"model": weights, "extra": Danger(shutil.copyfile, "a.pth", "ran")}, tmp_path / "a.pth")
    assert read_tensors(tmp_path / "a.pth").keys() == weights.keys()
    torch.save({"model": weights, "extra": Danger(os.system, "touch ran")}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="PyTorch file"):  # PyTorch lets nobody vouch for this one
        read_tensors(tmp_path / "a.pth")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have run


def test_wrong_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(InputError, match="PyTorch file"):
        read_tensors(path)
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match="PyTorch file"):
        read_tensors(path)
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    with pytest.raises(InputError, match="weights of an fMRI encoder"):
        read_tensors(path)
    weights = published_weights()
    torch.save({"model": weights}, path)
    with pytest.raises(InputError, match="3 heads"):
        import_encoder(path, 21, ImportEncoderSettings(heads=3))
    del weights["blocks.0.attn.qkv.weight"]
    torch.save({"model": weights}, path)
    with pytest.raises(InputError, match="qkv"):
        import_encoder(path, 21, HEADS)
    with pytest.raises(ValueError, match="heads"):
        ImportEncoderSettings(heads=0)


def test_program_writes_an_encoder_and_the_report(tmp_path: Path) -> None:
    selection = select_vertices(SelectVerticesSettings(areas=("V1",)))
    write_arrays(
        tmp_path / "vertices.safetensors", selection.arrays(), selection.meta() | {"computed_from": []}
    )
    torch.save({"model": published_weights()}, tmp_path / "a.pth")
    vertices = tmp_path / "vertices.safetensors"
    program.main(checkpoint=tmp_path / "a.pth", vertices=vertices, settings=HEADS, out=tmp_path / "out")
    encoder = FmriEncoder.from_pretrained(tmp_path / "out/encoder")
    assert encoder.config.n_vertices == len(selection.area)
    assert movies_behind([tmp_path / "out/encoder/model.safetensors"]) == []
    assert "left_out" in set(read_table(tmp_path / "out/tensors.tsv")["what"])
