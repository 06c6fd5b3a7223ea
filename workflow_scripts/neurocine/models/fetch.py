"""Download the published networks once, each pinned to a commit and every file checked by its hash.

The settings name the commit; without one, the newest is taken. The first download records it and the SHA-256
of each file in a lock file. From then on the lock decides: the same commit is asked for, and files with
another hash are refused, on every machine that has the lock file.
"""

import hashlib
import json
import logging
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx
from pydantic import Field

from neurocine.errors import InputError
from neurocine.io import file_sha256, replacing, write_json
from neurocine.models.catalogue import PUBLISHED, MissingModels, weights_kind
from neurocine.models.weights import PIPELINE_FILES, PIPELINE_PARTS, check_model
from neurocine.settings import Settings

log = logging.getLogger(__name__)
LAVIS_WEIGHTS = (
    "https://storage.googleapis.com/sfr-vision-language-research/LAVIS/models/BLIP/blip_coco_caption_base.pth"
)
BERT = "google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594"
# No connection, a cut one, no such repository, a full disk; the hub's Xet downloads raise RuntimeErrors.
DOWNLOAD_ERRORS = (httpx.HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, RuntimeError)
SECONDS_OF_SILENCE = 60  # after which a server is given up
Lock = dict[str, dict[str, Any]]  # source -> {"revision", "files": {name: {"sha256", "size"}}}
HubSource = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+(@\w+)?$")]
PARTS = (*PIPELINE_PARTS, *PIPELINE_FILES)  # of Stable Diffusion that are used
TEXTS = {
    "config.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "scheduler_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
}


class FetchModelsSettings(Settings):
    """Where networks come from: ``owner/name@commit`` on the hub, or ``owner/name`` for its newest commit."""

    clip: HubSource = PUBLISHED["clip"].source
    """CLIP with projections is downloaded from here, owner/name or owner/name@commit."""
    blip: HubSource = PUBLISHED["blip"].source
    """The BLIP captioner is downloaded from here, owner/name or owner/name@commit."""
    stable_diffusion: HubSource = PUBLISHED["stable_diffusion"].source
    """Stable Diffusion 1.5 is downloaded from here; a re-upload, because the first repository was withdrawn.
    """
    image_classifier: HubSource = PUBLISHED["image_classifier"].source
    """The ImageNet classifier is downloaded from here, owner/name or owner/name@commit."""
    video_classifier: HubSource = PUBLISHED["video_classifier"].source
    """The Kinetics-400 classifier is downloaded from here, owner/name or owner/name@commit."""
    lavis_weights: Annotated[str, Field(pattern=r"^https?://")] = LAVIS_WEIGHTS
    """BLIP as LAVIS publishes it is downloaded from this address, for caption_clips.backend lavis only."""
    lavis_tokenizer: HubSource = BERT
    """The vocabulary of LAVIS's captioner is downloaded from here, owner/name or owner/name@commit."""
    lock: str = "models.lock.json"
    """This file keeps the commits and hashes of the first download, which later ones must equal.

    Share it with the study.
    """


def choose_files(names: Iterable[str]) -> list[str]:
    """Choose what is needed of a repository: configs, tokenizers and one file format of full weights.

    Parameters
    ----------
    names : of all files; in a Stable Diffusion only the folders in use are looked at

    Returns
    -------
    Names, the weights last, so that a folder with all its weights is complete
    """
    every = sorted(names)
    pipeline = "model_index.json" in every
    if pipeline:
        used = [name for name in every if name.partition("/")[0] in PARTS and name.count("/") == 1]
    else:
        used = [name for name in every if "/" not in name]
    parts = [name.rpartition("/") for name in used]
    chosen = ["model_index.json"] if pipeline else []
    chosen += [name for name, (_, _, file) in zip(used, parts, strict=True) if file in TEXTS]
    for folder in sorted({folder for folder, _, _ in parts}):
        for suffix in ("safetensors", "bin"):
            matches = [
                name
                for name, part in zip(used, parts, strict=True)
                if part[0] == folder and weights_kind(part[2]) == (suffix, "")
            ]
            if matches:
                chosen += matches
                break
    return chosen


def read_lock(path: Path) -> Lock:
    """Read the lock file; an absent one is empty.

    Raises
    ------
    InputError : not a lock file
    """
    if not path.exists():
        return {}
    try:
        lock = json.loads(path.read_text())
        for entry in lock.values():
            for file in entry["files"].values():
                str(file["sha256"]), int(file["size"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        todo = "Restore it from version control, or delete it to accept what is published now."
        raise InputError(path, f"another content ({error!r})", "commits and hashes", todo) from None
    return lock


def wrong_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the files that are absent or have another size or hash than recorded."""
    wrong = []
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["size"] or file_sha256(path) != entry["sha256"]:
            wrong.append(name)
    return wrong


def _room(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        todo = "Free some space, or set the folder to another disk."
        raise InputError(folder, f"{free / 1e9:.1f} GB free", f"{size / 1e9:.1f} GB", todo)


def _blob_id(path: Path) -> str:
    """Return git's name of a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _as_stated(path: Path, lfs_sha256: str | None, blob_id: str | None) -> bool:
    """Say whether a file has the hash that the hub states: large files have a SHA-256, others git's."""
    if lfs_sha256 is not None:
        return file_sha256(path) == lfs_sha256
    return blob_id is not None and _blob_id(path) == blob_id


def _record(path: Path, lfs_sha256: str | None, blob_id: str | None) -> dict[str, Any]:
    """Return what the lock records of a downloaded file; remove it when it is not what the hub states."""
    if not _as_stated(path, lfs_sha256, blob_id):
        path.unlink()
        expected = f"{lfs_sha256 or blob_id}, as the hub states"
        raise InputError(path, "another hash", expected, "The file was removed; run it again.")
    return {"sha256": file_sha256(path), "size": path.stat().st_size}


def fetch_repository(
    source: str, folder: Path, lock: Lock, only: Iterable[str] | None = None
) -> dict[str, Any]:
    """Download a repository of the hub into a folder; files that are there and right are kept.

    Wrong ones are replaced if the lock says what they should be; without it they are not ours to replace.

    Parameters
    ----------
    source : ``owner/name`` or ``owner/name@commit``
    folder : where the files are put
    lock : what was fetched before; not changed
    only : names of files instead of those of `choose_files`

    Returns
    -------
    The entry of the lock: commit, and hash and size of each file

    Raises
    ------
    InputError : no network, no such repository, commit or file, another hash than stated or locked, a file of
        the user's own in the way, disk full
    """
    repository, _, asked = source.partition("@")
    locked = lock.get(repository, {})
    revision = locked.get("revision") or asked or None
    if locked and asked and asked != locked["revision"]:
        todo = f"Correct one of the two; deleting {repository} from the lock accepts the new commit."
        raise InputError(f"fetch_models: {source}", "another commit", f"{revision}, as locked", todo)
    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        siblings = {item.rfilename: item for item in info.siblings or []}
        names = list(only) if only is not None else choose_files(siblings)
        absent = [name for name in names if name not in siblings]
        if absent or not names or info.sha is None:
            found = f"no {', '.join(absent or ['weights'])}"
            raise InputError(f"fetch_models: {source}", found, "a published network", "Correct the name.")
        _room(folder, sum(siblings[name].size or 0 for name in names if not (folder / name).is_file()))
        files = {}
        for name in names:
            item = siblings[name]
            log.info("%s: %s, %.2f GB", repository, name, (item.size or 0) / 1e9)
            path = folder / name
            lfs = item.lfs.sha256 if item.lfs is not None else None
            if not (path.is_file() and _as_stated(path, lfs, item.blob_id)):
                if path.is_file() and not locked:
                    todo = "Move it away to get the published one, or add yourself what the folder lacks."
                    raise InputError(path, "a file of your own", "the published one, or none", todo)
                # The hub's client trusts its own records of files that are there, whatever became of them.
                hf_hub_download(
                    repository, name, revision=info.sha, local_dir=folder, force_download=path.is_file()
                )
            files[name] = _record(path, lfs, item.blob_id)
    except DOWNLOAD_ERRORS as error:
        found = " ".join((str(error) or repr(error)).split())[:300]
        todo = (
            "Run fetch_models where there is a network, or copy the folder from another machine. "
            "What was downloaded is kept."
        )
        raise InputError(f"fetch_models: {source}", found, "files of the hub", todo) from None
    if locked:
        _compare(source, folder, files, locked["files"])
    return {"revision": info.sha, "files": files}


def _compare(source: str, folder: Path, files: Mapping[str, Any], locked: Mapping[str, Any]) -> None:
    differing = sorted(name for name in locked if files.get(name) != locked[name])
    if differing:
        todo = "Something changed what was published. Delete its entry from the lock only if you trust it."
        found = f"other content than locked: {', '.join(differing[:3])}"
        raise InputError(f"fetch_models: {source} in {folder}", found, "the locked hashes", todo)


def fetch_address(address: str, path: Path, lock: Lock) -> dict[str, Any]:
    """Download one file from an address.

    Returns
    -------
    The entry of the lock; its revision is empty, because an address has none

    Raises
    ------
    InputError : it cannot be read, is cut short, or has another hash than locked
    """
    locked = lock.get(address, {}).get("files", {})
    if not locked or wrong_files(path.parent, locked):
        try:
            with (
                urllib.request.urlopen(address, timeout=SECONDS_OF_SILENCE) as response,
                replacing(path) as temporary,
            ):
                length = int(response.headers.get("Content-Length", 0))
                _room(path.parent, length)
                log.info("%s, %.2f GB", address, length / 1e9)
                with open(temporary, "wb") as handle:
                    shutil.copyfileobj(response, handle, 2**20)
                if length and temporary.stat().st_size != length:
                    raise OSError(f"{temporary.stat().st_size} of {length} bytes")
        except (OSError, urllib.error.URLError) as error:
            todo = "Run fetch_models where there is a network, or copy the file from another machine."
            raise InputError(f"fetch_models: {address}", str(error), "a file", todo) from None
    files = {path.name: {"sha256": file_sha256(path), "size": path.stat().st_size}}
    if locked:
        _compare(address, path.parent, files, locked)
    return {"revision": "", "files": files}


def _is_complete(name: str, folder: Path) -> bool:
    """Say whether a folder holds a whole model already, as far as can be told without loading it."""
    if name == "lavis":
        weights = [*folder.glob("*.pth"), *folder.glob("*.safetensors")]
        return bool(weights) and (folder / "bert-base-uncased" / "vocab.txt").is_file()
    try:
        check_model(folder)
    except InputError:
        return False
    return True


def _fetch_one(
    name: str, folder: Path, settings: FetchModelsSettings, lock: Lock
) -> dict[str, dict[str, Any]]:
    """Fetch one network; return its entries of the lock (two for LAVIS: weights and vocabulary)."""
    if name != "lavis":
        source = getattr(settings, name)
        return {source.partition("@")[0]: fetch_repository(source, folder, lock)}
    weights = folder / settings.lavis_weights.rpartition("/")[2]
    tokens = folder / "bert-base-uncased"
    source = settings.lavis_tokenizer
    return {
        source.partition("@")[0]: fetch_repository(
            source, tokens, lock, ["vocab.txt", "tokenizer_config.json"]
        ),
        settings.lavis_weights: fetch_address(settings.lavis_weights, weights, lock),
    }


def _locked_right(name: str, folder: Path, settings: FetchModelsSettings, lock: Lock) -> bool:
    """Say whether a folder holds exactly what the lock records, so that no network is needed."""
    if name != "lavis":
        parts = [(getattr(settings, name), folder)]
    else:
        parts = [(settings.lavis_tokenizer, folder / "bert-base-uncased"), (settings.lavis_weights, folder)]
    for source, place in parts:
        repository, _, asked = source.partition("@")
        entry = lock.get(repository)
        if entry is None or (asked and asked != entry["revision"]) or wrong_files(place, entry["files"]):
            return False
    return True


def fetch_models(folders: Mapping[str, Path], settings: FetchModelsSettings) -> dict[str, str]:
    """Fetch the networks that are not there, and check those that are.

    A folder with a whole model of which the lock knows nothing is the user's own and left as it is.

    Parameters
    ----------
    folders : name in the config section ``models`` -> folder
    settings : section fetch_models

    Returns
    -------
    name -> what was done

    Raises
    ------
    InputError : see `fetch_repository`; what was fetched before is kept and locked
    """
    path = Path(settings.lock)
    done = {}
    for name, folder in folders.items():
        lock = read_lock(path)
        sources = [settings.lavis_weights] if name == "lavis" else [getattr(settings, name).partition("@")[0]]
        is_locked = all(source in lock for source in sources)
        if is_locked and _locked_right(name, folder, settings, lock):
            done[name] = "there, as locked"
        elif not is_locked and _is_complete(name, folder):
            done[name] = "there, your own"
        else:
            log.info("%s: %s", folder, PUBLISHED[name])
            lock |= _fetch_one(name, folder, settings, lock)
            write_json(path, dict(sorted(lock.items())))
            done[name] = "fetched"
        log.info("models.%s: %s in %s", name, done[name], folder)
    missing = [(name, folder) for name, folder in folders.items() if not _is_complete(name, folder)]
    if missing:
        raise MissingModels(missing)
    return done
