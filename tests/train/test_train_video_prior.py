"""Phase 2a: what is predicted, what is dropped, what is trained, and the program from files to files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import train_video_prior as program
from neurocine.diffusion.noise import dependent_noise
from neurocine.errors import InputError
from neurocine.models.pretrained import load_scheduler, load_unet, load_vae
from neurocine.models.vae import decode_latents
from neurocine.models.video_unet import VideoUNet
from neurocine.seeds import torch_generator
from neurocine.stimuli.cached import CachedClips, TextStates
from neurocine.train.decoder import TrainDecoderSettings
from neurocine.train.denoising import draw_times, error_weights, noise_schedule, training_target
from neurocine.train.video_prior import (
    CaptionTask,
    TrainVideoPriorSettings,
    caption_data,
    load_start,
    started,
    train_video_prior,
)
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, TR, stable_diffusion, write_embeddings, write_latents

MOVIES = ["seg1", "seg2", "seg3"]
QUICK = TrainVideoPriorSettings(
    steps=4,
    batch_size=4,
    precision="no",
    warmup_steps=0,
    validate_every=2,
    log_every=1,
    gradient_checkpointing=False,
    sample_clips=2,
    sample_steps=2,
    tensorboard=False,
)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("sd"))


class Recorder(nn.Module):
    """Stands for the UNet: keeps what it is given and predicts zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.given: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, noisy: Tensor, times: Tensor, states: Tensor, return_dict: bool) -> tuple[Tensor]:
        self.given.append((noisy, times, states))
        return (noisy * self.weight,)


def caption_clips(folder: Path, captions_per_clip: int = 1) -> tuple[CachedClips, TextStates]:
    latents = write_latents(folder / "latents.safetensors", MOVIES)
    embeddings = write_embeddings(folder / "text.safetensors", MOVIES, captions_per_clip)
    return CachedClips.read([latents]), TextStates.read([embeddings])


def recording_task(
    folder: Path, noise_ratio: float = 0.5, captions_per_clip: int = 1, **options: Any
) -> tuple[CaptionTask, Recorder]:
    recorder = Recorder()
    settings = QUICK.replace(**options)
    data = caption_data(*caption_clips(folder, captions_per_clip), ("seg3",))
    config = DDIMScheduler(clip_sample=False).config
    return CaptionTask(recorder, data, config, noise_ratio, settings, seed=5), recorder


def test_the_dependent_noise_is_both_added_and_predicted(tmp_path: Path) -> None:
    """The model predicts zero, so the loss is the mean square of the noise that made its input."""
    task, recorder = recording_task(tmp_path, noise_ratio=1.0)
    rows = torch.tensor([0, 7])
    loss, _ = task.loss(recorder, rows, torch_generator(0))
    noisy, times, _ = recorder.given[0]
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[times].view(-1, 1, 1, 1, 1)
    latents = torch.from_numpy(task.data.latents.rows).float()[rows].transpose(1, 2)
    noise = (noisy - kept.sqrt() * latents) / (1 - kept).sqrt()
    torch.testing.assert_close(noise, noise[:, :, :1].expand_as(noise), rtol=1e-3, atol=1e-2)  # ratio 1
    torch.testing.assert_close(loss, noise.square().mean(), rtol=1e-3, atol=1e-4)


def test_velocity_is_the_target_where_the_schedule_says_so() -> None:
    schedule = noise_schedule(DDIMScheduler(prediction_type="v_prediction").config)
    latents, times = torch.randn(2, 4, 3, 2, 2), torch.tensor([100, 900])
    noise = dependent_noise((2, 4, 3, 2, 2), 0.5)
    kept = schedule.alphas_cumprod[times].view(-1, 1, 1, 1, 1)
    expected = kept.sqrt() * noise - (1 - kept).sqrt() * latents
    torch.testing.assert_close(training_target(schedule, latents, noise, times), expected)
    with pytest.raises(ValueError, match="prediction_type"):
        noise_schedule(DDIMScheduler(prediction_type="sample").config)


def test_the_velocity_loss_is_the_error_of_the_velocity_that_the_predicted_noise_implies() -> None:
    schedule = noise_schedule(DDIMScheduler().config)
    generator = torch.Generator().manual_seed(0)
    latents, noise, predicted = (torch.randn(3, 4, 2, 2, 2, generator=generator).double() for _ in range(3))
    times = torch.tensor([20, 500, 980])
    kept = schedule.alphas_cumprod.double()[times].view(-1, 1, 1, 1, 1)
    noisy = schedule.add_noise(latents, noise, times)
    implied_latents = (noisy - (1 - kept).sqrt() * predicted) / kept.sqrt()
    implied_velocity = kept.sqrt() * predicted - (1 - kept).sqrt() * implied_latents
    velocity = schedule.get_velocity(latents, noise, times)
    expected = (implied_velocity - velocity).square().flatten(1).mean(1)
    errors = (predicted - noise).square().flatten(1).mean(1)
    torch.testing.assert_close(errors * error_weights(schedule, times, True), expected, rtol=1e-4, atol=0)
    assert error_weights(schedule, times, False).tolist() == [1, 1, 1]
    velocities = noise_schedule(DDIMScheduler(prediction_type="v_prediction").config)
    assert error_weights(velocities, times, True).tolist() == [1, 1, 1]


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_times_are_drawn_more_often_where_it_is_noisy_as_the_power_says(power: float) -> None:
    schedule = noise_schedule(DDIMScheduler(num_train_timesteps=20).config)
    times = draw_times(schedule, 20_000, power, torch_generator(0))
    edges = (torch.arange(21) / 20) ** (1 / power)  # P(T u^power < t) = (t / T)^(1 / power)
    assert times.min() >= 0
    torch.testing.assert_close(
        times.bincount(minlength=20) / 20_000, edges.diff(), rtol=0, atol=0.008
    )  # 5 standard errors of the largest


def test_the_loss_counts_noisy_times_as_the_settings_say(tmp_path: Path) -> None:
    """The model predicts zero, so each clip's error is known from its input."""
    rows = torch.arange(4)
    plain, recorder = recording_task(tmp_path, noise_ratio=1.0)
    weighted, _ = recording_task(tmp_path, noise_ratio=1.0, velocity_loss=True)
    loss, _ = weighted.loss(recorder, rows, torch_generator(0))
    unweighted, _ = plain.loss(recorder, rows, torch_generator(0))
    noisy, times, _ = recorder.given[0]
    kept = plain.schedule.alphas_cumprod[times]
    latents = torch.from_numpy(plain.data.latents.rows).float()[rows].transpose(1, 2)
    shape = (-1, 1, 1, 1, 1)
    noise = (noisy - kept.sqrt().view(shape) * latents) / (1 - kept).sqrt().view(shape)
    errors = noise.square().flatten(1).mean(1)
    torch.testing.assert_close(unweighted, errors.mean(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(loss, (errors / kept).mean(), rtol=1e-3, atol=1e-4)


def test_a_share_of_conditions_is_dropped_to_the_null_states(tmp_path: Path) -> None:
    task, recorder = recording_task(tmp_path, condition_dropout=0.3)
    null = task.data.null_input
    assert (null == 0.5).all()
    rows = torch.arange(12)
    dropped = 0
    for step in range(50):
        before = task.data.inputs(rows, None)
        task.loss(recorder, rows, torch_generator(step))
        states = recorder.given[-1][2]
        is_null = (states == null).all((1, 2))
        assert torch.equal(states[~is_null], before[~is_null])
        dropped += int(is_null.sum())
    assert 0.22 < dropped / 600 < 0.38  # 0.3, standard error 0.019
    task, recorder = recording_task(tmp_path, condition_dropout=0.0)
    task.loss(recorder, rows, torch_generator(0))
    assert torch.equal(recorder.given[0][2], task.data.inputs(rows, None))


def test_one_of_several_captions_is_drawn_in_training_only(tmp_path: Path) -> None:
    task, _ = recording_task(tmp_path, captions_per_clip=4)
    rows = torch.arange(18)
    first = task.data.inputs(rows, None)
    assert torch.equal(first, task.data.inputs(rows, None))
    drawn = torch.stack([task.data.inputs(rows, torch_generator(seed)) for seed in range(8)])
    assert not torch.equal(drawn[0], drawn[1])
    captions = TextStates.read([tmp_path / "text.safetensors"])
    for row in range(18):
        possible = torch.from_numpy(captions.states[captions.index.rows[row]]).float()
        assert all((possible == state).all((1, 2)).any() for state in drawn[:, row])


def test_training_never_sees_held_out_movies_and_validation_sees_only_them(tmp_path: Path) -> None:
    task, _ = recording_task(tmp_path)
    assert task.n_items == 2 * TR
    named = task.describe(torch.arange(task.n_items))
    assert named[0] == "seg1:0"
    assert {name.split(":")[0] for name in named} == {"seg1", "seg2"}
    assert {task.data.latents.clips[int(row)][0] for row in task.held_out} == {"seg3"}


def test_validation_repeats_its_noise_and_spreads_its_times(tmp_path: Path) -> None:
    task, recorder = recording_task(tmp_path)
    with torch.no_grad():
        first = task.validate(recorder)
        given = list(recorder.given)
        assert task.validate(recorder) == first
    assert set(first) == {"loss", "loss_without_condition"}
    assert first["loss"] == pytest.approx(first["loss_without_condition"])  # this model ignores its condition
    for before, after in zip(given, recorder.given[len(given) :], strict=True):
        assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    times = torch.cat([times for _, times, _ in given[::2]])
    assert sorted(times.tolist()) == [step * 1000 // TR for step in range(TR)]


def train_some_steps(diffusion: Path, folder: Path, **options: Any) -> tuple[VideoUNet, CaptionTask]:
    """Train on all movies; return the UNet and a task to measure it with."""
    clips, captions = caption_clips(folder)
    settings = QUICK.replace(validate_every=0, **options)
    config = load_scheduler(diffusion).config
    unet, _, picture = train_video_prior(
        load_unet(diffusion), config, clips, captions, (), 0.75, settings, 1, folder / "state", device="cpu"
    )
    assert picture is None  # no VAE given
    return unet, CaptionTask(unet, caption_data(clips, captions, ()), config, 0.75, settings, seed=1)


@torch.no_grad()
def error(task: CaptionTask, unet: VideoUNet) -> float:
    """The loss of all clips on always the same noise and times."""
    return float(task.loss(unet.eval(), torch.arange(task.n_items), torch_generator(9))[0])


def test_thirty_steps_on_a_few_clips_lower_the_loss(diffusion: Path, tmp_path: Path) -> None:
    unet, task = train_some_steps(
        diffusion, tmp_path, steps=30, batch_size=18, learning_rate=1e-2, trained="all"
    )
    start = VideoUNet.from_unet2d(load_unet(diffusion))
    assert error(task, unet) < 0.8 * error(task, start)


def test_the_new_layers_start_from_the_seed_whatever_was_drawn_before(
    diffusion: Path, tmp_path: Path
) -> None:
    """Two processes have different states of torch's global generator."""
    states = []
    for number in (1, 2):
        torch.manual_seed(number)
        unet, _ = train_some_steps(diffusion, tmp_path / str(number), steps=2)
        states.append(unet.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_only_attentions_change(diffusion: Path, tmp_path: Path) -> None:
    unet, _ = train_some_steps(diffusion, tmp_path, learning_rate=1e-2)
    before = load_unet(diffusion).state_dict()
    for name, value in unet.state_dict().items():
        if "norm_temp" in name:
            assert torch.equal(value, torch.full_like(value, float(name.endswith("weight"))))
        elif "attn_temp.to_out" in name:
            assert value.any()  # was zero
        elif "attn_temp" not in name:  # the others of these start at random
            trained = ".attn1." in name or ".attn2." in name
            assert torch.equal(value, before[name]) != trained, name
    assert unet.latent_shape() == (4, FRAMES, 4, 4)


def test_samples_are_drawn_on_the_way(diffusion: Path, tmp_path: Path) -> None:
    """Also without validations, as published: every two steps, and the training goes on as if nothing was."""
    assert TrainVideoPriorSettings().sample_every < TrainVideoPriorSettings().steps
    assert TrainDecoderSettings().sample_every < TrainDecoderSettings().steps
    clips, captions = caption_clips(tmp_path)
    config, vae = load_scheduler(diffusion).config, load_vae(diffusion)

    def run(name: str, **options: Any) -> tuple[VideoUNet, np.ndarray | None]:
        settings = QUICK.replace(validate_every=0, schedule="constant", **options)
        given: dict[str, Any] = {"validation": ("seg3",), "noise_ratio": 0.5, "settings": settings, "seed": 1}
        given |= {"state_dir": tmp_path / name, "vae": vae, "device": "cpu"}
        unet, _, picture = train_video_prior(load_unet(diffusion), config, clips, captions, **given)
        return unet, picture

    unet, _ = run("drawn", steps=5, sample_every=2, tensorboard=True)
    drawn = np.asarray(Image.open(tmp_path / "drawn/samples.png"))
    _, after_four = run("four", steps=4, sample_every=0)
    assert np.array_equal(drawn, after_four)
    originals = decode_latents(vae, torch.from_numpy(clips.rows[12]).float())  # seg3:0
    assert np.array_equal(drawn[:16, :16], originals[0])
    events = EventAccumulator(str(tmp_path / "drawn/tensorboard")).Reload()
    assert [event.step for event in events.Images("samples")] == [2, 4]
    assert not (tmp_path / "four/samples.png").exists()
    plain, _ = run("plain", steps=5, sample_every=0)
    weights = plain.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in unet.state_dict().items())


@pytest.fixture
def arguments(diffusion: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "latents": [write_latents(tmp_path / "latents.safetensors", MOVIES)],
        "embeddings": [write_embeddings(tmp_path / "text.safetensors", MOVIES)],
        "train_movies": MOVIES,
        "start": diffusion,
        "stable_diffusion": diffusion,
        "validation": ["seg3"],
        "noise_ratio": 0.75,
        "seed": 1,
        "settings": QUICK,
        "state": tmp_path / "state",
        "out": tmp_path / "out",
        "device": "cpu",
    }


def test_the_program_writes_a_prior_that_loads(arguments: dict[str, Any], tmp_path: Path) -> None:
    program.main(**arguments)
    out = tmp_path / "out"
    unet = VideoUNet.from_pretrained(out / "unet")
    assert unet.latent_shape() == (4, FRAMES, 4, 4)
    sample = unet(torch.zeros(1, 4, FRAMES, 4, 4), 10, torch.zeros(1, N_TOKENS, WIDTH)).sample
    assert sample.isfinite().all()
    done = json.loads((out / "done.json").read_text())
    assert (done["report"]["steps"], done["noise_ratio"]) == (4, 0.75)
    picture = Image.open(out / "samples.png")
    assert picture.size == (FRAMES * 18, 2 * (18 + 20))
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert set(last["validation"]) == {"loss", "loss_without_condition"}


def test_a_prior_goes_on_from_an_earlier_one(arguments: dict[str, Any], tmp_path: Path) -> None:
    """Its weights are those of the earlier one where nothing was trained yet, temporal layers included."""
    program.main(**arguments)
    earlier = tmp_path / "out"
    unet = started(load_start(earlier), QUICK, (FRAMES, 4, 4), seed=2)
    before = VideoUNet.from_pretrained(earlier / "unet").state_dict()
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())
    further = {"start": earlier, "out": tmp_path / "further", "state": tmp_path / "further_state"}
    program.main(**arguments | further)
    after = VideoUNet.from_pretrained(tmp_path / "further/unet").state_dict()
    change = max(float((after[name] - value).abs().max()) for name, value in before.items())
    assert 0 < change < 1e-3  # four steps of 2e-5


@pytest.mark.parametrize(
    ("name", "value"), [("sc_frames", "own"), ("sc_include_self", False), ("temporal_position", "block_end")]
)
def test_a_prior_of_another_kind_is_no_start(diffusion: Path, name: str, value: Any) -> None:
    unet = VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4))
    with pytest.raises(InputError, match=rf"models.video_prior: found a video UNet of {name}"):
        started(unet, QUICK.replace(**{name: value}), (FRAMES, 4, 4), seed=1)


def test_a_prior_of_clips_of_another_shape_is_no_start(diffusion: Path) -> None:
    unet = VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4))
    with pytest.raises(InputError, match=r"clip_shape \(3, 8, 8\)"):
        started(unet, QUICK, (3, 8, 8), seed=1)


def test_bad_input_is_refused(arguments: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="validation movies"):
        program.main(**{**arguments, "validation": ["seg9"]})
    with pytest.raises(InputError, match="validation movies"):
        program.main(**{**arguments, "validation": MOVIES})
    with pytest.raises(InputError, match="validate_every"):
        program.main(**{**arguments, "validation": []})
    with pytest.raises(ValueError, match="noise ratio"):
        program.main(**{**arguments, "noise_ratio": 1.5})
    other = write_embeddings(tmp_path / "other.safetensors", MOVIES[:2])
    with pytest.raises(InputError, match="expected seg3"):
        program.main(**{**arguments, "embeddings": [other]})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"condition_dropout": 1.0},
        {"time_power": 1.5},
        {"trained": "temporal"},
        {"temporal_position": "start"},
        {"sc_frames": "next"},
        {"sample_clips": 0},
        {"sample_scheduler": "DDPM"},
    ],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        TrainVideoPriorSettings(**wrong)


def test_defaults_are_the_published_ones() -> None:
    settings = TrainVideoPriorSettings()
    assert (settings.learning_rate, settings.batch_size, settings.steps) == (2e-5, 14, 1000)
    assert (settings.trained, settings.temporal_position) == ("attention", "after_self")
