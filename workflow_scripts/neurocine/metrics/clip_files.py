"""Read anybody's clips from disk, and bring predictions and originals to the same names, frames and size.

What differs is reconciled by few stated rules (docs/scoring.md) or refused with one message.
"""

import itertools
import re
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from neurocine.errors import InputError
from neurocine.io import MAKE_AGAIN, open_arrays
from neurocine.naming import natural
from neurocine.stimuli.video import read_all_frames, video_info

MOVIES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
PICTURES = (".png", ".jpg", ".jpeg")
# Pillow refuses pictures that would fill the memory by an error of its own.
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError)
# A header of .npy is read as text of Python, so that damage has the errors of a parser.
NPY_ERRORS = (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, tokenize.TokenError)
MOST_BORDER = 8  # pixels around pictures that stand side by side
DURATION_SLACK = 0.1  # part by which the durations of two movies may differ
ASPECT_SLACK = 0.02


@dataclass(frozen=True)
class ClipFile:
    """A clip that can be read: its name, what it is made of, how to read it.

    Parameters
    ----------
    name : by which predictions and originals are paired
    where : the file or folder, for messages
    seconds : its duration where the file states one to rely on, else None
    read : gives uint8 (F, H, W, 3)
    """

    name: str
    where: str
    seconds: float | None
    read: Callable[[], np.ndarray]


def _check_array(array: np.ndarray, where: str, axes: int) -> None:
    if array.dtype != np.uint8 or array.ndim != axes or array.shape[-1] != 3 or 0 in array.shape:
        shape = "(clips, frames, height, width, 3)" if axes == 5 else "(frames, height, width, 3)"
        todo = "Save it as bytes with colour last, for example (array * 255).round().astype('uint8')."
        raise InputError(where, f"{array.dtype} {array.shape}", f"uint8 RGB {shape}", todo)


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
        return array
    except NPY_ERRORS as error:
        raise InputError(
            path, f"a file that cannot be read ({error})", "an array saved by numpy.save", "Save it again."
        ) from None


def _read_pictures(paths: Sequence[Path], where: str) -> np.ndarray:
    """Read pictures as the frames of a clip."""
    frames = []
    for path in paths:
        try:
            with Image.open(path) as image:
                frames.append(np.asarray(image.convert("RGB")))
        except PICTURE_ERRORS as error:
            raise InputError(path, f"no picture ({error})", "PNG or JPEG", "Save it again.") from None
        if frames[-1].shape != frames[0].shape:
            found = f"{path.name} of {frames[-1].shape[1]} x {frames[-1].shape[0]} pixels"
            expected = f"{frames[0].shape[1]} x {frames[0].shape[0]} as {paths[0].name}"
            raise InputError(where, found, expected, "Save all frames in one size.")
    return np.stack(frames)


def _read_gif(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    except PICTURE_ERRORS as error:
        raise InputError(path, f"no GIF ({error})", "an animated GIF", "Save it again.") from None


def _read_array_clip(path: Path) -> np.ndarray:
    array = _read_npy(path)
    _check_array(array, str(path), 4)
    return np.asarray(array)


def _of_entry(path: Path) -> ClipFile | None:
    """Return the clip that an entry of a folder is, None for files of other kinds."""
    kind = path.suffix.lower()
    if path.is_dir():
        pictures = sorted(
            (file for file in path.iterdir() if file.suffix.lower() in PICTURES),
            key=lambda file: natural(file.name),
        )
        if not pictures:
            return None
        return ClipFile(path.name, str(path), None, lambda: _read_pictures(pictures, str(path)))
    if kind in MOVIES:
        return ClipFile(path.stem, str(path), video_info(path).duration, lambda: read_all_frames(path))
    # A GIF's times say how it should be shown, not when its frames were on screen.
    readers = {".gif": _read_gif, ".npy": _read_array_clip}
    if kind in readers:
        return ClipFile(path.stem, str(path), None, lambda: readers[kind](path))
    return None


def _of_file(path: Path) -> list[ClipFile]:
    """Return the clips of a file that holds many."""
    clips = []
    if path.suffix.lower() == ".npy":
        array = _read_npy(path)
        _check_array(array, str(path), 5)
        width = len(str(len(array)))
        for number in range(len(array)):
            name = f"{number:0{width}}"
            clips.append(ClipFile(name, f"{path} clip {number}", None, _row_reader(array, number)))
        return clips
    if path.suffix.lower() != ".safetensors":
        expected = "a folder of clips, or one .npy or .safetensors file with all of them"
        raise InputError(path, f"a file of kind '{path.suffix}'", expected, "Put single clips into a folder.")
    with open_arrays(path) as handle:
        names = list(handle.keys())
        movies = [name for name in names if "/" not in name]
        for movie in movies:
            piece = handle.get_slice(movie)
            shape, dtype = tuple(piece.get_shape()), piece.get_dtype()
            if dtype != "U8" or len(shape) != 5 or shape[-1] != 3:
                found, todo = f"{movie}: {dtype} {shape}", "Give a file of decode or prepare_stimuli."
                raise InputError(path, found, "uint8 (clips, frames, height, width, 3)", todo)
            indices = range(shape[0])
            if f"{movie}/clip" in names:
                numbers = handle.get_tensor(f"{movie}/clip")
                if numbers.shape != shape[:1] or numbers.dtype.kind not in "iu":
                    found = f"{movie}/clip: {numbers.dtype} {numbers.shape}"
                    raise InputError(path, found, f"a whole number for each of {shape[0]} clips", MAKE_AGAIN)
                indices = numbers.tolist()
            for row, index in enumerate(indices):
                reader = _tensor_reader(path, movie, row)
                clips.append(ClipFile(f"{movie}_{index:04d}", f"{path} {movie} row {row}", None, reader))
    return clips


def _row_reader(array: np.ndarray, row: int) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(array[row])


def _tensor_reader(path: Path, name: str, row: int) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        with open_arrays(path) as handle:
            return handle.get_slice(name)[row : row + 1][0]

    return read


def find_clips(path: Path) -> list[ClipFile]:
    """List the clips of a folder or file in natural order.

    Parameters
    ----------
    path : a folder with one clip per entry (movie, GIF, folder of pictures, .npy), or one .npy or
        .safetensors file with all clips

    Raises
    ------
    InputError : nothing there, unreadable files, two clips of one name, arrays of another kind
    """
    path = Path(path)
    expected = "mp4, GIF, folders of PNG, .npy, or one .npy or .safetensors file"
    if not path.exists():
        raise InputError(path, "nothing", expected, "Correct the path.")
    if path.is_dir():
        entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
        clips = [clip for clip in map(_of_entry, entries) if clip is not None]
    else:
        clips = _of_file(path)
    if not clips:
        raise InputError(path, "no clips", expected, "Give the folder that holds the clips.")
    clips = sorted(clips, key=lambda clip: natural(clip.name))
    for first, second in itertools.pairwise(clips):
        if first.name == second.name:
            found = f"{first.where} and {second.where}"
            raise InputError(path, found, "one clip per name", "Remove or rename one of them.")
    return clips


def cut_side(clip: np.ndarray, side: str, where: str) -> np.ndarray:
    """Cut one of two pictures that stand side by side, and the border around them.

    As released with papers: two square pictures with a border of p pixels around and between them (p may be
    0), as torchvision's grids have it; or two pictures of any shape without a border.

    Parameters
    ----------
    clip : uint8 (F, H, W, 3)
    side : left or right
    where : for the message

    Returns
    -------
    uint8 (F, h, w, 3)

    Raises
    ------
    InputError : no such pair of pictures
    """
    height, width = clip.shape[1:3]
    border = 2 * height - width  # of square pictures: (h + 2 p) * 2 - (2 h + 3 p)
    if not (0 < border <= MOST_BORDER and np.ptp(clip[:, :border]) == 0):
        border = 0
    inner, rest = divmod(width - 3 * border, 2)
    if rest or inner < 1:
        found = f"{width} x {height} pixels"
        raise InputError(where, found, "two pictures of one size side by side", "Leave out --split.")
    start = border if side == "left" else width - border - inner
    return clip[:, border : height - border, start : start + inner]


def split_sides(clips: list[ClipFile], originals: str) -> list[tuple[ClipFile, ClipFile]]:
    """Make pairs of clips that show prediction and original side by side.

    Parameters
    ----------
    clips : each shows both, side by side
    originals : side of the originals, left or right
    """

    def half(clip: ClipFile, side: str) -> ClipFile:
        where = f"{clip.where} ({side})"
        return ClipFile(clip.name, where, clip.seconds, lambda: cut_side(clip.read(), side, where))

    other = {"left": "right", "right": "left"}[originals]
    return [(half(clip, other), half(clip, originals)) for clip in clips]


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def _by_numbers(
    predicted: list[ClipFile], originals: list[ClipFile]
) -> tuple[dict[str, ClipFile], dict[str, ClipFile]] | None:
    """Name clips by all numbers in their names, or by the last; None where neither names clips of both."""
    for part in (slice(None), slice(-1, None)):
        sides = []
        for clips in (predicted, originals):
            named = {"_".join(map(str, _numbers(clip.name)[part])): clip for clip in clips}
            sides.append(named if len(named) == len(clips) and "" not in named else {})
        if sides[0].keys() & sides[1].keys():
            return sides[0], sides[1]
    return None


def pair_clips(
    predicted: list[ClipFile], originals: list[ClipFile]
) -> tuple[list[tuple[ClipFile, ClipFile]], list[str]]:
    """Pair predictions with originals by name; else by the numbers in their names; else by order.

    Returns
    -------
    the pairs in natural order of the originals' names, and what was done, a sentence each

    Raises
    ------
    InputError : predictions without original; other names and other counts; movies of other durations
    """
    by, notes = "name", []
    ours, theirs = ({clip.name: clip for clip in clips} for clips in (predicted, originals))
    if not ours.keys() & theirs.keys():
        by, numbered = "the numbers in their names", _by_numbers(predicted, originals)
        ours, theirs = numbered or ({}, {})
    if not ours:
        if len(predicted) != len(originals):
            found = f"{len(predicted)} clips, such as {predicted[0].name}"
            expected = f"the names of the {len(originals)} originals, such as {originals[0].name}"
            raise InputError("PREDICTIONS", found, expected, "Name clips alike, or give as many of both.")
        pairs = list(zip(predicted, originals, strict=True))
        notes.append(
            f"Neither names nor numbers in them are shared: {len(pairs)} clips are paired in order, from "
            f"{pairs[0][0].name} = {pairs[0][1].name} to {pairs[-1][0].name} = {pairs[-1][1].name}."
        )
    else:
        alone = [clip.name for name, clip in ours.items() if name not in theirs]
        if alone:
            found = f"{len(alone)} without original, such as {alone[0]}"
            raise InputError("PREDICTIONS", found, "only names of ORIGINALS", "Rename or remove them.")
        pairs = [(clip, theirs[name]) for name, clip in ours.items()]
        left = len(originals) - len(pairs)
        notes.append(
            f"{len(pairs)} clips are paired by {by}" + (f"; {left} originals are left out." if left else ".")
        )
    for first, second in pairs:
        if first.seconds is not None and second.seconds is not None:
            ratio = first.seconds / second.seconds
            if abs(ratio - 1) > DURATION_SLACK:
                found, expected = f"{first.seconds:.2f} s", f"the {second.seconds:.2f} s of {second.where}"
                raise InputError(first.where, found, expected, "Cut both to the same span of time.")
    return pairs, notes


def sample_frames(clip: np.ndarray, n_frames: int) -> np.ndarray:
    """Take the frames at the middle of equal intervals: (F, ...) -> (n_frames, ...), n_frames <= F."""
    return clip[((np.arange(n_frames) + 0.5) * len(clip) / n_frames).astype(int)]


def resize_frames(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize frames: area average where both sides shrink by whole factors, else antialiased Lanczos.

    Parameters
    ----------
    clip : uint8 (F, H, W, 3)
    size : height, width
    """
    height, width = clip.shape[1:3]
    if (height, width) == size:
        return clip
    filters = Image.Resampling
    whole = height % size[0] == 0 and width % size[1] == 0
    kind = filters.BOX if whole else filters.LANCZOS
    return np.stack([np.asarray(Image.fromarray(frame).resize(size[::-1], kind)) for frame in clip])


@dataclass(frozen=True)
class PairReader:
    """Reads paired clips in the same frames and size, a few at a time.

    Parameters
    ----------
    pairs : prediction and original each
    shapes : (F, H, W, 3) of all predictions and of all originals, as they are on disk
    n_frames : frames of a clip when read
    size : height and width when read
    """

    pairs: list[tuple[ClipFile, ClipFile]]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    n_frames: int
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Frames, height, width and channels of a clip when read."""
        return (self.n_frames, *self.size, 3)

    def read(self, side: int, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Read predictions (side 0) or originals (1): uint8 (n, F, H, W, 3).

        Raises
        ------
        InputError : a clip with other frames or another size than the first of its side
        """
        clips = np.empty((len(places), *self.shape), dtype=np.uint8)
        for row, place in enumerate(places):
            source, shape = self.pairs[place][side], self.shapes[side]
            clip = source.read()
            if clip.shape != shape:
                found = f"{len(clip)} frames of {clip.shape[2]} x {clip.shape[1]}"
                first = self.pairs[0][side].where
                expected = f"{shape[0]} frames of {shape[2]} x {shape[1]} as in {first}"
                raise InputError(source.where, found, expected, "Make all clips of a side alike.")
            clips[row] = resize_frames(sample_frames(clip, self.n_frames), self.size)
        return clips


def reconcile(
    pairs: list[tuple[ClipFile, ClipFile]], size: int | None = None
) -> tuple[PairReader, list[str]]:
    """Look at the first pair and decide frames and size at which all are compared.

    Parameters
    ----------
    pairs : result of ``pair_clips``
    size : height of the frames in pixels; None for the smaller of the two sides

    Returns
    -------
    the reader, and what it does, a sentence each

    Raises
    ------
    InputError : aspect ratios that differ, unreadable files
    """
    first, second = (clip.read().shape for clip in pairs[0])
    notes = []
    if abs((first[2] / first[1]) / (second[2] / second[1]) - 1) > ASPECT_SLACK:
        found = f"{first[2]} x {first[1]} pixels"
        expected = f"the aspect ratio of the originals' {second[2]} x {second[1]}"
        raise InputError(pairs[0][0].where, found, expected, "Cut the frames of one side.")
    small = min((first, second), key=lambda shape: shape[1])
    height = size or small[1]
    target = (height, small[2] if size is None else round(height * small[2] / small[1]))
    n_frames = min(first[0], second[0])
    for name, shape in (("Predictions", first), ("Originals", second)):
        if shape[0] != n_frames:
            notes.append(f"{name}: {n_frames} of {shape[0]} frames, at the middle of equal intervals.")
        if shape[1:3] != target:
            notes.append(f"{name}: resized from {shape[2]} x {shape[1]} to {target[1]} x {target[0]} pixels.")
    return PairReader(pairs, (first, second), n_frames, target), notes


def one_movie(n: int) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return n clips, of whose times nothing is known, as one movie: places and indices, (n,) i64."""
    return [("all", np.arange(n), np.arange(n))]


def split_movies(names: list[str]) -> list[tuple[str, np.ndarray, np.ndarray]] | None:
    """Read names such as ``test1_0012``, ``test1011`` or ``12`` as movie and clip index.

    Returns
    -------
    per movie its name, the places of its clips in ``names`` (n,) and their increasing indices (n,), TR; None
    where names say no times
    """
    parts = [re.fullmatch(r"(?:(.+?)[_-]|(\D*))(\d+)", name) for name in names]
    keys = [(part[1] or part[2] or "", int(part[3])) for part in parts if part]
    if len(keys) < len(names) or len(set(keys)) < len(keys):
        return None
    movies = []
    for movie in sorted({movie for movie, _ in keys}, key=natural):
        places = np.array([place for place, key in enumerate(keys) if key[0] == movie])
        indices = np.array([keys[place][1] for place in places])
        order = np.argsort(indices)
        movies.append((movie or "all", places[order], indices[order]))
    return movies
