"""Where the published networks come from, how large they are and under which licence; nothing is imported.

Sizes are those of the files that are used (fp32 weights), from the numbers of parameters.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurocine.errors import InputError

LFS_POINTER = b"version https://git-lfs"  # start of what a clone without git-lfs holds in place of weights
GET_THEM = "snakemake fetch_models --cores 1"


@dataclass(frozen=True)
class Published:
    """A published network.

    Parameters
    ----------
    what : in words
    repository : on the Hugging Face hub, or where else it lies
    gigabytes : of what is downloaded, 10^9 bytes
    licence : as its authors state it
    revision : commit that fetch_models takes unless the config names another
    use : loaded always, if the config gives its folder, or if another key of the config asks for it
    scores : whether metrics need it
    folder_sentence : explains its key in the config section ``models``, where it is loaded if given
    fetched : whether fetch_models gets it
    pretrained : whether its folder is in the layout of ``from_pretrained``, which check_data looks at
    types : ``model_type`` of its config.json; of Stable Diffusion see PIPELINE_TYPES
    """

    what: str
    repository: str
    gigabytes: float
    licence: str
    revision: str = ""
    use: Literal["always", "if given", "by key"] = "always"
    scores: bool = False
    folder_sentence: str = ""
    fetched: bool = True
    pretrained: bool = True
    types: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Repository and commit, ``owner/name@commit``."""
        return f"{self.repository}@{self.revision}"

    def __str__(self) -> str:
        return f"{self.what} ({self.repository}, about {self.gigabytes:.1f} GB, licence {self.licence})"


# By the keys of the config section ``models``.
PUBLISHED = {
    "clip": Published(
        "CLIP ViT-L/14",
        "openai/clip-vit-large-patch14",
        1.7,
        "MIT",
        "32bd64288804d66eefd0ccbe215aa642df71cc41",
        scores=True,
        types=("clip",),
    ),
    "blip": Published(
        "the BLIP captioner",
        "Salesforce/blip-image-captioning-large",
        1.9,
        "BSD-3-Clause",
        "353689b859fcf0523410b1806dace5fb46ecdf41",
        types=("blip", "blip-2"),
    ),
    "stable_diffusion": Published(
        "Stable Diffusion 1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        4.3,
        "CreativeML OpenRAIL-M",
        "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    ),
    "image_classifier": Published(
        "ViT-B/16",
        "google/vit-base-patch16-224",
        0.3,
        "Apache-2.0",
        "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3",
        scores=True,
        types=("vit",),
    ),
    "video_classifier": Published(
        "VideoMAE-B of Kinetics-400",
        "MCG-NJU/videomae-base-finetuned-kinetics",
        0.3,
        "CC-BY-NC-4.0",
        "488eb9a0565f257b32866000305c8178965eb9f6",
        scores=True,
        types=("videomae",),
    ),
    "vifi": Published(
        "ViFi-CLIP in CLIP's layout",
        "muzairkhattak/ViFi-CLIP on GitHub; not fetched",
        0.6,
        "see there",
        use="if given",
        scores=True,
        folder_sentence="ViFi-CLIP's weights lie in this folder, in the layout of CLIP, for vifi and "
        "clip_pcc_thresholded. Without them (null), clip_video and clip_pcc_thresholded_clip are scored in "
        "their place.",
        fetched=False,
        types=("clip",),
    ),
    "video_prior": Published(
        "a video prior to start phase 2a from",
        "train_video_prior of another study; not fetched",
        3.8,
        "that of its Stable Diffusion",
        use="if given",
        folder_sentence="Phase 2a goes on from the video UNet in this folder, which train_video_prior of "
        "another study wrote, with unet/ in it. Without (null), it starts from the image UNet, as published.",
        fetched=False,
        pretrained=False,
    ),
    "lpips": Published(
        "LPIPS' AlexNet or VGG-16",
        "richzhang/PerceptualSimilarity on GitHub; not fetched",
        0.1,
        "BSD-2-Clause",
        use="if given",
        scores=True,
        folder_sentence="The weights of LPIPS lie in this folder, one safetensors file, for lpips "
        "(docs/scoring.md says how to write it).",
        fetched=False,
        pretrained=False,
    ),
    "lavis": Published(
        "the BLIP captioner of LAVIS",
        "Salesforce and bert-base-uncased",
        0.9,
        "BSD-3-Clause",
        use="by key",
        pretrained=False,
    ),
    "fmri_encoder": Published(
        "a pretrained fMRI encoder, one .pth file",
        "DC-MAE, soinx0629/vis_dec_neurips, or MinD-Vis, zjc062/mind-vis, on GitHub; not fetched",
        0.7,
        "see there",
        use="by key",
        fetched=False,
        pretrained=False,
    ),
}


def used_models(models: Mapping[str, str | None], caption_backend: str) -> dict[str, Path]:
    """Return the folders of the networks that a study with this captioner loads.

    Parameters
    ----------
    models : config section ``models``
    caption_backend : ``caption_clips.backend``
    """

    def used(name: str, network: Published) -> bool:
        if network.use == "by key":
            return name == caption_backend
        return network.use == "always" or models.get(name) is not None

    names = [name for name, network in PUBLISHED.items() if used(name, network)]
    return {name: Path(str(models[name])) for name in names}


# Names of weights that are read, whole or in several files with an index; other variants (.non_ema) are not.
WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|model|pytorch_model)(\.(?P<variant>fp16|bf16))?(?P<piece>-\d{5}-of-\d{5})?"
    r"\.(?P<format>safetensors|bin)(?P<index>\.index(\.(?P<index_variant>fp16|bf16))?\.json)?",
    re.ASCII,
)
VARIANTS = ("", "bf16", "fp16")  # precision of weights, in the order in which they are taken; "" is full
OF_WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|model|pytorch_model)\b.*\.(safetensors|bin|ckpt|h5|msgpack)"
)
# Parts of a folder of Stable Diffusion with weights -> class in their config.json
PIPELINE_TYPES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("clip_text_model",),
}
# What lies beside weights: sets of files, of which one must be complete.
FileSets = tuple[tuple[str, ...], ...]
CLIP_TOKENIZER: FileSets = (("tokenizer.json",), ("vocab.json", "merges.txt"))
BERT_TOKENIZER: FileSets = (("tokenizer.json",), ("vocab.txt",))
LANGUAGE_TOKENIZER: FileSets = (("tokenizer.json",), ("spiece.model",), ("vocab.json", "merges.txt"))
PROCESSOR: FileSets = (("preprocessor_config.json",), ("processor_config.json",))
SCHEDULE_FILE: FileSets = (("scheduler_config.json",),)
# model_type -> what its folder holds beside config.json and weights
BESIDE_WEIGHTS: dict[str, tuple[FileSets, ...]] = {
    "clip": (CLIP_TOKENIZER, PROCESSOR),
    "blip": (BERT_TOKENIZER, PROCESSOR),
    "blip-2": (LANGUAGE_TOKENIZER, PROCESSOR),
    "vit": (PROCESSOR,),
    "videomae": (PROCESSOR,),
}


def weights_kind(name: str) -> tuple[str, str] | None:
    """Return the format (safetensors or bin) of a file of weights and its variant: "", bf16 or fp16."""
    match = WEIGHTS.fullmatch(name)
    return (match["format"], match["variant"] or match["index_variant"] or "") if match else None


def _is_piece(path: Path) -> bool:
    """Say whether a file of weights is one of several, or their index."""
    match = WEIGHTS.fullmatch(path.name)
    return match is not None and bool(match["piece"] or match["index"])


def weight_files(folder: Path) -> list[Path]:
    """List the files of weights that are read: full precision before half, safetensors before bin.

    Whole weights are taken before pieces: an index of an older download may lie beside them.
    """
    named = [(weights_kind(path.name), path) for path in sorted(folder.glob("*")) if path.is_file()]
    kinds = [(kind, variant) for variant in VARIANTS for kind in ("safetensors", "bin")]
    by_kind = ([path for own_kind, path in named if own_kind == kind] for kind in kinds)
    files = next((files for files in by_kind if files), [])
    return [path for path in files if not _is_piece(path)] or files


def stale_index(folder: Path) -> Path | None:
    """Return an index of pieces that lies beside whole weights of the same kind, if there is one."""
    whole = [weights_kind(path.name) for path in weight_files(folder) if not _is_piece(path)]
    beside = (path for path in sorted(folder.glob("*.index*.json")) if weights_kind(path.name) in whole)
    return next(beside, None)


def other_weights(folder: Path) -> str:
    """Name files that hold weights of a kind that is not read; empty if there are none."""
    names = [path.name for path in sorted(folder.glob("*")) if OF_WEIGHTS.fullmatch(path.name)]
    return ", ".join(name for name in names if weights_kind(name) is None)


def absent_files(folder: Path, sets: FileSets) -> str:
    """Say which files are missing for any of the sets to be complete; empty if one is."""
    if any(all((folder / name).is_file() for name in names) for names in sets):
        return ""
    return " or ".join(" and ".join(names) for names in sets)


def model_files(folder: Path) -> list[str]:
    """List the files of a model folder on which results depend."""
    kinds = {".json", ".safetensors", ".bin", ".pth", ".txt"}
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.suffix in kinds]
    # Downloads leave records in hidden folders.
    return sorted(
        str(folder / path) for path in files if not any(part.startswith(".") for part in path.parts)
    )


# model_type -> name, and the width, layers and patch that its config.json may leave out
KINDS = {
    "clip": ("CLIP ViT", 768, 12, 32),
    "vit": ("ViT", 768, 12, 16),
    "videomae": ("VideoMAE", 768, 12, 16),
}
SIZES = {(384, 12): "S", (768, 12): "B", (1024, 24): "L", (1280, 32): "H"}


def describe_network(folder: Path) -> str:
    """Name a CLIP or a classifier from its config.json: "CLIP ViT-B/32", "ViT-B/16 of 1000 classes".

    Raises
    ------
    InputError : no config.json of such a network
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        name, width, layers, patch = KINDS[config["model_type"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        todo = "Correct its folder in the config section models."
        raise InputError(path, f"no such network ({error!r})", f"one of {', '.join(KINDS)}", todo) from None
    tower = config.get("vision_config", {}) if config["model_type"] == "clip" else config
    width, layers = tower.get("hidden_size", width), tower.get("num_hidden_layers", layers)
    size = SIZES.get((width, layers), f"({width} wide, {layers} layers)")
    classes = "" if tower is not config else f" of {len(config.get('id2label', ()))} classes"
    return f"{name}-{size}/{tower.get('patch_size', patch)}{classes}"


# Mean of red, green and blue -> whose statistics they are
STATISTICS = {(0.485, 0.456, 0.406): "ImageNet", (0.481, 0.458, 0.408): "CLIP", (0.5, 0.5, 0.5): "symmetric"}


def describe_processor(folder: Path) -> str:
    """Say how a CLIP folder prepares pictures: "shortest edge 256, crop 224, ImageNet statistics".

    Raises
    ------
    InputError : no preprocessor_config.json, or one of another kind
    """
    path = folder / "preprocessor_config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        size, crop = config["size"], config["crop_size"]
        edge = size["shortest_edge"] if isinstance(size, dict) else size
        crop = crop["height"] if isinstance(crop, dict) else crop
        red, green, blue = (round(float(value), 3) for value in config["image_mean"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        todo = "Save the network's image processor into its folder."
        expected = "size, crop_size and image_mean"
        raise InputError(path, f"no such settings ({error!r})", expected, todo) from None
    mean = (red, green, blue)
    return f"shortest edge {edge}, crop {crop}, {STATISTICS.get(mean, str(mean))} statistics"


class MissingModels(InputError):
    """All networks that are not there, in one message: which, how large, licence, and how to get them."""

    def __init__(self, missing: Iterable[tuple[str, Path]]) -> None:
        missing = list(missing)
        rows = [f"  models.{name}: found no model in {folder}: {PUBLISHED[name]}" for name, folder in missing]
        fetched = {PUBLISHED[name].fetched for name, _ in missing}
        ways = [f"Get them on a machine with a network:  {GET_THEM}"] if True in fetched else []
        ways += ["Get from their authors what is not fetched"] if False in fetched else []
        todo = "\n".join([*ways, "or set the folders you have in the config section models (docs/data.md)."])
        super().__init__("models", "networks missing", "every network of the study", todo)
        count = "1 network is missing" if len(rows) == 1 else f"{len(rows)} networks are missing"
        self.args = ("\n".join([count, *rows, todo]),)
