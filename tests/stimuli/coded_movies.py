"""Movies whose frames carry their own number as black and white bars, which survive compression."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

N_BITS = 10
BAR = 8  # pixels, width of a bar
HEIGHT, WIDTH = 16, N_BITS * BAR


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


def write_coded_movie(path: Path, n_frames: int, fps: Fraction, times: list[int] | None = None) -> Path:
    """Write frames 0, 1, ... with B-frames, as real movies have; ``times`` in ms makes the rate vary."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "20", "bf": "2", "g": "30"})
        stream.pix_fmt, stream.height, stream.width = "yuv420p", HEIGHT, WIDTH
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(n_frames):
            frame = VideoFrame.from_ndarray(coded_frame(number), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 1000) if times is not None else 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
