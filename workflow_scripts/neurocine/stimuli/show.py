"""Pictures for the eye: original and decoded clips side by side, as movies and as film strips."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from neurocine.errors import InputError
from neurocine.settings import Count, Positive, Settings, Unit

Enlarge = Literal["nearest", "lanczos"]
Choice = Literal["best", "median", "worst", "random", "first"]
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
GAP = 4  # pixels between pictures
MARGIN = 12  # pixels around a sheet
TEXT = 15  # pixels, height of the letters; more on sheets of large frames
LINE_PER_TEXT = 1.5  # height of a line over that of its letters
ROW_LABELS = ("original", "decoded")


class ShowClipsSettings(Settings):
    """How decoded clips are shown."""

    fps: Annotated[Positive, Unit("frames/s")] = 3.0
    """Movies are played at this rate, as in prepare_stimuli."""
    min_side: Annotated[Count, Unit("px")] = 128
    """Frames whose shorter side is below this size are enlarged by a whole factor."""
    enlarge: Enlarge = "nearest"
    """Enlarged pixels stay squares (nearest) or are smoothed (lanczos)."""
    clips_per_strip: Annotated[Count, Unit("clips")] = 8
    """One sheet of film strips shows this many clips."""
    columns: Annotated[Count, Unit("clips")] = 2
    """A sheet shows this many clips side by side."""
    metric: str = "ssim_mv"
    """This column of the clip scores decides which clips are best, median and worst."""


@dataclass(frozen=True)
class ShownClip:
    """One clip as it was and as it was decoded.

    Parameters
    ----------
    movie, clip : where it comes from; clips count from 0
    original, decoded : (F, H, W, 3) uint8 RGB, equal F; sizes may differ
    score : value of the metric that chose the clip, None if none did
    """

    movie: str
    clip: int
    original: np.ndarray
    decoded: np.ndarray
    score: float | None = None


def pair_clips(
    movie: str, originals: np.ndarray, decoded: np.ndarray, clips: np.ndarray
) -> Iterator[ShownClip]:
    """Bring the decoded clips of a movie together with what was shown.

    Parameters
    ----------
    movie : its name
    originals : (n_clips, F, H, W, 3) uint8, all clips of the movie
    decoded : (n, F, H, W, 3) uint8
    clips : (n,) index of each decoded clip in the movie

    Raises
    ------
    InputError : other numbers of frames, or a clip that the movie does not have
    """
    if decoded.shape[1] != originals.shape[1]:
        found = f"{decoded.shape[1]} decoded and {originals.shape[1]} original frames per clip"
        raise InputError(f"clips of {movie}", found, "equal numbers", "Decode again with these stimuli.")
    if len(clips) and not 0 <= clips.min() <= clips.max() < len(originals):
        found = f"decoded clips {clips.min()} to {clips.max()}"
        expected = f"clips 0 to {len(originals) - 1}"
        raise InputError(f"clips of {movie}", found, expected, "Decode again with these stimuli.")
    for clip, frames in zip(clips, decoded, strict=True):
        yield ShownClip(movie, int(clip), originals[clip], frames)


def choose_clips(
    scores: pd.DataFrame, choice: Choice, n_clips: int, generator: np.random.Generator
) -> pd.DataFrame:
    """Choose clips to show.

    Parameters
    ----------
    scores : columns movie, clip and score (higher is better; not needed for random and first)
    choice : best first, worst first, the middle of the ranking, at random, or the first in order of movies
    n_clips : how many; all if there are fewer
    generator : for random

    Returns
    -------
    the chosen rows; random ones in the order of movies and clips
    """
    n_clips = min(n_clips, len(scores))
    if choice == "first":
        return scores.head(n_clips)
    if choice == "random":
        return scores.iloc[np.sort(generator.choice(len(scores), n_clips, replace=False))]
    ranked = scores.sort_values("score", ascending=choice == "worst", kind="stable")
    start = (len(ranked) - n_clips) // 2 if choice == "median" else 0
    return ranked.iloc[start : start + n_clips]


def enlarge_frame(frame: np.ndarray, settings: ShowClipsSettings) -> Image.Image:
    """Enlarge a (H, W, 3) uint8 picture by the whole factor that brings its shorter side to ``min_side``."""
    image = Image.fromarray(np.ascontiguousarray(frame))
    factor = -(-settings.min_side // min(image.size))
    if factor <= 1:
        return image
    method = {"nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS}[settings.enlarge]
    return image.resize((image.width * factor, image.height * factor), method)


def _write(
    canvas: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, faint: bool = False
) -> None:
    """Write text of this size whose left end and middle height lie at ``place``."""
    canvas.text(place, text, fill=FAINT if faint else INK, font=ImageFont.load_default(size), anchor="lm")


def _text_size(clips: Sequence[ShownClip], settings: ShowClipsSettings) -> int:
    """Return letters that stay readable when a sheet of these clips is shrunk to a page."""
    heights = [enlarge_frame(shown.original[0], settings).height for shown in clips]
    return max(TEXT, max(heights) // 9)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def side_by_side(clips: Iterable[ShownClip], settings: ShowClipsSettings) -> Iterator[np.ndarray]:
    """Draw every frame of the clips with the original left and the decoded one right.

    Yields
    ------
    (height, width, 3) uint8, equal for all when the clips are; a line above names the halves and the time
    """
    for shown in clips:
        n_frames = len(shown.original)
        begin = shown.clip * n_frames / settings.fps
        for original, decoded in zip(shown.original, shown.decoded, strict=True):
            left, right = enlarge_frame(original, settings), enlarge_frame(decoded, settings)
            line = int(TEXT * LINE_PER_TEXT)
            size = (left.width + GAP + right.width, line + max(left.height, right.height))
            sheet = Image.new("RGB", size, PAPER)
            canvas = ImageDraw.Draw(sheet)
            _write(canvas, (GAP, line / 2), f"original  {_clock(begin)}", TEXT)
            _write(canvas, (left.width + GAP, line / 2), "decoded", TEXT)
            sheet.paste(left, (0, line))
            sheet.paste(right, (left.width + GAP, line))
            yield np.asarray(sheet)


def _strip(shown: ShownClip, settings: ShowClipsSettings, text: int, label_width: int) -> Image.Image:
    """Draw one clip: a line of text, the original frames, the decoded frames."""
    rows = [
        [enlarge_frame(frame, settings) for frame in frames] for frames in (shown.original, shown.decoded)
    ]
    width = label_width + max(sum(image.width + GAP for image in row) for row in rows)
    line = int(text * LINE_PER_TEXT)
    height = line + sum(row[0].height + GAP for row in rows)
    sheet = Image.new("RGB", (width, height), PAPER)
    canvas = ImageDraw.Draw(sheet)
    begin = shown.clip * len(shown.original) / settings.fps
    title = f"{shown.movie}, clip {shown.clip} ({_clock(begin)})"
    if shown.score is not None:
        title += f"   {settings.metric} {shown.score:.3f}"
    _write(canvas, (label_width, line / 2), title, text)
    top = line
    for label, row in zip(ROW_LABELS, rows, strict=True):
        _write(canvas, (0, top + row[0].height / 2), label, text, faint=True)
        left = label_width
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width + GAP
        top += row[0].height + GAP
    return sheet


def film_strips(clips: Sequence[ShownClip], settings: ShowClipsSettings, title: str) -> np.ndarray:
    """Draw a sheet of film strips: for each clip its original frames above its decoded ones.

    Parameters
    ----------
    clips : at least one
    settings : columns, size
    title : first line of the sheet

    Returns
    -------
    (height, width, 3) uint8 RGB
    """
    text = _text_size(clips, settings)
    font, line = ImageFont.load_default(text), int(text * LINE_PER_TEXT)
    label_width = int(max(font.getlength(label) for label in ROW_LABELS)) + 2 * GAP
    strips = [_strip(shown, settings, text, label_width) for shown in clips]
    columns = min(settings.columns, len(strips))
    rows = [strips[start : start + columns] for start in range(0, len(strips), columns)]
    cell_width = max(strip.width for strip in strips) + MARGIN
    heights = [max(strip.height for strip in row) + MARGIN for row in rows]
    size = (MARGIN + columns * cell_width, 2 * line + MARGIN + sum(heights))
    sheet = Image.new("RGB", size, PAPER)
    _write(ImageDraw.Draw(sheet), (MARGIN, MARGIN + line / 2), title, text)
    top = 2 * line + MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, strip in enumerate(row):
            sheet.paste(strip, (MARGIN + column * cell_width, top))
        top += height
    return np.asarray(sheet)
