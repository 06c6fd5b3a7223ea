"""Which movies a file was computed from, written into every file of arrays and weights; the leak guard.

A training takes only files whose list is within the study's training movies. So nothing that was computed
from a test run, be it a sample, a statistic, a choice of vertices or the weights of an earlier training, can
shape a training or the choice of a checkpoint: the program refuses it, whatever the rules say.
"""

import json
import shutil
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from neurocine.errors import InputError
from neurocine.io import META_KEY, open_arrays, read_meta, replacing, seal, sealable
from neurocine.settings import Settings
from neurocine.version import code_version, package_versions

COMPUTED_FROM = "computed_from"  # in the metadata of a file; an empty list: from no movie of the study


def header(step: str, settings: Settings, behind: Iterable[str], **facts: Any) -> dict[str, Any]:
    """Put together what every output says of itself: step, code, settings, and the movies behind it.

    Parameters
    ----------
    step : that makes the file
    settings : its section of the config
    behind : movies the file was computed from; empty: from no movie of the study
    facts : what else the step says of the file, JSON values
    """
    origin = {"step": step, "version": code_version(), "packages": package_versions()}
    return origin | {"settings": settings.model_dump()} | {COMPUTED_FROM: list(behind)} | facts


def movies_behind(paths: Iterable[Path]) -> list[str]:
    """List the movies that these files were computed from, each once, sorted.

    Parameters
    ----------
    paths : safetensors files that the workflow wrote

    Raises
    ------
    InputError : a file that does not say it
    """
    movies: set[str] = set()
    for path in paths:
        with open_arrays(path) as handle:
            listed = read_meta(handle).get(COMPUTED_FROM)
        if not isinstance(listed, list):
            raise InputError(
                path,
                "no list of the movies it was computed from",
                f"{COMPUTED_FROM} in its metadata, as every step writes it",
                "Make the file again with this workflow.",
            )
        movies.update(map(str, listed))
    return sorted(movies)


def refuse_leaks(paths: Sequence[Path], train_movies: Sequence[str]) -> list[str]:
    """Refuse files computed from anything but training movies.

    Parameters
    ----------
    paths : everything that a training reads, weights of earlier trainings included
    train_movies : ``movies.train`` of the config

    Returns
    -------
    The movies the files were computed from, to be written into what the training makes

    Raises
    ------
    InputError : a file computed from another movie, or one that does not say what it was computed from
    """
    for path in paths:
        leaked = [movie for movie in movies_behind([path]) if movie not in train_movies]
        if leaked:
            raise InputError(
                path,
                f"values computed from {', '.join(leaked)}",
                f"only training movies ({', '.join(train_movies)})",
                "Nothing of a test movie may reach a training: give the files of the training movies.",
            )
    return movies_behind(paths)


def refuse_overlap(train: Path, test_movies: Iterable[str]) -> None:
    """Refuse training statistics that were computed from movies that are decoded.

    Parameters
    ----------
    train : training file of assemble_train
    test_movies : movies that are decoded

    Raises
    ------
    InputError : they share a movie
    """
    shared = sorted(set(movies_behind([train])) & set(test_movies))
    if shared:
        raise InputError(
            train,
            f"values computed from {', '.join(shared)}",
            "values of movies that are not decoded",
            "Give files of the training movies.",
        )


def stamp_weights(folder: Path, movies: Sequence[str], step: str) -> None:
    """Write into the header of saved weights which movies they were trained on; the tensors stay as they are.

    Parameters
    ----------
    folder : of ``save_pretrained``; all safetensors files in it
    movies : from `refuse_leaks`
    step : that trained them
    """
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as source:
            (length,) = struct.unpack("<Q", source.read(8))
            header: dict[str, Any] = json.loads(source.read(length))
            metadata = header.setdefault("__metadata__", {})
            metadata[META_KEY] = sealable(
                {
                    "step": step,
                    "version": code_version(),
                    "packages": package_versions(),
                    COMPUTED_FROM: list(movies),
                }
            )
            text = json.dumps(header, separators=(",", ":")).encode()
            text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8 bytes
            with replacing(path) as temporary:
                with open(temporary, "wb") as target:
                    target.write(struct.pack("<Q", len(text)) + text)
                    shutil.copyfileobj(source, target, 1 << 24)
                seal(temporary)
