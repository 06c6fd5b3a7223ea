"""Captions by LAVIS from a small checkpoint in its layout; needs `make lavis-env`, else only reading runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.io import read_table, write_arrays
from neurocine.models.lavis_weights import convert_weights
from neurocine.stimuli.caption import CaptionClipsSettings
from neurocine.stimuli.lavis import architecture, load_lavis, read_weights

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("LAVIS_PYTHON", ROOT / ".venv-lavis/bin/python"))
WIDTH = 64  # one head
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "picture",
    "of",
    "red",
    "blue",
    "circle",
    "moving",
]


def write_checkpoint(folder: Path) -> Path:
    """Write random weights by LAVIS's names, of a ViT of 2 blocks for 32 px and a BERT of 2 layers."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, torch.Tensor] = {}

    def linear(name: str, n_in: int, n_out: int) -> None:
        weights[f"{name}.weight"] = torch.randn(n_out, n_in, generator=generator) * 0.3
        weights[f"{name}.bias"] = torch.zeros(n_out)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(WIDTH), torch.zeros(WIDTH)

    vision = "visual_encoder"
    weights[f"{vision}.cls_token"] = torch.randn(1, 1, WIDTH, generator=generator)
    weights[f"{vision}.pos_embed"] = torch.randn(1, 17, WIDTH, generator=generator)
    weights[f"{vision}.patch_embed.proj.weight"] = torch.randn(WIDTH, 3, 8, 8, generator=generator)
    weights[f"{vision}.patch_embed.proj.bias"] = torch.zeros(WIDTH)
    for block in (f"{vision}.blocks.{number}" for number in range(2)):
        norm(f"{block}.norm1")
        norm(f"{block}.norm2")
        linear(f"{block}.attn.qkv", WIDTH, 3 * WIDTH)
        linear(f"{block}.attn.proj", WIDTH, WIDTH)
        linear(f"{block}.mlp.fc1", WIDTH, 4 * WIDTH)
        linear(f"{block}.mlp.fc2", 4 * WIDTH, WIDTH)
    norm(f"{vision}.norm")
    n_words = len(WORDS) + 2  # and [DEC], [ENC]
    bert = "text_decoder.bert"
    weights[f"{bert}.embeddings.word_embeddings.weight"] = torch.randn(n_words, WIDTH, generator=generator)
    weights[f"{bert}.embeddings.position_embeddings.weight"] = torch.randn(40, WIDTH, generator=generator)
    norm(f"{bert}.embeddings.LayerNorm")
    for layer in (f"{bert}.encoder.layer.{number}" for number in range(2)):
        for attention in ("attention", "crossattention"):
            for part in ("query", "key", "value"):
                linear(f"{layer}.{attention}.self.{part}", WIDTH, WIDTH)
            linear(f"{layer}.{attention}.output.dense", WIDTH, WIDTH)
            norm(f"{layer}.{attention}.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", WIDTH, 128)
        linear(f"{layer}.output.dense", 128, WIDTH)
        norm(f"{layer}.output.LayerNorm")
    linear("text_decoder.cls.predictions.transform.dense", WIDTH, WIDTH)
    norm("text_decoder.cls.predictions.transform.LayerNorm")
    linear("text_decoder.cls.predictions.decoder", WIDTH, n_words)
    weights["text_decoder.cls.predictions.bias"] = weights["text_decoder.cls.predictions.decoder.bias"]
    (folder / "bert-base-uncased").mkdir(parents=True)
    (folder / "bert-base-uncased/vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.save({"model": weights}, folder / "blip.pth")
    assert convert_weights(folder) == folder / "blip.safetensors"
    return folder


def test_sizes_are_read_off_the_weights(tmp_path: Path) -> None:
    vision, text = architecture(read_weights(write_checkpoint(tmp_path) / "blip.safetensors"))
    expected = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1}
    assert vision == expected
    assert (text["vocab_size"], text["num_hidden_layers"], text["intermediate_size"]) == (14, 2, 128)


class Danger:
    """Runs a command when unpickled the plain way."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch ran",)


def test_files_that_are_no_weights_are_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {}, "extra": Danger()}, tmp_path / "bad.pth")
    for read in (lambda: convert_weights(tmp_path), lambda: read_weights(tmp_path / "bad.pth")):
        with pytest.raises(InputError, match="LAVIS's BLIP"):
            read()
    assert not (tmp_path / "ran").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pth"]
    with pytest.raises(InputError, match=r"0 \.safetensors files.*converts the \.pth file"):
        load_lavis(tmp_path, "")
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "bad.pth")
    convert_weights(tmp_path)
    assert convert_weights(tmp_path) is None  # there already
    with pytest.raises(InputError, match="another network"):
        read_weights(tmp_path / "bad.safetensors")
    with pytest.raises(InputError, match=r"no bert-base-uncased/vocab\.txt"):
        load_lavis(tmp_path, "")
    folder = write_checkpoint(tmp_path / "good")
    with pytest.raises(InputError, match="make lavis-env"):
        load_lavis(folder, "")  # this environment has no LAVIS


@pytest.mark.skipif(
    not PYTHON.exists(), reason="no LAVIS here: make lavis-env, or LAVIS_PYTHON=python of one"
)
def test_lavis_captions_clips_in_its_own_environment(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model")
    clips = np.random.default_rng(0).integers(0, 255, (3, 2, 32, 32, 3), dtype=np.uint8)
    clips[1] = 0
    write_arrays(tmp_path / "stimuli.safetensors", {"seg1": clips}, {"movies": ["seg1"]})
    settings = {"backend": "lavis", "max_new_tokens": 6, "unit": "frame", "device": "cpu"}
    CaptionClipsSettings(**settings)
    command = [
        PYTHON,
        ROOT / "workflow_scripts/caption_clips.py",
        "--stimuli",
        tmp_path / "stimuli.safetensors",
    ]
    command += ["--model", folder, "--settings", json.dumps(settings), "--out"]
    # An unreachable hub: any attempt to use a network fails the run.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9", "PYTHONPATH": ""}
    for name in ("a.tsv", "b.tsv"):
        run = subprocess.run(
            [*map(str, command), str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
    table = read_table(tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert table["frame"].tolist() == [0, 1] * 3
    captions = table["caption"].tolist()
    assert captions[2] == captions[3]  # twice the same black picture
    assert captions[0] != captions[2]  # and what is seen matters
    assert {word for text in captions for word in text.split()} <= {*WORDS, "[DEC]", "[ENC]"}
    assert str(PYTHON) != sys.executable
