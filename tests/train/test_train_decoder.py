"""Phase 2b: the joint training of encoder and UNet, and its program from files to files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import train_decoder as program
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.windows import FmriWindows
from neurocine.models.decoder import JointDecoder
from neurocine.models.pretrained import load_scheduler, load_unet
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import CachedClips
from neurocine.train.decoder import FmriTask, TrainDecoderSettings, subject_data, train_decoder, window_data
from neurocine.train.denoising import ClipData
from tiny_study import FRAMES, VERTICES, WINDOW, stable_diffusion, tiny_encoder, write_fmri, write_latents

MOVIES = ["seg1", "seg2", "seg3"]
QUICK = TrainDecoderSettings(
    steps=4,
    batch_size=4,
    precision="no",
    warmup_steps=0,
    validate_every=2,
    patience=0,
    log_every=1,
    gradient_checkpointing=False,
    sample_clips=2,
    sample_steps=2,
    tensorboard=False,
)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("sd"))


def joint(diffusion: Path) -> JointDecoder:
    torch.manual_seed(1)
    unet = VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4))
    return JointDecoder(unet, tiny_encoder())


def clip_data(tmp_path: Path, validation: tuple[str, ...] = ("seg3",)) -> ClipData:
    latents = CachedClips.read([write_latents(tmp_path / "latents.safetensors", MOVIES)])
    subject = SubjectFmri.read(write_fmri(tmp_path / "fmri.safetensors", MOVIES))
    return subject_data(latents, subject, WINDOW, validation)


def test_windows_and_null_condition_are_those_of_the_subject(tmp_path: Path) -> None:
    subject = SubjectFmri.read(write_fmri(tmp_path / "fmri.safetensors", MOVIES))
    latents = CachedClips.read([write_latents(tmp_path / "latents.safetensors", MOVIES)])
    data = subject_data(latents, subject, WINDOW, ())
    mean = np.concatenate([subject.bold[movie] for movie in MOVIES]).mean(0)
    np.testing.assert_allclose(data.null_input.numpy(), np.stack([mean] * WINDOW), atol=1e-6)
    rows = torch.arange(len(latents.clips))
    windows = FmriWindows({movie: subject.samples(movie) for movie in MOVIES}, WINDOW)
    assert torch.equal(data.inputs(rows, None), windows.take(rows, None))


def make_task(diffusion: Path, tmp_path: Path, **options: Any) -> FmriTask:
    settings = QUICK.replace(**options)
    return FmriTask(
        joint(diffusion), clip_data(tmp_path), load_scheduler(diffusion).config, 0.5, settings, seed=2
    )


def test_a_joint_prediction_is_the_unet_s_on_encoded_windows(diffusion: Path) -> None:
    decoder = joint(diffusion).eval()
    sample, windows = torch.randn(2, 4, FRAMES, 4, 4), torch.randn(2, WINDOW, VERTICES)
    expected = decoder.unet(sample, 7, decoder.encoder(windows)).sample
    assert torch.equal(decoder(sample, 7, windows).sample, expected)


def test_dropped_conditions_are_the_training_mean(diffusion: Path, tmp_path: Path) -> None:
    task = make_task(diffusion, tmp_path, condition_dropout=0.5)
    windows = task.data.inputs(torch.arange(12), None)
    dropped = task.drop(windows, torch_generator(0))
    is_null = (dropped == task.data.null_input).all((1, 2))
    assert 0 < is_null.sum() < 12
    assert torch.equal(dropped[~is_null], windows[~is_null])
    everything = task.data.inputs(torch.arange(18), None)[:, 0]  # forward windows start at each TR once
    torch.testing.assert_close(task.data.null_input[0], everything.mean(0), rtol=1e-4, atol=1e-5)


def test_encoder_and_unet_have_their_own_rates(diffusion: Path, tmp_path: Path) -> None:
    task = make_task(diffusion, tmp_path, learning_rate=1e-4, encoder_learning_rate=3e-4)
    names = {id(parameter): name for name, parameter in task.model.named_parameters()}
    seen = set()
    for group in task.parameter_groups():
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.add(name)
            assert group["lr_scale"] == pytest.approx(3.0 if name.startswith("encoder.") else 1.0), name
            assert ("weight_decay" in group) == (parameter.ndim <= 1), name
            assert group.get("weight_decay", 0.0) == 0.0
    assert seen == {name for name, parameter in task.model.named_parameters() if parameter.requires_grad}


def train_some_steps(diffusion: Path, folder: Path, **options: Any) -> JointDecoder:
    decoder = joint(diffusion)
    settings = QUICK.replace(validate_every=0, **options)
    config = load_scheduler(diffusion).config
    train_decoder(decoder, config, clip_data(folder, ()), 0.75, settings, 1, folder / "state", device="cpu")
    return decoder


def test_thirty_steps_on_a_few_clips_lower_the_loss(diffusion: Path, tmp_path: Path) -> None:
    rates = {"learning_rate": 1e-2, "encoder_learning_rate": 1e-2}
    decoder = train_some_steps(diffusion, tmp_path, steps=30, batch_size=18, trained="all", **rates)
    task = make_task(diffusion, tmp_path)
    errors = []
    for model in (task.model.eval(), decoder.eval()):
        with torch.no_grad():
            errors.append(float(task.loss(model, torch.arange(task.n_items), torch_generator(9))[0]))
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_attentions_and_encoder_are_trained_and_nothing_else(
    diffusion: Path, tmp_path: Path, checkpointing: bool
) -> None:
    before = joint(diffusion).state_dict()
    decoder = train_some_steps(diffusion, tmp_path, gradient_checkpointing=checkpointing)
    moved = {name for name, value in decoder.state_dict().items() if not torch.equal(value, before[name])}
    parts = ("attn1", "attn2", "attn_temp")
    for name, _ in decoder.unet.named_parameters():
        assert (f"unet.{name}" in moved) == any(f".{part}." in name for part in parts), name
    encoder = {name for name, _ in decoder.encoder.named_parameters()}
    still = {name for name in encoder if f"encoder.{name}" not in moved}
    assert still == {"pool.weight", "pool.bias"}  # of phase 1's loss only


def test_a_frozen_encoder_stays(diffusion: Path, tmp_path: Path) -> None:
    decoder = joint(diffusion)
    before = {name: value.clone() for name, value in decoder.encoder.state_dict().items()}
    settings = QUICK.replace(encoder_learning_rate=0.0, validate_every=0)
    config = load_scheduler(diffusion).config
    train_decoder(decoder, config, clip_data(tmp_path), 0.5, settings, 1, tmp_path / "state", device="cpu")
    assert all(torch.equal(value, before[name]) for name, value in decoder.encoder.state_dict().items())


@pytest.fixture
def arguments(diffusion: Path, tmp_path: Path) -> dict[str, Any]:
    decoder = joint(diffusion)
    decoder.save_pretrained(tmp_path / "start")
    for part in ("encoder", "unet"):
        stamp_weights(tmp_path / "start" / part, MOVIES, part)
    return {
        "fmri": write_fmri(tmp_path / "fmri.safetensors", MOVIES),
        "latents": [write_latents(tmp_path / "latents.safetensors", [*MOVIES, "seg4"])],
        "train_movies": [*MOVIES, "seg4"],
        "encoder": tmp_path / "start/encoder",
        "prior": tmp_path / "start/unet",
        "stable_diffusion": diffusion,
        "validation": ["seg3"],
        "noise_ratio": 0.75,
        "seed": 1,
        "settings": QUICK,
        "state": tmp_path / "state",
        "out": tmp_path / "out",
        "device": "cpu",
    }


def test_the_program_writes_a_decoder_that_loads(arguments: dict[str, Any], tmp_path: Path) -> None:
    program.main(**arguments)
    out = tmp_path / "out"
    decoder = JointDecoder.from_pretrained(out)
    assert decoder.encoder.config.window == WINDOW
    assert decoder.unet.latent_shape() == (4, FRAMES, 4, 4)
    assert json.loads((out / "done.json").read_text())["report"]["steps"] == 4
    assert Image.open(out / "samples.png").size == (FRAMES * 18, 2 * (18 + 20))
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation" in line] == [2, 4]


def test_an_interrupted_training_ends_in_the_same_weights(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.main(**arguments)
    whole = JointDecoder.from_pretrained(tmp_path / "out").state_dict()
    interrupted = {**arguments, "state": tmp_path / "state2", "out": tmp_path / "out2"}
    loss, calls = FmriTask.loss, []

    def failing(self: FmriTask, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(self, *given)

    monkeypatch.setattr(FmriTask, "loss", failing)
    interrupted["settings"] = QUICK.replace(checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        program.main(**interrupted)
    program.main(**interrupted)
    assert json.loads((tmp_path / "out2/done.json").read_text())["report"]["resumed_from"] == 3
    resumed = JointDecoder.from_pretrained(tmp_path / "out2").state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_bad_input_is_refused(arguments: dict[str, Any], tmp_path: Path) -> None:
    fewer = write_latents(tmp_path / "fewer.safetensors", MOVIES[:2])
    with pytest.raises(InputError, match="expected seg3"):
        program.main(**{**arguments, "latents": [fewer]})
    with pytest.raises(InputError, match="validation movies"):
        program.main(**{**arguments, "validation": ["test1"]})
    data = clip_data(tmp_path)
    short = FmriWindows({"seg1": np.zeros((1, 3, VERTICES), np.float32)}, WINDOW)
    with pytest.raises(InputError, match="3 TR of fMRI"):
        window_data(data.latents, short, data.null_input.numpy(), ())
    with pytest.raises(ValueError, match="encoder_learning_rate"):
        TrainDecoderSettings(encoder_learning_rate=-1.0)


def test_defaults_are_the_published_ones() -> None:
    settings = TrainDecoderSettings()
    assert (settings.learning_rate, settings.batch_size, settings.steps) == (2e-5, 24, 15000)
    # The error of the noise does not rank decoders, so it neither ends the training nor chooses its weights.
    assert (settings.patience, settings.keep_best) == (0, False)
