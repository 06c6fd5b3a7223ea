"""Read, check and write dense time series (``.dtseries.nii``) in the 91k grayordinate space.

Only the cortex is read, so files that hold nothing else, or the medial wall as well, will do.

A file is NIfTI-2: 540 bytes of header, an XML extension (code 32) that describes the matrix, then the matrix
with the time course of one grayordinate after another. So a few thousand vertices can be read from a mapped
file without touching the rest. nibabel reads the binary header; the XML goes through ElementTree, which takes
some 30 ms where nibabel's parser takes half a second, and a study has hundreds of files.
"""

import functools
import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
from nibabel.cifti2 import Cifti2Header, SeriesAxis
from nibabel.cifti2.parse_cifti2 import Cifti2Extension
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from neurocine.errors import InputError
from neurocine.fmri.grayordinates import (
    CORTEX,
    GRAYORDINATES,
    MESH_VERTICES,
    SIDES,
    brain_axis,
    mesh_vertices,
)
from neurocine.io import replacing

HEADER_BYTES = 540
MAX_HEADER = 1 << 26  # bytes; the 91k header has 0.6 MB, so a larger one is damage
CIFTI_CODE = 32  # NIfTI extension code of the CIFTI XML
GZIP_BLOCK = 2048  # grayordinates decompressed at a time
GIVE_DTSERIES = "Give the dense time series (.dtseries.nii)."
FETCH_AGAIN = "Fetch the file again."
MAKE_91K = "Use the 91k file (32k fs_LR, 2 mm), or resample with wb_command -cifti-resample."
SWAP_AXES = "Swap the two axes: wb_command -cifti-transpose IN OUT."
# What reading a damaged header raises, beside the errors of the file system.
HEADER_ERRORS = (
    OSError,
    EOFError,
    zlib.error,
    ElementTree.ParseError,
    HeaderDataError,
    ValueError,
    KeyError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class DtseriesInfo:
    """What the header of a dense time series says.

    Attributes
    ----------
    n_volumes, tr : number of volumes; time between them in seconds
    offset : first byte of the matrix
    dtype : of the stored values
    slope, intercept : value = stored * slope + intercept
    rows : (59 412,) int64, matrix row of each cortical grayordinate, left then right
    n_rows : of the matrix, with subcortical voxels and medial wall where the file has them
    """

    path: Path
    n_volumes: int
    tr: float
    offset: int
    dtype: np.dtype
    slope: float
    intercept: float
    rows: np.ndarray
    n_rows: int

    @property
    def n_bytes(self) -> int:
        """Size of the uncompressed file."""
        return self.offset + self.n_volumes * self.n_rows * self.dtype.itemsize


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def _truncated(path: Path, found: str, expected: str) -> InputError:
    return InputError(path, f"a truncated or damaged file ({found})", expected, FETCH_AGAIN)


def _read_parts(path: Path) -> tuple[Nifti2Header, ElementTree.Element]:
    """Read the NIfTI-2 header and the CIFTI XML."""
    with _open(path) as handle:
        start = handle.read(HEADER_BYTES)
        if len(start) < HEADER_BYTES:
            raise _truncated(path, f"{len(start)} bytes", "a NIfTI-2 header of 540 bytes")
        if 540 not in struct.unpack("<i", start[:4]) + struct.unpack(">i", start[:4]):
            raise InputError(path, "no NIfTI-2 header", "a CIFTI-2 file", GIVE_DTSERIES)
        header = Nifti2Header(start, check=False)
        if not HEADER_BYTES < int(header["vox_offset"]) <= MAX_HEADER:
            raise _truncated(path, f"a header of {header['vox_offset']} bytes", "a header of about 0.6 MB")
        extension = handle.read(max(int(header["vox_offset"]) - HEADER_BYTES, 0))
    if len(extension) < int(header["vox_offset"]) - HEADER_BYTES:
        raise _truncated(path, f"{HEADER_BYTES + len(extension)} bytes", "a complete header")
    order, at = header.endianness, 4
    while at + 8 <= len(extension):
        size, code = struct.unpack(f"{order}ii", extension[at : at + 8])
        if code == CIFTI_CODE and size > 8:
            return header, ElementTree.fromstring(extension[at + 8 : at + size].rstrip(b"\0"))
        at += max(size, 8)
    raise InputError(
        path, "no CIFTI extension in the header", "a CIFTI-2 file", "Give the dense time series."
    )


def _index_maps(path: Path, xml: ElementTree.Element) -> tuple[ElementTree.Element, ElementTree.Element]:
    """Find the time and the brain axis of the matrix."""
    version = xml.get("Version", "?")
    if xml.tag != "CIFTI" or not version.startswith("2"):
        raise InputError(
            path, f"CIFTI version {version}", "version 2", "Convert with wb_command -file-convert."
        )
    maps = {
        number: entry
        for entry in xml.iter("MatrixIndicesMap")
        for number in entry.get("AppliesToMatrixDimension", "").split(",")
    }
    series, models = "CIFTI_INDEX_TYPE_SERIES", "CIFTI_INDEX_TYPE_BRAIN_MODELS"
    kinds = [maps[n].get("IndicesMapToDataType", "?") if n in maps else "nothing" for n in ("0", "1")]
    if kinds != [series, models]:
        todo = SWAP_AXES if kinds == [models, series] else GIVE_DTSERIES
        raise InputError(path, " by ".join(kinds), "a time series by brain models", todo)
    return maps["0"], maps["1"]


def _model_rows(path: Path, brain: ElementTree.Element) -> tuple[dict[str, ElementTree.Element], int]:
    """Check that the brain models divide the rows among them, one after another.

    Returns
    -------
    brain models by structure, number of rows
    """
    models: dict[str, ElementTree.Element] = {}
    following = 0
    for model in brain.iter("BrainModel"):
        structure = model.get("BrainStructure", "?")
        offset, count = model.get("IndexOffset", "no row"), int(model.get("IndexCount", -1))
        if offset != str(following) or count < 1 or structure in models:
            found = f"{structure} with {count} rows from {offset}"
            expected = f"each structure once, and this one from row {following}, after the one before it"
            raise InputError(path, found, expected, "Fetch the file again: its header is damaged.")
        models[structure] = model
        following += count
    return models, following


def _cortex_rows(path: Path, brain: ElementTree.Element) -> tuple[np.ndarray, int]:
    """Find the row of each cortical grayordinate of the 91k space, and the number of rows.

    Files with the cortex alone, or with the medial wall, have these rows too.
    """
    models, total = _model_rows(path, brain)
    meshes = {model.get("SurfaceNumberOfVertices") for model in models.values()} - {None}
    if meshes != {str(MESH_VERTICES)}:
        sizes = ", ".join(sorted(map(str, meshes))) or "no"
        is_170k = " (the 1.6 mm grid of HCP 7T)" if "59292" in meshes else ""
        found = f"{total} grayordinates on meshes of {sizes} vertices{is_170k}"
        raise InputError(path, found, f"{GRAYORDINATES} on meshes of {MESH_VERTICES}", MAKE_91K)
    rows = []
    for side, vertices in zip(SIDES, mesh_vertices(), strict=True):
        model = models.get(f"CIFTI_STRUCTURE_{side}")
        if model is None:
            raise InputError(path, f"no {side} in the header", "both hemispheres", MAKE_91K)
        listed = np.array((model.findtext("VertexIndices") or "").split(), dtype=np.int64)
        count = int(model.get("IndexCount", 0))
        if len(listed) != count or not 0 <= listed.min() <= listed.max() < MESH_VERTICES:
            found = f"{side} with {len(listed)} vertices for {count} rows"
            raise InputError(path, found, f"one of the {MESH_VERTICES} vertices per row", FETCH_AGAIN)
        place = np.full(MESH_VERTICES, -1)
        place[listed] = np.arange(count)
        absent = int((place[vertices] < 0).sum())
        if absent or len(np.unique(listed)) < count:
            found = f"{side} with {count} vertices that lack {absent} of those of the 91k space"
            expected = f"the {len(vertices)} vertices of the standard medial-wall mask, each once"
            raise InputError(path, found, expected, MAKE_91K)
        rows.append(int(model.get("IndexOffset", 0)) + place[vertices])
    return np.concatenate(rows), total


def _data_type(path: Path, header: Nifti2Header) -> np.dtype:
    """Return the type of the stored values, which must be real numbers."""
    code = int(header["datatype"])
    try:
        dtype = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        dtype = None
    if dtype is None or dtype.kind not in "fiu":
        found = f"values of data type {code}" + (f" ({dtype})" if dtype is not None else "")
        raise InputError(path, found, "real numbers, such as float32 (16)", GIVE_DTSERIES)
    return dtype


def _describe(path: Path) -> DtseriesInfo:
    header, xml = _read_parts(path)
    time, brain = _index_maps(path, xml)
    n_volumes = int(time.get("NumberOfSeriesPoints", 0))
    if time.get("SeriesUnit") != "SECOND":
        raise InputError(path, f"a series in {time.get('SeriesUnit')}", "one in SECOND", GIVE_DTSERIES)
    rows, n_rows = _cortex_rows(path, brain)
    shape = tuple(int(size) for size in header["dim"][1:7])
    if n_volumes < 1 or shape != (1, 1, 1, 1, n_volumes, n_rows):
        found = f"a matrix {shape} and {n_volumes} series points"
        raise _truncated(path, found, f"{n_rows} rows of that length")
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    unscaled = not np.isfinite(slope) or slope == 0
    return DtseriesInfo(
        path=path,
        n_volumes=n_volumes,
        tr=float(time.get("SeriesStep", "nan")) * 10.0 ** int(time.get("SeriesExponent", 0)),
        offset=int(header["vox_offset"]),
        dtype=_data_type(path, header),
        slope=1.0 if unscaled else slope,
        intercept=0.0 if unscaled or not np.isfinite(intercept) else intercept,
        rows=rows,
        n_rows=n_rows,
    )


def file_size(path: Path, expected: int) -> int:
    """Uncompressed size of a file; a gzip file is counted in full only where its last four bytes disagree."""
    if path.suffix != ".gz":
        return path.stat().st_size
    with open(path, "rb") as handle:
        handle.seek(-4, 2)
        if struct.unpack("<I", handle.read(4))[0] == expected % 2**32:
            return expected
    size = 0
    try:
        with gzip.open(path, "rb") as stream:
            while block := stream.read(1 << 22):
                size += len(block)
    except EOFError:
        pass  # cut within the compressed data: the size so far is the answer
    return size


def read_info(path: Path) -> DtseriesInfo:
    """Read and check the header of a dense time series, and that the file is as long as it says.

    Raises
    ------
    InputError : no such file, not CIFTI-2, no time series, another grid than 91k, truncated
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", "a .dtseries.nii file", "Check data_dir and the movie's name.")
    try:
        info = _describe(path)
        size = file_size(path, info.n_bytes)
    except HEADER_ERRORS as error:
        raise _truncated(path, str(error) or type(error).__name__, "a CIFTI-2 time series") from None
    if size < info.n_bytes:
        raise _truncated(path, f"{size} bytes", f"{info.n_bytes} bytes for {info.n_volumes} volumes")
    return info


def check_dtseries(path: Path) -> tuple[int, float]:
    """Check a dense time series from its header and size alone (tens of milliseconds; no data are read).

    Returns
    -------
    number of volumes, TR in seconds as the header gives it

    Raises
    ------
    InputError : as `read_info`
    """
    info = read_info(path)
    return info.n_volumes, info.tr


def _read_gzip_rows(info: DtseriesInfo, rows: np.ndarray) -> np.ndarray:
    """Stream a compressed matrix and keep some rows; returns (len(rows), T) as stored."""
    values = np.empty((len(rows), info.n_volumes), info.dtype)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    width = info.n_volumes * info.dtype.itemsize
    try:
        with gzip.open(info.path, "rb") as stream:
            stream.read(info.offset)
            # To the end, also past the last row, because only there is the checksum.
            for first in range(0, info.n_rows, GZIP_BLOCK):
                count = min(GZIP_BLOCK, info.n_rows - first)
                block = np.frombuffer(stream.read(count * width), info.dtype).reshape(count, info.n_volumes)
                here = slice(*np.searchsorted(ordered, [first, first + count]))
                values[order[here]] = block[ordered[here] - first]
            stream.read(1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _truncated(info.path, str(error), f"{info.n_volumes} volumes") from None
    return values


def read_dtseries(path: Path, vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Read the time courses of some cortical grayordinates; an uncompressed file is mapped, not read whole.

    Parameters
    ----------
    path : ``.dtseries.nii`` or ``.dtseries.nii.gz`` with the cortical vertices of the 91k space
    vertices : (V,) integers in 0...59 411, cortical grayordinates (left, then right), in any order

    Returns
    -------
    bold : (T, V) float32, the file's units, columns in the order asked for; may hold the file's NaN
    tr : seconds, as the header gives it

    Raises
    ------
    InputError : as `read_info`
    ValueError : a vertex outside the cortex
    """
    vertices = np.asarray(vertices, dtype=np.int64)
    if vertices.ndim != 1 or not len(vertices) or vertices.min() < 0 or vertices.max() >= CORTEX:
        raise ValueError(f"vertices must be a list of cortical grayordinates in 0...{CORTEX - 1}")
    info = read_info(path)
    rows = info.rows[vertices]
    if info.path.suffix == ".gz":
        stored = _read_gzip_rows(info, rows)
    else:
        shape = (info.n_rows, info.n_volumes)
        stored = np.memmap(info.path, info.dtype, mode="r", offset=info.offset, shape=shape)[rows]
    bold = np.ascontiguousarray(stored.T).astype(np.float32, copy=False)
    if (info.slope, info.intercept) != (1.0, 0.0):
        bold = (bold * info.slope + info.intercept).astype(np.float32)
    return np.asarray(bold), info.tr


@functools.cache
def _dtseries_header(n_volumes: int, tr: float) -> bytes:
    """All that precedes the matrix, kept for runs of one length: describing the grid takes half a second."""
    axes = SeriesAxis(0, tr, n_volumes), brain_axis()
    header = Nifti2Header(endianness="<")
    header.set_data_dtype(np.float32)
    header.set_data_shape((1, 1, 1, 1, n_volumes, GRAYORDINATES))
    header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")
    header["pixdim"][:4] = 1
    header.extensions.append(Cifti2Extension.from_bytes(Cifti2Header.from_axes(axes).to_xml()))
    stream = io.BytesIO()
    header.write_to(stream)
    return stream.getvalue().ljust(int(header["vox_offset"]), b"\0")


def write_dtseries(path: Path, data: np.ndarray, tr: float) -> None:
    """Write a dense time series in the 91k space, as CIFTI-2 under a temporary name and renamed.

    Parameters
    ----------
    path : ends in ``.dtseries.nii``
    data : (T, 91 282) float32, rows of `neurocine.fmri.grayordinates.brain_axis`
    tr : seconds

    Raises
    ------
    ValueError : another shape or file name
    """
    if data.ndim != 2 or data.shape[1] != GRAYORDINATES:
        raise ValueError(f"data must be (T, {GRAYORDINATES}), not {data.shape}")
    if not Path(path).name.endswith(".dtseries.nii"):
        raise ValueError(f"the name of a dense time series ends in .dtseries.nii, not {Path(path).name}")
    with replacing(Path(path)) as temporary, open(temporary, "wb") as handle:
        handle.write(_dtseries_header(len(data), tr))
        handle.write(np.ascontiguousarray(data.T, np.dtype("<f4")).data)
