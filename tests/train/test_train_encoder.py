"""Phase 1: its loss against the paper's equation, what it learns, what it refuses, and its program."""

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurocine.errors import EXIT_TRY_AGAIN, InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import FmriWindows
from neurocine.io import write_arrays
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from neurocine.provenance import stamp_weights
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.train.encoder import (
    ContrastiveModel,
    EncoderExperiment,
    EncoderTask,
    TrainEncoderSettings,
    make_encoder,
    train_encoder,
)
from neurocine.train.encoder_data import EncoderData
from train_encoder import main

MOVIES = ("seg1", "seg2", "seg3")
N_CLIPS, N_VERTICES, WIDTH, FRAMES = 12, 20, 6, 3
SETTINGS = TrainEncoderSettings(
    steps=6,
    batch_size=8,
    warmup_steps=0,
    learning_rate=3e-3,
    head_learning_rate=6e-3,
    precision="no",
    validate_every=2,
    patience=0,
    log_every=1,
    tensorboard=False,
    patch=4,
    depth=2,
    width=8,
    heads=2,
    near_trs=0,
    drop_equal_captions=False,
)
PLAIN = EncoderExperiment(augment=False)


def study(
    n_repeats: int = 1, n_clips: int = N_CLIPS
) -> tuple[SubjectFmri, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Embeddings that are a fixed linear map of the fMRI, so that there is something to find."""
    draw = np.random.default_rng(0)
    bold = {movie: draw.standard_normal((n_clips, N_VERTICES), np.float32) for movie in MOVIES}
    to_text, to_image = (draw.standard_normal((N_VERTICES, WIDTH), np.float32) for _ in range(2))
    text = {movie: (values @ to_text)[:, None] for movie, values in bold.items()}
    jitter = 0.1 * draw.standard_normal((1, FRAMES, WIDTH), np.float32)
    image = {movie: (values @ to_image)[:, None] + jitter for movie, values in bold.items()}
    repeats = {}
    if n_repeats > 1:
        repeats = {
            movie: np.stack([values + 10 * r for r in range(n_repeats)]) for movie, values in bold.items()
        }
    return SubjectFmri(bold=bold, repeats=repeats), text, image


def data(movies: tuple[str, ...] = ("seg1", "seg2"), n_repeats: int = 1) -> EncoderData:
    fmri, text, image = study(n_repeats)
    return EncoderData.join(FmriWindows({m: fmri.samples(m) for m in movies}, 2), text, image)


def task(
    experiment: EncoderExperiment = PLAIN, settings: TrainEncoderSettings = SETTINGS, seed: int = 0
) -> EncoderTask:
    encoder = make_encoder(settings, N_VERTICES, (3, 5), WIDTH, None, seed)
    model = ContrastiveModel(encoder, settings)
    return EncoderTask(model, data(), data(("seg3",)), settings, experiment, seed)


def run(tmp: Path, settings: TrainEncoderSettings = SETTINGS, **more: Any) -> tuple[FmriEncoder, Any]:
    fmri, text, image = study(n_clips=more.pop("n_clips", N_CLIPS))
    encoder = make_encoder(settings, N_VERTICES, (3, 5), WIDTH, None, 1)
    experiment = more.pop("experiment", EncoderExperiment())
    validation = more.pop("validation", ["seg3"])
    report = train_encoder(
        encoder, fmri, text, image, validation, experiment, settings, 1, tmp / "state", device="cpu", **more
    )
    return encoder, report


def slow_contrast(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """Symmetric InfoNCE, row by row."""
    total = torch.zeros(())
    for one, two in ((queries, keys), (keys, queries)):
        for i in range(len(one)):
            similar = torch.stack([torch.cosine_similarity(one[i], other, dim=0) * scale for other in two])
            total = total + similar.exp().sum().log() - similar[i]
    return total / (2 * len(queries))


def test_loss_equals_equation_3() -> None:
    experiment = EncoderExperiment(spatial_ratio=0.4, spatial_weight=0.5, temporal_weight=0.25)
    made = task(experiment)
    rows = torch.tensor([3, 17, 0, 9])
    loss, parts = made.loss(made.model, rows, torch_generator(5))

    generator = torch_generator(5)
    frame = torch.randint(FRAMES, (4,), generator=generator)
    torch.randint(1, (4,), generator=generator)  # the caption: one per clip
    names, keep, mix = made.views(4, generator)
    encoder, windows = made.model.encoder, made.data.windows.take(rows)
    clean = encoder.embedding(encoder(windows))
    spatial = encoder.embedding(encoder(windows, keep=keep[4:8]))
    temporal = encoder.embedding(encoder(windows, mix=mix[8:]))
    assert names == ["clean", "spatial", "temporal"]
    scale = 1 / 0.07
    expected = slow_contrast(clean, made.data.text[rows, 0], scale)
    expected = expected + slow_contrast(clean, made.data.image[rows, frame], scale)
    torch.testing.assert_close(parts["embedding"], expected, rtol=1e-4, atol=1e-5)
    expected = (
        expected + 0.5 * slow_contrast(clean, spatial, 10.0) + 0.25 * slow_contrast(clean, temporal, 10.0)
    )
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert (keep[4:8] == 0).sum() == 4 * 2  # 40 % of 5 tokens, in the spatial view only
    assert (keep[:4] == 1).all()
    assert (keep[8:] == 1).all()
    assert not torch.equal(mix[8:], mix[:4])


@pytest.mark.parametrize(
    ("experiment", "views"),
    [
        (EncoderExperiment(augment=False), set()),
        (EncoderExperiment(spatial_weight=0.0), {"temporal"}),
        (EncoderExperiment(temporal_weight=0.0), {"spatial"}),
    ],
)
def test_views_without_weight_are_not_computed(experiment: EncoderExperiment, views: set[str]) -> None:
    made = task(experiment)
    _, parts = made.loss(made.model, torch.arange(4), torch_generator(0))
    assert set(parts) == {"embedding", "scale", *views}


def test_gradients_reach_every_parameter_through_both_branches() -> None:
    made = task(EncoderExperiment())
    torch.nn.init.normal_(made.model.encoder.blocks[0].attn_temp.proj.weight, std=0.1)
    torch.nn.init.normal_(made.model.encoder.blocks[1].attn_temp.proj.weight, std=0.1)
    loss, _ = made.loss(made.model, torch.arange(8), torch_generator(0))
    loss.backward()
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    grouped = [id(parameter) for group in made.parameter_groups() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in made.model.parameters())


def test_a_batch_in_parts_has_the_loss_and_gradients_of_the_whole() -> None:
    """Each clip contrasts with all others, however many of them are encoded at once."""
    found = []
    for parts in (1, 3):
        made = task(EncoderExperiment(), SETTINGS.replace(batch_size=9, gradient_accumulation=parts))
        seen: list[int] = []
        made.model.encoder.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(len(inputs[0])))
        loss, _ = made.loss(made.model, torch.arange(9), torch_generator(0))
        loss.backward()
        assert seen == [27] if parts == 1 else [9] * 6  # three views; computed again for the gradients
        found.append((loss.detach(), [parameter.grad for parameter in made.model.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_accumulation_keeps_the_batch_that_is_contrasted(tmp_path: Path) -> None:
    losses = []
    for parts in (1, 4):
        settings = SETTINGS.replace(gradient_accumulation=parts)
        run(tmp_path / str(parts), settings)
        lines = (tmp_path / str(parts) / "state/log.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[0][0] > 2  # among 8 clips; among the 2 of a part it would be a third of it


def test_groups_carry_rates_and_decay() -> None:
    made = task()
    names = {id(parameter): name for name, parameter in made.model.named_parameters()}
    for group in made.parameter_groups():
        for parameter in group["params"]:
            name = names[id(parameter)]
            head = name.startswith(("encoder.proj_head", "encoder.pool"))
            rate = 1e-2 if name == "logit_scale" else 6e-3 if head else 3e-3
            assert group["lr_scale"] * SETTINGS.learning_rate == pytest.approx(rate), name
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0), name


def test_neighbours_and_equal_captions_are_no_negatives() -> None:
    settings = SETTINGS.replace(near_trs=5, drop_equal_captions=True)
    made = task(settings=settings)
    encoded, image = torch.randn(4, WIDTH), torch.randn(4, WIDTH)
    text = torch.randn(4, WIDTH)
    text[3] = text[0] * (1 + 1e-7)
    scale = torch.tensor(3.0)
    near = made.near(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 5, 6, 0]))
    assert near is not None
    assert near.int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]

    def contrast(keys: Tensor, dropped: set[tuple[int, int]]) -> float:
        similar = 3 * torch.cosine_similarity(encoded[:, None], keys[None], dim=-1)
        for i, j in dropped:
            similar[i, j] = similar[j, i] = -torch.inf
        logs = similar.log_softmax(1).diagonal() + similar.log_softmax(0).diagonal()
        return -float(logs.mean()) / 2

    expected = contrast(text, {(0, 1), (1, 2), (0, 3)}) + contrast(image, {(0, 1), (1, 2)})
    assert float(made.embedding_loss(encoded, text, image, scale, near)) == pytest.approx(expected, rel=1e-5)


def test_windows_are_forward_within_a_movie_and_repeats_are_drawn() -> None:
    fmri, *_ = study()
    table = data()
    windows = table.windows.take(torch.tensor([0, 11, 12, 23]))
    assert torch.equal(windows[0, 1], torch.from_numpy(fmri.bold["seg1"][1]))
    assert torch.equal(windows[1, 0], windows[1, 1])  # the last TR is repeated, not the next movie's first
    assert torch.equal(windows[2, 0], torch.from_numpy(fmri.bold["seg2"][0]))

    every = torch.arange(24)
    drawn = data(n_repeats=3).windows.take(every, torch_generator(0)) - table.windows.take(every)
    shift = drawn.mean(dim=(1, 2)).round()
    assert set(shift.tolist()) == {0.0, 10.0, 20.0}
    assert torch.allclose(drawn, shift[:, None, None], atol=1e-4)  # both TRs from the same repeat


def test_held_out_movies_stay_out_of_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[EncoderTask] = []
    monkeypatch.setattr("neurocine.train.encoder.train", lambda task, *rest, **more: seen.append(task))
    run(tmp_path, validation=["seg2"])
    assert seen[0].data.windows.movies == ("seg1", "seg3")
    assert seen[0].held_out is not None
    assert seen[0].held_out.windows.movies == ("seg2",)
    assert seen[0].describe(torch.tensor([0, 13])) == ["seg1:0", "seg3:1"]
    fmri, *_ = study()
    training = {tuple(row) for row in seen[0].data.windows.table.tolist()}
    assert not training & {tuple(row) for row in fmri.bold["seg2"].tolist()}


def test_four_samples_are_learned_by_heart() -> None:
    made = task(EncoderExperiment(), SETTINGS.replace(width=32, tokens=8, text_width=16))
    rows = torch.tensor([0, 6, 14, 20])
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=5e-3)
    for step in range(100):
        loss, parts = made.loss(made.model, rows, torch_generator(0, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(parts["embedding"]) < 0.2  # chance is 2 ln 4 = 2.8


def test_training_finds_the_map_and_validation_counts_it(tmp_path: Path) -> None:
    settings = SETTINGS.replace(
        steps=200, validate_every=50, batch_size=32, width=32, tokens=8, text_width=16
    )
    _, report = run(tmp_path, settings, experiment=PLAIN, n_clips=240)
    first = json.loads((tmp_path / "state" / "log.jsonl").read_text().splitlines()[0])
    assert report.best is not None
    assert report.loss < 0.5 * first["loss"]
    assert report.best["clips"] == 240
    assert report.best["image_top10"] >= report.best["image_top1"]
    assert report.best["image_top10"] > 0.2  # chance is 10 / 240


def test_retrieval_on_validation_is_perfect_for_a_perfect_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    made = task()
    held_out = made.held_out
    assert held_out is not None
    mean = held_out.image.mean(1)
    parts = iter(mean.split(SETTINGS.batch_size))
    monkeypatch.setattr(
        ContrastiveModel, "forward", lambda self, bold: (next(parts), torch.tensor(5.0), torch.zeros(1))
    )
    values = made.validate(made.model)
    assert values["image_top1"] == 1.0
    assert values["text_top1"] < 0.5


@pytest.mark.parametrize("state_weight", [0.0, 2.0])
def test_validation_measures_what_is_trained_at_a_fixed_temperature(state_weight: float) -> None:
    settings = SETTINGS.replace(state_weight=state_weight, batch_size=5)
    model = ContrastiveModel(make_encoder(settings, N_VERTICES, (3, 5), WIDTH, None, 0), settings)
    fmri, text, image = study()
    states = text_states() if state_weight else None

    def of(movie: str) -> EncoderData:
        return EncoderData.join(FmriWindows.of_means({movie: fmri.bold[movie]}, 2), text, image, states)

    made = EncoderTask(model, of("seg1"), of("seg3"), settings, PLAIN, 0)
    with torch.no_grad():
        values = made.validate(model)
        model.logit_scale.add_(math.log(2))  # overconfident, with the same embeddings
        assert made.validate(model) == values
        tokens = model.encoder(made.held_out.windows.take(torch.arange(N_CLIPS)))
    assert values["loss"] == pytest.approx(values["embedding"] + state_weight * values.get("states", 0.0))
    assert ("states" in values) == bool(state_weight)
    if states is not None:
        rows = [states.index.clips.index(("seg3", clip)) for clip in range(N_CLIPS)]
        target = torch.from_numpy(states.states[states.index.rows[rows, 0]])
        variance = torch.from_numpy(states.states).var(dim=0).mean()
        assert values["states"] == pytest.approx(
            float((tokens - target).square().mean() / variance), rel=1e-5
        )


def test_interrupted_training_equals_unbroken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = run(tmp_path / "whole")
    original, calls = EncoderTask.loss, []

    def interrupted(self: EncoderTask, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *given)

    monkeypatch.setattr(EncoderTask, "loss", interrupted)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "cut")
    assert stopped.value.code == EXIT_TRY_AGAIN
    rest, report = run(tmp_path / "cut")
    assert report.resumed_from == 3
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, rest.state_dict()[name]), name


def test_logit_scale_is_bounded_and_can_come_back() -> None:
    model = task().model
    with torch.no_grad():
        model.logit_scale.fill_(9.0)
    _embedding, scale, _tokens = model(torch.zeros(1, 2, N_VERTICES))
    assert float(scale.detach()) == pytest.approx(100.0)
    scale.backward()
    assert model.logit_scale.grad is not None
    assert float(model.logit_scale.grad) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation": ["seg9"]}, "validation movies"),
        ({"validation": list(MOVIES)}, "validation movies"),
        ({"validation": []}, "validate_every"),
        ({"settings": SETTINGS.replace(window=1)}, "window"),
        ({"settings": SETTINGS.replace(batch_size=64)}, "batch_size"),
    ],
)
def test_bad_input_is_told(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, **change)


def test_embeddings_must_fit_the_fmri() -> None:
    fmri, text, image = study()
    windows = FmriWindows.of_means(fmri.bold, 2)
    with pytest.raises(InputError, match="12 clips, one per TR"):
        EncoderData.join(windows, {**text, "seg2": text["seg2"][:-1]}, image)
    with pytest.raises(InputError, match="seg1"):
        EncoderData.join(windows, {}, image)


@pytest.mark.parametrize(
    "wrong",
    [{"mask_mode": "voxel"}, {"view_temperature": 0.0}, {"near_trs": -1}, {"heads": 3}, {"pooling": "x"}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainEncoderSettings().replace(**wrong)


def test_program_writes_the_encoder_and_removes_its_state(tmp_path: Path) -> None:
    fmri, text, image = study()
    write_arrays(
        tmp_path / "train.safetensors", fmri.arrays(), {"movies": list(MOVIES), "computed_from": list(MOVIES)}
    )
    files = []
    for movie in MOVIES:
        arrays = {f"{movie}/text": text[movie], f"{movie}/image": image[movie]}
        arrays["null_states"] = np.zeros((3, 5), np.float16)
        files.append(tmp_path / f"{movie}.safetensors")
        write_arrays(files[-1], arrays, {"computed_from": [movie]})
    pretrained = FmriEncoder(
        FmriEncoderConfig(
            n_vertices=N_VERTICES, window=1, patch=4, depth=1, width=8, heads=2, temporal=False, tokens=0
        )
    )
    pretrained.save_pretrained(tmp_path / "pretrained")
    stamp_weights(tmp_path / "pretrained", [], "pretrain_encoder")
    out = tmp_path / "out"
    main(
        fmri=tmp_path / "train.safetensors",
        embeddings=files,
        train_movies=list(MOVIES),
        settings=SETTINGS.replace(learning_rate=1e-9, head_learning_rate=1e-9),
        experiment=EncoderExperiment(),
        seed=0,
        state=tmp_path / "state",
        out=out,
        validation=["seg3"],
        pretrained=tmp_path / "pretrained",
        device="cpu",
    )
    encoder = FmriEncoder.from_pretrained(out / "encoder")
    assert (encoder.config.depth, encoder.config.tokens, encoder.config.text_width) == (1, 3, 5)
    torch.testing.assert_close(
        encoder.blocks[0].attn.qkv.weight, pretrained.blocks[0].attn.qkv.weight, rtol=1e-4, atol=1e-6
    )
    done = json.loads((out / "done.json").read_text())
    assert done["report"]["steps"] == 6
    assert len((out / "log.jsonl").read_text().splitlines()) == 6
    assert not (tmp_path / "state").exists()
    with pytest.raises(InputError, match="also seg3"):
        main(
            fmri=tmp_path / "train.safetensors",
            embeddings=files[:2],
            train_movies=list(MOVIES),
            settings=SETTINGS,
            experiment=PLAIN,
            seed=0,
            state=tmp_path / "state",
            out=out,
        )


def text_states() -> TextStates:
    draw = np.random.default_rng(3)
    clips = tuple((movie, clip) for movie in MOVIES for clip in range(N_CLIPS))
    index = draw.integers(0, 7, (len(clips), 1))
    return TextStates(
        draw.standard_normal((7, 3, 5), np.float32), CachedClips(clips, index), np.zeros((3, 5))
    )


def test_state_error_is_the_share_of_the_text_states_variance() -> None:
    states = text_states()
    fmri, text, image = study()
    windows = FmriWindows.of_means({movie: fmri.bold[movie] for movie in ("seg2", "seg1")}, 2)
    held = EncoderData.join(windows, text, image, states)
    settings = SETTINGS.replace(state_weight=0.5)
    model = ContrastiveModel(make_encoder(settings, N_VERTICES, (3, 5), WIDTH, None, 0), settings)
    made = EncoderTask(model, held, None, settings, PLAIN, 0)
    rows = torch.tensor([3, 17, 0, 9])
    total, parts = made.loss(model, rows, torch_generator(5))
    tokens = model.encoder(windows.take(rows))
    errors, variances = [], []
    for place, row in enumerate(rows.tolist()):
        name, clip = ("seg2", "seg1")[row // N_CLIPS], row % N_CLIPS
        line = states.index.clips.index((name, clip))
        target = torch.from_numpy(states.states[states.index.rows[line, 0]])
        errors.append((tokens[place] - target).square().mean())
    variances = [torch.from_numpy(states.states[:, i, j]).var() for i in range(3) for j in range(5)]
    expected = torch.stack(errors).mean() / torch.stack(variances).mean()
    torch.testing.assert_close(parts["states"], expected.detach())
    torch.testing.assert_close(total, parts["embedding"] + 0.5 * expected)


def test_state_weight_needs_text_states(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="text states"):
        run(tmp_path, SETTINGS.replace(state_weight=1.0))
    _, report = run(tmp_path, SETTINGS.replace(state_weight=1.0), text_states=text_states())
    assert report.steps == SETTINGS.steps
