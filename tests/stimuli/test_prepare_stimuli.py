"""Clips of movies: which frames, which movies are refused, what the file holds."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from coded_movies import read_numbers, write_coded_movie

import prepare_stimuli as program
from neurocine.datasets.base import Movie
from neurocine.errors import InputError
from neurocine.io import open_arrays, read_arrays
from neurocine.stimuli.cached import movies_in
from neurocine.stimuli.prepare import PrepareStimuliSettings, clip_times, prepare_movie

SMALL = PrepareStimuliSettings(clips_per_movie=3, height=8, width=40)


def texts(*names: str) -> list[str]:
    return [Movie(name, 3, 2.0).text() for name in names]


def test_movies_may_have_clips_of_their_own(tmp_path: Path) -> None:
    """Number and length of clips differ between movies; names are not those of the files."""
    videos = [write_coded_movie(tmp_path / f"{name}.mp4", 180, Fraction(30)) for name in ("x", "y")]
    settings = PrepareStimuliSettings(fps=6.0, height=8, width=40)
    movies = [Movie("movie_A", 4, 1.0), Movie("movie-B", 2, 1.5)]
    out = tmp_path / "out.safetensors"
    program.main(videos=videos, movies=[movie.text() for movie in movies], settings=settings, out=out)
    arrays, meta = read_arrays(out)
    assert meta["movies"] == ["movie_A", "movie-B"]
    expected = {"movie_A": (4, 30), "movie-B": (2, 45)}
    for name, (clips, length) in expected.items():
        numbers = [[length * clip + 5 * frame for frame in range(6)] for clip in range(clips)]
        assert read_numbers(arrays[name]).tolist() == numbers


def test_published_sampling() -> None:
    times = clip_times(Movie("seg1", 240, 2.0), PrepareStimuliSettings())
    assert times.shape == (240, 6)
    np.testing.assert_allclose(times[7] * 30, 7 * 60 + np.array([0, 10, 20, 30, 40, 50]))


def test_clips_hold_frames_0_10_50(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "seg1.mp4", 230, Fraction(30))  # longer than 3 clips
    clips = prepare_movie(movie, Movie("seg1", 3, 2.0), SMALL)
    assert clips.shape == (3, 6, 8, 40, 3)
    expected = [[60 * clip + 10 * frame for frame in range(6)] for clip in range(3)]
    assert read_numbers(clips).tolist() == expected


def test_program_keeps_the_order_of_movies(tmp_path: Path) -> None:
    names = ["seg10", "seg2"]
    movies = [write_coded_movie(tmp_path / f"{name}.mp4", 180, Fraction(30)) for name in names]
    program.main(videos=movies, movies=texts(*names), settings=SMALL, out=tmp_path / "out.safetensors")
    arrays, meta = read_arrays(tmp_path / "out.safetensors")
    assert meta["movies"] == names
    assert meta["step"] == "prepare_stimuli"
    assert meta["settings"]["frames_per_tr"] == 6
    assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(names, (3, 6, 8, 40, 3))
    with open_arrays(tmp_path / "out.safetensors") as handle:
        assert movies_in(handle) == names


def test_short_movie_is_refused(tmp_path: Path) -> None:
    movie = write_coded_movie(tmp_path / "seg1.mp4", 120, Fraction(30))
    with pytest.raises(InputError, match=r"seg1.mp4.*4\.00 s.*3 clips of 2 s.*take 2 clips"):
        prepare_movie(movie, Movie("seg1", 3, 2.0), SMALL)
    with pytest.raises(InputError, match="different names"):
        program.main(
            videos=[movie, movie], movies=texts("a", "a"), settings=SMALL, out=tmp_path / "out.safetensors"
        )
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    "wrong", [{"fps": 0}, {"height": -1}, {"resize": "squash"}, {"frames_per_tr": 7}, {"clips_per_movie": 0}]
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        PrepareStimuliSettings(**wrong)
