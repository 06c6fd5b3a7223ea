"""Loading of published layouts: what is refused, and that nothing is printed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load, save_file

from neurocine.errors import InputError
from neurocine.models import pretrained
from neurocine.models.weights import check_model
from tiny_models import N_CLASSES, SIZE, WIDTH, write_tiny_models


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(written: dict[str, Path], tmp_path: Path) -> Path:
    """A CLIP folder that a test may spoil."""
    return shutil.copytree(written["clip"], tmp_path / "clip")


def test_everything_loads_silently_frozen_and_float32(
    written: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    diffusion = written["stable_diffusion"]
    networks = [
        pretrained.load_clip(written["clip"])[0],
        pretrained.load_blip(written["blip"])[0],
        pretrained.load_vae(diffusion),
        pretrained.load_unet(diffusion),
        pretrained.load_text_encoder(diffusion)[0],
        pretrained.load_image_classifier(written["image_classifier"])[0],
        pretrained.load_video_classifier(written["video_classifier"])[0],
    ]
    for network in networks:
        assert not network.training
        assert {(value.dtype, value.requires_grad) for value in network.parameters()} == {
            (torch.float32, False)
        }
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_weights_and_schedule_are_those_of_the_folder(written: dict[str, Path]) -> None:
    diffusion = written["stable_diffusion"]
    stored = load((diffusion / "unet" / "diffusion_pytorch_model.safetensors").read_bytes())
    loaded = pretrained.load_unet(diffusion).state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[name], loaded[name]) for name in stored)
    schedule = pretrained.load_scheduler(diffusion)
    assert isinstance(schedule, DDIMScheduler)
    assert (schedule.config.beta_schedule, schedule.config.beta_end) == ("scaled_linear", 0.012)
    assert pretrained.load_vae(diffusion, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_video_classifier_takes_shorter_clips(written: dict[str, Path]) -> None:
    model, processor = pretrained.load_video_classifier(written["video_classifier"], n_frames=6)
    frames = [torch.zeros(SIZE, SIZE, 3, dtype=torch.uint8).numpy()] * 6
    logits = model(**processor([frames], return_tensors="pt")).logits
    assert logits.shape == (1, N_CLASSES)
    assert model.config.id2label[3] == "action 3"
    with pytest.raises(InputError, match="multiple of 2"):
        pretrained.load_video_classifier(written["video_classifier"], n_frames=5)


def test_missing_and_incomplete_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no such folder.*CLIP.*openai/clip-vit-large-patch14.*models\.clip"
    ):
        pretrained.load_clip(tmp_path / "elsewhere")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"without tokenizer\.json or vocab\.json and merges\.txt"):
        pretrained.load_clip(folder)
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match=r"preprocessor_config\.json that cannot be read"):
        pretrained.load_clip(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        pretrained.load_clip(folder)
    (folder / "config.json").write_text("no json")
    with pytest.raises(InputError, match="no JSON"):
        pretrained.load_clip(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match="without config"):
        pretrained.load_clip(folder)


def test_spoiled_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    tensors = load(content)
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="weights that cannot be read"):
        pretrained.load_clip(folder)
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        pretrained.load_clip(folder)
    del tensors["text_projection.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors \(text_projection\.weight"):
        pretrained.load_clip(folder)
    tensors["text_projection.weight"] = torch.zeros(3, WIDTH)
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match="weights that cannot be read"):
        pretrained.load_clip(folder)


def test_truncated_diffusion_weights(written: dict[str, Path], tmp_path: Path) -> None:
    diffusion = shutil.copytree(written["stable_diffusion"], tmp_path / "sd")
    weights = diffusion / "vae" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    with pytest.raises(InputError, match=r"sd/vae.*cannot be read.*the VAE of Stable Diffusion"):
        pretrained.load_vae(diffusion)
    tensors = load((written["stable_diffusion"] / "vae" / weights.name).read_bytes())
    tensors.pop(next(iter(tensors)))
    save_file(tensors, weights)
    with pytest.raises(InputError, match="lack 1 tensors"):
        pretrained.load_vae(diffusion)


def test_another_network_is_refused(written: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"type clip.*BLIP"):
        pretrained.load_blip(written["clip"])
    with pytest.raises(InputError, match=r"type videomae.*image classifier"):
        pretrained.load_image_classifier(written["video_classifier"])


def test_published_text_encoders_with_older_names_load(written: dict[str, Path], tmp_path: Path) -> None:
    """Files of earlier library versions hold a prefix and position ids."""
    diffusion = shutil.copytree(written["stable_diffusion"], tmp_path / "sd")
    weights = diffusion / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name}": value for name, value in load(weights.read_bytes()).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(10)[None]
    save_file(tensors, weights, metadata={"format": "pt"})
    old, new = (
        pretrained.load_text_encoder(diffusion)[0],
        pretrained.load_text_encoder(written["stable_diffusion"])[0],
    )
    for first, second in zip(old.parameters(), new.parameters(), strict=True):
        assert torch.equal(first, second)


def half_precision_only(folder: Path) -> None:
    """Leave the weights of a folder in half precision only, as smaller downloads have them."""
    for weights in folder.glob("*.safetensors"):
        halves = {name: value.half() for name, value in load(weights.read_bytes()).items()}
        save_file(halves, weights.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        weights.unlink()


def in_pieces(folder: Path) -> None:
    """Save a UNet in several files with an index."""
    unet = UNet2DConditionModel.from_pretrained(folder)
    shutil.rmtree(folder)
    unet.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*-of-*"))) > 2


def as_pickles(folder: Path) -> None:
    """Save weights in the older format of PyTorch."""
    for weights in folder.glob("*.safetensors"):
        name = weights.name if weights.name.startswith("diffusion") else "pytorch_model.safetensors"
        torch.save(load(weights.read_bytes()), folder / Path(name).with_suffix(".bin"))
        weights.unlink()


def with_older_names(folder: Path) -> None:
    """Name the VAE's attention as the published Stable Diffusion 1.5 does."""
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = folder / "diffusion_pytorch_model.safetensors"
    tensors = load(weights.read_bytes())
    for new, old in older.items():
        tensors = {
            name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value
            for name, value in tensors.items()
        }
    assert any(".proj_attn." in name for name in tensors)
    save_file(tensors, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("part", "change", "error"),
    [
        *((part, half_precision_only, 1e-3) for part in ("unet", "vae", "text_encoder")),
        *((part, as_pickles, 0) for part in ("unet", "vae", "text_encoder")),
        ("unet", in_pieces, 0),
        ("vae", with_older_names, 0),
    ],
)
def test_every_published_layout_gives_the_same_network(
    written: dict[str, Path], tmp_path: Path, part: str, change: Callable[[Path], None], error: float
) -> None:
    diffusion = shutil.copytree(written["stable_diffusion"], tmp_path / "sd")
    change(diffusion / part)
    check_model(diffusion)
    loaders = {
        "unet": pretrained.load_unet,
        "vae": pretrained.load_vae,
        "text_encoder": lambda folder: pretrained.load_text_encoder(folder)[0],
    }
    found, expected = (
        loaders[part](folder).state_dict() for folder in (diffusion, written["stable_diffusion"])
    )
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype
        torch.testing.assert_close(value, expected[name], rtol=error, atol=error)


class Danger:
    """Makes a file when unpickled the plain way."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.system, ("touch ran",)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_nothing_pickled_in_older_weights_is_run(
    written: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    diffusion = shutil.copytree(written["stable_diffusion"], tmp_path / "sd")
    as_pickles(diffusion / part)
    (path,) = (diffusion / part).glob("*.bin")
    torch.save(torch.load(path, weights_only=True) | {"extra": Danger()}, path)
    with pytest.raises(InputError, match="cannot be read"):
        getattr(pretrained, f"load_{part}")(diffusion)
    assert not (tmp_path / "ran").exists()


def test_classes_are_read_from_the_config(written: dict[str, Path]) -> None:
    model, _ = pretrained.load_image_classifier(written["image_classifier"])
    config = json.loads((written["image_classifier"] / "config.json").read_text())
    assert {str(k): v for k, v in model.config.id2label.items()} == config["id2label"]


def test_devices() -> None:
    assert pretrained.pick_device("cpu") == torch.device("cpu")
    assert pretrained.pick_device() == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="Correct the name"):
        pretrained.pick_device("gpu0")
    with pytest.raises(InputError, match=f"{torch.cuda.device_count()} GPUs"):
        pretrained.pick_device("cuda:99")
