"""From features to clips: what each switch of an experiment changes, and an interrupted run."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurocine.animator.features import Features
from neurocine.animator.reconstruct import (
    ReconstructExperiment,
    Reconstructor,
    ReconstructSettings,
    inflate,
    make_reconstructor,
    reconstruct,
)
from neurocine.diffusion.inversion import invert, renoise
from neurocine.diffusion.sampling import initial_noise, make_scheduler, sample
from neurocine.models.pretrained import load_scheduler, load_text_encoder, load_unet, load_vae
from neurocine.models.vae import decode_latents
from neurocine.seeds import torch_generator
from neurocine.stimuli.embed import text_states
from tiny_models import N_TOKENS, WIDTH
from tiny_study import stable_diffusion

TOKENS, FRAMES = 5, 3
SETTINGS = ReconstructSettings(steps=3, guidance=2.0, negative_prompt="dark", batch_size=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stable_diffusion(tmp_path_factory.mktemp("sd"))


def features(n_clips: int = 3) -> Features:
    random = np.random.default_rng(0)
    clips = tuple(("test1", index) for index in range(n_clips))
    shapes = (8,), (TOKENS, WIDTH), (FRAMES, 4, 4, 4)
    return Features(clips, *(random.normal(size=(n_clips, *shape)).astype(np.float32) for shape in shapes))


def make(folder: Path, settings: ReconstructSettings = SETTINGS, **experiment: Any) -> Reconstructor:
    return make_reconstructor(
        load_unet(folder), load_scheduler(folder).config, load_vae(folder), load_text_encoder(folder),
        TOKENS, ReconstructExperiment(**experiment), settings, seed=4,
    )  # fmt: skip


def drawn(reconstructor: Reconstructor, given: Features) -> np.ndarray:
    return reconstruct(reconstructor, given)[0]["test1"].frames


def test_published_values_are_the_defaults() -> None:
    settings, experiment = ReconstructSettings(), ReconstructExperiment()
    assert (settings.steps, settings.guidance, experiment.renoise) == (50, 12.5, 200)
    assert settings.negative_prompt.startswith("Not like the real scene, ")


def test_clips_are_inverted_renoised_and_sampled_in_this_order(folder: Path) -> None:
    given, config = features(), load_scheduler(folder).config
    unet, vae, encoder = inflate(load_unet(folder), "paper", 4), load_vae(folder), load_text_encoder(folder)
    empty = text_states(*encoder, [""])[0][:TOKENS]
    negative = text_states(*encoder, ["dark"], length=TOKENS)[0]
    alphas = make_scheduler("DDIM", config).alphas_cumprod
    for row, frames in enumerate(drawn(make(folder), given)):
        latents = torch.from_numpy(given.latents[row : row + 1]).transpose(1, 2)
        noised = renoise(
            invert(unet, config, latents, empty, 3),
            200,
            alphas,
            [torch_generator(4, "reconstruct", "test1", row)],
        )
        states = torch.from_numpy(given.states[row : row + 1])
        made = sample(
            unet, make_scheduler("DDIM", config), states, negative, latents=noised, guidance=2.0, steps=3
        )
        expected = decode_latents(vae, made.transpose(1, 2))[0].astype(int)
        assert np.abs(frames - expected).max() <= 1  # rounding of batched products


def test_without_the_diffusion_model_latents_go_through_the_vae(folder: Path) -> None:
    given = features()
    assert np.array_equal(
        drawn(make(folder, through="vae"), given), decode_latents(load_vae(folder), given.latents)
    )


@pytest.mark.parametrize(
    ("without", "part"), [("semantic", "states"), ("structure", "latents"), ("motion", "latents")]
)
def test_what_is_left_out_changes_nothing_any_more(folder: Path, without: str, part: str) -> None:
    given = features()
    changed = getattr(given, part).copy()
    changed[:, 1:] += 1.0  # states after the first, frames after the first
    other = dataclasses.replace(given, **{part: changed})
    whole, left_out = make(folder), make(folder, without=without)
    assert not np.array_equal(drawn(whole, given), drawn(whole, other))
    assert np.array_equal(drawn(left_out, given), drawn(left_out, other))
    assert not np.array_equal(drawn(left_out, given), drawn(whole, given))


def test_without_structure_sampling_starts_from_noise(folder: Path) -> None:
    given = features(1)
    made = make(folder, without="structure")
    noise = initial_noise((4, FRAMES, 4, 4), 0.0, [torch_generator(4, "reconstruct", "test1", 0)])
    assert torch.equal(made._start(given.clips, torch.from_numpy(given.latents).transpose(1, 2)), noise)


def test_without_renoising_no_random_number_matters(folder: Path) -> None:
    given = features()
    calm, other = make(folder, renoise=0), dataclasses.replace(make(folder, renoise=0), seed=5)
    assert np.array_equal(drawn(calm, given), drawn(other, given))
    noisy = make(folder)
    assert not np.array_equal(drawn(noisy, given), drawn(dataclasses.replace(noisy, seed=5), given))


def test_variant_code_has_a_random_temporal_bias_of_its_seed(folder: Path) -> None:
    biases = {}
    for variant, seed in (("paper", 0), ("code", 0), ("code", 0), ("code", 1)):
        named = inflate(load_unet(folder), variant, seed).named_parameters()
        biases.setdefault((variant, seed), []).append(
            torch.cat([p.detach() for name, p in named if name.endswith("attn_temp.to_out.0.bias")])
        )
    assert not biases["paper", 0][0].any()
    assert torch.equal(*biases["code", 0])
    assert not torch.equal(biases["code", 0][0], biases["code", 1][0])
    assert 0 < biases["code", 0][0].abs().max() <= 1 / np.sqrt(8)
    assert len(make(folder, variant="code").empty) == N_TOKENS


def test_a_negative_prompt_that_is_cut_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = SETTINGS.replace(negative_prompt="a red green blue circle square")
    with caplog.at_level(logging.WARNING):
        made = make(folder, settings)
    assert "reconstruct.negative_prompt has 11 tokens and is cut to 5" in caplog.text
    assert made.negative.shape == (TOKENS, WIDTH)


def test_finished_groups_are_not_drawn_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, calls = features(), []
    whole = drawn(make(folder), given)
    frames = Reconstructor.frames

    def interrupted(self: Reconstructor, clips: Any, states: Any, latents: Any) -> np.ndarray:
        calls.append(len(clips))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return frames(self, clips, states, latents)

    monkeypatch.setattr(Reconstructor, "frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(make(folder), given, 1, tmp_path, ["same"])
    made, store = reconstruct(make(folder), given, 1, tmp_path, ["same"])
    assert calls == [2, 1, 1]
    assert np.array_equal(made["test1"].frames, whole)
    assert made["test1"].clip.tolist() == [0, 1, 2]
    store.remove()
    assert not tmp_path.exists()


def test_every_other_clip(folder: Path) -> None:
    made = reconstruct(make(folder), features(), every=2)[0]["test1"]
    assert made.clip.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("key", "value"), [("without", "semantics"), ("variant", "papr"), ("through", "gan"), ("renoise", -1)]
)
def test_experiments_outside_their_range_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=key):
        ReconstructExperiment(**{key: value})


def test_noise_beyond_the_schedule_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="less than or equal to 999"):
        make(folder, renoise=1000)
