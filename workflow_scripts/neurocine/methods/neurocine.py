"""NeuroCine (arXiv 2402.01590): a contrastive fMRI encoder, a video prior, and a decoder that joins them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from neurocine.conditions import made_by
from neurocine.errors import InputError
from neurocine.methods.base import Config, Method, Row, Training, of_seed
from neurocine.vertex_choice import vertices_known

STAGES = ("pretrained", "contrastive", "full")  # of the encoder, one map each per layer
VIEWS = ("spatial_ratio", "temporal_ratio", "spatial_weight", "temporal_weight")
CHOICES = ("state_weight", "head", "frame_code")  # beyond the paper, in place of those of train_encoder
LAYERS = ("sc_frames", "sc_include_self", "temporal_position")  # likewise, of train_video_prior


def chosen(row: Row) -> dict[str, Any]:
    """Return what an experiment has in place of the settings of train_encoder."""
    return {key: row[key] for key in CHOICES if row.get(key) is not None}


def chosen_layers(row: Row) -> dict[str, Any]:
    """Return what an experiment has in place of the settings of train_video_prior."""
    return {key: row[key] for key in LAYERS if row.get(key) is not None}


def prior_parameters(row: Row) -> dict[str, Any]:
    """Return what of an experiment the training of the video prior depends on."""
    return {"noise_ratio": row["noise_ratio"], **chosen_layers(row)}


def encoder_parameters(row: Row) -> dict[str, Any]:
    """Return what of an experiment the encoder training depends on."""
    views = {key: row[key] for key in VIEWS} if row["augment"] else {}
    return {"augment": row["augment"], **views, **chosen(row)}


def choice_name(key: str, value: Any) -> str:
    """Name a value that an experiment has in place of a setting, as part of the name of its encoder."""
    if key == "frame_code":
        return "ordered" if value else "unordered"
    return f"state{value:.3g}" if key == "state_weight" else str(value)


def encoder_key(row: Row) -> str:
    """Name the encoder training of an experiment; experiments with the same name share it."""
    views = "plain"
    if row["augment"]:
        views = (
            f"spa{row['spatial_ratio']:.3g}_tem{row['temporal_ratio']:.3g}"
            f"_mu{row['spatial_weight']:.3g}-{row['temporal_weight']:.3g}"
        )
    name = "_".join([views, *(choice_name(key, value) for key, value in chosen(row).items())])
    return of_seed(name, row)


def distribution(row: Row, config: Config) -> dict[str, Any]:
    """Return what of an experiment decides how its encoder is trained, without what has no effect.

    Experiments of which it is the same train one encoder twice, whatever their names say.
    """
    settings = config["train_encoder"]
    choices = {key: settings[key] for key in CHOICES} | chosen(row)
    view_keys = {key: row[key] for key in VIEWS} if row["augment"] else {}
    for view in ("spatial", "temporal"):
        if not view_keys.get(f"{view}_weight"):  # the view is not made
            view_keys = {key: value for key, value in view_keys.items() if not key.startswith(view)}
    if settings["interpolate_min_one"] and settings["window"] == 2:
        view_keys.pop("temporal_ratio", None)  # exactly one of two frames is replaced, whatever the ratio
    return view_keys | choices


def permuted_key(key: str, number: int) -> str:
    """Name the n-th encoder that is trained on fMRI of other times, as a null of that of ``key``."""
    return f"{key}_permuted{number}" if number else key


def prior_key(row: Row) -> str:
    """Name the video prior of an experiment; experiments with the same name share it."""
    named = chosen_layers(row)
    if "sc_include_self" in named:
        named["sc_include_self"] = "self" if named["sc_include_self"] else "others"
    name = "_".join([f"beta{row['noise_ratio']:.3g}", *(name.replace("_", "-") for name in named.values())])
    return of_seed(name, row)


def decoder_key(row: Row) -> str:
    """Name the decoder of an experiment; experiments with the same name share it."""
    return f"{encoder_key(row)}_{prior_key(row)}"


def export_names(config: Config) -> list[str]:
    """Name what export_maps writes: all maps, what they are, and a page."""
    kind = "nii.gz" if config["space"] == "mni" else "dscalar.nii"
    return [f"maps/maps.{kind}", "maps/maps.json", "maps/interactive.html"]


class NeuroCine(Method):
    """NeuroCine on the fMRI of visual cortex."""

    name = "neurocine"
    definition = "Experiment"
    parameters = (*VIEWS, "noise_ratio")
    titles: ClassVar[Mapping[str, str]] = {
        "pretrain_encoder": "Encoder pretraining",
        "train_encoder": "Encoder against CLIP",
        "train_video_prior": "Video prior from captions",
        "train_decoder": "Decoder from fMRI",
    }
    contrasts: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "pretrain_encoder": {"self_contrast": 1, "cross_contrast": 1},
        "train_encoder": {"embedding": 2, "spatial": 1, "temporal": 1},  # with captions and with frames
    }
    step = "decode"
    fmri_conditions = made_by("decode")
    text_conditions = made_by("decode_captions")
    encoder_conditions = ("nearest_caption", "retrieval")
    main_experiment = "paper_main"
    systems = ("NeuroCine",)
    ranks_areas = True

    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        """List the trainings behind an experiment: the first is shared by all, the others by parameters.

        The first is not repeated with other seeds.
        """
        encoder, prior, seed = encoder_parameters(row), prior_parameters(row), row.get("train_seed")
        pretraining = (
            [] if config["pretrain_on"] == "published" else [Training("pretrain_encoder", of="vertices")]
        )
        return (
            *pretraining,
            Training("train_encoder", encoder_key(row), encoder, seed=seed),
            Training("train_video_prior", prior_key(row), prior, of="study", seed=seed),
            Training("train_decoder", decoder_key(row), {**encoder, **prior}, seed=seed),
        )

    def used(self, row: Row) -> dict[str, Any]:
        """Return the parameters that an experiment uses: without augmented views only the noise ratio."""
        names = self.parameters if row.get("augment", True) else ("noise_ratio",)
        return {name: row[name] for name in names if name in row}

    def encoder_clips(self, row: Row) -> dict[str, str]:
        """Name the clips made by the encoder's embedding: by way of a caption, and retrieved."""
        return {
            "nearest_caption": f"decode_nearest/{decoder_key(row)}.safetensors",
            "retrieval": f"retrieve_clips/{encoder_key(row)}.safetensors",
        }

    def decoders(self, row: Row) -> dict[str, str]:
        """Name the encoder after contrastive training."""
        return {"encoder": f"train_encoder/{encoder_key(row)}/encoder"}

    def permuted_decoders(self, row: Row, number: int) -> dict[str, str]:
        """Name the same encoder trained on fMRI of other times, for the n-th time."""
        return {"encoder": f"train_encoder/{permuted_key(encoder_key(row), number)}/encoder"}

    def tables(self, config: Config) -> list[str]:
        """Name the table of attention, where it is known to which areas the vertices belong."""
        return ["attention.tsv"] if vertices_known(config) else []

    def maps(self, config: Config) -> list[str]:
        """Name the maps of attention and occlusion, where it is known where the vertices lie."""
        if not vertices_known(config):
            return []
        layers = config["extract_attention"]["layers"]
        each = [f"attention_{stage}_layer{layer}" for stage in STAGES for layer in layers]
        return [f"maps/{name}.png" for name in ("overview", "occlusion", *each)]

    def exports(self, config: Config) -> list[str]:
        """Name the maps for other tools, what they are, and the page on which one can be turned."""
        return export_names(config) if vertices_known(config) else []

    def check(self, config: Config) -> Iterator[InputError]:
        """Find layers of attention that the encoder does not have, and experiments that do not differ."""
        yield from self._check_distributions(config)
        depth, layers = config["pretrain_encoder"]["depth"], config["extract_attention"]["layers"]
        if max(layers) > depth:
            expected = f"layers at most {depth} (pretrain_encoder.depth)"
            yield InputError("extract_attention.layers", str(layers), expected, "Correct one of the two.")

    def _check_distributions(self, config: Config) -> Iterator[InputError]:
        """Find experiments that targets make, with other numbers, whose encoders are trained alike."""
        first: dict[str, tuple[str, str]] = {}
        asked_for = dict.fromkeys([*config["run_experiments"], *config["ablation_experiments"]])
        for name in asked_for:
            row = config["experiments"].get(name)
            if row is None or row.get("method", self.name) != self.name:
                continue
            place = json.dumps(distribution(row, config), sort_keys=True)
            other, key = first.setdefault(place, (name, encoder_key(row)))
            if key != encoder_key(row):
                found = f"numbers that train the same encoder as {other}, a second time"
                todo = "Leave one out; temporal_ratio, in windows of two, needs interpolate_min_one: false."
                yield InputError(f"experiments.{name}", found, "experiments that differ in effect", todo)
