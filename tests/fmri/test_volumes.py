"""Voxels of MNI volumes: chosen by an atlas, read from NIfTI runs, cleaned and drawn like vertices."""

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Image

import plot_surface as plot_program
import preprocess_run as preprocess_program
import select_vertices as select_program
from fmri_runs import SMALL, fake_bold, recording, recordings_of, slow_clean
from neurocine.check import check_run
from neurocine.errors import InputError
from neurocine.fmri.preprocess import PreprocessRunSettings, preprocess_run
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection, select_vertices
from neurocine.fmri.volumes import VoxelGrid, check_volumes, look_at_volumes, read_volumes, volumes_tr
from neurocine.io import read_arrays, write_arrays
from neurocine.surface.plot import ColourScale, PlotSurfaceSettings, draw_slices
from neurocine.surface.regions import scatter_to_brain

SHAPE = (6, 5, 4)
# Left is at high i, as in most MNI files: i = 0...2 is right of the midline.
AFFINE = np.array([[-4.0, 0, 0, 10], [0, 4, 0, -90], [0, 0, 4, -20], [0, 0, 0, 1]])
MOVED = AFFINE + np.outer([0.5, 0, 0, 0], [0, 0, 0, 1])  # half a mm
FLIPPED = AFFINE * np.array([[-1], [1], [1], [1]])
FINE = AFFINE @ np.array([[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1], [0, 0, 0, 3]]) / [3, 3, 3, 3]
GRID = VoxelGrid(SHAPE, AFFINE)
ALL = SelectVerticesSettings(roi_set="all")
N_VOXELS = int(np.prod(SHAPE))


def write_volumes(path: Path, bold: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write (T, n_voxels) as a NIfTI series."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Nifti1Image(bold.T.reshape(*SHAPE, len(bold)).astype(np.float32), affine).to_filename(path)
    return path


def write_atlas(path: Path) -> np.ndarray:
    """Write areas 7, 2 and 10, which lie on both sides; (6, 5, 4) area numbers."""
    numbers = np.zeros(SHAPE, np.int16)
    numbers[:, 0], numbers[1:5, 2, 1], numbers[:, 4, 3] = 7, 2, 10
    Nifti1Image(numbers, AFFINE).to_filename(path)
    return numbers


def slow_areas(numbers: np.ndarray, order: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Voxel, area and hemisphere: areas in order, left then right, in C order. One voxel after another."""
    rows = []
    for place, area in enumerate(order):
        for hemisphere in (0, 1):
            for flat, index in enumerate(np.ndindex(SHAPE)):
                x = AFFINE[0] @ [*index, 1]
                if numbers[index] == area and (x >= 0) == bool(hemisphere):
                    rows.append((flat, place, hemisphere))
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_volumes(tmp_path / "seg1_1_mni.nii.gz", fake_bold(13, 0, N_VOXELS))


def test_areas_of_an_atlas_equal_a_loop_over_voxels(tmp_path: Path, run: Path) -> None:
    numbers = write_atlas(tmp_path / "atlas.nii.gz")
    found = select_vertices(ALL, tmp_path / "atlas.nii.gz", like=run)
    assert found.areas == ("2", "7", "10")
    assert found.groups == ("other",) * 3
    rows = list(zip(found.vertex, found.area, found.hemisphere, strict=True))
    assert rows == slow_areas(numbers, (2, 7, 10))
    assert found.grid is not None
    assert found.grid.same(GRID)


def test_names_make_areas_and_their_order(tmp_path: Path, run: Path) -> None:
    """Named visual areas take their place in the hierarchy; numbers without a name are no areas."""
    numbers = write_atlas(tmp_path / "atlas.nii")
    labels = tmp_path / "labels.tsv"
    labels.write_text("index\tname\tcolour\n2\tMT\tred\n7\tV1\tblue\n99\tFFC\tgreen\n")
    found = select_vertices(ALL, tmp_path / "atlas.nii", like=run, labels=labels)
    assert found.areas == ("V1", "MT")
    assert found.groups == ("early", "lateral")
    rows = list(zip(found.vertex, found.area, found.hemisphere, strict=True))
    assert rows == slow_areas(numbers, (7, 2))
    own = SelectVerticesSettings(areas=("MT",), every=2)
    np.testing.assert_array_equal(
        select_vertices(own, tmp_path / "atlas.nii", like=run, labels=labels).vertex,
        [flat for side in (0, 1) for flat in [v for v, _, h in slow_areas(numbers, (2,)) if h == side][::2]],
    )
    with pytest.raises(InputError, match=r"area V2; expected an area of the atlas. .*V1"):
        select_vertices(
            SelectVerticesSettings(roi_set="v1v4"), tmp_path / "atlas.nii", like=run, labels=labels
        )


def test_areas_may_be_split_by_hemisphere_in_the_atlas(tmp_path: Path, run: Path) -> None:
    numbers = np.zeros(SHAPE, np.int16)
    numbers[4:, 0], numbers[:2, 0] = 1, 2  # high i is left
    Nifti1Image(numbers, AFFINE).to_filename(tmp_path / "atlas.nii")
    labels = tmp_path / "labels.tsv"
    labels.write_text("index\tname\n1\tL_V1_ROI\n2\tR_V1_ROI\n")
    found = select_vertices(ALL, tmp_path / "atlas.nii", like=run, labels=labels)
    assert found.areas == ("V1",)
    flat = numbers.ravel()
    np.testing.assert_array_equal(found.vertex, [*np.flatnonzero(flat == 1), *np.flatnonzero(flat == 2)])
    Nifti1Image(numbers, FLIPPED).to_filename(tmp_path / "flipped.nii")
    other = write_volumes(tmp_path / "seg2_1_mni.nii", fake_bold(13, 0, N_VOXELS), FLIPPED)
    with pytest.raises(InputError, match="most of area L_V1_ROI on the other side"):
        select_vertices(ALL, tmp_path / "flipped.nii", like=other, labels=labels)


def test_a_mask_on_a_finer_grid_is_resampled(tmp_path: Path, run: Path) -> None:
    """Each voxel of the run takes the value at its centre, which lies in exactly one voxel of the mask."""
    mask = np.random.default_rng(0).random((18, 15, 12)) < 0.4
    Nifti1Image(mask.astype(np.uint8), FINE).to_filename(tmp_path / "mask.nii.gz")
    found = select_vertices(ALL, tmp_path / "mask.nii.gz", like=run)
    at_centres = mask[1::3, 1::3, 1::3]
    expected = [flat for flat, index in enumerate(np.ndindex(SHAPE)) if at_centres[index]]
    assert sorted(found.vertex) == expected
    assert found.areas == ("1",)


def test_time_courses_of_voxels_in_any_order(tmp_path: Path, run: Path) -> None:
    voxels = np.array([100, 3, 57, 4])
    bold = fake_bold(13, 0, N_VOXELS)
    found = read_volumes(run, voxels, GRID)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, bold[:, voxels])
    count, grid = check_volumes(run)
    assert count == 13
    assert grid.same(GRID)
    image = Nifti1Image(np.round(bold).T.reshape(*SHAPE, 13).astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.5, 7)
    scaled = tmp_path / "scaled.nii"
    nibabel.save(image, scaled)
    expected = nibabel.load(scaled).get_fdata().reshape(-1, 13)[voxels].T
    np.testing.assert_allclose(read_volumes(scaled, voxels, GRID), expected)


def test_an_axis_of_length_one_is_left_out(tmp_path: Path, run: Path) -> None:
    image = nibabel.load(run)
    values = np.asarray(image.dataobj)
    path = tmp_path / "seg1_2_mni.nii.gz"
    longer = Nifti1Image(values[:, :, :, None, :], image.affine)
    longer.header.set_zooms((*longer.header.get_zooms()[:4], 2.5))
    longer.to_filename(path)
    assert volumes_tr(path) == 2.5
    count, grid = check_volumes(path)
    assert count == values.shape[3]
    assert grid.same(check_volumes(run)[1])
    voxels = np.array([7, 3, 99])
    np.testing.assert_array_equal(read_volumes(path, voxels, grid), read_volumes(run, voxels, grid))
    assert look_at_volumes(path) == look_at_volumes(run)


def test_all_values_of_volumes_are_looked_at(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((*SHAPE, 9)).astype(np.float32)
    values[0, 0, 0], values[0, 0, 1], values[0, 0, 2, 4] = np.nan, 3, np.nan
    values[0, 0, 3, 5] = np.inf
    path = tmp_path / "seg1_1_mni.nii.gz"
    Nifti1Image(values, AFFINE).to_filename(path)
    facts = look_at_volumes(path)
    assert (facts.n_unfinished, facts.n_constant, facts.n_voxels) == (2, 2, np.prod(SHAPE))
    values[0, 0, 3, 5] = 1
    Nifti1Image(values, AFFINE).to_filename(path)
    assert look_at_volumes(path).digest != facts.digest


def test_nifti_2_and_both_orders_of_bytes_are_read(tmp_path: Path, run: Path) -> None:
    values = nibabel.load(run).get_fdata(dtype=np.float32)
    wanted = look_at_volumes(run)
    Nifti2Image(values, AFFINE).to_filename(tmp_path / "two.nii")
    Nifti1Image(values, AFFINE, Nifti1Header(endianness=">")).to_filename(tmp_path / "big.nii.gz")
    for name in ("two.nii", "big.nii.gz"):
        assert check_volumes(tmp_path / name)[0] == check_volumes(run)[0]
        assert look_at_volumes(tmp_path / name) == wanted


def test_volumes_that_are_dropped_may_hold_nan(tmp_path: Path) -> None:
    """The job crops first; so does the door."""
    bold = fake_bold(13, 0, N_VOXELS)
    bold[0] = np.nan
    path = write_volumes(tmp_path / "seg1_1_mni.nii", bold)
    assert check_run(path, recording(), SMALL).found.startswith("13 volumes")
    cleaned = preprocess_run([path], [recording()], np.array([3, 4]), SMALL, grid=GRID)
    assert np.isfinite(cleaned["seg1"]).all()
    assert look_at_volumes(path, range(1, 13)).n_unfinished == 0
    assert look_at_volumes(path).n_unfinished == N_VOXELS


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_volumes_of_other_than_real_numbers_are_refused(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "seg1_1_mni.nii.gz"
    Nifti1Image(np.ones((*SHAPE, 3), kind), AFFINE).to_filename(path)
    with pytest.raises(InputError, match=r"found values of type .*; expected real numbers, such as float32"):
        check_volumes(path)


@pytest.mark.parametrize(
    ("zoom", "unit", "tr"), [(2.0, "sec", 2.0), (720.0, "msec", 0.72), (0.0, "sec", 0.0)]
)
def test_the_tr_of_the_header_in_its_unit(tmp_path: Path, zoom: float, unit: str, tr: float) -> None:
    image = Nifti1Image(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    image.header.set_xyzt_units("mm", unit)
    image.header.set_zooms((*image.header.get_zooms()[:3], zoom))
    image.to_filename(tmp_path / "x.nii")
    assert volumes_tr(tmp_path / "x.nii") == pytest.approx(tr)


def test_an_affine_that_gives_voxels_one_place_is_refused(tmp_path: Path) -> None:
    image = Nifti1Image(np.zeros((*SHAPE, 3), np.float32), AFFINE)
    image.to_filename(tmp_path / "x.nii")
    raw = bytearray((tmp_path / "x.nii").read_bytes())
    raw[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    (tmp_path / "x.nii").write_bytes(raw)
    with pytest.raises(InputError, match=r"gives voxels one place.*Set the affine"):
        check_volumes(tmp_path / "x.nii")


def test_nan_stays_for_the_reader_to_refuse(tmp_path: Path) -> None:
    bold = fake_bold(13, 0, N_VOXELS)
    bold[5, 3] = np.nan
    path = write_volumes(tmp_path / "seg1_1_mni.nii", bold)
    assert np.isnan(read_volumes(path, np.array([3]), GRID)).any()
    with pytest.raises(InputError, match="NaN or infinite values in 1 of 2 vertices"):
        preprocess_run([path], [recording()], np.array([3, 4]), SMALL, grid=GRID)


def test_programs_clean_voxels_as_vertices(tmp_path: Path) -> None:
    runs = {
        (movie, repeat): fake_bold(13, [number, repeat], N_VOXELS)
        for number, movie in enumerate(("seg1", "test1"))
        for repeat in (1, 2)
    }
    paths = []
    for (movie, repeat), bold in runs.items():
        dot = "." if (movie, repeat) == ("test1", 2) else "_"  # one published file is named so
        paths.append(write_volumes(tmp_path / f"{movie}_{repeat}{dot}mni.nii.gz", bold))
    write_atlas(tmp_path / "atlas.nii")
    vertices, out = tmp_path / "vertices.safetensors", tmp_path / "seg1.safetensors"
    select_program.main(
        settings=ALL,
        preprocess_run=PreprocessRunSettings(),
        out=vertices,
        table=tmp_path / "v.tsv",
        atlas=tmp_path / "atlas.nii",
        like=paths[0],
    )
    selection = VertexSelection.read(vertices)
    rows = [row.text() for row in recordings_of([Path(p.name.replace(".", "_")) for p in paths])]
    given = {"runs": paths, "recordings": rows, "vertices": vertices, "settings": SMALL}
    preprocess_program.main(**given, out=out, excluded=["test1:1"])
    cleaned, meta = read_arrays(out)
    assert meta["movies"] == ["seg1", "test1"]
    for (movie, repeat), bold in runs.items():
        expected = slow_clean(bold[:, selection.vertex], list(range(1, 11)), SMALL.detrend_order, SMALL.ddof)
        if (movie, repeat) == ("test1", 1):
            expected[:] = np.nan
        np.testing.assert_allclose(cleaned[movie][repeat - 1], expected, atol=1e-4)
    # The most reliable voxels are chosen like vertices, too.
    select_program.main(
        settings=SelectVerticesSettings(roi_set="all", reliable_count=5),
        preprocess_run=SMALL,
        out=vertices,
        table=tmp_path / "v.tsv",
        atlas=tmp_path / "atlas.nii",
        like=paths[0],
        runs=paths,
        recordings=rows,
    )
    kept = VertexSelection.read(vertices)
    assert len(kept.vertex) == 5
    assert set(kept.vertex) < set(selection.vertex)
    assert kept.grid is not None


def test_bad_volumes_are_refused(tmp_path: Path, run: Path) -> None:
    voxels = np.arange(4)
    moved = write_volumes(tmp_path / "moved.nii.gz", fake_bold(13, 0, N_VOXELS), MOVED)
    with pytest.raises(InputError, match=r"6x5x4 voxels of 4 x 4 x 4 mm from .* Resample the run"):
        read_volumes(moved, voxels, GRID)
    with pytest.raises(InputError, match="no such file"):
        check_volumes(tmp_path / "absent.nii.gz")
    single = tmp_path / "single.nii"
    Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE).to_filename(single)
    with pytest.raises(InputError, match=r"shape \(6, 5, 4\); expected a series of volumes"):
        check_volumes(single)
    Nifti1Image(np.zeros((*SHAPE, 2), np.float32), None).to_filename(tmp_path / "nowhere.nii")
    with pytest.raises(InputError, match="no orientation"):
        check_volumes(tmp_path / "nowhere.nii")
    other = tmp_path / "text.nii"
    other.write_text("no image")
    with pytest.raises(InputError, match="cannot be read"):
        check_volumes(other)
    plain = write_volumes(tmp_path / "plain.nii", fake_bold(13, 0, N_VOXELS))
    plain.write_bytes(plain.read_bytes()[:-100])
    with pytest.raises(InputError, match="a truncated file"):
        check_volumes(plain)
    run.write_bytes(run.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read_volumes(run, voxels, GRID)
    damaged = bytearray(gzip.compress(b"x"))
    damaged[12] ^= 255
    (tmp_path / "damaged.nii.gz").write_bytes(damaged)
    with pytest.raises(InputError, match="cannot be read"):
        check_volumes(tmp_path / "damaged.nii.gz")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.full(SHAPE, 0.5), "values that are no area numbers"),
        (np.full(SHAPE, -1.0), "values that are no area numbers"),
        (np.full((*SHAPE, 2), 1.0), r"shape \(6, 5, 4, 2\)"),
        (np.zeros(SHAPE), "no area within the runs' grid"),
    ],
)
def test_bad_atlases_are_refused(tmp_path: Path, run: Path, values: np.ndarray, expected: str) -> None:
    atlas = tmp_path / "atlas.nii"
    Nifti1Image(values.astype(np.float32), AFFINE).to_filename(atlas)
    with pytest.raises(InputError, match=expected):
        select_vertices(ALL, atlas, like=run)


def test_bad_names_are_refused(tmp_path: Path, run: Path) -> None:
    write_atlas(tmp_path / "atlas.nii")
    labels = tmp_path / "labels.tsv"
    for text in ("number\tname\n1\tV1\n", "index\tname\none\tV1\n"):
        labels.write_text(text)
        with pytest.raises(InputError, match="columns index and name"):
            select_vertices(ALL, tmp_path / "atlas.nii", like=run, labels=labels)
    with pytest.raises(InputError, match="no such file"):
        select_vertices(ALL, tmp_path / "atlas.nii", like=run, labels=tmp_path / "absent.tsv")


def test_the_door_looks_at_volumes_too(run: Path) -> None:
    finding = check_run(run, recording(), SMALL)
    assert finding.found == "13 volumes, 6x5x4 voxels of 4 x 4 x 4 mm from (10, -90, -20)"
    with pytest.raises(InputError, match="13 volumes; expected 245 or 246"):
        check_run(run, recording(), PreprocessRunSettings())


def test_maps_of_voxels_are_drawn_on_slices(tmp_path: Path, run: Path) -> None:
    write_atlas(tmp_path / "atlas.nii")
    selection = select_vertices(ALL, tmp_path / "atlas.nii", like=run)
    values = np.linspace(0.5, 2, len(selection.vertex))
    brain = scatter_to_brain(values, selection)
    assert brain.shape == (N_VOXELS,)
    np.testing.assert_allclose(brain[selection.vertex], values, rtol=1e-6)
    assert np.isnan(brain).sum() == N_VOXELS - len(values)
    maps = {f"attention/{stage}/layer1/softmax": brain for stage in ("pretrained", "full")}
    meta = {"stages": ["pretrained", "full"], "layers": [1], "grid": GRID.meta()}
    write_arrays(tmp_path / "maps.safetensors", maps | {"occlusion/cosine": brain - 1}, meta)
    out = tmp_path / "maps"
    out.mkdir()
    settings = PlotSurfaceSettings(dpi=40)
    plot_program.main(attention=tmp_path / "maps.safetensors", settings=settings, out=out, name="S1")
    names = ["attention_full_layer1", "attention_pretrained_layer1", "occlusion", "overview"]
    assert sorted(path.stem for path in out.iterdir()) == names
    scale = ColourScale(0.0, 2.0, "viridis", "attention")
    picture = draw_slices(brain, GRID, scale, settings)
    empty = draw_slices(np.where(np.isfinite(brain), 0, np.nan), GRID, scale, settings)
    coloured = np.ptp(picture.astype(int), axis=2) > 30
    assert coloured.mean() > 0.001
    assert not (np.ptp(empty.astype(int), axis=2) > 30).any()
    with pytest.raises(InputError, match=r"shape \(5,\); expected the voxels of 6x5x4"):
        draw_slices(np.zeros(5), GRID, scale, settings)
