"""Packages of preprocessed fMRI: what each layout means, where the columns lie, what is refused."""

import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import import_fmri
import preprocess_hcp
from fmri_runs import run_assemble, write_cleaned
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.fmri.ceiling import MeasureNoiseCeilingSettings, measure_noise_ceiling
from neurocine.fmri.grayordinates import CORTEX
from neurocine.fmri.package import (
    ImportFmriSettings,
    Package,
    PackageLayout,
    check_package,
    place_columns,
    read_vertices,
)
from neurocine.fmri.parcellation import installed_areas
from neurocine.fmri.rest import PreprocessHcpSettings
from neurocine.fmri.vertices import VertexSelection
from neurocine.io import read_arrays
from neurocine.provenance import movies_behind, refuse_leaks

T, V = 12, 5
TRAIN, TEST = ("seg1", "seg2"), ("test1",)
REPEATS = {"train": 2, "test": 3}
MOVIES = {"train": TRAIN, "test": TEST}
NAMES = {
    "mind_video": "fmri_{}_subject1.npy",
    "neuroclips": "subj01_{}_fmri.pt",
    "arrays": "fmri_{}_rep.npy",
}
# Of both hemispheres and three areas; columns of a package may have any order.
VERTICES = np.array([40_000, 29_696, 7, 120, 59_411])


def layout(kind: str) -> PackageLayout:
    return PackageLayout(
        kind=kind,
        train_movies=TRAIN,
        test_movies=TEST,
        train_repeats=REPEATS["train"],
        test_repeats=REPEATS["test"],
        clips_per_movie=T,
    )


def recorded(seed: int = 0) -> dict[str, np.ndarray]:
    """Movie -> (n_repeats, T, V), z-scored per repeat as preprocess_run does."""
    generator = np.random.default_rng(seed)
    found = {}
    for part, movies in MOVIES.items():
        for movie in movies:
            values = generator.normal(size=(REPEATS[part], T, V))
            values -= values.mean(1, keepdims=True)
            found[movie] = (values / values.std(1, ddof=1, keepdims=True)).astype(np.float32)
    return found


def write_package(folder: Path, kind: str, runs: dict[str, np.ndarray]) -> dict[str, Path]:
    """Write the runs as their layout says, value by value; Mind-Video's are means over repeats."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {part: folder / NAMES[kind].format(part) for part in MOVIES}
    for part, movies in MOVIES.items():
        n, k = len(movies), REPEATS[part]
        shape = {"mind_video": (n, T, V), "neuroclips": (n * T, k, V), "arrays": (n, k, T, V)}[kind]
        values = np.zeros(shape, np.float32)
        for m, r, t in itertools.product(range(n), range(k), range(T)):
            sample = runs[movies[m]][r, t]
            if kind == "mind_video":
                values[m, t] += sample / k
            elif kind == "neuroclips":
                values[m * T + t, r] = sample
            else:
                values[m, r, t] = sample
        if kind == "neuroclips":
            torch.save(torch.from_numpy(values), paths[part])
        else:
            np.save(paths[part], values)
    return paths


def run_import(paths: dict[str, Path], kind: str, **more: Any) -> dict[str, Path]:
    """Run the program for both parts, as the rules do; return what it wrote."""
    folder = paths["train"].parent / "imported"
    outs = {name: folder / f"{name}.safetensors" for name in ("train", "test", "vertices")}
    both = {"package": layout(kind), "settings": ImportFmriSettings()} | more
    both |= {name: path for name, path in paths.items() if name not in MOVIES}
    places = {"vertices": outs["vertices"], "table": folder / "vertices.tsv"}
    for part, further in (("train", places), ("test", {})):
        import_fmri.main(fmri=paths[part], part=part, out=outs[part], **further, **both)
    return outs | {"table": folder / "vertices.tsv"}


@pytest.mark.parametrize("kind", NAMES)
def test_every_layout_gives_the_runs_back(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs = recorded()
    with caplog.at_level(logging.WARNING):
        outs = run_import(write_package(tmp_path, kind, runs), kind)
    assert "z-scored" not in caplog.text
    for part, movies in MOVIES.items():
        arrays, meta = read_arrays(outs[part])
        assert meta["movies"] == list(movies)
        assert meta["excluded"] == []
        assert (meta["step"], meta["settings"]["package"]) == ("import_fmri", kind)
        assert set(arrays) == set(movies)
        for movie in movies:
            assert arrays[movie].dtype == np.float32
            if kind == "mind_video":
                np.testing.assert_allclose(arrays[movie], runs[movie].mean(0)[None], atol=1e-6)
            else:
                np.testing.assert_array_equal(arrays[movie], runs[movie])


@pytest.mark.parametrize("kind", ["neuroclips", "arrays"])
def test_repeats_with_the_same_values_are_refused(tmp_path: Path, kind: str) -> None:
    runs = recorded()
    movie = MOVIES["test"][0]
    runs[movie][1] = runs[movie][0]
    paths = write_package(tmp_path, kind, runs)
    with pytest.raises(InputError, match=rf"{movie}: found the same values in repeats 1 and 2"):
        run_import(paths, kind)
    run_import(paths, kind, excluded=[f"{movie}:2"])


def test_double_precision_is_read_as_single(tmp_path: Path) -> None:
    paths = write_package(tmp_path, "neuroclips", recorded())
    torch.save(torch.load(paths["test"], weights_only=True).double(), paths["test"])
    assert read_arrays(run_import(paths, "neuroclips")["test"])[0]["test1"].dtype == np.float32


@pytest.mark.parametrize("kind", ["neuroclips", "arrays"])
def test_excluded_and_missing_repeats_are_nan(tmp_path: Path, kind: str) -> None:
    runs = recorded()
    if kind == "arrays":
        runs["test1"][0] = np.nan
    outs = run_import(write_package(tmp_path, kind, runs), kind, excluded=["test1:3"])
    arrays, meta = read_arrays(outs["test"])
    missing = [kind == "arrays", False, True]
    assert np.isnan(arrays["test1"]).all((1, 2)).tolist() == missing
    np.testing.assert_array_equal(arrays["test1"][1], runs["test1"][1])
    assert meta["excluded"] == (["test1:1", "test1:3"] if kind == "arrays" else ["test1:3"])
    assert not np.isnan(read_arrays(outs["train"])[0]["seg1"]).any()


def test_nothing_can_be_left_out_of_means(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = recorded()
    with caplog.at_level(logging.WARNING):
        outs = run_import(write_package(tmp_path, "mind_video", runs), "mind_video", excluded=["test1:1"])
    assert "means over repeats: test1 repeat 1 cannot be left out" in caplog.text
    arrays, meta = read_arrays(outs["test"])
    np.testing.assert_allclose(arrays["test1"][0], runs["test1"].mean(0), atol=1e-6)
    assert meta["excluded"] == []


def test_runs_are_zscored_where_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = recorded()
    scanner = {movie: 100 + 7 * values for movie, values in runs.items()}
    paths = write_package(tmp_path, "arrays", scanner)
    with caplog.at_level(logging.WARNING):
        run_import(paths, "arrays")
    assert "not z-scored per movie (a vertex's mean is up to 100)" in caplog.text
    outs = run_import(paths, "arrays", settings=ImportFmriSettings(zscore_runs=True))
    np.testing.assert_allclose(read_arrays(outs["train"])[0]["seg2"], runs["seg2"], atol=1e-4)


# Where the columns lie


def area_of(vertex: int) -> tuple[str, int]:
    """The slow obvious search."""
    for (hemisphere, area), vertices in installed_areas().items():
        if vertex in vertices:
            return area, hemisphere
    raise AssertionError(vertex)


@pytest.mark.parametrize("as_mask", [False, True])
def test_columns_are_put_in_hierarchy_order(tmp_path: Path, as_mask: bool) -> None:
    runs = recorded()
    columns = np.sort(VERTICES) if as_mask else VERTICES
    mask = np.isin(np.arange(CORTEX), VERTICES)
    np.save(tmp_path / "vertex.npy", mask if as_mask else VERTICES)
    paths = write_package(tmp_path, "neuroclips", runs) | {"vertex": tmp_path / "vertex.npy"}
    outs = run_import(paths, "neuroclips")
    selection = VertexSelection.read(outs["vertices"], needs_places=True)
    assert sorted(selection.vertex) == sorted(VERTICES)
    table = pd.read_csv(outs["table"], sep="\t")
    for row in table.itertuples():
        assert (row.area, row.hemisphere) == (
            area_of(row.vertex)[0],
            ("left", "right")[area_of(row.vertex)[1]],
        )
    # Every vertex keeps its own time course, wherever it went.
    seg1 = read_arrays(outs["train"])[0]["seg1"]
    for place, vertex in enumerate(selection.vertex):
        np.testing.assert_array_equal(seg1[..., place], runs["seg1"][..., list(columns).index(vertex)])
    # Of the whole cortex, V1 comes first and the areas outside the hierarchy last.
    np.save(tmp_path / "all.npy", np.ones(CORTEX, np.uint8))
    whole, order = place_columns(CORTEX, tmp_path / "all.npy")
    assert whole.areas[0] == "V1"
    assert whole.groups[-1] == "other"
    np.testing.assert_array_equal(order, whole.vertex)
    np.testing.assert_array_equal(np.sort(order), np.arange(CORTEX))


def test_unknown_places_are_said_to_be_unknown(tmp_path: Path) -> None:
    runs = recorded()
    outs = run_import(write_package(tmp_path, "neuroclips", runs), "neuroclips")
    table = pd.read_csv(outs["table"], sep="\t")
    assert len(table) == V
    assert set(table["area"]) == set(table["group"]) == set(table["hemisphere"]) == {"unknown"}
    assert table["vertex"].tolist() == list(range(V))
    with pytest.raises(InputError, match="5 vertices at unknown places"):
        VertexSelection.read(outs["vertices"], needs_places=True)
    with pytest.raises(InputError, match=r"Give package\.vertex_masks"):
        preprocess_hcp.main(
            rest=[],
            subjects=[],
            vertices=outs["vertices"],
            settings=PreprocessHcpSettings(),
            out=tmp_path / "rest",
        )
    ceiling = measure_noise_ceiling(
        {"test1": runs["test1"]}, VertexSelection.read(outs["vertices"]), MeasureNoiseCeilingSettings(), 0
    )
    assert ceiling["area"].tolist() == ["all"]
    assert ceiling["ceiling_mean"].notna().all()


def test_area_names_must_be_those_of_the_atlas(tmp_path: Path) -> None:
    np.save(tmp_path / "vertex_index.npy", VERTICES)
    names = [area_of(vertex) for vertex in VERTICES]
    np.save(tmp_path / "roi.npy", [f"{'LR'[side]}_{area}_ROI" for area, side in names])
    selection, _ = place_columns(V, tmp_path / "vertex_index.npy", tmp_path / "roi.npy")
    assert set(selection.areas) == {area for area, _ in names}
    # Indices into the mesh with the medial wall, not into the cortical grayordinates, would be shifted.
    np.save(tmp_path / "roi.npy", [area for area, _ in names[1:] + names[:1]])
    with pytest.raises(InputError, match=r"roi.npy: found .* at column \d"):
        place_columns(V, tmp_path / "vertex_index.npy", tmp_path / "roi.npy")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(64_984, bool), r"bool of shape \(64984,\)"),
        (np.linspace(0, 1, CORTEX), r"float64 of shape \(59412,\)"),
        (np.array([3, 3, 4]), "2 different of 3 numbers 3...4"),
        (np.array([3, CORTEX]), "2 different of 2 numbers 3...59412"),
        (np.array([-1, 3]), "numbers -1...3"),
        (np.array([{}], object), "cannot be read"),
    ],
)
def test_neither_mask_nor_indices(tmp_path: Path, values: np.ndarray, expected: str) -> None:
    np.save(tmp_path / "mask.npy", values, allow_pickle=True)
    with pytest.raises(InputError, match=expected):
        read_vertices(tmp_path / "mask.npy")


def test_a_flipped_mask_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", ~np.isin(np.arange(CORTEX), VERTICES))
    paths = write_package(tmp_path, "mind_video", recorded()) | {"vertex": tmp_path / "mask.npy"}
    with pytest.raises(InputError, match=r"mask.npy: found 59407 vertices; expected 5, as in .*fmri_train"):
        run_import(paths, "mind_video")


# With the steps that follow


def test_an_assembled_subject_survives_as_a_package(tmp_path: Path) -> None:
    """What assemble_train and assemble_test made, shared as Mind-Video does, gives the same samples again."""
    runs = recorded()
    files = {
        part: write_cleaned(tmp_path / f"{part}.safetensors", {movie: runs[movie] for movie in movies})
        for part, movies in MOVIES.items()
    }
    first = run_assemble(tmp_path / "first", [files["train"]], [files["test"]])
    package = {}
    for part, path in zip(MOVIES, first, strict=True):
        bold = SubjectFmri.read(path).bold
        package[part] = tmp_path / f"fmri_{part}_subject1.npy"
        np.save(package[part], np.stack([bold[movie] for movie in MOVIES[part]]))
    outs = run_import(package, "mind_video")
    second = run_assemble(tmp_path / "second", [outs["train"]], [outs["test"]])
    for one, other in zip(first, second, strict=True):
        before, after = SubjectFmri.read(one), SubjectFmri.read(other)
        assert after.movies == before.movies
        for movie in before.movies:
            np.testing.assert_allclose(after.bold[movie], before.bold[movie], atol=1e-5)
    meta = SubjectFmri.read(second[0]).meta
    assert meta["import_fmri"]["settings"] == {"package": "mind_video", "zscore_runs": False}
    assert "preprocess_run" not in meta


def test_single_repeats_become_what_runs_become(tmp_path: Path) -> None:
    runs = recorded()
    files = [write_cleaned(tmp_path / f"{m}.safetensors", {m: runs[m]}) for m in (*TRAIN, *TEST)]
    first = run_assemble(tmp_path / "first", files[:2], files[2:])
    outs = run_import(write_package(tmp_path, "neuroclips", runs), "neuroclips")
    second = run_assemble(tmp_path / "second", [outs["train"]], [outs["test"]])
    for one, other in zip(first, second, strict=True):
        before, after = read_arrays(one)[0], read_arrays(other)[0]
        assert before.keys() == after.keys()
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values)


def test_test_movies_have_no_part_in_the_training_samples(tmp_path: Path) -> None:
    runs = recorded()
    made = []
    for name, factor in (("one", 1), ("other", 7)):
        shown = runs | {"test1": factor * runs["test1"] + factor}
        outs = run_import(write_package(tmp_path / name, "neuroclips", shown), "neuroclips")
        made.append(run_assemble(tmp_path / name, [outs["train"]], [outs["test"]]))
    assert made[0][0].read_bytes() == made[1][0].read_bytes()
    assert (
        SubjectFmri.read(made[1][1]).bold["test1"].std()
        > 5 * SubjectFmri.read(made[0][1]).bold["test1"].std()
    )


def test_the_leak_guard_knows_the_movies(tmp_path: Path) -> None:
    outs = run_import(write_package(tmp_path, "arrays", recorded()), "arrays")
    assert movies_behind([outs["train"], outs["vertices"]]) == list(TRAIN)
    assert movies_behind([outs["test"]]) == [*TRAIN, *TEST]
    assembled = run_assemble(tmp_path, [outs["train"]], [outs["test"]])
    assert refuse_leaks([assembled[0]], TRAIN) == list(TRAIN)
    with pytest.raises(InputError, match="test1"):
        refuse_leaks([assembled[1]], TRAIN)


def test_runs_and_a_package_are_not_mixed(tmp_path: Path) -> None:
    runs = recorded()
    outs = run_import(write_package(tmp_path, "arrays", runs), "arrays")
    test = write_cleaned(tmp_path / "test1.safetensors", {"test1": runs["test1"]})
    with pytest.raises(InputError, match="as in the others"):
        run_assemble(tmp_path, [outs["train"]], [test])


# Refused


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("mind_video", (2, T + 1, V)),
        ("mind_video", (3, T, V)),
        ("mind_video", (2 * T, V)),
        ("mind_video", (2, 2, T, V)),  # single repeats are not of this layout
        ("neuroclips", (2 * T, 3, V)),
        ("neuroclips", (2, 2 * T, V)),
        ("neuroclips", (2 * T, V, 2)),
        ("neuroclips", (2 * T + 1, 2, V)),
        ("arrays", (2, T, 2, V)),
        ("arrays", (2, 3, T, V)),
        ("arrays", (2, T, 0)),
        ("arrays", ()),
    ],
)
def test_other_shapes_are_refused(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    paths = write_package(tmp_path, kind, recorded())
    if kind == "neuroclips":
        torch.save(torch.zeros(shape), paths["train"])
    else:
        np.save(paths["train"], np.zeros(shape, np.float32))
    with pytest.raises(InputError, match=r"train.*found shape .*expected shape .*Correct movies, repeats or"):
        run_import(paths, kind)


def test_parts_of_different_subjects_are_refused(tmp_path: Path) -> None:
    paths = write_package(tmp_path, "mind_video", recorded())
    np.save(paths["test"], np.zeros((1, T, V + 1), np.float32))
    with pytest.raises(InputError, match=r"fmri_test_subject1.npy: found 6 vertices; expected 5"):
        check_package(Package(paths, layout("mind_video")))


@pytest.mark.parametrize(
    ("kind", "bad"), [("mind_video", np.nan), ("neuroclips", np.nan), ("arrays", np.inf)]
)
def test_broken_values_are_refused(tmp_path: Path, kind: str, bad: float) -> None:
    runs = recorded()
    runs["seg2"][1, 3, 2] = bad
    paths = write_package(tmp_path, kind, runs)
    with pytest.raises(InputError, match=r"seg2.*NaN or infinite values in 1 of 5 vertices"):
        run_import(paths, kind)
    if kind == "neuroclips":  # where no repeat may be missing
        runs["seg2"][1] = np.nan
        with pytest.raises(InputError, match="seg2 repeat 2: found NaN"):
            run_import(write_package(tmp_path, kind, runs), kind)


def test_a_movie_without_any_repeat_is_refused(tmp_path: Path) -> None:
    runs = recorded()
    runs["test1"][1:] = np.nan
    paths = write_package(tmp_path, "arrays", runs)
    with pytest.raises(InputError, match=r"rep.npy: found no repeat of test1 .* Correct exclude_runs"):
        run_import(paths, "arrays", excluded=["test1:1"])


def test_a_bad_file_leaves_nothing_written(tmp_path: Path) -> None:
    runs = recorded()
    runs["seg2"][..., 2] = np.nan
    paths = write_package(tmp_path, "mind_video", runs)
    with pytest.raises(InputError, match=r"seg2: found NaN .* Fetch the file again\.$"):
        run_import(paths, "mind_video")
    assert not (tmp_path / "imported").exists()


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_pickled_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "was_run"
    for kind in ("neuroclips", "mind_video"):
        paths = write_package(tmp_path, kind, recorded())
        if kind == "neuroclips":
            torch.save({"fmri": torch.zeros(2), "more": Harmful(trace)}, paths["train"])
        else:
            np.save(paths["train"], np.array([Harmful(trace)], object), allow_pickle=True)
        with pytest.raises(InputError, match=r"train.*cannot be read"):
            run_import(paths, kind)
        assert not trace.exists()


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    paths = write_package(tmp_path, "neuroclips", recorded())
    whole = paths["train"].read_bytes()
    paths["train"].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"subj01_train_fmri.pt: found a file that cannot be read"):
        run_import(paths, "neuroclips")
    torch.save(torch.zeros(2 * T, 2, V), paths["train"], _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"begins with .*, as PyTorch saves it since 1\.6"):
        run_import(paths, "neuroclips")
    torch.save([torch.zeros(2)], paths["train"])
    with pytest.raises(InputError, match="an object of type list; expected one tensor of float16"):
        run_import(paths, "neuroclips")
    torch.save(torch.zeros(2 * T, 2, V, dtype=torch.int64), paths["train"])
    with pytest.raises(InputError, match="found int64; expected one tensor of float16"):
        run_import(paths, "neuroclips")
    paths["train"].unlink()
    with pytest.raises(InputError, match="no such file"):
        run_import(paths, "neuroclips")
    paths = write_package(tmp_path, "arrays", recorded())
    whole = paths["train"].read_bytes()
    paths["train"].write_bytes(whole[:-8])
    with pytest.raises(InputError, match=r"fmri_train_rep.npy: found a file that cannot be read"):
        run_import(paths, "arrays")


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("content", ["<!DOCTYPE html>", "version https://git-lfs", ""])
def test_files_that_only_bear_the_name_are_shown(tmp_path: Path, kind: str, content: str) -> None:
    paths = write_package(tmp_path, kind, recorded())
    paths["train"].write_text(content)
    with pytest.raises(InputError, match=rf"train.*: found a file that begins with b'{content}'; expected"):
        run_import(paths, kind)


def test_no_other_layout_is_known() -> None:
    with pytest.raises(ValueError, match=r"kind(.|\n)*mind_reader"):
        layout("mind_reader")
