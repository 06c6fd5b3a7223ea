"""The training of Mind-Animator's structure decoder: what it learns, what variants do, what it refuses."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.stimuli.cached import CachedClips
from neurocine.train.animator import AnimatorSettings, Samples, compare_with_mean
from neurocine.train.structure import (
    StructureTask,
    TrainStructureSettings,
    pattern_correlation,
    train_structure,
)
from train.animator_study import LOOP, MOVIES, SHAPE, TR, VERTICES, make_study

STRUCTURE = TrainStructureSettings(**LOOP, width=16)


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return make_study()


def structure(study: dict[str, Any], folder: Path, **values: Any) -> tuple:
    settings = STRUCTURE.replace(**values)
    variant = "code" if folder.name.startswith("code") else "paper"
    return train_structure(
        study["fmri"], study["latents"], ["seg3"], variant, settings, 0, folder, device="cpu"
    )


def test_the_structure_decoder_learns_and_is_compared_with_the_mean(
    study: dict[str, Any], tmp_path: Path
) -> None:
    net, report, quality = structure(study, tmp_path)
    assert quality["better_than_mean"]
    assert quality["pattern_correlation"] > 0.3
    assert quality["error"] == pytest.approx(report.best["error"])
    truth = torch.from_numpy(study["latents"].of(["seg3"])[:, 0]).float()
    with torch.no_grad():
        made = net(torch.from_numpy(study["fmri"].bold["seg3"]))
    assert float((made - truth).square().mean()) == pytest.approx(quality["error"])
    mean = study["latents"].of(["seg1", "seg2"])[:, 0].astype(np.float32).mean(0)
    assert quality["mean_error"] == pytest.approx(np.mean((truth.numpy() - mean) ** 2), rel=1e-4)


def test_a_decoder_no_better_than_the_mean_is_said_so(
    study: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        *_, quality = structure(study, tmp_path, learning_rate=1e-6)  # as published
    assert not quality["better_than_mean"]
    assert "NO BETTER than the training mean" in caplog.text
    assert compare_with_mean({"error": 1.0, "mean_error": 1.0}, "x")["better_than_mean"] is False


def test_pattern_correlation_equals_numpy() -> None:
    random = np.random.default_rng(0)
    one, two, mean = (
        random.normal(size=(5, 4, 2, 2)),
        random.normal(size=(5, 4, 2, 2)),
        random.normal(size=(4, 2, 2)),
    )
    made = pattern_correlation(*(torch.from_numpy(x) for x in (one, two, mean)))
    for clip in range(5):
        expected = np.corrcoef((one[clip] - mean).ravel(), (two[clip] - mean).ravel())[0, 1]
        assert float(made[clip]) == pytest.approx(expected)


def test_variant_code_destroys_its_samples_and_keeps_the_last_weights(
    study: dict[str, Any], tmp_path: Path
) -> None:
    _, report, quality = structure(study, tmp_path / "code", code_steps=60, sparsify_share=0.5)
    assert report.steps == 60
    *_, paper = structure(study, tmp_path / "paper", sparsify_share=0.5)
    assert quality["pattern_correlation"] < paper["pattern_correlation"] - 0.1


def task_of(study: dict[str, Any], variant: str) -> StructureTask:
    net = StructureDecoder(StructureConfig(VERTICES, SHAPE, 16, variant=variant))
    fmri, latents = study["fmri"], study["latents"]
    first = {name: torch.from_numpy(latents.of([name])[:, 0]).float() for name in ("seg1", "seg3")}
    samples = Samples.of(fmri, ["seg1"]), Samples.of(fmri, ["seg3"])
    return StructureTask(net, samples[0], first["seg1"], samples[1], first["seg3"], STRUCTURE, variant, 0)


def test_what_a_batch_loses_depends_on_its_epoch_only_in_variant_code(study: dict[str, Any]) -> None:
    rows, zeros = torch.arange(TR), {}
    for variant in ("paper", "code"):
        task = task_of(study, variant)
        for step in (0, 50):  # 5 batches an epoch: epochs 0 and 10
            task.batches(step, torch.Generator())
            made = task.augmented(rows, torch.Generator().manual_seed(0))
            zeros[variant, step] = float((made == 0).float().mean())
        assert not (task.samples.bold == 0).any()
    assert zeros["paper", 50] == pytest.approx(0.2, abs=0.08)
    assert zeros["code", 0] == pytest.approx(1 - 0.8**2, abs=0.1)
    assert zeros["code", 50] == pytest.approx(1 - 0.8**12, abs=0.06)
    resumed = task_of(study, "code")
    resumed.batches(50, torch.Generator())
    assert torch.equal(resumed.augmented(rows, torch.Generator()), made)


def test_the_penalty_is_the_sum_of_absolute_weights(study: dict[str, Any]) -> None:
    task = task_of(study, "paper")
    task.epoch = 30
    total = sum(abs(float(value)) for p in task.model.parameters() for value in p.detach().flatten())
    factor = float(np.exp(-5e-5 * sum(range(30))))
    assert float(task.penalty().detach()) == pytest.approx(4e-6 * factor * total, rel=1e-4)


@pytest.mark.parametrize("variant", ["papr", ""])
def test_a_misspelt_variant_is_refused(study: dict[str, Any], tmp_path: Path, variant: str) -> None:
    with pytest.raises(InputError, match="expected paper or code"):
        train_structure(study["fmri"], study["latents"], ["seg3"], variant, STRUCTURE, 0, tmp_path)


@pytest.mark.parametrize("validation", [[], list(MOVIES), ["seg9"]])
def test_held_out_movies_must_be_some_of_the_subjects(
    study: dict[str, Any], tmp_path: Path, validation: list[str]
) -> None:
    with pytest.raises(InputError, match=r"movies\.validation"):
        train_structure(study["fmri"], study["latents"], validation, "paper", STRUCTURE, 0, tmp_path)


def test_latents_of_other_clips_are_refused(study: dict[str, Any], tmp_path: Path) -> None:
    latents = study["latents"]
    fewer = CachedClips(latents.clips[:-1], latents.rows[:-1])
    with pytest.raises(InputError, match="119 clips; expected those of the 120 TR"):
        train_structure(study["fmri"], fewer, ["seg3"], "paper", STRUCTURE, 0, tmp_path)


@pytest.mark.parametrize("values", [{"sparsify_share": 1.1}, {"adam_eps": 0.0}])
def test_settings_outside_their_ranges_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        AnimatorSettings(**values)
