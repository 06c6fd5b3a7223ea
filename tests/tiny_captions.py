"""Clips of given captions by decode_captions, which other ways to choose a caption are compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import decode_captions
from neurocine.io import read_arrays, write_arrays

SHARED = ("prior", "stable_diffusion", "noise_ratio", "seed", "settings", "device")


def clips_of_rows(
    given: Mapping[str, Any], rows: Mapping[str, Sequence[int]], folder: Path
) -> dict[str, np.ndarray]:
    """Decode movies as if the captions of their clips were these.

    Parameters
    ----------
    given : arguments of a program that decodes by way of captions
    rows : test movie -> the row of the text states of each clip
    folder : for files
    """
    arrays = read_arrays(given["embeddings"][0])[0]
    texts = {name: arrays[name] for name in ("text_states", "null_states")}
    for movie, chosen in rows.items():
        texts[f"{movie}/state_index"] = np.array(chosen)[:, None]
        texts[f"{movie}/text"] = np.zeros((len(chosen), 1, 8), np.float32)
    movies = list(rows)
    write_arrays(folder / "chosen.safetensors", texts, {"movies": movies, "computed_from": movies})
    out = folder / "captions.safetensors"
    decode_captions.main(
        **{name: given[name] for name in SHARED},
        embeddings=[folder / "chosen.safetensors"],
        condition="caption",
        out=out,
    )
    return read_arrays(out)[0]
