"""The frame on screen at a time, against exact arithmetic on frames that carry their number."""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import VideoFrame
from coded_movies import HEIGHT, WIDTH, coded_frame, read_numbers, write_coded_movie
from PIL import Image

from neurocine.errors import InputError
from neurocine.stimuli.video import read_frames_at, resize_image, video_info, write_video

RATES = [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30)]
# Matroska rounds times to 1 ms, which at 29.97 frames per second is more than frames and thirds differ by.
CASES = [
    (rate, suffix)
    for rate in RATES
    for suffix in (".mp4", ".mkv")
    if suffix == ".mp4" or rate.denominator == 1
]


@pytest.mark.parametrize(("fps", "suffix"), CASES, ids=str)
def test_frame_on_screen(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    movie = write_coded_movie(tmp_path / f"movie{suffix}", math.ceil(8 * fps), fps)
    times = [Fraction(2 * clip) + Fraction(frame, 3) for clip in range(4) for frame in range(6)]
    expected = [math.floor(time * fps) for time in times]
    frames = read_frames_at(movie, [float(time) for time in times])
    assert frames.shape == (24, HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    assert read_numbers(frames).tolist() == expected
    if fps == 30:
        assert expected[:6] == [0, 10, 20, 30, 40, 50]


def test_variable_rate_follows_the_time_stamps(tmp_path: Path) -> None:
    stamps = np.cumsum([0, 40, 10, 200, 33, 33, 500, 20, 40, 40]).tolist()
    movie = write_coded_movie(tmp_path / "movie.mkv", 10, Fraction(30), stamps)
    times = [0, 0.039, 0.041, 0.1, 0.249, 0.251, 0.3, 0.5, 0.817, 0.85]
    expected = [max(k for k in range(10) if stamps[k] <= 1000 * time) for time in times]
    assert read_numbers(read_frames_at(movie, times)).tolist() == expected


def test_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    stamps = list(range(500, 1500, 100))
    movie = write_coded_movie(tmp_path / "movie.mkv", 10, Fraction(10), stamps)
    assert read_numbers(read_frames_at(movie, [0, 0.1, 0.55])).tolist() == [0, 1, 5]


def test_one_frame_asked_for_twice(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "movie.mp4", 10, Fraction(10))
    assert read_numbers(read_frames_at(movie, [0.3, 0.3, 0.35, 0.9])).tolist() == [3, 3, 3, 9]
    assert read_frames_at(movie, []).shape == (0, 0, 0, 3)


def test_resize_stretches_or_crops() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 60, 3), dtype=np.uint8))
    stretched = resize_image(image, (10, 10))
    np.testing.assert_array_equal(stretched, image.resize((10, 10), Image.Resampling.LANCZOS))
    cropped = resize_image(image, (10, 10), "center_crop")
    middle = image.crop((20, 0, 40, 20)).resize((10, 10), Image.Resampling.LANCZOS)
    inner = (slice(None), slice(3, -3))  # near the cut the filter sees the pixels outside
    np.testing.assert_array_equal(np.asarray(cropped)[inner], np.asarray(middle)[inner])
    tall = resize_image(image.transpose(Image.Transpose.ROTATE_90), (10, 20), "center_crop")
    assert tall.size == (20, 10)
    assert resize_image(image, (20, 60)) is image
    # Pixels twice as wide as high: 10 x 20 stored pixels show a square, 5 x 20 a standing 1 : 2.
    anamorphic = resize_image(image, (20, 10), "center_crop", pixel_aspect=2.0)
    expected = image.resize((10, 20), Image.Resampling.LANCZOS, box=(27.5, 0, 32.5, 20))
    np.testing.assert_array_equal(anamorphic, expected)


def test_frames_are_resized(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "movie.mp4", 9, Fraction(3))
    frames = read_frames_at(movie, [0, 1, 2], (8, 40))
    assert frames.shape == (3, 8, 40, 3)
    assert read_numbers(frames).tolist() == [0, 3, 6]
    assert read_frames_at(movie, [0], (8, 8), "center_crop").shape == (1, 8, 8, 3)


def test_written_video_reads_back(tmp_path: Path) -> None:
    smooth = np.linspace(0, 250, 33 * 47 * 3).reshape(33, 47, 3)
    frames = np.stack([smooth * (0.5 + 0.02 * k) for k in range(20)]).astype(np.uint8)
    write_video(tmp_path / "a.mp4", frames, 3)
    info = video_info(tmp_path / "a.mp4")
    assert (info.fps, info.width, info.height) == (3.0, 48, 34)
    assert info.duration == pytest.approx(20 / 3, abs=0.01)
    again = read_frames_at(tmp_path / "a.mp4", np.arange(20) / 3)
    error = np.abs(again[:, :33, :47].astype(int) - frames)
    assert error.mean() < 4
    write_video(tmp_path / "b.mp4", iter(frames), 3)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_29_97_is_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [coded_frame(k) for k in range(30)], 30000 / 1001)
    assert video_info(tmp_path / "a.mp4").fps == pytest.approx(29.97003)


def test_writing_refuses_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_video(tmp_path / "a.mp4", [], 3)
    with pytest.raises(ValueError, match="uint8"):
        write_video(tmp_path / "a.mp4", [np.zeros((4, 4, 3))], 3)
    assert list(tmp_path.iterdir()) == []


def test_bad_movies_are_named(tmp_path: Path) -> None:
    good = write_coded_movie(tmp_path / "good.mp4", 60, Fraction(30))
    write_video(tmp_path / "fast.mp4", [coded_frame(k) for k in range(300)], 30)
    bad = {"missing": None, "empty": b"", "text": b"no movie" * 99}
    bad["headless"] = good.read_bytes()[:-900]  # the index of this file is at its end
    bad["cut"] = (tmp_path / "fast.mp4").read_bytes()[:-3000]  # of this one at its start
    for name, content in bad.items():
        path = tmp_path / f"{name}.mp4"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=f"{name}.mp4"):
            video_info(path)
        with pytest.raises(InputError, match=f"{name}.mp4"):
            read_frames_at(path, [0, 9.9])
    with pytest.raises(InputError, match=r"2\.000 s.*more than 2\.0"):
        read_frames_at(good, [0, 2.0])
    assert len(read_frames_at(good, [1.99])) == 1


def test_a_cover_picture_before_the_movie_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as movie:
        cover = movie.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = movie.add_stream("libx264", rate=10, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        white = VideoFrame.from_ndarray(np.full((64, 64, 3), 255, np.uint8), format="rgb24")
        movie.mux(cover.encode(white.reformat(format="yuvj420p")))
        movie.mux(cover.encode(None))
        for number in range(20):
            movie.mux(stream.encode(VideoFrame.from_ndarray(coded_frame(number), format="rgb24")))
        movie.mux(stream.encode(None))
    np.testing.assert_array_equal(read_numbers(read_frames_at(path, [0.0, 0.55, 1.9])), [0, 5, 19])


def test_a_sound_file_is_no_movie(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="video stream"):
        video_info(tmp_path / "a.wav")


def test_times_must_ascend(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "movie.mp4", 10, Fraction(10))
    with pytest.raises(ValueError, match="ascend"):
        read_frames_at(movie, [0.2, 0.1])
    with pytest.raises(ValueError, match="negative"):
        read_frames_at(movie, [-0.1])
