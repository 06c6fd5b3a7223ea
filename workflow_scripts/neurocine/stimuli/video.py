"""Movies in and out: the frame on screen at a given time, facts about a movie, and small H.264 files."""

import contextlib
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from PIL import Image

from neurocine.errors import InputError
from neurocine.io import replacing

Resize = Literal["stretch", "center_crop"]
EXACT_SECONDS = 1e-6  # slack for times that are binary fractions, where the time base is exact
COARSE_TICK = 2e-3  # a time base finer than this rounds times by half a tick; a coarser one is 1 / fps, exact
REORDERED = 16  # frames; codecs of today store none further from its place in the order of showing
PRIMING = 0.06  # s; sound codecs begin with up to 2112 samples (48 ms at 44.1 kHz) that are not played
END_SECONDS = 0.5  # before the stated end of a movie, from where its end is decoded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a movie's first video stream, as a player shows it."""

    fps: float  # frames per second, mean over the movie
    duration: float  # seconds from the movie's start to the end of its last frame
    width: int  # pixels
    height: int  # pixels


@dataclass(frozen=True)
class ShownFrame:
    """A decoded frame and when it is on screen, in seconds from the movie's start."""

    frame: VideoFrame
    start: float
    end: float


def _unreadable(path: Path, found: str, todo: str = "Copy or download the movie again.") -> InputError:
    return InputError(path, found, "a complete movie (mp4) with a video stream", todo)


def _undecodable(path: Path, error: av.error.FFmpegError) -> InputError:
    return _unreadable(path, f"a movie that cannot be decoded ({error.strerror})")


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise InputError(path, "no such file", "a movie (mp4)", "Put the movie there or correct data_dir.")
    try:
        if path.stat().st_size == 0:
            raise _unreadable(path, "an empty file")
        return av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, f"a file that cannot be read as a movie ({reason})") from None


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    if not container.streams.video:
        container.close()
        raise _unreadable(path, "a file without a video stream")
    # A picture of the cover may come first.
    stream = container.streams.best("video") or container.streams.video[0]
    assert isinstance(stream, VideoStream)
    stream.thread_type = "AUTO"
    return stream


def _time_base(stream: VideoStream, path: Path) -> Fraction:
    """Return the seconds per tick of the stream's presentation times."""
    if stream.time_base is None:
        raise _unreadable(path, "a video stream without a time base")
    return stream.time_base


def _ticks(frame: VideoFrame, stream: VideoStream, base: Fraction) -> int:
    """Return how long a frame is shown by what the file says of it, in ticks of the stream."""
    return frame.duration or round(1 / (stream.average_rate or 25) / base)


def _stamped(container: InputContainer, stream: VideoStream, path: Path) -> Iterator[tuple[VideoFrame, int]]:
    """Decode the frames, in the order of showing, each with its time in ticks as the file has it.

    AVI stores no presentation times and what the library makes up for them is wrong where frames are stored
    in another order than shown. There, as wherever a frame has none, its time is that of the packet that
    brought it out of the decoder: encoder and decoder delay frames by the same number.
    """
    base = _time_base(stream, path)
    has_presentation_times = container.format.name != "avi"
    following: int | None = None
    n_damaged = 0
    for frame in container.decode(stream):
        stamp = frame.pts if has_presentation_times and frame.pts is not None else frame.dts
        stamp = following if stamp is None else stamp  # the last frames leave the decoder without a packet
        if stamp is None:
            todo = "Put it into an mp4 with its frame rate: ffmpeg -framerate RATE -i IN -c copy OUT.mp4"
            raise _unreadable(path, "a video stream without the times of its frames", todo)
        following = stamp + _ticks(frame, stream, base)
        n_damaged += frame.is_corrupt
        yield frame, stamp
    if n_damaged:
        log.warning("%s: %d frames are damaged and were concealed by the decoder", path, n_damaged)


def _in_order(stamped: Iterator[tuple[VideoFrame, int]], path: Path) -> Iterator[tuple[VideoFrame, int]]:
    """Give frames their times in ascending order: some files have them in the order of storing."""
    waiting: deque[VideoFrame] = deque()
    stamps: list[int] = []
    latest: int | None = None
    for pair in itertools.chain(stamped, itertools.repeat(None)):
        if pair is not None:
            waiting.append(pair[0])
            heapq.heappush(stamps, pair[1])
            if len(waiting) <= REORDERED:
                continue
        elif not waiting:
            return
        stamp = heapq.heappop(stamps)
        if latest is not None and stamp < latest:
            todo = "Write it anew with one clock: ffmpeg -fflags +genpts -i IN OUT.mp4"
            raise _unreadable(path, "a movie whose frame times go back", todo)
        latest = stamp
        yield waiting.popleft(), stamp


def _movie_start(
    container: InputContainer, stream: VideoStream, first: int, base: Fraction, path: Path
) -> Fraction:
    """Return the tick at which the movie starts: that of its first frame, or of sound well before it."""
    if not container.streams.audio or container.start_time is None:
        return Fraction(first)
    # The first packet of an AVI brings no frame yet where frames are reordered.
    picture = stream.start_time if container.format.name == "avi" and stream.start_time is not None else first
    lead = picture * base - Fraction(container.start_time, av.time_base)
    if lead <= PRIMING:
        return Fraction(first)
    text = "%s: the picture starts %.3f s after the sound, from which times count, as in a player"
    log.warning(text, path, float(lead))
    return first - lead / base


def shown_frames(path: Path, near_end_of: float | None = None) -> Iterator[ShownFrame]:
    """Decode a movie and yield its frames in the order of showing, each once, with its times.

    The one clock of this project: a frame is on screen from its presentation time until the next one's, and
    the last one for its own duration. Time 0 is the first frame, or the start of a sound that starts well
    before it; until then the first frame stands. This holds for any frame rate, also a variable one, and
    for edit lists, whose hidden frames do not come out of the decoder.

    Parameters
    ----------
    path : movie file
    near_end_of : seconds; yield only frames from about this time on, found by a seek, not by decoding all

    Raises
    ------
    InputError : missing, empty or unreadable file, no video stream, no frame times or times that go back
    """
    with _open(path) as container:
        stream = _video_stream(container, path)
        base = _time_base(stream, path)
        try:
            frames = _in_order(_stamped(container, stream, path), path)
            previous = next(frames, None)
            if previous is None:
                return
            start = _movie_start(container, stream, previous[1], base, path)
            if near_end_of is not None:
                container.seek(int(start + Fraction(max(near_end_of, 0.0)) / base), stream=stream)
                frames = _in_order(_stamped(container, stream, path), path)
                previous = next(frames, previous)
            for frame, stamp in frames:
                yield ShownFrame(
                    previous[0], float((previous[1] - start) * base), float((stamp - start) * base)
                )
                previous = frame, stamp
        except av.error.FFmpegError as error:
            raise _undecodable(path, error) from None
        end = previous[1] + _ticks(previous[0], stream, base)
        yield ShownFrame(previous[0], float((previous[1] - start) * base), float((end - start) * base))


def _packets_end(path: Path, near_end_of: float) -> float:
    """Return when the last packet of any stream ends, in seconds of the container."""
    ends = [0.0]
    with _open(path) as container:
        container.seek(int(max(near_end_of, 0.0) * av.time_base))
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return max(ends)


def _last(frames: Iterable[ShownFrame]) -> ShownFrame | None:
    """Return the last frame, None where nothing can be decoded."""
    last = deque(frames, maxlen=1)
    return last[0] if last else None


def _is_whole(path: Path, stated: float, by_container: bool, picture_end: float, slack: float) -> bool:
    """Tell whether the end that the header states is there; a file cut short has a header but no end."""
    if picture_end > stated - slack:
        return True
    # A container's length is that of its longest stream, which may be the sound.
    try:
        return by_container and _packets_end(path, stated - END_SECONDS) > stated - slack
    except av.error.FFmpegError:
        return False


def _find_end(path: Path, stated: float | None, by_container: bool, slack: float) -> ShownFrame:
    """Return the last frame; decode the whole movie only where its length or end is in doubt."""
    last = None
    if stated:
        with contextlib.suppress(InputError):
            last = _last(shown_frames(path, stated - END_SECONDS))
        if last is not None and last.end > stated - slack:
            return last
    last = _last(shown_frames(path))
    if last is None:
        raise _unreadable(path, "a movie of which no frame can be decoded")
    if stated and not _is_whole(path, stated, by_container, last.end, slack):
        raise _unreadable(path, f"a movie cut short: the header states {stated:.2f} s, the end is gone")
    return last


def video_info(path: Path) -> VideoInfo:
    """Read size, rate and length of a movie, and check that its end is there.

    Where the header states a length only the last group of pictures is decoded, which takes milliseconds;
    the whole movie where it states none, as in recordings of a live stream.

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
        base = _time_base(stream, path)
        by_container = stream.duration is None
        stated = float(stream.duration * base) if stream.duration is not None else None
        if stated is None and container.duration:
            stated = container.duration / av.time_base
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    # Two frames of slack: the header's length may include the last frame's own duration, rounded.
    last = _find_end(path, stated, by_container, slack=2.5 / float(rate))
    turned = _rotation(last.frame, path)
    width, height = last.frame.width, last.frame.height
    return VideoInfo(float(rate), last.end, *((height, width) if turned.transposed else (width, height)))


@dataclass(frozen=True)
class _Rotation:
    """How a stored picture becomes the shown one: rows and columns exchanged, then each reversed or not."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn (height, width, 3)."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        steps = (-1 if self.rows_reversed else 1, -1 if self.columns_reversed else 1)
        return np.ascontiguousarray(picture[:: steps[0], :: steps[1]])


def _rotation(frame: VideoFrame, path: Path) -> _Rotation:
    """Read the display matrix of a frame, by which phones say how the camera was held.

    A stored pixel in column p and row q is shown in column a p + c q and row b p + d q (ISO/IEC 14496-12,
    section 6.2.2).

    Raises
    ------
    InputError : a matrix that turns by something else than quarters
    """
    entries: Any = frame.side_data  # its stub says a mapping, which it is not
    matrices = [bytes(entry) for entry in entries if entry.type == SideDataType.DISPLAYMATRIX]
    if not matrices:
        return _Rotation()
    a, b, _, c, d = np.frombuffer(matrices[0], np.int32, 5).tolist()
    if (a or d) and not (b or c) and a and d:
        return _Rotation(False, d < 0, a < 0)
    if b and c and not (a or d):
        return _Rotation(True, b < 0, c < 0)
    todo = "Write it anew with the picture upright: ffmpeg -i IN OUT.mp4"
    raise _unreadable(path, "a picture that is shown slanted (display matrix)", todo)


def _time_slack(time_base: Fraction) -> float:
    """Return by how many seconds a presentation time may exceed the asked time, for rounding alone."""
    return float(time_base) / 2 if time_base < COARSE_TICK else EXACT_SECONDS


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


def _picture(
    shown: ShownFrame,
    path: Path,
    colours: VideoReformatter,
    size: tuple[int, int] | None,
    resize: Resize,
    pixel_aspect: float,
) -> np.ndarray:
    """Convert a frame to RGB (height, width, 3) uint8, turned as a player shows it, and resize it.

    One converter of colours serves a whole movie: making one takes longer than converting a small frame.
    """
    rotation = _rotation(shown.frame, path)
    picture = rotation.apply(colours.reformat(shown.frame, format="rgb24").to_ndarray())
    aspect = 1 / pixel_aspect if rotation.transposed else pixel_aspect
    return np.asarray(resize_image(Image.fromarray(picture), size, resize, aspect))


def _clock_facts(path: Path) -> tuple[float, float]:
    """Return the slack of the presentation times (s) and the aspect ratio of stored pixels."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        return _time_slack(_time_base(stream, path)), float(stream.sample_aspect_ratio or 1)


def read_frames_at(
    path: Path,
    times_s: Sequence[float] | np.ndarray,
    size: tuple[int, int] | None = None,
    resize: Resize = "stretch",
) -> np.ndarray:
    """Read the frames that are on screen at the given times, in one pass through the movie.

    Times are those of `shown_frames`. Only the frames that are kept are converted, turned and resized.

    Parameters
    ----------
    path : movie file
    times_s : (n,), seconds from the movie's start, in ascending order
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
    slack, pixel_aspect = _clock_facts(path)
    colours = VideoReformatter()
    for shown in shown_frames(path):
        if len(frames) == len(times):
            break
        end = shown.end
        count = int(np.searchsorted(times, end - slack)) - len(frames)
        if count > 0:
            frames.extend([_picture(shown, path, colours, size, resize, pixel_aspect)] * count)
    if len(frames) < len(times):
        raise InputError(
            path,
            f"{end:.3f} s of frames that can be decoded",
            f"more than {times[-1]:.3f} s",
            "Copy the movie again if it is cut short, or ask for fewer or shorter clips.",
        )
    return np.stack(frames) if frames else np.zeros((0, *(size or (0, 0)), 3), np.uint8)


def read_all_frames(path: Path) -> np.ndarray:
    """Read every frame of a movie once, in the order of showing: (n, height, width, 3) uint8 RGB.

    Raises
    ------
    InputError : missing, empty, unreadable movie, or one of which no frame can be decoded
    """
    path = Path(path)
    colours = VideoReformatter()
    frames = [_picture(shown, path, colours, None, "stretch", 1.0) for shown in shown_frames(path)]
    if not frames:
        raise _unreadable(path, "a movie of which no frame can be decoded")
    return np.stack(frames)


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
