"""The shifted control and the choice of clips by hand."""

import numpy as np
import pytest

from neurocine.conditions.fmri import shift_within_movies, shuffled_rows
from neurocine.diffusion.conditions import clips_to_decode, source_clips
from neurocine.errors import InputError


def movies() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = {"seg1": 4, "seg2": 3}
    return {name: random.normal(size=(n, 5)).astype(np.float32) for name, n in sizes.items()}


def test_shift_rotates_each_movie_for_itself() -> None:
    bold = movies()
    shifted = shift_within_movies(bold, 2)
    assert np.array_equal(shifted["seg1"][2], bold["seg1"][0])
    assert np.array_equal(shifted["seg2"][0], bold["seg2"][1])
    with pytest.raises(InputError, match="seg2"):
        shift_within_movies(bold, 6)


def test_sources_are_the_clips_whose_fmri_a_control_decodes() -> None:
    bold = {name: np.arange(n, dtype=np.float32)[:, None] for name, n in (("seg1", 70), ("seg2", 65))}
    clips = [(name, index) for name, samples in bold.items() for index in range(len(samples))]
    found = source_clips("shifted", clips, 30, 0)
    for name, samples in shift_within_movies(bold, 30).items():
        np.testing.assert_array_equal(found[name], samples[:, 0])
    shuffled = source_clips("shuffled", clips, 30, 4)
    rows = shuffled_rows(clips, 4)
    assert [clips[row] for row in rows] == [(name, i) for name in bold for i in shuffled[name].tolist()]
    assert source_clips("fmri", clips, 30, 0) == source_clips("noise", clips, 30, 0) == {}


def test_every_counts_from_the_start_of_each_movie() -> None:
    clips = [(name, index) for name in ("test1", "test2") for index in range(5)]
    chosen = [clips[row] for row in clips_to_decode(clips, 2)]
    assert chosen == [(name, index) for name in ("test1", "test2") for index in (0, 2, 4)]
    assert clips_to_decode(clips, 1) == list(range(10))
