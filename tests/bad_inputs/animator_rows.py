"""What the programs of Mind-Animator meet: checkpoints, caches, movies and files of synonyms."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bad_inputs.table import COMMANDS, Arguments, Row, changed, cut, given, write
from neurocine.io import read_arrays, write_arrays
from tiny_animator import TEST, write_embeddings, write_networks
from tiny_study import TR, VERTICES, write_fmri


def other_arrays(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Arguments]:
    """Change every array of a file, which stays one that the step before could have written."""

    def make(folder: Path) -> Arguments:
        arrays, meta = read_arrays(folder / name)
        write_arrays(folder / name, {key: change(array) for key, array in arrays.items()}, meta)
        return {}

    return make


def of_variant(kind: str, *names: str, **arguments: str) -> Callable[[Path], Arguments]:
    """Train decoders as another variant."""

    def make(folder: Path) -> Arguments:
        write_networks(folder / "other", kind)
        return {name: f"other/{name}" for name in names} | arguments

    return make


def constant_vertex(folder: Path) -> Arguments:
    """Give a vertex the same value in all test movies, and ask for the test z-score of variant code."""
    path = write_fmri(folder / "animator/test.safetensors", TEST, seed=2)
    arrays, meta = read_arrays(path)
    for array in arrays.values():
        array[:, 7] = 3
    write_arrays(path, arrays, meta)
    return of_variant("code", "semantic", "structure", "motion", variant="code")(folder)


def wider_clip(folder: Path) -> Arguments:
    """Embed the clips by a CLIP of another width than that of the checkpoint."""
    write_embeddings(folder / "animator/embeddings.safetensors", TEST, width=9)
    return {}


def fewer_vertices(folder: Path) -> Arguments:
    """Give fMRI of other vertices than the checkpoint was trained on."""
    arrays = {movie: np.ones((TR, VERTICES - 1), np.float32) for movie in TEST}
    meta = {"movies": TEST, "computed_from": TEST}
    write_arrays(folder / "animator/test.safetensors", arrays, meta)
    return {}


def decoder_rows() -> Iterator[Row]:
    """Decoders and caches that do not belong together."""
    latents = "animator/latents.safetensors"
    rows: dict[str, tuple[Callable[[Path], Arguments], str]] = {
        "of another variant": (given(variant="code"), "decoder semantic: found variant paper"),
        "one of another variant": (of_variant("code", "motion"), "decoder motion: found variant code"),
        "variant misspelt": (given(variant="papr"), "--variant: found papr; expected paper or code"),
        "condition misspelt": (given(condition="shfted"), "--condition: found shfted"),
        "wider CLIP": (wider_clip, "CLIP embeddings of 8; expected 9"),
        "fewer frames": (other_arrays(latents, lambda array: array[:, :2]), "frames of 3; expected 2"),
        "larger latents": (
            other_arrays(latents, lambda array: np.concatenate([array, array], -1)),
            r"latents of \(4, 4, 4\); expected \(4, 4, 8\)",
        ),
        "other vertices": (fewer_vertices, "vertices of 20; expected 19"),
        "constant vertex": (constant_vertex, "1 vertices that are constant, the first in column 7"),
        "training stopped": (write("animator/semantic/config.json", None), "Run the training that makes it"),
        "weights missing": (write("animator/motion/model.safetensors", None), "unusable weights|no such"),
        "weights cut": (cut("animator/motion/model.safetensors", -9), "unusable weights"),
        "weights empty": (write("animator/structure/model.safetensors", b""), "unusable weights"),
        "config of another": (write("animator/semantic/config.json", b'{"class": "Other"}'), "a network Oth"),
        "config a list": (write("animator/semantic/config.json", b"[]"), "config"),
        "config binary": (write("animator/semantic/config.json", b"\xff\xfe\x00"), "config"),
        "exchanged": (given(semantic="animator/structure"), "a network StructureDecoder; expected a Seman"),
        "fMRI of training": (given(fmri_test="animator/train.safetensors"), "seg1"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"features: {name}", "decode_features", make, told)


def motion_rows() -> Iterator[Row]:
    """Motion generators that cannot be trained."""
    rows: dict[str, tuple[Callable[[Path], Arguments], str]] = {
        "memory_tokens 0": (given(memory_tokens=0), "memory_tokens: found 0; expected 1 or more"),
        "variant misspelt": (given(variant="kode"), "--variant: found kode"),
        "motion_from misspelt": (given(motion_from="fmr"), "--motion-from: found fmr; expected fmri or fr"),
        "structure of code": (of_variant("code", "structure"), "variant code; expected .*variant paper"),
        "structure unfinished": (given(structure="nowhere"), "nowhere"),
        "test movie": (given(train_movies=["seg1", "seg2"]), "seg3"),
        "validation unknown": (given(validation=["seg9"]), "validation movies: found seg9; expected some"),
        "no validation": (given(validation=[]), "validation movies: found none"),
        "validation all": (
            given(validation=["seg1", "seg2", "seg3"]),
            "some but not all of seg1, seg2, seg3",
        ),
        "hide 1.5": (changed("train_motion", "settings", hide=1.5), "hide: found 1.5|hide"),
        "one frame": (
            other_arrays("training/latents.safetensors", lambda array: array[:, :1]),
            "1 frame a clip; expected 2 or more",
        ),
    }
    for name, (make, told) in rows.items():
        yield Row(f"motion: {name}", "train_motion", make, told)


def synonym_rows() -> Iterator[Row]:
    """Files of synonyms that are named and cannot be used."""
    file = COMMANDS["augment_captions"]["settings"]["synonyms"]
    contents: dict[str, tuple[bytes | None, str]] = {
        "missing": (None, "synonyms.tsv: found a file that cannot be read"),
        "empty": (b"", "no synonym; expected a line per word.*are skipped"),
        "without tabs": (b"red crimson\n", "line 1: 'red crimson'"),
        "a word alone": (b"red\t\n", "line 1"),
        "UTF-16": ("red\tcrimson\n".encode("utf-16"), "a file that cannot be read"),
        "binary": (bytes(range(256)), "a file that cannot be read|line"),
    }
    for name, (content, told) in contents.items():
        yield Row(f"synonyms {name}", "augment_captions", write(file, content), told)
    folder = write(f"{file}/index.noun", b"words", settings={"synonyms": file})

    def as_folder(place: Path) -> Arguments:
        (place / file).unlink()
        return folder(place)

    yield Row("synonyms a folder without WordNet", "augment_captions", as_folder, "no data files")
    yield Row(
        "shares of variants",
        "augment_captions",
        changed("augment_captions", "settings", deleted=1.1),
        "deleted: found 1.1",
    )
