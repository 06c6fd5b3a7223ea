"""Encoder weights that others published (DC-MAE, MinD-Vis, MinD-Video), read without running anything.

Their files are pickles of a training's state: weights beside settings of classes that only their repositories
have. Tensors are read, everything else becomes an empty stand-in.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.models.fmri_encoder import FmriEncoder, FmriEncoderConfig
from neurocine.models.pretrained import READ_ERRORS
from neurocine.settings import Count, Settings, Unit

log = logging.getLogger(__name__)
# What may stand before the encoder's own names.
WRAPPERS = {"module", "model", "fmri_encoder", "encoder", "mae", "cond_stage_model"}
STATES = ("model", "state_dict", "model_state_dict", "model_state")  # where a training's state keeps weights
FIRST = "patch_embed.proj.weight"


class ImportEncoderSettings(Settings):
    """What the weights of a published encoder leave open."""

    heads: Annotated[Count, Unit("heads")] = 16
    """Each block of the published encoder has this many attention heads, which its weights do not show."""


class _Nothing:
    """Stands in for an object of a foreign class: takes any arguments and state, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "_Nothing":
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keep nothing of what it is made from."""

    def __setstate__(self, _: Any) -> None:
        """Keep nothing of what was pickled."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the weights in a PyTorch file, whatever else lies in it; no foreign class is imported or run.

    By name, of any shape.

    Raises
    ------
    InputError : not a PyTorch file, or without weights of an fMRI encoder
    """
    todo = "Set models.fmri_encoder to the .pth file of a pretrained fMRI encoder (docs/data.md)."
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        stand_ins: list[Any] = [(type(name, (_Nothing,), {}), name) for name in foreign]
        with torch.serialization.safe_globals(stand_ins):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        found = (str(error).strip() or repr(error)).splitlines()[0]
        raise InputError(path, found, "a PyTorch file of weights", todo) from None
    if foreign:
        log.info("%s: left out objects of %s", path, ", ".join(sorted(foreign)))
    states = [content.get(name) for name in STATES] if isinstance(content, Mapping) else []
    for state in [*states, content]:
        if isinstance(state, Mapping):
            tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
            starts = [name.removesuffix(FIRST) for name in tensors if name.endswith(FIRST)]
            for start in starts:
                if set(start.split(".")) - {""} <= WRAPPERS:
                    return {
                        name.removeprefix(start): value
                        for name, value in tensors.items()
                        if name.startswith(start)
                    }
    raise InputError(path, "no " + FIRST, "weights of an fMRI encoder", todo)


def encoder_config(
    weights: Mapping[str, Tensor], n_vertices: int, heads: int, path: Path
) -> FmriEncoderConfig:
    """Read the sizes of an encoder of single frames from its weights, of any shapes.

    Parameters
    ----------
    weights : name -> tensor, with patches (width, 1, vertices)
    n_vertices : V of this study
    heads : of attention, which weights do not tell
    path : named in errors

    Raises
    ------
    InputError : weights of another architecture
    """
    numbers = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    hidden = weights.get("blocks.0.mlp.fc1.weight")
    if weights[FIRST].ndim != 3 or (hidden is not None and hidden.ndim != 2):
        found, todo = f"{FIRST} of shape {tuple(weights[FIRST].shape)}", "Correct models.fmri_encoder."
        raise InputError(path, found, "patches of fMRI: (width, 1, vertices)", todo)
    width, _, patch = weights[FIRST].shape
    # Blocks without gaps: a number alone must not decide how large a network is built.
    whole = bool(numbers) and numbers == set(map(str, range(len(numbers))))
    if not whole or hidden is None or width % heads:
        found = f"a width of {width} for {heads} heads" if whole else "no transformer blocks from 0 on"
        todo = "Correct import_encoder.heads, or models.fmri_encoder."
        raise InputError(path, found, "weights of an fMRI encoder", todo)
    return FmriEncoderConfig(
        n_vertices=n_vertices,
        window=1,
        patch=patch,
        depth=len(numbers),
        width=width,
        heads=heads,
        mlp_ratio=hidden.shape[0] / width,
        temporal=False,
        tokens=0,
    )


def compare_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> pd.DataFrame:
    """List all tensors of a file and of the encoder that was loaded from it.

    Parameters
    ----------
    weights, own : name -> tensor, such as (d,) or (d, d), of the file and of the encoder

    Returns
    -------
    columns name, in_file and in_encoder (shapes), what: loaded, interpolated, left_out or not_in_file
    """
    rows = []
    for name in [*own, *(name for name in weights if name not in own)]:
        given, taken = weights.get(name), own.get(name)
        shapes = [tuple(value.shape) if value is not None else None for value in (given, taken)]
        if given is None or taken is None:
            what = "left_out" if taken is None else "not_in_file"
        else:
            # A table of positions may have had a leading slot for a class token, which has no part here.
            same = torch.equal(given.to(taken.dtype).flatten()[-taken.numel() :], taken.flatten())
            what = "loaded" if same else "interpolated"
        rows.append((name, *shapes, what))
    return pd.DataFrame(rows, columns=["name", "in_file", "in_encoder", "what"])


def import_encoder(
    path: Path, n_vertices: int, settings: ImportEncoderSettings
) -> tuple[FmriEncoder, pd.DataFrame]:
    """Make an encoder of single frames with published weights.

    Parameters
    ----------
    path : PyTorch file
    n_vertices : V of this study; positions are interpolated along the tokens when their number differs
    settings : section import_encoder

    Returns
    -------
    The encoder, whose sizes are those of the weights, and a table of all tensors on both sides: name, shape
    in the file, shape in the encoder, and whether it was loaded, interpolated, left_out or not_in_file

    Raises
    ------
    InputError : no readable weights, or weights of another architecture
    """
    weights = read_tensors(path)
    config = encoder_config(weights, n_vertices, settings.heads, path)
    encoder = FmriEncoder(config)
    encoder.load_backbone(weights, path)
    table = compare_weights(weights, encoder.state_dict())
    counts = table["what"].value_counts().to_dict()
    log.info("%s: %s; depth %d, width %d", path, counts, config.depth, config.width)
    return encoder.eval(), table
