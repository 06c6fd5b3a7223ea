"""fMRI volumes in MNI space (NIfTI): voxels of an atlas or a mask in place of cortical vertices.

A voxel's number is its place in the flattened grid (C order), the order in which nilearn's masking gives
voxels. nilearn is imported where it is used, because it takes seconds.
"""

import csv
import gzip
import hashlib
import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.fileholders import FileHolder
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import HeaderDataError

from neurocine.errors import InputError
from neurocine.fmri.cifti import FETCH_AGAIN, file_size
from neurocine.fmri.parcellation import LABEL, AreaVertices

log = logging.getLogger(__name__)
SMALLEST_VOXEL = 1e-6  # mm^3
SET_AFFINE = "Set the affine, with nibabel or the tool that made the file."
GIVE_ATLAS = "Give a NIfTI image of area numbers, or a mask, as atlas in the config."


@dataclass(frozen=True, eq=False)
class VoxelGrid:
    """Where the voxels of a volume lie.

    Attributes
    ----------
    shape : voxels along each axis
    affine : (4, 4) float64, from voxel indices to mm in MNI space
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __str__(self) -> str:
        sizes = np.sqrt((self.affine[:3, :3] ** 2).sum(0))
        corner = ", ".join(f"{mm:g}" for mm in self.affine[:3, 3])
        size = " x ".join(f"{mm:.3g}" for mm in sizes)
        return f"{'x'.join(map(str, self.shape))} voxels of {size} mm from ({corner})"

    def same(self, other: "VoxelGrid") -> bool:
        """Whether voxels with the same number lie at the same place (within a thousandth of a mm)."""
        return self.shape == other.shape and np.allclose(self.affine, other.affine, rtol=0, atol=1e-3)

    def position(self, voxels: np.ndarray) -> np.ndarray:
        """Place of voxels (n,) in mm to the right, to the front and up, (3, n)."""
        indices = np.stack(np.unravel_index(voxels, self.shape))
        return np.asarray(self.affine[:3, :3] @ indices + self.affine[:3, 3:])

    def image(self, values: np.ndarray) -> Nifti1Image:
        """Put a value per voxel of the grid, (n_voxels,), into an image."""
        return Nifti1Image(values.reshape(self.shape), self.affine)

    def meta(self) -> dict[str, Any]:
        """Metadata that `from_meta` reads."""
        return {"shape": list(self.shape), "affine": self.affine.tolist()}

    @classmethod
    def from_meta(cls, meta: dict[str, Any]) -> "VoxelGrid":
        """Make the grid that `meta` described."""
        first, second, third = meta["shape"]
        return cls((first, second, third), np.array(meta["affine"], np.float64))


def _load(path: Path, expected: str, todo: str) -> Nifti1Image:
    """Open a NIfTI image without reading its values.

    Raises
    ------
    InputError : no such file, no NIfTI image, one shorter than its header says, no usable affine
    """
    if not path.is_file():
        raise InputError(path, "no such file", expected, todo)
    try:
        image = nibabel.load(path)
        if not isinstance(image, Nifti1Image):
            raise InputError(path, f"a {type(image).__name__}", expected, todo)
        assert isinstance(image.dataobj, ArrayProxy)  # as for every image from a file
        voxels = int(np.prod(image.shape, dtype=np.int64))
        wanted = image.dataobj.offset + voxels * image.get_data_dtype().itemsize
        size = file_size(path, wanted)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, KeyError) as error:
        raise InputError(path, f"a file that cannot be read ({error})", expected, FETCH_AGAIN) from None
    if image.get_data_dtype().kind not in "fiu":
        found = f"values of type {image.get_data_dtype()}"
        raise InputError(path, found, "real numbers, such as float32", todo)
    if size < wanted:
        raise InputError(path, f"{size} bytes, a truncated file", f"{wanted} bytes", FETCH_AGAIN)
    if not (int(image.header["qform_code"]) or int(image.header["sform_code"])):
        # nibabel then guesses: the grid's centre at 0 mm, left first.
        found, place = "no orientation (qform and sform code 0)", "the place of its voxels in MNI space"
        raise InputError(path, found, place, SET_AFFINE)
    affine = np.asarray(image.affine)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < SMALLEST_VOXEL:
        found = "an affine that is not finite, or that gives voxels one place"
        raise InputError(path, found, "the place of its voxels in MNI space", SET_AFFINE)
    return image


def _series(path: Path) -> tuple[Nifti1Image, tuple[int, int, int, int]]:
    """Open a run and return it with its shape, in which axes of length 1 between space and time are left out.

    Raises
    ------
    InputError : as `_load`; no series
    """
    todo = "Give the preprocessed run in MNI space."
    image = _load(path, "a NIfTI series of volumes", todo)
    space = image.shape[:3]
    times = [length for length in image.shape[3:] if length > 1]
    if len(image.shape) < 4 or len(times) > 1:
        raise InputError(path, f"an image of shape {image.shape}", "a series of volumes", todo)
    return image, (space[0], space[1], space[2], times[0] if times else 1)


def check_volumes(path: Path) -> tuple[int, VoxelGrid]:
    """Check a run from its header and size alone.

    Returns
    -------
    number of volumes, grid

    Raises
    ------
    InputError : no such file, no NIfTI series, truncated
    """
    image, (first, second, third, count) = _series(Path(path))
    return count, VoxelGrid((first, second, third), np.asarray(image.affine, np.float64))


def _time_axis(image: Nifti1Image, count: int) -> int:
    """Return the axis of so many volumes; others behind the three of space have length 1."""
    return next(axis for axis in range(3, len(image.shape)) if image.shape[axis] == count)


def volumes_tr(path: Path) -> float:
    """Return the time between volumes in seconds as the header gives it; 0 where it gives none."""
    image, (*_, count) = _series(Path(path))
    unit = {"msec": 1e-3, "usec": 1e-6}.get(image.header.get_xyzt_units()[1], 1.0)
    return float(image.header.get_zooms()[_time_axis(image, count)]) * unit


@dataclass(frozen=True)
class VolumeFacts:
    """What the values of a run are like.

    Attributes
    ----------
    n_unfinished : voxels with NaN in some volumes only, or with infinite values
    n_constant : voxels with one value, or NaN, in every volume
    n_voxels : of the grid
    digest : hash of all values
    """

    n_unfinished: int
    n_constant: int
    n_voxels: int
    digest: str


def look_at_volumes(path: Path, kept: Sequence[int] | None = None) -> VolumeFacts:
    """Read volumes of a run, one after the other, so that no more than three are in memory.

    Parameters
    ----------
    path : NIfTI series
    kept : which volumes to look at, ascending; None for all

    Raises
    ------
    InputError : as `check_volumes`; damaged data
    """
    opened, (*_, count) = _series(Path(path))
    places = range(count) if kept is None else kept
    try:
        # Open all the while: a compressed file is read from its beginning each time it is opened.
        with gzip.open(path) if Path(path).suffix == ".gz" else open(path, "rb") as handle:
            image = type(opened).from_file_map({"image": FileHolder(fileobj=handle)})
            axis = _time_axis(image, count)
            facts = _look_at(_volume(image, axis, place) for place in places)
            while handle.read(1 << 22):  # to the end, where the checksum of a compressed file stands
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"damaged data ({error})", f"{count} volumes", FETCH_AGAIN) from None
    return facts


def _look_at(volumes: Iterator[np.ndarray]) -> VolumeFacts:
    """Tell what the values of volumes, each (n_voxels,), are like."""
    first = next(volumes)
    digest = hashlib.sha256(first.tobytes())
    nowhere = everywhere = np.isnan(first)
    infinite, constant = np.isinf(first), np.ones(first.shape, bool)
    for volume in volumes:
        digest.update(volume.tobytes())
        missing = np.isnan(volume)
        nowhere = nowhere | missing
        everywhere = everywhere & missing
        infinite |= np.isinf(volume)
        constant &= volume == first
    unfinished = infinite | (nowhere & ~everywhere)
    return VolumeFacts(
        int(unfinished.sum()), int((constant | everywhere).sum()), first.size, digest.hexdigest()
    )


def _volume(image: Nifti1Image, axis: int, place: int) -> np.ndarray:
    """Read one volume, (n_voxels,) float32."""
    assert isinstance(image.dataobj, ArrayProxy)
    return np.asarray(image.dataobj[(slice(None),) * axis + (place,)], np.float32).ravel()


def read_volumes(path: Path, voxels: np.ndarray, grid: VoxelGrid) -> np.ndarray:
    """Read the time courses of some voxels.

    Parameters
    ----------
    path : NIfTI series in MNI space
    voxels : (V,) int64 places in the flattened grid, in any order
    grid : that the run must have

    Returns
    -------
    (T, V) float32, the file's units, columns in the order asked for; may hold the file's NaN

    Raises
    ------
    InputError : as `check_volumes`; another grid; damaged data
    """
    from nilearn.masking import apply_mask

    image, shape = _series(Path(path))
    count, own_grid = check_volumes(path)
    if not own_grid.same(grid):
        todo = "Resample the run to the grid of the others, or list it in exclude_runs."
        raise InputError(path, str(own_grid), f"{grid}, as the run that voxels were selected on", todo)
    inside = np.zeros(int(np.prod(grid.shape)), np.int8)
    inside[voxels] = 1
    try:
        # NaN stay: whoever reads decides about them.
        if image.shape == shape:
            series = apply_mask(str(path), own_grid.image(inside), ensure_finite=False)
        else:
            values = np.asarray(image.dataobj, np.float32).reshape(shape)
            series = apply_mask(
                Nifti1Image(values, image.affine), own_grid.image(inside), ensure_finite=False
            )
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(path, f"damaged data ({error})", f"{count} volumes", FETCH_AGAIN) from None
    bold = np.empty(series.shape, np.float32)
    bold[:, np.argsort(voxels)] = series
    return bold


def read_labels(path: Path) -> dict[int, str]:
    """Read the names of an atlas: a TSV file with the columns ``index`` and ``name``, as BIDS has it.

    Raises
    ------
    InputError : no such file, or other columns
    """
    expected = "a TSV file with the columns index and name"
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            return {int(row["index"]): row["name"].strip() for row in csv.DictReader(handle, delimiter="\t")}
    except OSError:
        raise InputError(path, "no such file", expected, "Correct atlas_labels in the config.") from None
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InputError(path, "another table", expected, "Correct atlas_labels in the config.") from None


def _area_numbers(atlas: Path, grid: VoxelGrid) -> np.ndarray:
    """Read the area number of each voxel of a grid, (n_voxels,) int64; 0 is no area."""
    image = _load(atlas, "a NIfTI image of area numbers", GIVE_ATLAS)
    shape = image.shape[:3] + tuple(length for length in image.shape[3:] if length > 1)
    if len(shape) != 3:
        raise InputError(atlas, f"an image of shape {image.shape}", "one volume of area numbers", GIVE_ATLAS)
    values = np.asarray(image.dataobj).reshape(shape)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or (values < 0).any():
        raise InputError(atlas, "values that are no area numbers", "0, 1, 2, ...", GIVE_ATLAS)
    numbers = Nifti1Image(values.astype(np.int32), image.affine)
    own = VoxelGrid((shape[0], shape[1], shape[2]), np.asarray(image.affine, np.float64))
    if not own.same(grid):
        from nilearn.image import resample_img

        log.info("%s: %s, resampled to %s of the runs", atlas, own, grid)
        numbers = resample_img(
            numbers,
            target_affine=grid.affine,
            target_shape=grid.shape,
            interpolation="nearest",
            force_resample=True,
            copy_header=True,
        )
    return np.asarray(numbers.dataobj).astype(np.int64).ravel()


def area_voxels(atlas: Path, labels: Path | None, grid: VoxelGrid) -> AreaVertices:
    """Collect the voxels of each area of an atlas, left and right of the midline.

    Parameters
    ----------
    atlas : NIfTI image of area numbers, or a mask; on another grid it is resampled to the nearest neighbour
    labels : names of the numbers; numbers without a name are no areas. Without it the numbers are the names.
        ``L_V1`` and ``R_V1_ROI`` are area V1, left and right
    grid : of the runs

    Returns
    -------
    (hemisphere, area) -> (n,) int64 ascending voxels, in the order of the area numbers

    Raises
    ------
    InputError : bad files, no area, or a left area on the right side
    """
    numbers = _area_numbers(Path(atlas), grid)
    present = [int(number) for number in np.unique(numbers) if number > 0]
    names = read_labels(labels) if labels else {number: str(number) for number in present}
    by_area: dict[tuple[int, str], list[np.ndarray]] = {}
    for number in present:
        if number not in names:
            continue
        label = LABEL.fullmatch(names[number])
        voxels = np.flatnonzero(numbers == number)
        right = grid.position(voxels)[0] >= 0
        if label is None:
            for hemisphere in (0, 1):
                by_area.setdefault((hemisphere, names[number]), []).append(voxels[right == hemisphere])
            continue
        hemisphere = "LR".index(label["side"])
        if (right == hemisphere).mean() < 0.5:
            raise InputError(
                atlas,
                f"most of area {names[number]} on the other side",
                "left areas at negative x",
                "Correct the affine of the atlas: it is flipped.",
            )
        by_area.setdefault((hemisphere, label["area"]), []).append(voxels)
    if not by_area:
        where = labels or atlas
        raise InputError(where, "no area within the runs' grid", "at least one", GIVE_ATLAS)
    return {key: np.sort(np.concatenate(parts)) for key, parts in by_area.items()}
