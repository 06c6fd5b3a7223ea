"""Latents, against the VAE used directly on one frame."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

import encode_latents as program
from neurocine.errors import InputError
from neurocine.io import read_arrays, write_arrays
from neurocine.models.pretrained import load_vae
from neurocine.models.vae import decode_latents, encode_frames, vae_round_trip
from neurocine.stimuli.latents import EncodeLatentsSettings, encode_latents
from tiny_models import SIZE

CLIPS = np.random.default_rng(2).integers(0, 256, (3, 2, SIZE, SIZE + 4, 3), dtype=np.uint8)


def posterior(vae: object, frame: np.ndarray) -> object:
    pixels = torch.tensor(frame.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        return vae.encode(pixels).latent_dist


def test_latents_are_the_scaled_mean(models: dict[str, Path]) -> None:
    vae = load_vae(models["stable_diffusion"])
    latents = encode_frames(vae, CLIPS, batch_size=4)
    assert latents.shape == (3, 2, 4, SIZE // 4, SIZE // 4 + 1)
    for clip in range(3):
        for frame in range(2):
            expected = posterior(vae, CLIPS[clip, frame]).mode()[0] * 0.5
            torch.testing.assert_close(latents[clip, frame], expected, rtol=1e-4, atol=1e-5)


def test_a_draw_has_the_posterior_spread_and_ignores_batches(models: dict[str, Path]) -> None:
    vae = load_vae(models["stable_diffusion"])
    frames = np.repeat(CLIPS[:1, 0], 600, axis=0)
    draws = encode_frames(vae, frames, 64, torch.Generator().manual_seed(1))
    again = encode_frames(vae, frames[:50], 7, torch.Generator().manual_seed(1))
    torch.testing.assert_close(draws[:50], again, rtol=1e-4, atol=1e-5)
    expected = posterior(vae, frames[0])
    spread = draws.std(0) / (0.5 * expected.std[0])
    assert (spread.mean() - 1).abs() < 0.01
    offset = (draws.mean(0) - 0.5 * expected.mean[0]) / (0.5 * expected.std[0])
    assert offset.abs().max() < 6 / np.sqrt(600)


def test_decoding_rounds_and_clips(models: dict[str, Path]) -> None:
    vae = load_vae(models["stable_diffusion"])
    latents = 40 * torch.randn(2, 3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    frames = decode_latents(vae, latents, batch_size=4)
    assert frames.shape == (2, 3, 16, 20, 3)
    assert frames.dtype == np.uint8
    with torch.no_grad():
        pixels = vae.decode(latents[1, 2][None] / 0.5).sample[0].permute(1, 2, 0).numpy()
    expected = np.clip(np.rint((pixels + 1) * 127.5), 0, 255)
    assert np.abs(frames[1, 2] - expected).max() <= 1  # sums of another batch size may round otherwise
    assert (frames[1, 2] == expected).mean() > 0.99
    np.testing.assert_array_equal(decode_latents(vae, latents.numpy(), batch_size=4), frames)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frames_that_are_not_finite_are_refused(models: dict[str, Path], value: float) -> None:
    latents = torch.randn(5, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    latents[3, 1, 2, 2] = value
    with pytest.raises(InputError, match=r"NaN or infinite pixels in 1 of 2 decoded .*bf16"):
        decode_latents(load_vae(models["stable_diffusion"]), latents, batch_size=2)


def test_round_trip_is_the_psnr_of_skimage(models: dict[str, Path]) -> None:
    vae = load_vae(models["stable_diffusion"])
    again = decode_latents(vae, encode_frames(vae, CLIPS))
    assert vae_round_trip(vae, CLIPS) == pytest.approx(peak_signal_noise_ratio(CLIPS, again, data_range=255))


def test_program(tmp_path: Path, models: dict[str, Path]) -> None:
    stimuli = tmp_path / "s.safetensors"
    write_arrays(stimuli, {"seg1": CLIPS, "seg2": CLIPS}, {"movies": ["seg1", "seg2"]})

    def run(name: str, seed: int, sample: bool) -> dict[str, np.ndarray]:
        settings = EncodeLatentsSettings(sample=sample)
        out = tmp_path / name
        program.main(
            stimuli=stimuli,
            stable_diffusion=models["stable_diffusion"],
            seed=seed,
            settings=settings,
            out=out,
        )
        return read_arrays(out)[0]

    mean = run("mean", 1, False)
    expected = encode_frames(load_vae(models["stable_diffusion"]), CLIPS)
    assert mean["seg1"].dtype == np.float16
    np.testing.assert_allclose(mean["seg1"], expected, rtol=2e-3, atol=1e-3)
    np.testing.assert_array_equal(mean["seg1"], mean["seg2"])
    first, same, other = run("a", 1, True), run("b", 1, True), run("c", 2, True)
    np.testing.assert_array_equal(first["seg1"], same["seg1"])
    assert not np.array_equal(first["seg1"], other["seg1"])
    assert not np.array_equal(first["seg1"], first["seg2"])


def test_quality_is_logged_and_sizes_are_checked(
    models: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    vae = load_vae(models["stable_diffusion"])
    with caplog.at_level(logging.INFO):
        encode_latents("seg1", CLIPS, vae, EncodeLatentsSettings(check_frames=4))
    assert "seg1: the VAE alone reconstructs 4 frames with a PSNR of" in caplog.text
    with pytest.raises(InputError, match=r"16 x 18.*multiples of 4"):
        encode_latents("seg1", CLIPS[:, :, :, :18], vae, EncodeLatentsSettings())
    with pytest.raises(ValueError, match="generator"):
        encode_latents("seg1", CLIPS, vae, EncodeLatentsSettings(sample=True))
    with pytest.raises(ValueError, match="batch_size"):
        EncodeLatentsSettings(batch_size=0)
