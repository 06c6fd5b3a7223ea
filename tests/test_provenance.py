"""The leak guard: what was computed from test movies reaches no training, however it is tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import decode
import pretrain_encoder
import train_decoder
import train_encoder
import train_video_prior
from fmri_runs import run_assemble, write_cleaned
from neurocine.diffusion.decode import DecodeSettings
from neurocine.errors import InputError
from neurocine.io import read_arrays, write_arrays
from neurocine.models.pretrained import load_unet
from neurocine.models.video_unet import VideoUNet
from neurocine.provenance import movies_behind, refuse_leaks, stamp_weights
from neurocine.train.decoder import TrainDecoderSettings
from neurocine.train.encoder import EncoderExperiment, TrainEncoderSettings
from neurocine.train.pretrain import PretrainEncoderSettings
from neurocine.train.video_prior import TrainVideoPriorSettings
from tiny_study import FRAMES, TR, VERTICES, stable_diffusion, tiny_encoder, write_embeddings, write_latents

TRAIN = ["seg1", "seg2"]


def write_run(path: Path, movies: list[str], seed: int = 0) -> Path:
    """Cleaned runs of preprocess_run, two repeats."""
    random = np.random.default_rng(seed)
    arrays = {movie: random.normal(size=(2, TR, VERTICES)).astype(np.float32) for movie in movies}
    return write_cleaned(path, arrays)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The inputs of trainings as the steps write them, of training movies and of a test movie."""
    runs = (
        write_run(tmp_path / "seg.safetensors", TRAIN),
        write_run(tmp_path / "test1.safetensors", ["test1"]),
    )
    found = dict(
        zip(("fmri", "fmri_test"), run_assemble(tmp_path / "good", [runs[0]], [runs[1]]), strict=True)
    )
    # The test movie given as a training run, as a wrong rule would.
    found["fmri_mixed"] = run_assemble(
        tmp_path / "mixed", list(runs), [write_run(tmp_path / "test2.safetensors", ["test2"])]
    )[0]
    for name, movies in (("", TRAIN), ("_mixed", [*TRAIN, "test1"])):
        found[f"latents{name}"] = write_latents(tmp_path / f"latents{name}.safetensors", movies)
        found[f"embeddings{name}"] = write_embeddings(tmp_path / f"text{name}.safetensors", movies)
    found["stable_diffusion"] = stable_diffusion(tmp_path / "sd")
    for name, movies in (("encoder", TRAIN), ("encoder_mixed", ["seg1", "test1"])):
        tiny_encoder().save_pretrained(tmp_path / name)
        stamp_weights(tmp_path / name, movies, "train_encoder")
        found[name] = tmp_path / name
    return found


def trainings(files: dict[str, Path], folder: Path) -> dict[str, Callable[..., None]]:
    """Each training program with sound inputs, as a function of what is leaked."""
    common: dict[str, Any] = {
        "train_movies": TRAIN,
        "seed": 0,
        "state": folder / "state",
        "out": folder / "out",
    }

    def pretrain(shards: str = "fmri") -> None:
        settings = PretrainEncoderSettings(steps=1)
        pretrain_encoder.main(shards=[files["fmri"], files[shards]], settings=settings, **common)

    def encoder(fmri: str = "fmri", embeddings: str = "embeddings", pretrained: str = "encoder") -> None:
        given = common | {"pretrained": files[pretrained], "experiment": EncoderExperiment()}
        settings = TrainEncoderSettings(steps=1)
        train_encoder.main(fmri=files[fmri], embeddings=[files[embeddings]], settings=settings, **given)

    def prior(latents: str = "latents", embeddings: str = "embeddings") -> None:
        given = common | {"stable_diffusion": files["stable_diffusion"], "noise_ratio": 0.5}
        given |= {"start": files["stable_diffusion"]}
        settings = TrainVideoPriorSettings(steps=1)
        train_video_prior.main(
            latents=[files[latents]], embeddings=[files[embeddings]], settings=settings, **given
        )

    def decoder(fmri: str = "fmri", latents: str = "latents", encoder: str = "encoder") -> None:
        given = common | {"stable_diffusion": files["stable_diffusion"], "noise_ratio": 0.5}
        given |= {"encoder": files[encoder], "prior": files["encoder"]}
        settings = TrainDecoderSettings(steps=1)
        train_decoder.main(fmri=files[fmri], latents=[files[latents]], settings=settings, **given)

    return {"pretrain": pretrain, "encoder": encoder, "prior": prior, "decoder": decoder}


@pytest.mark.parametrize(
    ("training", "argument", "leak"),
    [
        ("pretrain", "shards", "fmri_test"),
        ("pretrain", "shards", "fmri_mixed"),
        ("encoder", "fmri", "fmri_test"),
        ("encoder", "fmri", "fmri_mixed"),
        ("encoder", "embeddings", "embeddings_mixed"),
        ("encoder", "pretrained", "encoder_mixed"),
        ("prior", "latents", "latents_mixed"),
        ("prior", "embeddings", "embeddings_mixed"),
        ("decoder", "fmri", "fmri_test"),
        ("decoder", "latents", "latents_mixed"),
        ("decoder", "encoder", "encoder_mixed"),
    ],
)
def test_a_training_refuses_what_knows_a_test_movie(
    files: dict[str, Path], tmp_path: Path, training: str, argument: str, leak: str
) -> None:
    with pytest.raises(InputError, match="computed from test1") as told:
        trainings(files, tmp_path)[training](**{argument: leak})
    assert files[leak].name in str(told.value)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "out").exists()


def test_a_file_that_does_not_say_what_it_knows_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    arrays, meta = read_arrays(files["fmri"])
    meta.pop("computed_from")
    write_arrays(files["fmri"], arrays, meta)
    with pytest.raises(InputError, match="no list of the movies"):
        trainings(files, tmp_path)["encoder"]()


def test_statistics_carry_their_movies_and_test_runs_change_no_training_byte(
    files: dict[str, Path], tmp_path: Path
) -> None:
    assert movies_behind([files["fmri"]]) == TRAIN
    # Standardised with the training statistics.
    assert movies_behind([files["fmri_test"]]) == [*TRAIN, "test1"]
    other = write_run(tmp_path / "other.safetensors", ["test1"], seed=9)
    train, test = run_assemble(tmp_path / "other", [tmp_path / "seg.safetensors"], [other])
    assert train.read_bytes() == files["fmri"].read_bytes()
    assert test.read_bytes() != files["fmri_test"].read_bytes()


def test_weights_keep_their_tensors_and_pass_their_movies_on(tmp_path: Path) -> None:
    encoder = tiny_encoder()
    encoder.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    before = load_file(path)
    with safe_open(path, "pt") as handle:
        metadata = dict(handle.metadata() or {})
    with pytest.raises(InputError, match="no list of the movies"):
        movies_behind([path])
    stamp_weights(tmp_path, TRAIN, "train_encoder")
    stamp_weights(tmp_path, TRAIN, "train_encoder")
    after = load_file(path)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    with safe_open(path, "pt") as handle:
        assert metadata.items() <= handle.metadata().items()
    assert refuse_leaks([path], TRAIN) == TRAIN
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    assert len(list(tmp_path.iterdir())) == 2  # no temporary file is left


def test_stamped_unet_loads(tmp_path: Path) -> None:
    unet = VideoUNet.from_unet2d(load_unet(stable_diffusion(tmp_path / "sd")), clip_shape=(FRAMES, 4, 4))
    unet.save_pretrained(tmp_path / "unet")
    stamp_weights(tmp_path / "unet", TRAIN, "train_video_prior")
    loaded = VideoUNet.from_pretrained(tmp_path / "unet").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in unet.state_dict().items())


def test_decoding_takes_no_null_condition_from_the_movies_it_decodes(
    files: dict[str, Path], tmp_path: Path
) -> None:
    tiny_encoder().save_pretrained(tmp_path / "decoder/encoder")
    unet = VideoUNet.from_unet2d(load_unet(files["stable_diffusion"]), clip_shape=(FRAMES, 4, 4))
    unet.save_pretrained(tmp_path / "decoder/unet")
    with pytest.raises(InputError, match="computed from test1"):
        decode.main(
            decoder=tmp_path / "decoder",
            fmri_train=files["fmri_mixed"],
            fmri_test=files["fmri_test"],
            stable_diffusion=files["stable_diffusion"],
            noise_ratio=0.5,
            seed=0,
            condition="fmri",
            settings=DecodeSettings().replace(steps=2),
            state=tmp_path / "state",
            out=tmp_path / "out.safetensors",
        )
