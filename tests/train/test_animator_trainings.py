"""The trainings of Mind-Animator's decoders: what they learn, what variants do, what they refuse."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import write_arrays
from neurocine.models.motion import MotionGenerator
from neurocine.models.structure import StructureConfig, StructureDecoder
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.stimuli.variants import Variants
from neurocine.train.animator import AnimatorSettings, Samples, compare_with_mean
from neurocine.train.motion import MotionTask, TrainMotionSettings, train_motion
from neurocine.train.semantic import Meanings, TrainSemanticSettings, train_semantic
from neurocine.train.structure import (
    StructureTask,
    TrainStructureSettings,
    pattern_correlation,
    train_structure,
)

MOVIES = ("seg1", "seg2", "seg3")
TR, VERTICES, FRAMES, SHAPE = 40, 48, 4, (4, 2, 2)
LOOP: dict[str, Any] = {
    "steps": 60,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "validate_every": 20,
    "patience": 0,
}
LOOP |= {"log_every": 10, "tensorboard": False, "code_steps": 12}
STRUCTURE = TrainStructureSettings(**LOOP, width=16)
MOTION = TrainMotionSettings(
    **{**LOOP, "warmup_steps": 10}, encoder_width=16, feedforward_width=16, l1_weight=0.0, dropout=0.0
)
SEMANTIC = TrainSemanticSettings(**LOOP, head_widths=(16,), tokens=3, image_frame=1)


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    """A subject whose fMRI is a linear image of the clips' latents, which drift at a pace of their own."""
    random = np.random.default_rng(0)
    weights, basis = random.normal(size=(6, VERTICES)), random.normal(size=(2, 3, 16)) / 2
    bold, latents = {}, []
    for movie in MOVIES:
        causes = random.normal(size=(TR, 6))
        bold[movie] = (causes @ weights / 2).astype(np.float32)
        first, drift = causes[:, :3] @ basis[0], causes[:, 3:] @ basis[1]
        frames = first[:, None] + 0.3 * np.arange(FRAMES)[:, None] * drift[:, None]
        latents.append(frames.reshape(TR, FRAMES, *SHAPE).astype(np.float16))
    clips = tuple((movie, index) for movie in MOVIES for index in range(TR))
    return {"fmri": SubjectFmri(bold), "latents": CachedClips(clips, np.concatenate(latents))}


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


def motion(study: dict[str, Any], folder: Path, from_fmri: bool = True, **values: Any) -> tuple:
    net = StructureDecoder(StructureConfig(VERTICES, SHAPE, 16))
    settings = MOTION.replace(**{k: v for k, v in values.items() if k not in ("memory_tokens", "structure")})
    return train_motion(
        study["fmri"], study["latents"], values.get("structure", net), ["seg3"], "paper",
        values.get("memory_tokens", 1), from_fmri, settings, 0, folder, device="cpu",
    )  # fmt: skip


def test_the_motion_generator_learns_motion_from_fmri(study: dict[str, Any], tmp_path: Path) -> None:
    true_first = TrueFirst(study)
    net, _, seeing = motion(study, tmp_path / "seeing", structure=true_first)
    *_, blind = motion(study, tmp_path / "blind", from_fmri=False, structure=true_first)
    assert seeing["error"] < seeing["mean_error"]
    assert seeing["hold_error"] == blind["hold_error"]
    truth = torch.from_numpy(study["latents"].of(["seg3"])).float()
    held = truth[:, :1] - truth[:, 1:]
    assert seeing["hold_error"] == pytest.approx(float(held.square().mean()), rel=1e-4)
    with torch.no_grad():
        rolled = net.roll_out(torch.from_numpy(study["fmri"].bold["seg3"]), truth[:, 0])
    assert float((rolled - truth)[:, 1:].square().mean()) == pytest.approx(seeing["error"], rel=1e-4)


class TrueFirst(StructureDecoder):
    """A structure decoder that knows the answer for the held-out movie."""

    def __init__(self, study: dict[str, Any]) -> None:
        super().__init__(StructureConfig(VERTICES, SHAPE, 16))
        self.answer = torch.from_numpy(study["latents"].of(["seg3"])[:, 0]).float()

    def forward(self, bold: torch.Tensor) -> torch.Tensor:
        return self.answer


def test_masks_are_fresh_per_batch_or_fixed_for_good(study: dict[str, Any]) -> None:
    frames = torch.from_numpy(study["latents"].of(["seg1"])).float().repeat(1, 3, 1, 1, 1)
    samples = Samples.of(study["fmri"], ["seg1"])
    for variant, kinds in (("paper", 20), ("code", 1)):
        config = MOTION.architecture(VERTICES, 12, SHAPE, 1, True, variant)
        task = MotionTask(MotionGenerator(config), samples, frames, samples, frames, frames[:, 0], MOTION, 0)
        masks = {task.seen(torch.Generator().manual_seed(n)).numpy().tobytes() for n in range(20)}
        assert len(masks) == kinds


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"memory_tokens": 0}, "memory_tokens: found 0; expected 1 or more"),
        ({"structure": StructureDecoder(StructureConfig(VERTICES, (4, 4, 4), 16))}, r"\(4, 4, 4\)"),
        (
            {"structure": StructureDecoder(StructureConfig(VERTICES, SHAPE, 16, variant="code"))},
            "variant code",
        ),
    ],
)
def test_what_does_not_fit_the_motion_generator_is_refused(
    study: dict[str, Any], tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        motion(study, tmp_path, **values)


def embeddings(folder: Path, study: dict[str, Any]) -> tuple[list[Path], TextStates, Variants]:
    """Texts and images that are linear in the fMRI."""
    random = np.random.default_rng(1)
    one, two, three = (random.normal(size=(VERTICES, n)) for n in (16, 16, 4 * 6))
    arrays: dict[str, np.ndarray] = {}
    varied: dict[str, np.ndarray] = {}
    bold = np.concatenate([study["fmri"].bold[movie] for movie in MOVIES])
    states = np.tanh(bold @ three / 3).reshape(-1, 4, 6)
    states[:, 0] = 0.25
    arrays |= {"text_states": states.astype(np.float16), "null_states": states[0].astype(np.float16)}
    varied["texts"] = (bold @ one).astype(np.float16)
    for number, movie in enumerate(MOVIES):
        rows = np.arange(TR)[:, None] + number * TR
        arrays |= {f"{movie}/text": (bold @ one)[rows].astype(np.float32), f"{movie}/state_index": rows}
        images = (bold @ two)[rows].astype(np.float32)
        arrays[f"{movie}/image"] = np.repeat(images, 2, 1)
        varied |= {
            f"{movie}/variant_index": np.repeat(rows, 3, 1),
            f"{movie}/image_crops": images.astype(np.float16),
        }
    write_arrays(folder / "e.safetensors", arrays, {"movies": MOVIES, "computed_from": list(MOVIES)})
    write_arrays(folder / "v.safetensors", varied, {"movies": MOVIES, "computed_from": list(MOVIES)})
    files = [folder / "e.safetensors"]
    return files, TextStates.read(files), Variants.read([folder / "v.safetensors"], MOVIES)


def semantic(study: dict[str, Any], folder: Path, **values: Any) -> tuple:
    files, states, variants = embeddings(folder, study)
    settings = SEMANTIC.replace(**values)
    return train_semantic(
        study["fmri"], files, states, variants, ["seg3"], "paper", settings, 0, folder / "state", device="cpu"
    )


def test_the_semantic_decoder_learns_embeddings_and_states(study: dict[str, Any], tmp_path: Path) -> None:
    net, _, quality = semantic(study, tmp_path, steps=200)
    assert quality["better_than_mean"]
    assert quality["text_top10"] > 0.7  # chance .25
    assert net.config.width == 16
    assert net.config.n_tokens == 3
    assert torch.equal(net.first_state, torch.full((6,), 0.25))


def test_more_tokens_than_texts_have_are_cut_with_a_line_in_the_log(
    study: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        net, *_ = semantic(study, tmp_path, steps=2, tokens=20)
    assert net.config.n_tokens == 4
    assert "tokens is 20, but texts have 4 states: 4 are used" in caplog.text


def test_the_loss_is_the_weighted_sum_of_the_published_parts(study: dict[str, Any], tmp_path: Path) -> None:
    from neurocine.models.semantic import SemanticConfig, SemanticDecoder
    from neurocine.train.losses import info_nce
    from neurocine.train.semantic import ScaledDecoder, SemanticTask

    files, states, variants = embeddings(tmp_path, study)
    names = [["seg1", "seg2"], ["seg3"]]
    meanings = [Meanings.read(files, states, movies, 1, 3) for movies in names]
    samples = [Samples.of(study["fmri"], movies) for movies in names]
    torch.manual_seed(0)
    net = ScaledDecoder(SemanticDecoder(SemanticConfig(VERTICES, 16, 3, 6, (16,))), 0.07).eval()
    settings = SEMANTIC.replace(sparsify_share=0.0)
    task = SemanticTask(
        net, samples[0], meanings[0], variants.of(names[0]), samples[1], meanings[1], settings, "paper", 0
    )
    rows = torch.tensor([3, 8, 30, 35])
    loss, _ = task.loss(net, rows, torch.Generator().manual_seed(0))
    x, y, scale = net(samples[0].bold[rows])
    text = variants.of(names[0]).draw_text(rows, torch.Generator())  # all variants are equal here
    image = variants.of(names[0]).draw_image(rows, torch.Generator())
    expected = ((x - text) ** 2).mean() + 0.5 * ((y - meanings[0].states[rows][:, 1:]) ** 2).mean()
    expected = expected + 0.01 * (info_nce(x, text, scale) + info_nce(x, image, scale)) / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_first_text_state_is_the_same_for_all_texts(tmp_path: Path) -> None:
    from neurocine.models.pretrained import load_text_encoder
    from neurocine.stimuli.embed import text_states
    from tiny_study import stable_diffusion

    encoder = load_text_encoder(stable_diffusion(tmp_path), torch.device("cpu"))
    states = text_states(*encoder, ["", "a red circle", "a blue square moving over dark light"])
    assert torch.allclose(states[:, 0], states[:1, 0].expand(3, -1), atol=1e-6)
    assert not torch.allclose(states[0, 1:], states[1, 1:])


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


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AnimatorSettings, {"sparsify_share": 1.1}),
        (AnimatorSettings, {"adam_eps": 0.0}),
        (TrainMotionSettings, {"hide": -0.1}),
        (TrainMotionSettings, {"attention_width": 6}),
        (TrainMotionSettings, {"warmup_steps": 0}),
        (TrainSemanticSettings, {"tokens": 0}),
        (TrainSemanticSettings, {"text_share": 2.0}),
    ],
)
def test_settings_outside_their_ranges_are_refused(kind: type, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        kind(**values)
