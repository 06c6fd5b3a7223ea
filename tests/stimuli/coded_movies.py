"""Movies whose frames carry their own number as black and white bars, which survive compression."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

N_BITS = 10
BAR = 8  # pixels, width of a bar
HEIGHT, WIDTH = 16, N_BITS * BAR
MILLISECOND = Fraction(1, 1000)


def coded_frame(number: int) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 whose bars are the bits of the number, lowest first."""
    bits = (number >> np.arange(N_BITS)) & 1
    return np.broadcast_to(np.repeat(bits * 255, BAR)[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)


def read_numbers(frames: np.ndarray) -> np.ndarray:
    """Read the numbers of (..., H, W, 3) frames of any size back."""
    width = frames.shape[-2] // N_BITS
    centres = np.arange(N_BITS) * width + width // 2
    bits = frames[..., frames.shape[-3] // 2, centres, 0] > 127
    return (bits << np.arange(N_BITS)).sum(-1)


def write_coded_movie(
    path: Path,
    n_frames: int,
    fps: Fraction,
    times: Sequence[int] | None = None,
    b_frames: int = 2,
    turned: int = 0,
    codec: str | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """Write frames 0, 1, ... with B-frames, as real movies have.

    Parameters
    ----------
    times : of the frames in ms, which makes the rate vary
    turned : degrees by which the pictures are stored turned counterclockwise; the file says how to show them
    container : options of the container
    """
    codec = codec or ("libvpx-vp9" if path.suffix == ".webm" else "libx264")
    # AVI counts time in frames.
    base = 1 / fps if times is None or path.suffix == ".avi" else MILLISECOND
    stamps = range(n_frames) if times is None else [int(time * MILLISECOND / base) for time in times]
    options = {"crf": "20", "g": "30"} | ({"b": "0"} if codec != "libx264" else {"bf": str(b_frames)})
    with av.open(str(path), "w", options=container or {}) as movie:
        stream = movie.add_stream(codec, rate=fps, options=options)
        height, width = np.rot90(coded_frame(0), turned // 90).shape[:2]
        stream.pix_fmt, stream.height, stream.width = "yuv420p", height, width
        if turned:
            stream.set_display_rotation(-turned)
        if times is not None:
            stream.codec_context.time_base = base
        for number in range(n_frames):
            picture = np.ascontiguousarray(np.rot90(coded_frame(number), turned // 90))
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamps[number], base
            movie.mux(stream.encode(frame))
        movie.mux(stream.encode(None))
    return path
