"""Decoding: the same clips whatever the batches, the order and the interruptions; and the two programs."""

import contextlib
import dataclasses
import importlib
import json
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import decode
from neurocine.conditions import made_by
from neurocine.conditions.fmri import far_permutation, shuffled_rows
from neurocine.diffusion.conditions import control_fmri
from neurocine.diffusion.decode import (
    DecodeSettings,
    Sampler,
    batch_that_fits,
    cut_sequences,
    decode_clips,
    group_sequences,
    make_sampler,
)
from neurocine.diffusion.sampling import initial_noise
from neurocine.errors import InputError
from neurocine.io import read_arrays
from neurocine.models.decoder import JointDecoder
from neurocine.models.pretrained import load_scheduler, load_unet, load_vae
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import stamp_weights
from test_bench import BENCH
from tiny_models import N_TOKENS, WIDTH
from tiny_study import FRAMES, TR, stable_diffusion, tiny_encoder, write_fmri
from tiny_trainings import fork_server, run_program

CLIPS = [(movie, index) for movie in ("test1", "test2") for index in range(TR)]
QUICK = DecodeSettings(steps=2, guidance=2.0, batch_size=5)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("sd"))


def video_unet(diffusion: Path) -> VideoUNet:
    torch.manual_seed(1)
    return VideoUNet.from_unet2d(load_unet(diffusion), clip_shape=(FRAMES, 4, 4)).eval()


def sampler(diffusion: Path, settings: DecodeSettings = QUICK, seed: int = 3) -> Sampler:
    null = torch.zeros(N_TOKENS, WIDTH)
    parts = load_scheduler(diffusion).config, load_vae(diffusion)
    return make_sampler(video_unet(diffusion), *parts, null, 0.5, settings, seed)


def states(rows: Tensor) -> Tensor:
    """A state of each clip: its row, everywhere."""
    return rows.float().view(-1, 1, 1).expand(-1, N_TOKENS, WIDTH) / 5


class PullThePlugError(Exception):
    """The job is killed."""


def test_an_interrupted_run_goes_on_to_the_same_bits(diffusion: Path, tmp_path: Path) -> None:
    whole, _ = decode_clips(sampler(diffusion), CLIPS, states)
    asked: list[list[int]] = []

    def failing(rows: Tensor) -> Tensor:
        asked.append(rows.tolist())
        if len(asked) == 2:
            raise PullThePlugError
        return states(rows)

    with pytest.raises(PullThePlugError):
        decode_clips(sampler(diffusion), CLIPS, failing, tmp_path / "state")
    resumed, store = decode_clips(sampler(diffusion), CLIPS, failing, tmp_path / "state")
    assert asked == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [5, 6, 7, 8, 9],
        [10, 11],
    ]  # group 0 came from the disk
    for movie in whole:
        assert np.array_equal(resumed[movie].frames, whole[movie].frames)
        assert resumed[movie].clip.tolist() == list(range(TR))
    store.remove()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_group_is_made_again(diffusion: Path, tmp_path: Path, damage: str) -> None:
    first, _ = decode_clips(sampler(diffusion), CLIPS, states, tmp_path)
    path = tmp_path / "group-00001.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[-10] ^= 1
    path.write_bytes(content)
    again, _ = decode_clips(sampler(diffusion), CLIPS, states, tmp_path)
    assert all(np.array_equal(first[movie].frames, again[movie].frames) for movie in first)


@pytest.mark.parametrize("change", ["seed", "steps", "identity"])
def test_groups_of_another_run_are_not_used(diffusion: Path, tmp_path: Path, change: str) -> None:
    decode_clips(sampler(diffusion), CLIPS, states, tmp_path, identity="weights 1")
    settings = QUICK.replace(steps=3) if change == "steps" else QUICK
    other = sampler(diffusion, settings, seed=4 if change == "seed" else 3)
    asked: list[int] = []

    def counting(rows: Tensor) -> Tensor:
        asked.extend(rows.tolist())
        return states(rows)

    identity = "weights 2" if change == "identity" else "weights 1"
    decode_clips(other, CLIPS, counting, tmp_path, identity=identity)
    assert asked == list(range(2 * TR))


def test_a_clip_is_the_same_in_any_batch_and_selection(diffusion: Path) -> None:
    """Rounding of batched products may move a pixel by one level, no more."""
    together, _ = decode_clips(sampler(diffusion), CLIPS, states)
    settings = QUICK.replace(every=2, batch_size=1)
    few, _ = decode_clips(sampler(diffusion, settings), CLIPS, states)
    for movie in together:
        assert few[movie].clip.tolist() == [0, 2, 4]
        same = together[movie].frames[::2].astype(int)
        assert np.abs(same - few[movie].frames).max() <= 1
    assert np.abs(together["test1"].frames[0].astype(int) - together["test2"].frames[0]).max() > 1


def test_half_precision_changes_little(diffusion: Path) -> None:
    full, _ = decode_clips(sampler(diffusion), CLIPS[:2], states)
    half, _ = decode_clips(sampler(diffusion, QUICK.replace(precision="bf16")), CLIPS[:2], states)
    difference = np.abs(full["test1"].frames.astype(int) - half["test1"].frames)
    assert 0 < difference.mean() < 4  # of 255 levels


def test_clips_are_cut_into_sequences_of_their_movies() -> None:
    clips = [("a", index) for index in range(7)] + [("b", index) for index in range(3)]
    assert cut_sequences(range(10), clips, 1) == [[row] for row in range(10)]
    threes = cut_sequences(range(10), clips, 3)
    assert threes == [[0, 1, 2], [3, 4, 5], [6], [7, 8, 9]]
    assert group_sequences(threes, 6) == [[[0, 1, 2], [3, 4, 5]], [[6]], [[7, 8, 9]]]
    assert group_sequences(threes, 2) == [[part] for part in threes]


def test_sequences_are_decoded_clip_by_clip_and_go_on_after_an_interruption(
    diffusion: Path, tmp_path: Path
) -> None:
    settings = QUICK.replace(clips_per_sequence=4, batch_size=4)
    whole, _ = decode_clips(sampler(diffusion, settings), CLIPS, states)
    alone, _ = decode_clips(sampler(diffusion), CLIPS, states)
    for movie in whole:
        assert whole[movie].clip.tolist() == list(range(TR))
        assert whole[movie].frames.shape == alone[movie].frames.shape
        assert not np.array_equal(whole[movie].frames, alone[movie].frames)
    decode_clips(sampler(diffusion, settings), CLIPS, states, tmp_path)
    (tmp_path / "group-00001.safetensors").unlink()
    again, _ = decode_clips(sampler(diffusion, settings), CLIPS, states, tmp_path)
    assert all(np.array_equal(again[movie].frames, whole[movie].frames) for movie in whole)


def test_the_noise_of_a_sequence_is_that_of_its_clips(
    diffusion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a ratio of one all frames of a clip start from the same noise, those of the next from another."""
    drawn: list[Tensor] = []

    def spy(*given: Any) -> Tensor:
        drawn.append(initial_noise(*given))
        return drawn[-1]

    monkeypatch.setattr("neurocine.diffusion.decode.initial_noise", spy)
    settings = QUICK.replace(clips_per_sequence=3, batch_size=6)
    still = dataclasses.replace(sampler(diffusion, settings), noise_ratio=1.0)
    decode_clips(still, CLIPS[:6], states)
    assert drawn[0].shape == (2, 4, 3 * FRAMES, 4, 4)
    clips = drawn[0].unflatten(2, (3, FRAMES))
    assert torch.equal(clips, clips[:, :, :, :1].expand_as(clips))
    different = clips[:, :, :, 0].transpose(1, 2).flatten(0, 1)
    assert len({tuple(noise.flatten().tolist()) for noise in different}) == 6


def test_fast_is_dpm_solver_with_25_steps(diffusion: Path) -> None:
    assert DecodeSettings().solver() == ("DDIM", 200)
    fast = DecodeSettings(fast=True, guidance=2.0)
    assert fast.solver() == ("DPMSolverMultistep", 25)
    made, _ = decode_clips(sampler(diffusion, fast), CLIPS[:2], states)
    named = DecodeSettings(scheduler="DPMSolver++", steps=25, guidance=2.0)
    expected, _ = decode_clips(sampler(diffusion, named), CLIPS[:2], states)
    assert np.array_equal(made["test1"].frames, expected["test1"].frames)


def test_what_is_left_to_choose_is_chosen_by_the_device(diffusion: Path) -> None:
    chosen = sampler(diffusion, DecodeSettings()).settings
    assert (chosen.precision, chosen.batch_size) == ("no", 8)
    given = DecodeSettings(precision="bf16", batch_size=3)
    assert sampler(diffusion, given).settings == given


def test_the_batch_is_a_power_of_two_that_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    with torch.device("meta"):
        unet = importlib.import_module("published_size").published_unet("all")
    batches = [batch_that_fits(unet, torch.bfloat16, gb * 1e9) for gb in (1, 7, 8, 10, 16, 22, 78)]
    assert batches == [1, 2, 4, 8, 16, 32, 32]
    assert batch_that_fits(unet, torch.float32, 10e9) == 4
    assert batch_that_fits(unet, torch.float32, None) == 8


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="clips_per_sequence"):
        DecodeSettings(clips_per_sequence=2, every=2)
    for wrong in (
        {"scheduler": "DDPM"},
        {"steps": 0},
        {"shift_tr": 0},
        {"precision": "int8"},
        {"guidance": -1.0},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong)).replace("scheduler", "DDPM")):
            DecodeSettings(**wrong)


@pytest.fixture
def study(diffusion: Path, tmp_path: Path) -> dict[str, Any]:
    decoder = JointDecoder(video_unet(diffusion), tiny_encoder())
    decoder.save_pretrained(tmp_path / "decoder")
    for part in ("unet", "encoder"):
        stamp_weights(tmp_path / "decoder" / part, ["seg1", "seg2"], "train_decoder")
    return {
        "decoder": tmp_path / "decoder",
        "fmri_train": write_fmri(tmp_path / "train.safetensors", ["seg1", "seg2"]),
        "fmri_test": write_fmri(tmp_path / "test.safetensors", ["test1", "test2"], seed=1),
        "stable_diffusion": diffusion,
        "noise_ratio": 0.5,
        "seed": 3,
        "settings": QUICK.replace(shift_tr=2),
        "state": tmp_path / "state",
    }


def test_decode_writes_every_clip_and_the_shift_moves_conditions_not_noise(
    study: dict[str, Any], tmp_path: Path
) -> None:
    found = {}
    for condition in made_by("decode"):
        out = tmp_path / f"{condition}.safetensors"
        decode.main(**study, condition=condition, out=out)
        found[condition], meta = read_arrays(out)
        assert (meta["condition"], meta["movies"], meta["step"]) == (condition, ["test1", "test2"], "decode")
        assert not (tmp_path / "state").exists()
    arrays = found["fmri"]
    assert set(arrays) == {"test1", "test1/clip", "test2", "test2/clip"}
    assert arrays["test1"].shape == (TR, FRAMES, 16, 16, 3)
    assert arrays["test1"].dtype == np.uint8
    assert arrays["test2/clip"].tolist() == list(range(TR))
    for condition in made_by("decode")[1:]:
        assert not np.array_equal(arrays["test1"], found[condition]["test1"])


def test_a_killed_job_goes_on_to_the_same_bits(study: dict[str, Any], tmp_path: Path) -> None:
    settings = QUICK.replace(steps=10, batch_size=1).model_dump()
    given = {**study, "settings": json.dumps(settings), "condition": "fmri", "device": "cpu"}
    del given["state"]
    arguments = [
        str(word) for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)
    ]
    server = fork_server()

    def start(folder: Path) -> ForkServerProcess:
        places = ["--state", str(folder / "state"), "--out", str(folder / "out.safetensors")]
        process = server.Process(target=run_program, args=("decode", [*arguments, *places], {}))
        process.start()
        return process

    whole = start(tmp_path / "whole")
    whole.join()
    killed, third = start(tmp_path / "cut"), tmp_path / "cut/state/group-00002.safetensors"
    while not third.exists() and killed.is_alive():
        time.sleep(0.005)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not (tmp_path / "cut/out.safetensors").exists()
    before = third.stat().st_mtime_ns
    found: list[int] = []
    rest = start(tmp_path / "cut")
    while rest.is_alive():
        with contextlib.suppress(FileNotFoundError):
            found.append(third.stat().st_mtime_ns)
        time.sleep(0.005)
    assert (whole.exitcode, rest.exitcode) == (0, 0)
    assert set(found) == {before}  # what was finished was not made again
    (made, _), (expected, _) = (read_arrays(tmp_path / name / "out.safetensors") for name in ("cut", "whole"))
    assert all(np.array_equal(made[name], expected[name]) for name in expected)


def test_shuffled_windows_are_far_away_and_each_is_used_once() -> None:
    clips = [(movie, index) for movie, n in (("a", 240), ("b", 12), ("c", 5)) for index in range(n)]
    rows = shuffled_rows(clips, 3)
    assert sorted(rows) == list(range(len(clips)))
    for movie, distance in (("a", 15), ("b", 3), ("c", 1)):
        moved = [(clips[row], clip) for row, clip in zip(rows, clips, strict=True) if clip[0] == movie]
        assert all(source[0] == movie and abs(source[1] - clip[1]) >= distance for source, clip in moved)
    assert rows.tolist() == shuffled_rows(clips, 3).tolist() != shuffled_rows(clips, 4).tolist()
    with pytest.raises(InputError, match="moves each by"):
        far_permutation(3, 2, np.random.default_rng(0))


def test_mean_and_noise_have_the_size_of_the_training_and_nothing_of_the_test() -> None:
    random = np.random.default_rng(0)
    scale = np.array([0.5, 1, 3], np.float32)
    training = {m: (2 + scale * random.normal(size=(300, 3))).astype(np.float32) for m in ("seg1", "seg2")}
    test = {"test1": random.normal(9, 9, (400, 3)).astype(np.float32)}
    mean = control_fmri("mean", test, training, 1, 0)["test1"]
    expected = np.concatenate(list(training.values())).mean(0)
    np.testing.assert_allclose(mean, np.broadcast_to(expected, (400, 3)), rtol=1e-5)
    noise = control_fmri("noise", test, training, 1, 0)["test1"]
    np.testing.assert_allclose(noise.mean(0), expected, atol=4 * scale.max() / 20)
    np.testing.assert_allclose(noise.std(0), scale, rtol=0.15)
    other = control_fmri("noise", {"test1": test["test1"] * 0}, training, 1, 0)["test1"]
    np.testing.assert_array_equal(noise, other)
    assert control_fmri("fmri", test, training, 1, 0)["test1"] is test["test1"]


def test_from_mean_fmri_guidance_changes_nothing(study: dict[str, Any], tmp_path: Path) -> None:
    """The condition is the null condition itself; only rounding is amplified."""
    made = []
    for guidance in (1.0, 5.0):
        study["settings"] = QUICK.replace(guidance=guidance)
        out = tmp_path / f"{guidance}.safetensors"
        decode.main(**study, condition="mean", out=out)
        made.append(read_arrays(out)[0]["test1"].astype(int))
    assert np.abs(made[0] - made[1]).max() <= 1


def test_decode_refuses_bad_input(study: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match="fmri, shifted, shuffled, mean, noise"):
        decode.main(**study, condition="caption", out=out)
    study["settings"] = QUICK.replace(shift_tr=TR)
    with pytest.raises(InputError, match="onto themselves"):
        decode.main(**study, condition="shifted", out=out)
    assert not out.exists()


def test_clips_may_start_from_another_noise_than_that_of_the_training(diffusion: Path) -> None:
    """The setting replaces the ratio of the experiment, and with 1 all frames start alike."""
    parts = load_scheduler(diffusion).config, load_vae(diffusion), torch.zeros(N_TOKENS, WIDTH)
    frames = {}
    for trained, chosen in ((0.5, None), (0.5, 1.0), (1.0, None)):
        settings = QUICK.replace(noise_ratio=chosen)
        made = make_sampler(video_unet(diffusion), *parts, trained, settings, 3)
        assert made.noise_ratio == (trained if chosen is None else chosen)
        frames[trained, chosen] = made.frames([[clip] for clip in CLIPS[:2]], states(torch.arange(2)))
    assert np.array_equal(frames[0.5, 1.0], frames[1.0, None])
    assert not np.array_equal(frames[0.5, 1.0], frames[0.5, None])
    noise = initial_noise((4, FRAMES, 4, 4), 1.0, [torch.Generator().manual_seed(0)])
    assert torch.equal(noise, noise[:, :, :1].expand_as(noise))
