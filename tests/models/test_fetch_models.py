"""Downloads from a hub of our own on this machine: pinned, checked, continued, refused."""

import hashlib
import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import huggingface_hub.constants
import pytest

import fetch_models as program
from neurocine.errors import InputError
from neurocine.models import pretrained
from neurocine.models.catalogue import PUBLISHED, MissingModels, used_models
from neurocine.models.fetch import FetchModelsSettings, choose_files, fetch_models
from tiny_models import write_tiny_models

ALWAYS = [name for name, network in PUBLISHED.items() if network.use == "always"]
REPOSITORIES = {name: f"someone/{name}" for name in ALWAYS}
COMMIT = {"first": "1" * 40, "second": "2" * 40}


class Hub:
    """The hub's answers for folders, as far as downloads ask; large files are those of weights."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders
        self.asked: list[str] = []
        self.newest = "first"
        self.corrupt = ""  # a file that arrives with a flipped bit
        self.cut = ""  # a file of which half arrives
        self.address = ""

    def info(self, repository: str, revision: str) -> dict[str, object]:
        siblings = []
        for path in sorted(self.folders[repository].rglob("*")):
            if path.is_file() and ".cache" not in path.parts:
                content = path.read_bytes()
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                entry: dict[str, object] = {"size": len(content), "blobId": blob}
                if path.suffix in (".safetensors", ".bin"):
                    sha = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 134}
                siblings.append(entry | {"rfilename": str(path.relative_to(self.folders[repository]))})
        return {"id": repository, "sha": revision, "siblings": siblings}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_tiny_models(folder)
    return folder


@pytest.fixture
def hub(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    shutil.copytree(published, tmp_path / "hub")  # a test may change it
    folders = folders_in(tmp_path / "hub")
    (folders["stable_diffusion"] / "model_index.json").write_text("{}")
    made = Hub({REPOSITORIES[name]: folder for name, folder in folders.items()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = unquote(urlparse(self.path).path).strip("/")
            made.asked.append(f"{self.command} {path}")
            if path.startswith("api/models/"):
                words = path.split("/")
                repository = "/".join(words[2:4])
                revision = words[5] if len(words) > 5 else COMMIT[made.newest]
                if repository not in made.folders:
                    self.answer(b"{}", {"X-Error-Code": "RepoNotFound"}, 404)
                    return
                self.answer(json.dumps(made.info(repository, revision)).encode(), {})
                return
            repository, _, rest = path.partition("/resolve/")
            revision, _, name = rest.partition("/")
            content = (made.folders[repository] / name).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            if name == made.corrupt:
                content = bytes([content[0] ^ 1]) + content[1:]
            if name == made.cut and self.command == "GET":
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return
            self.answer(content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision})

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Keep requests out of the tests' output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", made.address)
    template = made.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path) -> FetchModelsSettings:
    return FetchModelsSettings(**REPOSITORIES, lock=str(tmp_path / "lock.json"))


def folders_in(path: Path) -> dict[str, Path]:
    return {name: path / name for name in ALWAYS}


def test_all_networks_come_and_load(hub: Hub, tmp_path: Path, settings: FetchModelsSettings) -> None:
    folders = folders_in(tmp_path / "models")
    program.main(folders=json.dumps({name: str(path) for name, path in folders.items()}), settings=settings)
    pretrained.load_clip(folders["clip"])
    pretrained.load_blip(folders["blip"])
    pretrained.load_unet(folders["stable_diffusion"])
    pretrained.load_vae(folders["stable_diffusion"])
    pretrained.load_text_encoder(folders["stable_diffusion"])
    pretrained.load_scheduler(folders["stable_diffusion"])
    pretrained.load_image_classifier(folders["image_classifier"])
    pretrained.load_video_classifier(folders["video_classifier"])
    lock = json.loads(Path(settings.lock).read_text())
    assert set(lock) == set(REPOSITORIES.values())
    weights = lock["someone/clip"]["files"]["model.safetensors"]
    content = (hub.folders["someone/clip"] / "model.safetensors").read_bytes()
    assert weights == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

    # Once more: everything is compared with the lock, nothing is asked of the hub.
    hub.asked.clear()
    done = fetch_models(folders, settings)
    assert set(done.values()) == {"there, as locked"}
    assert hub.asked == []


def test_the_lock_pins_the_commit_on_every_machine(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    fetch_models({"clip": tmp_path / "one"}, settings)
    hub.newest = "second"
    fetch_models({"clip": tmp_path / "two"}, settings)
    assert json.loads(Path(settings.lock).read_text())["someone/clip"]["revision"] == COMMIT["first"]
    assert not any(COMMIT["second"] in path for path in hub.asked)
    changed = hub.folders["someone/clip"] / "config.json"
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(InputError, match=r"other content than locked: config\.json"):
        fetch_models({"clip": tmp_path / "three"}, settings)


def test_a_commit_in_the_config_is_asked_for_and_must_agree_with_the_lock(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    pinned = FetchModelsSettings(clip=f"someone/clip@{COMMIT['second']}", lock=settings.lock)
    fetch_models({"clip": tmp_path / "clip"}, pinned)
    assert json.loads(Path(settings.lock).read_text())["someone/clip"]["revision"] == COMMIT["second"]
    other = FetchModelsSettings(clip=f"someone/clip@{COMMIT['first']}", lock=settings.lock)
    with pytest.raises(InputError, match="another commit"):
        fetch_models({"clip": tmp_path / "clip"}, other)


def test_a_damaged_download_is_removed_and_the_next_try_gets_it(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    hub.corrupt = "model.safetensors"
    with pytest.raises(InputError, match="as the hub states"):
        fetch_models({"clip": tmp_path / "clip"}, settings)
    assert not (tmp_path / "clip/model.safetensors").exists()
    assert not Path(settings.lock).exists()
    hub.corrupt = ""
    assert fetch_models({"clip": tmp_path / "clip"}, settings) == {"clip": "fetched"}
    # Later damage on the disk is noticed by the lock and repaired; what is right is not downloaded again.
    weights = tmp_path / "clip/model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fetch_models({"clip": tmp_path / "clip"}, settings) == {"clip": "fetched"}
    assert weights.read_bytes() == content


def test_without_a_connection_and_with_a_cut_one_there_is_a_message(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as nowhere:
        nowhere.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(InputError, match=r"someone/clip.*Run fetch_models where there is a network"):
            fetch_models({"clip": tmp_path / "clip"}, settings)
    hub.cut = "model.safetensors"
    with pytest.raises(InputError, match=r"someone/clip.*What was downloaded is kept"):
        fetch_models({"clip": tmp_path / "clip"}, settings)
    assert not (tmp_path / "clip/model.safetensors").exists()
    assert not Path(settings.lock).exists()
    hub.cut = ""
    hub.asked.clear()
    assert fetch_models({"clip": tmp_path / "clip"}, settings) == {"clip": "fetched"}
    assert [path for path in hub.asked if path.startswith("GET") and "resolve" in path] == [
        f"GET someone/clip/resolve/{COMMIT['first']}/model.safetensors"
    ]


def test_a_folder_of_the_users_own_is_left_alone(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    folder = shutil.copytree(hub.folders["someone/clip"], tmp_path / "mine")
    assert fetch_models({"clip": folder}, settings) == {"clip": "there, your own"}
    assert hub.asked == []
    assert not Path(settings.lock).exists()


def test_files_of_the_users_own_are_never_replaced(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    folder = shutil.copytree(hub.folders["someone/clip"], tmp_path / "mine")
    (folder / "preprocessor_config.json").unlink()
    (folder / "model.safetensors").write_bytes(b"years of training")
    with pytest.raises(InputError, match=r"mine/model\.safetensors: found a file of your own"):
        fetch_models({"clip": folder}, settings)
    assert (folder / "model.safetensors").read_bytes() == b"years of training"


def test_no_hub_no_repository_and_a_broken_lock_are_told(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = FetchModelsSettings(clip="someone/else", lock=settings.lock)
    with pytest.raises(InputError, match=r"someone/else.*[Nn]ot [Ff]ound"):
        fetch_models({"clip": tmp_path / "clip"}, wrong)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="where there is a network"):
        fetch_models({"clip": tmp_path / "clip"}, settings)
    Path(settings.lock).write_text('{"someone/clip": 3}')
    with pytest.raises(InputError, match="commits and hashes"):
        fetch_models({"clip": tmp_path / "clip"}, settings)


def test_lavis_weights_come_from_their_address(
    hub: Hub, tmp_path: Path, settings: FetchModelsSettings
) -> None:
    source = hub.folders["someone/blip"]
    (source / "vocab.txt").write_text("[PAD]\n")
    (source / "weights.pth").write_bytes(b"12345")
    lavis = FetchModelsSettings(
        lavis_weights=f"{hub.address}/someone/blip/resolve/main/weights.pth",
        lavis_tokenizer="someone/blip",
        lock=settings.lock,
    )
    assert fetch_models({"lavis": tmp_path / "lavis"}, lavis) == {"lavis": "fetched"}
    assert (tmp_path / "lavis/weights.pth").read_bytes() == b"12345"
    hub.asked.clear()
    assert fetch_models({"lavis": tmp_path / "lavis"}, lavis) == {"lavis": "there, as locked"}
    assert hub.asked == []
    (source / "weights.pth").write_bytes(b"54321")
    shutil.rmtree(tmp_path / "lavis")
    with pytest.raises(InputError, match="other content than locked"):
        fetch_models({"lavis": tmp_path / "lavis"}, lavis)


def test_chosen_files_of_published_layouts() -> None:
    """Listings in the style of the published repositories."""
    diffusion = [
        "README.md", "model_index.json", "v1-5-pruned.safetensors", "v1-5-pruned-emaonly.ckpt",
        "feature_extractor/preprocessor_config.json", "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
        "text_encoder/model.fp16.safetensors", "text_encoder/pytorch_model.bin", "tokenizer/merges.txt",
        "tokenizer/vocab.json", "unet/config.json", "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    assert choose_files(diffusion) == [
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
        "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json", "vae/config.json",
        "text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    single = ["config.json", "flax_model.msgpack", "pytorch_model.bin", "tf_model.h5", "training.json"]
    assert choose_files(single) == ["config.json", "pytorch_model.bin"]
    cut = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    cut += ["model.safetensors.index.json", "pytorch_model.bin", "onnx/model.safetensors"]
    assert choose_files(cut) == cut[:4]


def test_missing_networks_are_one_message() -> None:
    models = {name: f"models/{name}" for name in [*ALWAYS, "lavis"]}
    said = str(MissingModels(list(used_models(models, "lavis").items())))
    assert said.startswith("6 networks are missing")
    assert "models.clip: found no model in models/clip: CLIP ViT-L/14 (openai/clip-vit-large-patch14" in said
    assert "about 4.3 GB, licence CreativeML OpenRAIL-M" in said
    assert "snakemake fetch_models --cores 1" in said
    assert "lavis" not in used_models(models, "transformers")
    assert "vifi" not in used_models(models | {"vifi": None}, "transformers")
    assert used_models(models | {"vifi": "mine"}, "transformers")["vifi"] == Path("mine")


def test_missing_networks_that_are_not_fetched_are_told_so() -> None:
    said = str(MissingModels([("fmri_encoder", Path("models/fmri_encoder.pth"))]))
    assert said.startswith(
        "1 network is missing\n  models.fmri_encoder: found no model in models/fmri_encoder.pth"
    )
    assert "DC-MAE" in said
    assert "about 0.7 GB" in said
    assert "from their authors" in said
    assert "snakemake fetch_models" not in said


def test_every_repository_is_pinned_to_a_commit() -> None:
    settings = FetchModelsSettings()
    for name in (*ALWAYS, "lavis_tokenizer"):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", getattr(settings, name)), name


@pytest.mark.parametrize("wrong", [{"clip": "no-owner"}, {"clip": "a/b@x y"}, {"lavis_weights": "file"}])
def test_settings_are_checked(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FetchModelsSettings(**wrong)
