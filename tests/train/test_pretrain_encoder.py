"""Phase 0: shards, the loss against its parts, learning, and the program."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.io import file_sha256, write_arrays
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.models.masked_autoencoder import MaskedAutoencoder
from neurocine.seeds import torch_generator
from neurocine.train.augment import random_order
from neurocine.train.losses import double_contrast, masked_error
from neurocine.train.pretrain import PretrainEncoderSettings, PretrainTask
from neurocine.train.shards import Shards
from pretrain_encoder import main

SETTINGS = PretrainEncoderSettings(
    steps=4,
    batch_size=6,
    warmup_steps=0,
    learning_rate=3e-3,
    precision="no",
    validate_every=2,
    validation_share=0.1,
    log_every=1,
    tensorboard=False,
    patch=4,
    depth=1,
    width=8,
    heads=2,
    decoder_width=8,
    decoder_depth=1,
    decoder_heads=2,
    shards_in_memory=2,
)
LENGTHS = (7, 4, 9, 5)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Four files whose samples are constant and numbered 0, 1, ... in order, times a pattern."""
    paths, start = [], 0
    pattern = np.linspace(0.5, 1.5, 22, dtype=np.float32)
    for number, length in enumerate(LENGTHS):
        paths.append(tmp_path / f"{number}.safetensors")
        values = np.arange(start, start + length, dtype=np.float32)[:, None] * pattern
        write_arrays(paths[-1], {"bold": values}, {"step": "preprocess_hcp", "computed_from": []})
        start += length
    return paths


def task(files: list[Path], settings: PretrainEncoderSettings = SETTINGS) -> PretrainTask:
    shards = Shards(files, settings.shards_in_memory)
    torch.manual_seed(0)
    model = MaskedAutoencoder(settings.architecture(shards.n_vertices), settings.decoder())
    return PretrainTask(model, shards, settings, 0)


def test_a_batch_in_parts_has_the_loss_and_gradients_of_the_whole(files: list[Path]) -> None:
    """Each sample contrasts with all others, however many of them are computed at once."""
    found = []
    for parts in (1, 4):
        made = task(files, SETTINGS.replace(batch_size=8, gradient_accumulation=parts))
        seen: list[int] = []
        made.model.decoder_embed.register_forward_hook(
            lambda _, inputs, __, seen=seen: seen.append(len(inputs[0]))
        )
        loss, _ = made.loss(made.model, torch.arange(8), torch_generator(0))
        loss.backward()
        assert seen == [16] if parts == 1 else [4] * 8  # two masks; computed again for the gradients
        found.append((loss.detach(), [parameter.grad for parameter in made.model.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_shards_return_samples_in_any_order(files: list[Path]) -> None:
    shards = Shards(files, 2)
    assert (len(shards), shards.n_vertices) == (25, 22)
    wanted = torch.tensor([24, 0, 11, 6, 7, 0])
    assert shards.rows(wanted)[:, 0].tolist() == [0.5 * row for row in wanted.tolist()]
    assert shards.place(11) == (files[2], "bold", 0)


def test_every_sample_once_per_epoch_and_each_file_read_once(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = Shards(files, 2)
    reads: list[Path] = []
    original = Shards._load

    def counted(self: Shards, number: int) -> np.ndarray:
        if number not in self._cache:
            reads.append(self.sources[number][0])
        return original(self, number)

    monkeypatch.setattr(Shards, "_load", counted)
    order = shards.epoch_order(25, seed=0, epoch=0)
    assert sorted(order.tolist()) == list(range(25))
    for row in order:
        shards.rows(row[None])
    assert sorted(reads) == sorted(files)
    assert order.tolist() != shards.epoch_order(25, seed=0, epoch=1).tolist()
    assert sorted(shards.epoch_order(20, seed=0, epoch=0).tolist()) == list(range(20))


def test_training_files_of_a_subject_serve_too(tmp_path: Path) -> None:
    arrays = {name: np.full((3, 8), i, np.float32) for i, name in enumerate(("seg1", "seg2"))}
    arrays |= {"mean": np.zeros(8, np.float32), "std": np.ones(8, np.float32)}
    write_arrays(tmp_path / "train.safetensors", arrays, {})
    assert Shards([tmp_path / "train.safetensors"], 4).rows(torch.arange(6))[:, 0].tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]


def test_bad_shards_are_named(files: list[Path], tmp_path: Path) -> None:
    write_arrays(tmp_path / "other.safetensors", {"bold": np.zeros((2, 5), np.float32)}, {})
    with pytest.raises(InputError, match=r"other\.safetensors.*5 vertices"):
        Shards([*files, tmp_path / "other.safetensors"], 2)
    write_arrays(tmp_path / "nan.safetensors", {"bold": np.full((2, 22), np.nan, np.float32)}, {})
    with pytest.raises(InputError, match=r"nan\.safetensors.*NaN"):
        Shards([*files, tmp_path / "nan.safetensors"], 2).rows(torch.tensor([26]))
    with pytest.raises(InputError, match="no file"):
        Shards([], 2)
    with pytest.raises(InputError, match="batch_size"):
        task(files, SETTINGS.replace(batch_size=24))


def test_loss_is_error_plus_weighted_contrasts(files: list[Path]) -> None:
    settings = SETTINGS.replace(self_weight=0.3, cross_weight=0.7)
    made = task(files, settings)
    rows = torch.tensor([3, 9, 20])
    loss, parts = made.loss(made.model, rows, torch_generator(1))
    visible = random_order(6, 6, torch_generator(1))[:, :1]  # a quarter of 6 tokens: one
    bold = made.shards.rows(rows)
    first, second = made.model(bold, visible[:3]), made.model(bold, visible[3:])
    target = made.model.patches(bold)
    error = (masked_error(first, target, visible[:3]) + masked_error(second, target, visible[3:])) / 2
    own, cross = double_contrast(first, second, target, 0.1)
    torch.testing.assert_close(parts["reconstruction"], error)
    torch.testing.assert_close(loss, error + 0.3 * own + 0.7 * cross)

    plain = task(files, SETTINGS.replace(self_weight=0.0, cross_weight=0.0))
    loss, parts = plain.loss(plain.model, rows, torch_generator(1))
    assert set(parts) == {"reconstruction"}
    torch.testing.assert_close(loss, masked_error(first, target, visible[:3]))


def test_gradients_reach_every_parameter(files: list[Path]) -> None:
    made = task(files)
    loss, _ = made.loss(made.model, torch.arange(6), torch_generator(0))
    loss.backward()
    assert all(parameter.grad is not None for parameter in made.model.parameters())
    grouped = [id(parameter) for group in made.parameter_groups() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in made.model.parameters())


def test_hidden_patches_are_learned_from_visible_ones(tmp_path: Path) -> None:
    """All patches of a sample share one value, so a seen patch tells the hidden ones."""
    draw = np.random.default_rng(0)
    values = np.repeat(draw.standard_normal((64, 1)).astype(np.float32), 24, axis=1)
    write_arrays(tmp_path / "a.safetensors", {"bold": values}, {})
    settings = SETTINGS.replace(width=16, mask_ratio=0.75)
    made = task([tmp_path / "a.safetensors"], settings)
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=5e-3)
    before = made.validate(made.model)["reconstruction"]
    for step in range(150):
        rows = torch.randperm(made.n_items, generator=torch_generator(0, step))[:16]
        loss, _ = made.loss(made.model, rows, torch_generator(1, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert made.validate(made.model)["reconstruction"] < 0.3 * before


def test_held_out_samples_are_the_last_and_never_drawn(files: list[Path]) -> None:
    made = task(files)
    assert made.n_items == 23
    drawn = {int(row) for step in range(12) for row in made.batches(step, torch_generator(0))}
    assert drawn <= set(range(23))
    assert made.validate(made.model) == made.validate(made.model)
    assert task(files, SETTINGS.replace(validate_every=0)).n_items == 25


def test_program_writes_an_encoder_of_single_frames(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    given: dict[str, Any] = {"shards": files, "train_movies": [], "settings": SETTINGS, "seed": 0}
    main(**given, state=tmp_path / "state", out=out, device="cpu")
    encoder = FmriEncoder.from_pretrained(out / "encoder")
    assert (encoder.config.window, encoder.config.temporal, encoder.config.tokens) == (1, False, 0)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert set(lines[0]) == {
        "step",
        "loss",
        "lr",
        "seconds",
        "reconstruction",
        "self_contrast",
        "cross_contrast",
    }
    assert "validation" in lines[1]
    assert json.loads((out / "done.json").read_text())["report"]["steps"] == 4
    assert not (tmp_path / "state").exists()


def test_program_tells_files_of_one_name_apart(files: list[Path], tmp_path: Path) -> None:
    """A state goes on only with the data that it was trained on, and every subject's file is called alike."""
    twins = [tmp_path / subject / "fmri.safetensors" for subject in ("sub-1", "sub-2")]
    for path, twin in zip(files[::2], twins, strict=True):
        twin.parent.mkdir()
        shutil.copy(path, twin)
    given: dict[str, Any] = {"shards": twins, "train_movies": [], "settings": SETTINGS, "seed": 0}
    main(**given, state=tmp_path / "state", out=tmp_path / "out", device="cpu")
    inputs = json.loads((tmp_path / "out/done.json").read_text())["inputs"]
    assert inputs == {str(twin): file_sha256(twin) for twin in twins}
