"""Load the published networks from folders in their ``from_pretrained`` layout, never from the network.

They come frozen, in inference mode and in float32 unless a dtype is given.
Every loader checks what the libraries let pass: a folder of another network, weights that are cut short,
are Git LFS pointers, or lack tensors (which would stay random), and a tokenizer without its vocabulary.

A loader imports its library itself: diffusers and transformers cost a job that needs neither many seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from neurocine.errors import InputError
from neurocine.models.catalogue import (
    BERT_TOKENIZER,
    CLIP_TOKENIZER,
    LANGUAGE_TOKENIZER,
    LFS_POINTER,
    PROCESSOR,
    PUBLISHED,
    SCHEDULE_FILE,
    FileSets,
    absent_files,
    weight_files,
    weights_kind,
)
from neurocine.models.weights import check_type, weights_of

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import (
        BertTokenizer,
        Blip2ForConditionalGeneration,
        BlipForConditionalGeneration,
        BlipImageProcessorPil,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPTextModel,
        CLIPTokenizer,
        VideoMAEForVideoClassification,
        VideoMAEImageProcessorPil,
        ViTForImageClassification,
        ViTImageProcessorPil,
    )

# An unpickling error also when a .bin holds anything but tensors: neither library runs what is pickled.
# The others come from configs that ask for what cannot be built.
READ_ERRORS = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, ImportError, EOFError),
    *(ArithmeticError, AssertionError, MemoryError, SafetensorError, pickle.UnpicklingError),
)
DIFFUSERS = ("AutoencoderKL", "UNet2DConditionModel")


@dataclass(frozen=True)
class Source:
    """What a folder must hold: named in messages, and checked in its config.json."""

    what: str
    key: str  # its key in the config section ``models``
    types: tuple[str, ...]  # accepted ``model_type`` or ``_class_name``


CLIP = Source("CLIP", "clip", ("clip",))
BLIP = Source("the BLIP captioner", "blip", ("blip",))
BLIP2 = Source("BLIP-2", "blip", ("blip-2",))
VAE = Source("the VAE of Stable Diffusion", "stable_diffusion", ("AutoencoderKL",))
UNET = Source("the UNet of Stable Diffusion", "stable_diffusion", ("UNet2DConditionModel",))
TEXT = Source("the text encoder of Stable Diffusion", "stable_diffusion", ("clip_text_model",))
TOKENS = Source("the tokenizer of Stable Diffusion", "stable_diffusion", ())
SCHEDULE = Source("the noise schedule of Stable Diffusion", "stable_diffusion", ())
IMAGE = Source("the image classifier", "image_classifier", ("vit",))
VIDEO = Source("the video classifier", "video_classifier", ("videomae",))


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to compute on: "auto" takes a GPU where there is one.

    Raises
    ------
    InputError : a device is named that this machine does not have
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("device", name, "auto, cpu, cuda or cuda:<number>", "Correct the name.") from None
    n_gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        todo = "Ask the cluster for a GPU, or say device: auto."
        raise InputError("device", f"{name}, with {n_gpus} GPUs usable here", "a GPU", todo)
    return device


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence load reports and progress bars; what matters in them is checked here and raised."""
    imported = [name for name in ("transformers", "diffusers") if name in sys.modules]
    libraries = [importlib.import_module(f"{name}.utils.logging") for name in imported]
    pairs = [(logs, logs.get_verbosity()) for logs in libraries]
    bars = [logs.is_progress_bar_enabled() for logs, _ in pairs]
    for logs, _ in pairs:
        logs.set_verbosity(logs.CRITICAL)
        logs.disable_progress_bar()
    try:
        yield
    finally:
        for (logs, verbosity), bar in zip(pairs, bars, strict=True):
            logs.set_verbosity(verbosity)
            if bar:
                logs.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


def _fault(folder: Path, source: Source, found: str) -> InputError:
    return InputError(
        folder,
        found,
        f"{source.what} in its from_pretrained layout, as published as {PUBLISHED[source.key].repository}",
        f"Download it again, or correct models.{source.key} in the config.",
    )


def _check_folder(folder: Path, source: Source) -> None:
    """Check a folder's kind and that its weights are files of weights."""
    if not folder.is_dir():
        raise _fault(folder, source, "no such folder")
    config = folder / "config.json"
    if not config.is_file():
        raise _fault(folder, source, "a folder without config.json")
    try:
        check_type(config, source.types)
        weights = weights_of(folder, by_diffusers=source.types[0] in DIFFUSERS)
    except InputError as error:
        raise _fault(Path(error.where), source, error.found) from None
    for path in weights:
        with open(path, "rb") as handle:
            start = handle.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise _fault(path, source, "a Git LFS pointer in place of weights (git lfs pull gets them)")


def _load(
    kind: Any, folder: Path, source: Source, device: torch.device | str, dtype: torch.dtype, **options: Any
) -> Any:
    """Load a network for inference, float32 unless said, and refuse it when a weight is missing.

    Weights in half precision are taken where a folder has no others.
    """
    _check_folder(folder, source)
    _, variant = weights_kind(weight_files(folder)[0].name) or ("", "")
    if variant:
        options["variant"] = variant
    name = "torch_dtype" if kind.__module__.startswith("diffusers") else "dtype"
    options |= {name: dtype, "local_files_only": True, "output_loading_info": True}
    try:
        with _quiet_libraries():
            model, info = kind.from_pretrained(str(folder), **options)
    except READ_ERRORS as error:
        raise _fault(folder, source, f"weights that cannot be read ({_first_line(error)})") from None
    missing = sorted(info["missing_keys"])
    if missing:
        names = ", ".join(missing[:3])
        raise _fault(folder, source, f"weights that lack {len(missing)} tensors ({names} ...)")
    broken = [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]
    if broken:
        raise _fault(folder, source, f"NaN or infinite weights in {len(broken)} tensors ({broken[0]} ...)")
    return model.to(device).eval().requires_grad_(False)


def _load_part(make: Callable[..., Any], folder: Path, source: Source, files: FileSets) -> Any:
    """Load a processor, tokenizer or schedule from the first complete set of files."""
    absent = absent_files(folder, files)
    if absent:
        raise _fault(folder, source, f"a folder without {absent}" if folder.is_dir() else "no such folder")
    try:
        with _quiet_libraries():
            return make(str(folder), local_files_only=True)
    except READ_ERRORS as error:
        names = ", ".join(name for names in files for name in names if (folder / name).is_file())
        raise _fault(folder, source, f"a {names} that cannot be read ({_first_line(error)})") from None


def _processor(kind: Any, folder: Path, source: Source) -> Any:
    return _load_part(kind.from_pretrained, folder, source, PROCESSOR)


def _clip_tokenizer(folder: Path, source: Source) -> CLIPTokenizer:
    from transformers import CLIPTokenizer

    return _load_part(CLIPTokenizer.from_pretrained, folder, source, CLIP_TOKENIZER)


def load_clip(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[CLIPModel, CLIPImageProcessorPil, CLIPTokenizer]:
    """Load CLIP (text and image towers with their projections), its image processor and tokenizer."""
    from transformers import CLIPImageProcessorPil, CLIPModel

    model = _load(CLIPModel, Path(folder), CLIP, device, dtype)
    processor = _processor(CLIPImageProcessorPil, Path(folder), CLIP)
    return model, processor, _clip_tokenizer(Path(folder), CLIP)


def load_blip(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[BlipForConditionalGeneration, BlipImageProcessorPil, BertTokenizer]:
    """Load the BLIP captioner, its image processor and tokenizer."""
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

    model = _load(BlipForConditionalGeneration, Path(folder), BLIP, device, dtype)
    tokenizer = _load_part(BertTokenizer.from_pretrained, Path(folder), BLIP, BERT_TOKENIZER)
    return model, _processor(BlipImageProcessorPil, Path(folder), BLIP), tokenizer


def is_blip2(folder: Path) -> bool:
    """Say whether a folder holds BLIP-2, by its config.json."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # what is wrong with it is told by who loads it
    return isinstance(config, dict) and config.get("model_type") in BLIP2.types


def load_blip2(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Blip2ForConditionalGeneration, BlipImageProcessorPil, Any]:
    """Load BLIP-2, its image processor and the tokenizer of its language model.

    Raises
    ------
    InputError : no such folder, or an older upload that does not say which token stands for the picture
    """
    from transformers import AutoTokenizer, Blip2ForConditionalGeneration, BlipImageProcessorPil

    model = _load(Blip2ForConditionalGeneration, Path(folder), BLIP2, device, dtype)
    if model.config.image_token_index is None:
        raise _fault(Path(folder) / "config.json", BLIP2, "no image_token_index, as in older uploads")
    tokenizer = _load_part(AutoTokenizer.from_pretrained, Path(folder), BLIP2, LANGUAGE_TOKENIZER)
    return model, _processor(BlipImageProcessorPil, Path(folder), BLIP2), tokenizer


def load_vae(
    stable_diffusion: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> AutoencoderKL:
    """Load the VAE from the folder ``vae`` of Stable Diffusion."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return _load(AutoencoderKL, Path(stable_diffusion) / "vae", VAE, device, dtype)


def load_unet(
    stable_diffusion: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> UNet2DConditionModel:
    """Load the image UNet from the folder ``unet`` of Stable Diffusion."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return _load(UNet2DConditionModel, Path(stable_diffusion) / "unet", UNET, device, dtype)


def load_text_encoder(
    stable_diffusion: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[CLIPTextModel, CLIPTokenizer]:
    """Load the folders ``text_encoder`` and ``tokenizer`` of Stable Diffusion."""
    from transformers import CLIPTextModel

    model = _load(CLIPTextModel, Path(stable_diffusion) / "text_encoder", TEXT, device, dtype)
    return model, _clip_tokenizer(Path(stable_diffusion) / "tokenizer", TOKENS)


def load_scheduler(stable_diffusion: Path, kind: Any = None) -> Any:
    """Make a sampler of class ``kind`` (DDIM) with the noise schedule in the folder ``scheduler``."""
    if kind is None:
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler as kind
    folder = Path(stable_diffusion) / "scheduler"
    return _load_part(kind.from_pretrained, folder, SCHEDULE, SCHEDULE_FILE)


def load_image_classifier(
    folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[ViTForImageClassification, ViTImageProcessorPil]:
    """Load a ViT that classifies images, and its processor."""
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    model = _load(ViTForImageClassification, Path(folder), IMAGE, device, dtype)
    return model, _processor(ViTImageProcessorPil, Path(folder), IMAGE)


def load_video_classifier(
    folder: Path,
    n_frames: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> tuple[VideoMAEForVideoClassification, VideoMAEImageProcessorPil]:
    """Load a VideoMAE that classifies clips, and its processor.

    Parameters
    ----------
    folder : of the network, in the layout of the hub
    n_frames : frames per clip, None for the published number (16). Its position codes are a fixed sinusoid
        made for this number, so any multiple of the tubelet (2) does.
    device : where the network is put
    dtype : of its weights

    Raises
    ------
    InputError : as all loaders, and when the number of frames is no multiple of the tubelet
    """
    from transformers import VideoMAEForVideoClassification, VideoMAEImageProcessorPil

    folder = Path(folder)
    _check_folder(folder, VIDEO)
    options = {} if n_frames is None else {"num_frames": n_frames}
    tubelet = json.loads((folder / "config.json").read_text()).get("tubelet_size", 2)
    if n_frames is not None and (n_frames < tubelet or n_frames % tubelet):
        todo = "Change frames_per_tr of prepare_stimuli."
        raise InputError("frames per clip", str(n_frames), f"a multiple of {tubelet} for {folder}", todo)
    model = _load(VideoMAEForVideoClassification, folder, VIDEO, device, dtype, **options)
    return model, _processor(VideoMAEImageProcessorPil, folder, VIDEO)
