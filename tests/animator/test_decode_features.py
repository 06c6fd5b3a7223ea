"""Features from fMRI and true ones, their files, and what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

import decode_features as program
from neurocine.animator.features import (
    DecodeFeaturesSettings,
    Features,
    decode_features,
    require_fit,
    require_variant_of,
    zscore_over_test,
)
from neurocine.errors import InputError
from neurocine.provenance import movies_behind
from tiny_animator import TEST, TOKENS, networks, write_embeddings, write_networks, write_subject
from tiny_models import WIDTH
from tiny_study import FRAMES, TR, VERTICES


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Path]:
    """Files of a subject and the folders of its decoders."""
    return write_subject(tmp_path)


def run(
    study: dict[str, Path], out: Path, condition: str, variant: str = "paper", **changes: Path
) -> Features:
    files = study | changes
    program.main(
        **{name: files[name] for name in ("semantic", "structure", "motion", "fmri_train", "fmri_test")},
        embeddings=[files["embeddings"]], latents=[files["latents"]], condition=condition, variant=variant,
        seed=0, settings=DecodeFeaturesSettings(shift_tr=2), out=out, device="cpu",
    )  # fmt: skip
    return Features.read(out)


def test_features_are_what_the_networks_say_of_each_clip_alone() -> None:
    nets = networks()
    bold = torch.randn(5, VERTICES, generator=torch.Generator().manual_seed(3))
    clips = [("test1", index) for index in range(5)]
    made = decode_features(*nets, bold, clips, batch_size=2)
    for row in range(5):
        with torch.no_grad():
            embedding, states = nets[0](bold[row : row + 1])
            frames = nets[2].roll_out(bold[row : row + 1], nets[1](bold[row : row + 1]))
        assert np.allclose(made.embedding[row], embedding[0], atol=1e-6)
        assert np.allclose(made.states[row, 1:], states[0], atol=1e-6)
        assert np.array_equal(made.states[row, 0], nets[0].first_state)
        assert np.allclose(made.latents[row], frames[0], atol=1e-6)


def test_the_program_writes_every_clip_of_every_movie(study: dict[str, Path], tmp_path: Path) -> None:
    made = run(study, tmp_path / "fmri.safetensors", "fmri")
    assert made.clips == tuple((movie, index) for movie in TEST for index in range(TR))
    assert made.states.shape == (2 * TR, TOKENS, WIDTH)
    assert made.latents.shape == (2 * TR, FRAMES, 4, 4, 4)
    assert movies_behind([tmp_path / "fmri.safetensors"]) == ["seg1", *TEST]


def test_controls_are_the_same_networks_on_other_fmri(study: dict[str, Path], tmp_path: Path) -> None:
    given = {name: run(study, tmp_path / f"{name}.safetensors", name) for name in ("fmri", "shifted", "mean")}
    one, other = given["fmri"].embedding[:TR], given["shifted"].embedding[:TR]
    assert np.allclose(np.roll(one, 2, axis=0), other, atol=1e-5)
    assert np.allclose(given["mean"].embedding, given["mean"].embedding[:1], atol=1e-5)
    shuffled = run(study, tmp_path / "shuffled.safetensors", "shuffled").embedding[:TR]
    assert {row.tobytes() for row in shuffled.round(4)} == {row.tobytes() for row in one.round(4)}
    assert not np.allclose(shuffled, one, atol=1e-3)


def test_the_condition_features_holds_the_truth(study: dict[str, Path], tmp_path: Path) -> None:
    made = run(study, tmp_path / "features.safetensors", "features")
    truth = Features.true([study["embeddings"]], [study["latents"]], TEST, TOKENS)
    assert np.array_equal(made.latents, truth.latents)
    assert np.array_equal(made.states, truth.states)
    assert truth.states.shape[1] == TOKENS
    assert movies_behind([tmp_path / "features.safetensors"]) == TEST


def test_variant_code_standardises_over_the_test_movies(study: dict[str, Path], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    bold = {movie: (3 + 2 * random.normal(size=(TR, 4))).astype(np.float32) for movie in TEST}
    made = zscore_over_test(bold)
    joined = np.concatenate([bold[movie] for movie in TEST])
    for movie in TEST:
        assert np.allclose(made[movie], (bold[movie] - joined.mean(0)) / joined.std(0), atol=1e-5)
    bold = {
        movie: np.concatenate([samples, np.ones((TR, 1), np.float32)], 1) for movie, samples in bold.items()
    }
    with pytest.raises(InputError, match="1 vertices that are constant, the first in column 4"):
        zscore_over_test(bold)
    write_networks(tmp_path, "code")
    code = run(study, tmp_path / "code.safetensors", "fmri", "code")
    assert np.isfinite(code.latents).all()
    with pytest.raises(InputError, match="vertices that are constant"):
        run(study, tmp_path / "no.safetensors", "mean", "code")


def test_a_checkpoint_of_another_variant_is_refused(study: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="decoder semantic: found variant paper; expected variant code"):
        run(study, tmp_path / "no.safetensors", "fmri", "code")
    with pytest.raises(InputError, match="decoder motion"):
        require_variant_of("paper", structure=networks()[1], motion=networks("code")[2])


def test_an_unfinished_training_is_told(study: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Run the training that makes it, to its end"):
        run(study, tmp_path / "no.safetensors", "fmri", motion=tmp_path / "unfinished")
    assert not (tmp_path / "no.safetensors").exists()


def test_caches_of_other_sizes_are_refused(study: dict[str, Path], tmp_path: Path) -> None:
    other = write_embeddings(tmp_path / "wide.safetensors", TEST, width=9)
    with pytest.raises(InputError, match="CLIP embeddings of 8; expected 9"):
        run(study, tmp_path / "no.safetensors", "fmri", embeddings=other)
    nets, truth = networks(), Features.true([study["embeddings"]], [study["latents"]], TEST, TOKENS)
    small = Features(truth.clips, truth.embedding, truth.states, truth.latents[:, :2])
    with pytest.raises(InputError, match=r"decoder motion: found frames of 3; expected 2"):
        require_fit(*nets, small)
    with pytest.raises(InputError, match=r"decoder structure: found latents of \(4, 4, 4\)"):
        require_fit(*nets, Features(truth.clips, truth.embedding, truth.states, truth.latents[..., :2]))


def test_a_misspelt_condition_is_refused(study: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--condition: found shfted"):
        run(study, tmp_path / "no.safetensors", "shfted")
