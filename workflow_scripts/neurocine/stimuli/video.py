"""Movies in and out: the frame on screen at a given time, facts about a movie, and small H.264 files."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from neurocine.errors import InputError
from neurocine.io import replacing

Resize = Literal["stretch", "center_crop"]
EXACT_SECONDS = 1e-6  # slack for times that are binary fractions, where the time base is exact
COARSE_TICK = 2e-3  # a time base finer than this rounds times by half a tick; a coarser one is 1 / fps, exact

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a movie's first video stream."""

    n_frames: int
    fps: float  # frames per second, mean over the movie
    duration: float  # seconds, of the video stream
    width: int  # pixels
    height: int  # pixels


def _unreadable(path: Path, found: str) -> InputError:
    expected = "a complete movie (mp4) with a video stream"
    return InputError(path, found, expected, "Copy or download the movie again.")


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise InputError(path, "no such file", "a movie (mp4)", "Put the movie there or correct data_dir.")
    if path.stat().st_size == 0:
        raise _unreadable(path, "an empty file")
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, f"a file that cannot be read as a movie ({error.strerror})") from None


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        container.close()
        raise _unreadable(path, "a file without a video stream")
    return container.streams.video[0]


def _time_base(stream: VideoStream, path: Path) -> Fraction:
    """Return the seconds per tick of the stream's presentation times."""
    if stream.time_base is None:
        raise _unreadable(path, "a video stream without a time base")
    return stream.time_base


def _stream_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the length in seconds that the header states, or None."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _end_decodes(container: InputContainer, stream: VideoStream, base: Fraction, seconds: float) -> bool:
    """Tell whether the stated end can be decoded; a file cut short has a header but no end."""
    start = stream.start_time or 0
    last = None
    try:
        container.seek(start + int(max(seconds - 0.5, 0.0) / base), stream=stream)
        for frame in container.decode(stream):
            last = frame
    except av.error.FFmpegError:
        return False
    if last is None or last.pts is None:
        return False
    # Two frames of slack: the header's length may include the last frame's own duration, rounded.
    slack = 2.5 / float(stream.average_rate or 25)
    return float((last.pts - start) * base) > seconds - slack


def video_info(path: Path) -> VideoInfo:
    """Read size, rate and length of a movie from its header, and check that its end is there.

    Only the last group of pictures is decoded, so this takes milliseconds for any length.

    Parameters
    ----------
    path : movie file

    Raises
    ------
    InputError : missing, empty, unreadable or truncated file, or no video stream
    """
    path = Path(path)
    with _open(path) as container:
        stream = _video_stream(container, path)
        seconds = _stream_seconds(container, stream)
        rate = stream.average_rate or stream.guessed_rate
        if not seconds or not rate:
            raise _unreadable(path, "a movie whose header states no length or frame rate")
        n_frames = stream.frames or round(seconds * rate)
        info = VideoInfo(n_frames, float(rate), seconds, stream.width, stream.height)
        if not _end_decodes(container, stream, _time_base(stream, path), seconds):
            raise _unreadable(path, f"a movie cut short: the header states {seconds:.2f} s, the end is gone")
        return info


def _time_slack(time_base: Fraction) -> float:
    """Return by how many seconds a presentation time may exceed the asked time, for rounding alone."""
    return float(time_base) / 2 if time_base < COARSE_TICK else EXACT_SECONDS


def _frames_with_end(
    container: InputContainer, stream: VideoStream, path: Path
) -> Iterator[tuple[VideoFrame, float]]:
    """Yield each frame in presentation order with the time (s) at which the next one replaces it.

    Times count from the first frame. The last frame ends after its own duration.
    """
    rate = float(stream.average_rate or 25)
    base = _time_base(stream, path)
    previous: VideoFrame | None = None
    first: int | None = None
    n_damaged = 0
    stream.thread_type = "AUTO"
    try:
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            first = frame.pts if first is None else first
            n_damaged += frame.is_corrupt
            if previous is not None:
                yield previous, float((frame.pts - first) * base)
            previous = frame
    except av.error.FFmpegError as error:
        raise _unreadable(path, f"a movie that cannot be decoded ({error.strerror})") from None
    if previous is not None and previous.pts is not None and first is not None:
        seconds = float(previous.duration * base) if previous.duration else 1.0 / rate
        yield previous, float((previous.pts - first) * base) + seconds
    if n_damaged:
        log.warning("%s: %d frames are damaged and were concealed by the decoder", path, n_damaged)


def resize_image(
    image: Image.Image, size: tuple[int, int] | None, resize: Resize = "stretch", pixel_aspect: float = 1.0
) -> Image.Image:
    """Resize with an antialiased Lanczos filter; an image that has the size already is unchanged.

    Parameters
    ----------
    image : RGB picture
    size : (height, width) in pixels, None to keep the size
    resize : "stretch" changes the aspect ratio, "center_crop" keeps it and cuts the longer sides
    pixel_aspect : width of a stored pixel over its height (anamorphic movies), used by center_crop
    """
    if size is None:
        return image
    height, width = size
    left, top, right, bottom = 0.0, 0.0, float(image.width), float(image.height)
    if resize == "center_crop":
        keep_width = min(right, bottom * width / height / pixel_aspect)
        keep_height = min(bottom, right * pixel_aspect * height / width)
        left, top = (right - keep_width) / 2, (bottom - keep_height) / 2
        right, bottom = left + keep_width, top + keep_height
    if (image.width, image.height) == (width, height) == (right - left, bottom - top):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, right, bottom))


def read_frames_at(
    path: Path,
    times_s: Sequence[float] | np.ndarray,
    size: tuple[int, int] | None = None,
    resize: Resize = "stretch",
) -> np.ndarray:
    """Read the frames that are on screen at the given times, in one pass through the movie.

    A frame is on screen from its presentation time until the next frame's; time 0 is the first frame. This
    holds for any frame rate, also a variable one. Only the frames that are kept are converted and resized.

    Parameters
    ----------
    path : movie file
    times_s : (n,), seconds from the first frame, in ascending order
    size : (height, width) of the result, None for the movie's own
    resize : see ``resize_image``

    Returns
    -------
    (n, height, width, 3) uint8, RGB

    Raises
    ------
    InputError : missing, empty, unreadable, truncated or too short movie
    ValueError : negative or descending times
    """
    path = Path(path)
    times = np.asarray(times_s, dtype=np.float64)
    if times.size and (times[0] < 0 or np.any(np.diff(times) < 0)):
        raise ValueError("times must not be negative and must ascend")
    frames: list[np.ndarray] = []
    end = 0.0
    with _open(path) as container:
        stream = _video_stream(container, path)
        slack = _time_slack(_time_base(stream, path))
        pixel_aspect = float(stream.sample_aspect_ratio or 1)
        for frame, end in _frames_with_end(container, stream, path):
            if len(frames) == len(times):
                break
            shown = int(np.searchsorted(times, end - slack)) - len(frames)
            if shown > 0:
                image = resize_image(frame.to_image(), size, resize, pixel_aspect)
                frames.extend([np.asarray(image)] * shown)
    if len(frames) < len(times):
        raise InputError(
            path,
            f"{end:.3f} s of frames that can be decoded",
            f"more than {times[-1]:.3f} s",
            "Copy the movie again if it is cut short, or ask for fewer or shorter clips.",
        )
    return np.stack(frames) if frames else np.zeros((0, *(size or (0, 0)), 3), np.uint8)


def _even(frame: np.ndarray) -> np.ndarray:
    """Repeat the last row or column where a side is odd: yuv420p stores colour for 2 x 2 pixels."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float | Fraction, crf: int = 18) -> None:
    """Write an mp4 that every browser plays: H.264, yuv420p, index in front.

    Parameters
    ----------
    path : file to write, ends in .mp4
    frames : (n, height, width, 3) uint8 RGB, an array or an iterator; odd sides get one repeated line
    fps : frames per second
    crf : x264 quality, 0 lossless to 51; 18 looks like the original

    Raises
    ------
    ValueError : no frame, or frames that are not uint8 RGB
    """
    rate = Fraction(fps).limit_denominator(1001)
    n_frames = 0
    index_first = {"movflags": "faststart"}
    # Equal frames must give equal bytes: x264's macroblock tree depends on what its memory held before.
    options = {"crf": str(crf), "x264-params": "mbtree=0"}
    with replacing(Path(path)) as temporary, av.open(str(temporary), "w", options=index_first) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # the number of threads changes the bytes
        for n_frames, frame in enumerate(frames, 1):
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                raise ValueError(f"frames must be uint8 (height, width, 3), not {frame.dtype} {frame.shape}")
            pixels = _even(frame)
            if n_frames == 1:
                stream.height, stream.width = pixels.shape[:2]
            container.mux(stream.encode(VideoFrame.from_ndarray(pixels, format="rgb24")))
        if not n_frames:
            raise ValueError("a video needs at least one frame")
        container.mux(stream.encode(None))
