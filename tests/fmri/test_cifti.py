"""Dense time series: nibabel reads what we write, we read what nibabel writes, and damage is named."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis, SeriesAxis

from neurocine.errors import InputError
from neurocine.fmri.cifti import check_dtseries, read_dtseries, read_info, write_dtseries
from neurocine.fmri.grayordinates import (
    CORTEX,
    GRAYORDINATES,
    MESH_VERTICES,
    SUBCORTICAL,
    VOLUME_AFFINE,
    VOLUME_SHAPE,
    brain_axis,
    mesh_vertices,
    voxel_indices,
)

VERTICES = np.array([59_411, 0, 29_695, 29_696, 12_345, 40_000])
N_VOLUMES = 3


@pytest.fixture(scope="module")
def data() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((N_VOLUMES, GRAYORDINATES), dtype=np.float32)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, data: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("cifti") / "seg1_1_Atlas.dtseries.nii"
    write_dtseries(path, data, 2.0)
    return path


def save(path: Path, data: np.ndarray, rows: SeriesAxis | ScalarAxis, brain: BrainModelAxis) -> Path:
    Cifti2Image(data, (rows, brain)).to_filename(path)
    return path


def test_files_are_those_that_nibabel_writes(tmp_path: Path, good: Path, data: np.ndarray) -> None:
    """Also the second of two lengths: what precedes the matrix is kept for each."""
    for n_volumes in (2, N_VOLUMES):
        ours, by_nibabel = (tmp_path / f"{by}_{n_volumes}.dtseries.nii" for by in ("ours", "nibabel"))
        image = Cifti2Image(data[:n_volumes], (SeriesAxis(0, 2.0, n_volumes), brain_axis()))
        image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")
        image.to_filename(by_nibabel)
        write_dtseries(ours, data[:n_volumes], 2.0)
        assert ours.read_bytes() == by_nibabel.read_bytes()
    assert ours.read_bytes() == good.read_bytes()


def test_nibabel_reads_what_we_write(good: Path, data: np.ndarray) -> None:
    image = nibabel.load(good)
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), data)
    assert image.nifti_header.get_intent()[0] == "ConnDenseSeries"
    time, brain = image.header.get_axis(0), image.header.get_axis(1)
    assert (time.start, time.step, time.unit, len(time)) == (0, 2, "SECOND", N_VOLUMES)
    structures = list(brain.iter_structures())
    assert [(name, len(model)) for name, _, model in structures] == [
        ("CIFTI_STRUCTURE_CORTEX_LEFT", 29_696),
        ("CIFTI_STRUCTURE_CORTEX_RIGHT", 29_716),
        *((f"CIFTI_STRUCTURE_{name}", count) for name, count, _ in SUBCORTICAL),
    ]
    for (_, _, model), vertices in zip(structures, mesh_vertices(), strict=False):
        np.testing.assert_array_equal(model.vertex, vertices)
    assert list(good.parent.iterdir()) == [good]  # nothing temporary is left


def test_stand_in_voxels_are_valid() -> None:
    voxels = voxel_indices()
    every = np.concatenate(voxels)
    assert len(np.unique(every, axis=0)) == len(every) == GRAYORDINATES - CORTEX
    assert (every >= 0).all()
    assert (every < VOLUME_SHAPE).all()
    for (name, _, _), ijk in zip(SUBCORTICAL, voxels, strict=True):
        x = (ijk @ VOLUME_AFFINE[:3, :3].T + VOLUME_AFFINE[:3, 3])[:, 0]
        if name.endswith("LEFT"):
            assert (x < 0).all()
        elif name.endswith("RIGHT"):
            assert (x > 0).all()


def test_read_returns_the_columns_in_the_order_asked_for(good: Path, data: np.ndarray) -> None:
    bold, tr = read_dtseries(good, VERTICES)
    assert (bold.dtype, tr) == (np.float32, 2.0)
    np.testing.assert_array_equal(bold, data[:, VERTICES])
    assert check_dtseries(good) == (N_VOLUMES, 2.0)


def test_compressed_files_read_the_same(good: Path, data: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "seg1_1_Atlas.dtseries.nii.gz"
    path.write_bytes(gzip.compress(good.read_bytes(), 1))
    bold, tr = read_dtseries(path, VERTICES)
    np.testing.assert_array_equal(bold, data[:, VERTICES])
    assert check_dtseries(path) == (N_VOLUMES, tr)
    # Two gzip members: the last four bytes do not tell the size, so it must be counted.
    raw = good.read_bytes()
    path.write_bytes(gzip.compress(raw[:-5000], 1) + gzip.compress(raw[-5000:], 1))
    np.testing.assert_array_equal(read_dtseries(path, VERTICES)[0], data[:, VERTICES])


def test_rows_come_from_the_header_not_from_constants(tmp_path: Path, data: np.ndarray) -> None:
    brain = brain_axis()
    left, right, rest = brain[:29_696], brain[29_696:CORTEX], brain[CORTEX:]
    swapped = np.concatenate([data[:, 29_696:CORTEX], data[:, :29_696], data[:, CORTEX:]], axis=1)
    path = save(tmp_path / "x.dtseries.nii", swapped, SeriesAxis(0, 2, N_VOLUMES), right + left + rest)
    np.testing.assert_array_equal(read_dtseries(path, VERTICES)[0], data[:, VERTICES])


def test_other_number_types_read_as_nibabel_reads_them(good: Path, tmp_path: Path) -> None:
    image = nibabel.load(good)
    path = tmp_path / "scaled.dtseries.nii"
    Cifti2Image(image.get_fdata(), image.header, dtype=np.int16).to_filename(path)
    info = read_info(path)
    assert info.dtype == np.int16
    assert info.slope != 1
    expected = nibabel.load(path).get_fdata(dtype=np.float64)[:, VERTICES]
    np.testing.assert_allclose(read_dtseries(path, VERTICES)[0], expected, rtol=1e-5, atol=1e-6)


def test_big_endian_files_are_read(good: Path, data: np.ndarray, tmp_path: Path) -> None:
    raw = good.read_bytes()
    header = nibabel.Nifti2Header(raw[:540], check=False)
    offset = int(header["vox_offset"])
    size, code = struct.unpack("<ii", raw[544:552])
    swapped = header.as_byteswapped(">").binaryblock + raw[540:544] + struct.pack(">ii", size, code)
    values = np.frombuffer(raw[offset:], "<f4").astype(">f4").tobytes()
    path = tmp_path / "big.dtseries.nii"
    path.write_bytes(swapped + raw[552:offset] + values)
    bold, _ = read_dtseries(path, VERTICES)
    assert bold.dtype == np.float32
    np.testing.assert_array_equal(bold, data[:, VERTICES])


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.dtseries.nii"
    write_dtseries(path, np.zeros((40, GRAYORDINATES), np.float32), 2.0)
    read_dtseries(path, VERTICES)
    tracemalloc.start()
    read_dtseries(path, VERTICES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The header's XML (0.6 MB) and its vertex lists are held; the matrix has 14.6 MB.
    assert peak < 8e6


@pytest.mark.parametrize("kept", [0, 3, 539, 545, 2_000, 300_000, -4 * GRAYORDINATES, -1])
def test_truncated_files_are_refused(good: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.dtseries.nii"
    path.write_bytes(good.read_bytes()[:kept])
    for read in (lambda: check_dtseries(path), lambda: read_dtseries(path, VERTICES)):
        with pytest.raises(InputError, match="truncated or damaged") as raised:
            read()
        assert raised.value.where == str(path)
        assert raised.value.todo == "Fetch the file again."


@pytest.mark.parametrize("kept", [0, 3, 5, 1_000, 200_000, -5_000, -4, -1])
def test_truncated_compressed_files_are_refused(good: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.dtseries.nii.gz"
    path.write_bytes(gzip.compress(good.read_bytes(), 1, mtime=0)[:kept])
    with pytest.raises(InputError, match="truncated or damaged"):
        check_dtseries(path)


def test_damage_inside_a_compressed_file_is_refused(good: Path, tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(good.read_bytes(), 1, mtime=0))
    raw[len(raw) // 2] ^= 0xFF
    path = tmp_path / "bad.dtseries.nii.gz"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_dtseries(path, np.arange(CORTEX))


def test_the_170k_grid_is_refused_by_name(tmp_path: Path) -> None:
    brain = BrainModelAxis.from_surface(np.arange(54_216), 59_292, "CORTEX_LEFT")
    brain += BrainModelAxis.from_surface(np.arange(54_225), 59_292, "CORTEX_RIGHT")
    voxels = np.argwhere(np.ones((113, 136, 113), bool))[: 170_494 - len(brain)]
    brain += BrainModelAxis(
        "CIFTI_STRUCTURE_BRAIN_STEM", voxel=voxels, affine=np.eye(4), volume_shape=(113, 136, 113)
    )
    data = np.zeros((1, 170_494), np.float32)
    path = save(tmp_path / "x.dtseries.nii", data, SeriesAxis(0, 1, 1), brain)
    with pytest.raises(
        InputError, match=r"170494 grayordinates on meshes of 59292 .*1\.6 mm.*Use the 91k file"
    ):
        check_dtseries(path)


def other_medial_wall() -> BrainModelAxis:
    left = mesh_vertices()[0].copy()
    wall = np.setdiff1d(np.arange(MESH_VERTICES), left)
    left[0] = wall[0]
    return BrainModelAxis.from_surface(np.sort(left), MESH_VERTICES, "CORTEX_LEFT") + brain_axis()[29_696:]


def test_another_medial_wall_is_refused(tmp_path: Path, data: np.ndarray) -> None:
    path = save(tmp_path / "x.dtseries.nii", data, SeriesAxis(0, 2, N_VOLUMES), other_medial_wall())
    with pytest.raises(InputError, match="CORTEX_LEFT with 29696 vertices that lack 1 of those"):
        check_dtseries(path)


def hemisphere(side: int) -> BrainModelAxis:
    name = ("CORTEX_LEFT", "CORTEX_RIGHT")[side]
    return BrainModelAxis.from_surface(np.arange(MESH_VERTICES), MESH_VERTICES, name)


def test_files_of_the_cortex_alone_or_with_the_medial_wall_are_read(tmp_path: Path, data: np.ndarray) -> None:
    time = SeriesAxis(0, 2, N_VOLUMES)
    cortex = save(tmp_path / "cortex.dtseries.nii", data[:, :CORTEX], time, brain_axis()[:CORTEX])
    np.testing.assert_array_equal(read_dtseries(cortex, VERTICES)[0], data[:, VERTICES])
    whole = np.zeros((N_VOLUMES, 2 * MESH_VERTICES), np.float32)
    left, right = mesh_vertices()
    whole[:, left], whole[:, MESH_VERTICES + right] = data[:, :29_696], data[:, 29_696:CORTEX]
    path = save(tmp_path / "whole.dtseries.nii", whole, time, hemisphere(0) + hemisphere(1))
    np.testing.assert_array_equal(read_dtseries(path, VERTICES)[0], data[:, VERTICES])
    packed = tmp_path / "whole.dtseries.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    np.testing.assert_array_equal(read_dtseries(packed, VERTICES)[0], data[:, VERTICES])


def patch_xml(good: Path, path: Path, old: bytes, new: bytes) -> Path:
    """Copy a file with other text in its XML, which zeros at the end of the extension make room for."""
    raw = bytearray(good.read_bytes())
    offset = int(nibabel.Nifti2Header(bytes(raw[:540]), check=False)["vox_offset"])
    xml = bytes(raw[552:offset]).rstrip(b"\0")
    assert old in xml
    changed = xml.replace(old, new, 1)
    assert len(changed) <= offset - 552
    raw[552:offset] = changed.ljust(offset - 552, b"\0")
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b'IndexOffset="29696"', b'IndexXffset="29696"', "CORTEX_RIGHT with 29716 rows from no row"),
        (b'IndexOffset="29696"', b'IndexOffset="0"', "CORTEX_RIGHT with 29716 rows from 0"),
        (b'IndexOffset="29696"', b'IndexOffset="29695"', "CORTEX_RIGHT with 29716 rows from 29695"),
        (b'IndexOffset="29696"', b'IndexOffset="-9"', "CORTEX_RIGHT with 29716 rows from -9"),
        (b'IndexOffset="0"', b'IndexOffset="1"', "CORTEX_LEFT with 29696 rows from 1"),
        (b'IndexOffset="59412"', b'IndexOffset="59547"', "ACCUMBENS_LEFT with 135 rows from 59547"),
        (b'IndexCount="29716"', b'IndexCount="29715"', "rows from 59412"),
        (b'IndexCount="135"', b'IndexCount="0"', "with 0 rows"),
        (b"CORTEX_RIGHT", b"CORTEX_LEFT", "CORTEX_LEFT with 29716 rows from 29696"),
    ],
)
def test_rows_that_structures_do_not_divide_are_refused(
    good: Path, tmp_path: Path, old: bytes, new: bytes, found: str
) -> None:
    path = patch_xml(good, tmp_path / "x.dtseries.nii", old, new)
    with pytest.raises(InputError, match=found):
        check_dtseries(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'SeriesExponent="0"', b'SeriesExponent="999"'),
        (b'SeriesExponent="0"', b'SeriesExponent="x"'),
        (b'NumberOfSeriesPoints="3"', b'NumberOfSeriesPoints="4"'),
        (b'IndexOffset="0"', b'IndexOffset=""'),
        (b"</CIFTI>", b"</CIFT>"),
    ],
)
def test_damaged_headers_are_refused(good: Path, tmp_path: Path, old: bytes, new: bytes) -> None:
    path = patch_xml(good, tmp_path / "x.dtseries.nii", old, new)
    with pytest.raises(InputError, match=r"truncated or damaged|with 29696 rows"):
        check_dtseries(path)


def test_an_exponent_scales_the_tr(good: Path, tmp_path: Path) -> None:
    path = patch_xml(good, tmp_path / "x.dtseries.nii", b'SeriesExponent="0"', b'SeriesExponent="-3"')
    assert check_dtseries(path) == (N_VOLUMES, pytest.approx(0.002))


@pytest.mark.parametrize("code", [9999, 128, 32])  # unknown, RGB, complex
def test_values_that_are_no_real_numbers_are_refused(good: Path, tmp_path: Path, code: int) -> None:
    path = tmp_path / "x.dtseries.nii"
    raw = bytearray(good.read_bytes())
    raw[12:14] = struct.pack("<h", code)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=f"values of data type {code}.*real numbers"):
        check_dtseries(path)


def test_a_transposed_file_is_told(tmp_path: Path, data: np.ndarray) -> None:
    path = tmp_path / "x.dtseries.nii"
    Cifti2Image(data.T.copy(), (brain_axis(), SeriesAxis(0, 2, N_VOLUMES))).to_filename(path)
    with pytest.raises(InputError, match=r"Swap the two axes: wb_command -cifti-transpose"):
        check_dtseries(path)


def test_other_kinds_of_files_are_refused(tmp_path: Path, good: Path, data: np.ndarray) -> None:
    maps = save(tmp_path / "maps.dscalar.nii", data, ScalarAxis(list("abc")), brain_axis())
    with pytest.raises(InputError, match="expected a time series by brain models"):
        check_dtseries(maps)
    spectrum = save(tmp_path / "hz.dtseries.nii", data, SeriesAxis(0, 2, N_VOLUMES, "HERTZ"), brain_axis())
    with pytest.raises(InputError, match="a series in HERTZ"):
        check_dtseries(spectrum)
    volume = tmp_path / "volume.nii"
    nibabel.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4)).to_filename(volume)
    with pytest.raises(InputError, match="no NIfTI-2 header"):
        check_dtseries(volume)
    plain = tmp_path / "plain.nii"
    nibabel.Nifti2Image(np.zeros((9, 9, 9), np.float32), np.eye(4)).to_filename(plain)
    with pytest.raises(InputError, match="no CIFTI extension"):
        check_dtseries(plain)
    old = tmp_path / "old.dtseries.nii"
    old.write_bytes(good.read_bytes().replace(b'CIFTI Version="2', b'CIFTI Version="1', 1))
    with pytest.raises(InputError, match=r"CIFTI version 1.*wb_command -file-convert"):
        check_dtseries(old)
    with pytest.raises(InputError, match="no such file"):
        check_dtseries(tmp_path / "absent.dtseries.nii")


def test_wrong_arguments(tmp_path: Path, good: Path, data: np.ndarray) -> None:
    with pytest.raises(ValueError, match="91282"):
        write_dtseries(tmp_path / "x.dtseries.nii", data[:, :100], 2.0)
    with pytest.raises(ValueError, match=r"ends in \.dtseries\.nii"):
        write_dtseries(tmp_path / "x.nii.gz", data, 2.0)
    for bad in ([], [-1], [CORTEX]):
        with pytest.raises(ValueError, match="cortical grayordinates"):
            read_dtseries(good, np.array(bad, np.int64))
    assert not list(tmp_path.iterdir())
