"""The frame asked for by time is the frame returned, in every container and however the file tells times."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from coded_movies import HEIGHT, WIDTH, coded_frame, read_numbers, write_coded_movie

from neurocine.errors import InputError
from neurocine.stimuli.video import _Rotation, _rotation, read_all_frames, read_frames_at, video_info

RATE = Fraction(10)  # a frame lasts 100 ms, which every time base here holds exactly
N_FRAMES = 40
STEADY = [100 * k for k in range(N_FRAMES)]
# The last steps are steady: an AVI does not tell when the frames came that leave the decoder last.
VARYING = np.cumsum([0] + [100, 300, 100, 700, 100] * 7 + [100] * 4).tolist()
HIDDEN = 500  # ms in front of a movie that its edit list hides
# AVI has neither a display matrix nor edit lists, Matroska no edit lists; VP9 in WebM has no B-frames.
CASES = [
    (suffix, b_frames, times, turned, hidden)
    for suffix in (".mp4", ".mov", ".mkv", ".webm", ".avi")
    for b_frames in ((0,) if suffix == ".webm" else (0, 2))
    for times in (STEADY, VARYING)
    for turned in ((0,) if suffix == ".avi" else (0, 90, 180, 270))
    for hidden in ((0, HIDDEN) if suffix in (".mp4", ".mov") else (0,))
]


def case_name(case: tuple[str, int, list[int], int, int]) -> str:
    suffix, b_frames, times, turned, hidden = case
    rate = "steady" if times is STEADY else "varying"
    return f"{suffix[1:]}-{b_frames}b-{rate}-{turned}" + ("-edit" if hidden else "")


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_frame_asked_for_is_returned(tmp_path: Path, case: tuple[str, int, list[int], int, int]) -> None:
    suffix, b_frames, times, turned, hidden = case
    stamps = [time - hidden for time in times]
    movie = write_coded_movie(tmp_path / f"movie{suffix}", N_FRAMES, RATE, stamps, b_frames, turned)
    shown = [k for k, stamp in enumerate(stamps) if stamp >= 0]
    starts = np.array([stamps[k] for k in shown])
    start = starts[0]
    asked = np.sort(np.concatenate([starts, starts + 40, starts + 90])) - start
    expected = [max(k for k in shown if stamps[k] - start <= time) for time in asked]
    frames = read_frames_at(movie, asked / 1000)
    assert frames.shape[1:] == (HEIGHT, WIDTH, 3)
    assert read_numbers(frames).tolist() == expected
    assert read_numbers(read_all_frames(movie)).tolist() == shown
    info = video_info(movie)
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.duration == pytest.approx((starts[-1] - start + 100) / 1000, abs=0.002)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_length_that_no_header_states_is_found_by_decoding(tmp_path: Path, suffix: str) -> None:
    movie = write_coded_movie(tmp_path / f"live{suffix}", 30, RATE, container={"live": "1"})
    with av.open(str(movie)) as container:
        assert container.duration is None
        assert container.streams.video[0].duration is None
    assert video_info(movie).duration == pytest.approx(3.0, abs=0.002)
    assert read_numbers(read_frames_at(movie, [0, 1.05, 2.95])).tolist() == [0, 10, 29]


def write_with_sound(path: Path, picture_late: Fraction, sound_seconds: int = 2) -> Path:
    """Write ten frames of 0.1 s, beside sound that starts so much (s) before them."""
    with av.open(str(path), "w") as movie:
        picture = movie.add_stream("libx264", rate=RATE, options={"bf": "2"})
        picture.pix_fmt, picture.height, picture.width = "yuv420p", HEIGHT, WIDTH
        sound = movie.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for first in range(0, 16000 * sound_seconds, 1024):
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            noise.rate, noise.pts, noise.time_base = 16000, first, Fraction(1, 16000)
            movie.mux(sound.encode(noise))
        for number in range(10):
            frame = VideoFrame.from_ndarray(coded_frame(number), format="rgb24")
            frame.pts, frame.time_base = number + int(picture_late * RATE), 1 / RATE
            movie.mux(picture.encode(frame))
        movie.mux(picture.encode(None))
        movie.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_time_counts_from_sound_that_starts_first(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    late = write_with_sound(tmp_path / f"late{suffix}", Fraction(1, 2))
    with caplog.at_level(logging.WARNING):
        frames = read_frames_at(late, [0, 0.45, 0.65, 0.75, 1.35])
    assert read_numbers(frames).tolist() == [0, 0, 1, 2, 8]
    assert "the picture starts 0.5" in caplog.text
    assert video_info(late).duration == pytest.approx(1.5, abs=0.07)
    caplog.clear()
    together = write_with_sound(tmp_path / f"together{suffix}", Fraction(0))
    assert read_numbers(read_frames_at(together, [0, 0.1, 0.95])).tolist() == [0, 1, 9]
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_goes_on_longer_does_not_make_a_movie_cut_short(tmp_path: Path, suffix: str) -> None:
    movie = write_with_sound(tmp_path / f"long{suffix}", Fraction(0), sound_seconds=6)
    assert video_info(movie).duration == pytest.approx(1.0, abs=0.002)


def test_frames_stored_in_another_order_than_their_times(tmp_path: Path) -> None:
    """An AVI put into Matroska as it is has times in the order of storing."""
    source = write_coded_movie(tmp_path / "movie.avi", N_FRAMES, RATE, b_frames=2)
    remuxed = tmp_path / "movie.mkv"
    with av.open(str(source)) as read, av.open(str(remuxed), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    assert read_numbers(read_all_frames(remuxed)).tolist() == list(range(N_FRAMES))
    middles = np.arange(N_FRAMES) / 10 + 0.05
    assert read_numbers(read_frames_at(remuxed, middles)).tolist() == list(range(N_FRAMES))


def test_a_stream_without_times_is_refused(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "movie.h264", 10, RATE)
    with pytest.raises(InputError, match=r"without the times of its frames.*ffmpeg -framerate"):
        read_frames_at(movie, [0])


def test_every_display_matrix_of_quarter_turns_and_mirrors() -> None:
    """Against the definition, pixel by pixel: column p, row q goes to column ap + cq, row bp + dq."""
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    for a, b, c, d in [(s, 0, 0, t) for s in (1, -1) for t in (1, -1)] + [
        (0, s, t, 0) for s in (1, -1) for t in (1, -1)
    ]:
        places = {(a * p + c * q, b * p + d * q): picture[q, p] for q in range(2) for p in range(3)}
        left, top = min(x for x, _ in places), min(y for _, y in places)
        expected = np.zeros((2, 3, 3) if a else (3, 2, 3), np.uint8)
        for (x, y), pixel in places.items():
            expected[y - top, x - left] = pixel
        turned = _Rotation(not a, (d if a else b) < 0, (a if a else c) < 0)
        np.testing.assert_array_equal(turned.apply(picture), expected)


def test_a_slanted_picture_is_refused(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "movie.mp4", 3, RATE, turned=90)
    content = bytearray(movie.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 4 + 20 + 16  # version 0: times, number, duration, layer and volume
    slanted = np.array([56756, 32768, 0, -32768, 56756], ">i4").tobytes()  # 30 degrees, 16.16
    content[matrix : matrix + len(slanted)] = slanted
    movie.write_bytes(content)
    with pytest.raises(InputError, match=r"shown slanted.*upright"):
        read_frames_at(movie, [0])
    upright = write_coded_movie(tmp_path / "upright.mp4", 3, RATE)
    with av.open(str(upright)) as container:
        assert _rotation(next(container.decode(video=0)), upright) == _Rotation()
