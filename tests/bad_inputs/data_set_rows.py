"""Folders and files of HCP 7T and Algonauts 2021, packages, rest runs and volumes."""

import gzip
import json
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image

from bad_inputs.config_rows import CONFIG, READ
from bad_inputs.table import COMMANDS, VOLUMES, Arguments, Row, cut, given, patch, write
from small_data_sets import AREA_VOXELS, WINDOWS, dense_file, responses, write_pickle

VIDEOS = 8  # of the package in `COMMANDS`, four of them to test
MNI = "seg1_1_mni.nii"
AREAS = list(AREA_VOXELS)
Make = Callable[[Path], Arguments]


def write_config(folder: Path, **keys: Any) -> Arguments:
    """Write a config, as JSON, and ask for the files that it needs."""
    (folder / CONFIG).write_text(json.dumps(keys))
    return {"configfiles": [CONFIG], "find": True}


def hcp(change: Callable[[Path], None] = lambda root: None, **section: Any) -> Make:
    """Lay out the files of an HCP study, empty ones, and change something."""

    def make(folder: Path) -> Arguments:
        root = folder / "hcp"
        films = root / "movies/Post_20140821_version"
        films.mkdir(parents=True)
        for run, part in (("MOVIE1", "CC1"), ("MOVIE2", "HO1"), ("MOVIE3", "CC2"), ("MOVIE4", "HO2")):
            (films / f"7T_{run}_{part}_v2.mp4").touch()
            path = dense_file(root, "100610", run)
            path.parent.mkdir(parents=True)
            path.touch()
        change(root)
        keys = {"windows": WINDOWS, "validation": ["movie1_2"], "stimulus_versions": {"100610": "post"}}
        return write_config(
            folder,
            layout="hcp_7t",
            dataset="hcp_7t",
            data_dir=str(root),
            subjects=[100610],
            exclude_runs=[],
            pretrain_on="training_fmri",
            hcp_7t=keys | section,
        )

    return make


def renamed(old: str, new: str) -> Callable[[Path], None]:
    """Rename the file of the third run."""

    def change(root: Path) -> None:
        path = dense_file(root, "100610", "MOVIE3")
        path.rename(path.with_name(path.name.replace(old, new)))

    return change


def hcp_rows() -> Iterator[Row]:
    """Files and keys of HCP 7T."""
    overlap = {"MOVIE1": [[0, 5], [4, 9]]}
    unequal = {"MOVIE1": [[0, 5], [6, 9]], "MOVIE2": [[0, 5], [6, 10]]}
    rows: dict[str, tuple[Make, str]] = {
        "run missing": (
            hcp(lambda root: dense_file(root, "100610", "MOVIE3").unlink()),
            "1 files are missing",
        ),
        "run on the 1.6 mm grid": (hcp(renamed("_Atlas_", "_Atlas_1.6mm_")), r"the 1\.6 mm grid .* alone"),
        "run of another name": (hcp(renamed("_PA_", "_AP_")), "files are missing"),
        "movie missing": (
            hcp(lambda root: next(root.rglob("7T_MOVIE2*.mp4")).unlink()),
            "files are missing.*7T_MOVIE2_HO1_v2",
        ),
        "movies of another version": (
            hcp(stimulus_versions={"100610": "pre"}),
            "4 files are missing.*7T_MOVIE1_CC1.mp4",
        ),
        "version unknown": (hcp(stimulus_versions={"100610": "later"}), "nothing of 100610; expected pre"),
        "version not told": (hcp(stimulus_versions={}), "nothing of 100610"),
        "windows overlap": (hcp(windows=overlap), "none in another"),
        "windows end before": (hcp(windows={"MOVIE1": [[5, 3], [6, 9]]}), "whole seconds"),
        "windows in fractions": (hcp(windows={"MOVIE1": [[0, 5.5], [6, 9]]}), "whole seconds"),
        "windows of a fifth run": (hcp(windows={"MOVIE5": [[0, 5], [6, 9]]}), "runs MOVIE1 to MOVIE4"),
        "repeated clips unequal": (hcp(windows=unequal), "3 s in MOVIE1, 4 s in MOVIE2"),
        "repeated clip alone": (hcp(windows={"MOVIE1": [[0, 5]]}), "only the repeated clip"),
        "validation of no movie": (hcp(validation=["movie9_9"]), "movie9_9"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"HCP 7T {name}", READ, make, f"(?s){told}")


def algonauts(there: int = VIDEOS, areas: list[str] = AREAS, **section: Any) -> Make:
    """Lay out the files of an Algonauts study, empty ones."""

    def make(folder: Path) -> Arguments:
        root = folder / "algonauts"
        films = root / "AlgonautsVideos268_All_30fpsmax"
        films.mkdir(parents=True)
        for number in range(there):
            (films / f"{number:04}.mp4").touch()
        place = root / "participants_data_v2021/mini_track/sub01"
        place.mkdir(parents=True)
        for area in areas:
            (place / f"{area}.pkl").touch()
        keys = {"videos": VIDEOS, "per_movie": 2, "areas": AREAS}
        return write_config(
            folder,
            layout="algonauts_2021",
            dataset="algonauts",
            data_dir=str(root),
            subjects=[1],
            exclude_runs=[],
            pretrain_on="training_fmri",
            algonauts_2021=keys | section,
        )

    return make


def algonauts_rows() -> Iterator[Row]:
    """Files and keys of Algonauts 2021."""
    rows: dict[str, tuple[Make, str]] = {
        "videos missing": (algonauts(there=7), r"7 videos \(\*\.mp4\); expected at least 8"),
        "no video": (algonauts(there=0), r"0 videos"),
        "area missing": (algonauts(areas=["V1", "V2"]), "no FFA.pkl; expected a file of each area"),
        "no area": (algonauts(areas=[]), "no V1.pkl, V2.pkl, FFA.pkl"),
        "videos do not divide": (algonauts(per_movie=3), "8 videos, 3 per movie"),
        "nothing to train on": (algonauts(test_movies=3), "expected movies to train on"),
        "per_movie 0": (algonauts(per_movie=0), "per_movie: found 0"),
        "videos text": (algonauts(videos="all"), "videos: found all"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"Algonauts {name}", READ, make, told)


def pickled(content: Any, protocol: int = 2) -> Make:
    """Replace the responses of the second area."""

    def make(folder: Path) -> Arguments:
        write_pickle(folder / "sub01/V2.pkl", content, protocol)
        return {}

    return make


class Calls:
    """Pickled as a call of a function, as those who attack pickle files."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('ran', 'w')",)


def pickle_rows() -> Iterator[Row]:
    """Responses of Algonauts that cannot be read, or are of another shape."""
    file = "sub01/V2.pkl"
    good = responses("V2", VIDEOS, 1)
    raw = pickle.dumps({"train": good}, 2)
    nan = good.copy()
    nan[3, 1, 2] = np.nan
    rows: dict[str, tuple[Make, str]] = {
        "missing": (write(file, None), "V2.pkl: found .*No such file"),
        "empty": (write(file, b""), "cannot be read"),
        "a login page": (write(file, b"<html>Please log in</html>"), "cannot be read"),
        "a pointer": (write(file, b"version https://git-lfs.github.com/spec/v1\n"), "cannot be read"),
        "cut": (write(file, raw[:-200]), "cannot be read"),
        "a call": (pickled({"train": Calls()}), r"it asks for (builtins|__builtin__)\.eval"),
        "texts": (pickled({"train": np.array(["a"])}), "values of type 'U1'"),
        "a list": (pickled({"train": [1, 2]}), "a list under 'train'"),
        "of another key": (pickled({"test": good}), "keys test"),
        "of two axes": (pickled({"train": good[:, 0]}), r"found shape \(8, 16\); expected three axes"),
        "of fewer videos": (pickled({"train": good[:7]}), "three axes: 8 videos"),
        "of fewer repeats": (pickled({"train": good[:, :2]}), "3 repeats"),
        "NaN": (pickled({"train": nan}), "NaN or infinite"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"pickle {name}", "import_fmri", make, told)


def array_package(shape: tuple[int, ...], change: Callable[[np.ndarray], None] = lambda _: None) -> Make:
    """Write the training movies of a package of plain arrays."""

    def make(folder: Path) -> Arguments:
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        change(values)
        np.save(folder / "fmri_train_rep.npy", values)
        return ARRAYS

    return make


ARRAYS: Arguments = {
    "fmri": "fmri_train_rep.npy",
    "package": COMMANDS["import_fmri"]["package"]
    | {"kind": "arrays", "train_repeats": 2, "test_repeats": 2, "areas": []},
}


def package_rows() -> Iterator[Row]:
    """Packages of plain arrays."""

    def twins(values: np.ndarray) -> None:
        values[1, 1] = values[1, 0]

    def infinite(values: np.ndarray) -> None:
        values[0, 1, 1, 3] = np.inf

    def lost(values: np.ndarray) -> None:
        values[0] = np.nan

    good = (2, 2, 2, 5)
    rows: dict[str, tuple[Make, str]] = {
        "twins": (
            array_package(good, twins),
            "the same values in repeats 1 and 2; expected recordings of th",
        ),
        "infinite": (array_package(good, infinite), "NaN or infinite"),
        "no repeat left": (array_package(good, lost), "no repeat of videos1"),
        "more movies": (array_package((3, 2, 2, 5)), r"shape \(3, 2, 2, 5\); expected shape \(2, 2, 2, V\)"),
        "no vertices": (array_package((2, 2, 2, 0)), "shape"),
        "a pointer": (write("fmri_train_rep.npy", b"version https://git-lfs", **ARRAYS), "begins with"),
        "missing": (given(**ARRAYS), "no such file"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"package {name}", "import_fmri", make, told)


def sheet(text: str, encoding: str = "utf-8") -> Make:
    """Write a sample sheet with these lines below its header."""

    def make(folder: Path) -> Arguments:
        header = "subject\tmovie\tpart\trun\tvideo\ttr\tclips\n"
        (folder / "recordings.tsv").write_bytes((header + text).encode(encoding))
        keys = {"layout": "sheet", "dataset": "lab", "data_dir": str(folder), "pretrain_on": "training_fmri"}
        return write_config(folder, sheet={"file": str(folder / "recordings.tsv")}, **keys)

    return make


def sheet_rows() -> Iterator[Row]:
    """Tables of recordings, which users write by hand."""
    train, test = "01\tA\ttrain\ta.nii\ta.mp4\t2\t5\n", "01\tB\ttest\tb.nii\tb.mp4\t2\t5\n"
    rows: dict[str, tuple[Make, str]] = {
        "open quote": (sheet(train + test.replace("b.nii", '"b.nii')), "line 3: found a line that cannot be"),
        "NUL": (sheet(train.replace("a.nii", "a\0.nii") + test), "line 2: found a NUL character"),
        "more cells": (
            sheet(train.replace("\n", "\tx\n") + test),
            "line 2: found 8 cells; expected at most 7",
        ),
        "huge cell": (
            sheet(train.replace("a.nii", "a" * 200_000) + test),
            "line 2: found a line that cannot",
        ),
        "UTF-16": (sheet(train + test, "utf-16"), "no table"),
        "commas": (sheet((train + test).replace("\t", ",")), "line 2: .*movie ''"),
        "decimal comma": (sheet(train.replace("\t2\t", "\t2,0\t") + test), "tr '2,0'; expected seconds"),
        "twice": (sheet(train + train + test), "repeat 1 twice"),
        "no test movie": (sheet(train), "no movie of part test"),
        "no rows": (sheet(""), "no rows"),
        "files missing": (sheet(train + test), "4 files are missing"),
    }
    for name, (make, message) in rows.items():
        yield Row(f"sheet {name}", READ, make, message)


def rest_rows() -> Iterator[Row]:
    """Names of rest runs that are of another grid, or not cleaned."""
    for name in (
        "rfMRI_REST1_AP_Atlas_MSMAll.dtseries.nii",
        "rfMRI_REST1_7T_PA_Atlas_1.6mm_MSMAll_hp2000_clean.dtseries.nii",
        "rfMRI_REST1_AP_hp0_clean.nii.gz",
        "._rfMRI_REST1_AP_Atlas_MSMAll_hp0_clean.dtseries.nii",
        "rfMRI_REST5_XY_Atlas_hp0_clean.dtseries.nii",
    ):
        yield Row(f"rest {name}", "check_data", write(name, b"", rest=[name]), "found")


def volumes(change: Callable[[np.ndarray], Any] = lambda values: values, **header: Any) -> Make:
    """Write a run of voxels; ``change`` may return other values."""

    def make(folder: Path) -> Arguments:
        values = np.random.default_rng(0).standard_normal((6, 5, 4, VOLUMES)).astype(np.float32)
        changed = change(values)
        image = Nifti1Image(values if changed is None else changed, np.diag([-3.5, 3.5, 3.5, 1]))
        for key, value in header.items():
            image.header[key] = value
        nibabel.save(image, folder / MNI)
        return {"runs": [MNI]}

    return make


def then(make: Make, more: Make) -> Make:
    """Damage what another one made."""
    return lambda folder: make(folder) | more(folder)


def volume_rows() -> Iterator[Row]:
    """Runs of voxels at the door."""

    def one_nan(values: np.ndarray) -> None:
        values[3, 2, 1, 2] = np.nan

    def infinite(values: np.ndarray) -> None:
        values[3, 2, 1, :] = np.inf

    run = volumes()
    compressed = MNI + ".gz"

    def packed(kept: int, end: bytes = b"") -> Make:
        def make(folder: Path) -> Arguments:
            run(folder)
            raw = gzip.compress((folder / MNI).read_bytes())
            (folder / compressed).write_bytes(raw[:kept] + end)
            return {"runs": [compressed]}

        return make

    rows: dict[str, tuple[Make, str]] = {
        "complex": (volumes(lambda values: values.astype(np.complex64)), "real numbers"),
        "NaN in one volume": (volumes(one_nan), "NaN in some volumes, or infinite values, in 1 of 120"),
        "infinite": (volumes(infinite), "infinite values, in 1 of 120"),
        "constant": (volumes(lambda values: np.ones_like(values)), "the same values in every volume"),
        "a single volume": (volumes(lambda values: values[..., 0]), "a series of volumes"),
        "of six axes": (volumes(lambda values: values[:, :, :, None, None, :].repeat(2, 4)), "shape"),
        "cut": (then(run, cut(MNI, -9)), "truncated|damaged"),
        "cut in header": (then(run, cut(MNI, 200)), "found"),
        "affine of zeros": (then(run, patch(MNI, 280, bytes(48))), "gives voxels one place"),
        "affine of NaN": (then(run, patch(MNI, 280, struct.pack("<f", np.nan) * 12)), "found"),
        "data type unknown": (then(run, patch(MNI, 70, struct.pack("<h", 9999))), "found"),
        "dimensions negative": (then(run, patch(MNI, 42, struct.pack("<h", -6))), "found"),
        "dimensions huge": (then(run, patch(MNI, 42, struct.pack("<4h", *[32767] * 4))), "found"),
        "gz cut": (packed(-40), "found"),
        "gz with a wrong checksum": (packed(-8, bytes(4)), "found"),
        "gz with other data behind": (packed(-1, b"\0junk" * 9), "found"),
        "gz of text": (write(compressed, gzip.compress(b"no image" * 99), runs=[compressed]), "found"),
        "no gz": (write(compressed, b"no image" * 99, runs=[compressed]), "found"),
    }
    for name, (make, told) in rows.items():
        yield Row(f"volumes {name}", "check_data", make, told)


def data_set_rows() -> Iterator[Row]:
    """All of them."""
    yield from hcp_rows()
    yield from algonauts_rows()
    yield from pickle_rows()
    yield from package_rows()
    yield from sheet_rows()
    yield from rest_rows()
    yield from volume_rows()
