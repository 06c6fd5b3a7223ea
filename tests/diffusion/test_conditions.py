"""fMRI windows against slow loops; the null window and the shifted control by hand."""

import numpy as np
import pytest
import torch

from neurocine.diffusion.conditions import FmriWindows, clips_to_decode, mean_window, shift_within_movies
from neurocine.errors import InputError
from neurocine.fmri.assemble import windows


def movies(repeats: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = {"seg1": 4, "seg2": 3}
    return {name: random.normal(size=(repeats, n, 5)).astype(np.float32) for name, n in sizes.items()}


@pytest.mark.parametrize("width", [1, 2, 3])
def test_windows_are_those_of_each_movie(width: int) -> None:
    samples = movies()
    made = FmriWindows(samples, width)
    slow = np.concatenate([windows(movie[0], width) for movie in samples.values()])
    rows = torch.tensor([5, 3, 0, 6])
    assert torch.equal(made.take(rows), torch.from_numpy(slow[rows.numpy()]))
    assert made.clips == (*(("seg1", index) for index in range(4)), *(("seg2", index) for index in range(3)))


def test_training_draws_repeats_and_validation_averages_them() -> None:
    samples = {**movies(repeats=2), "seg3": movies()["seg2"]}  # the last has one repeat
    made = FmriWindows(samples, 2)
    by_repeat = [windows(samples["seg2"][repeat], 2) for repeat in range(2)]
    row = torch.tensor([4 + 1])  # clip 1 of seg2
    torch.testing.assert_close(made.take(row)[0].numpy(), (by_repeat[0][1] + by_repeat[1][1]) / 2)
    generator = torch.Generator().manual_seed(0)
    draws = [made.take(row, generator)[0].numpy() for _ in range(40)]
    counts = [sum(np.array_equal(draw, repeat[1]) for draw in draws) for repeat in by_repeat]
    assert sum(counts) == 40
    assert min(counts) > 8
    last = torch.tensor([len(made.clips) - 1])
    assert np.array_equal(made.take(last, generator)[0], windows(samples["seg3"][0], 2)[-1])


def test_mean_window_is_the_mean_of_all_training_samples() -> None:
    bold = {name: samples[0] for name, samples in movies().items()}
    expected = np.concatenate(list(bold.values())).mean(0)
    assert mean_window(bold, 2).shape == (2, 5)
    np.testing.assert_allclose(mean_window(bold, 2), [expected, expected], rtol=1e-5, atol=1e-6)


def test_shift_rotates_each_movie_for_itself() -> None:
    bold = {name: samples[0] for name, samples in movies().items()}
    shifted = shift_within_movies(bold, 2)
    assert np.array_equal(shifted["seg1"][2], bold["seg1"][0])
    assert np.array_equal(shifted["seg2"][0], bold["seg2"][1])
    with pytest.raises(InputError, match="seg2"):
        shift_within_movies(bold, 6)


def test_every_counts_from_the_start_of_each_movie() -> None:
    clips = [(name, index) for name in ("test1", "test2") for index in range(5)]
    chosen = [clips[row] for row in clips_to_decode(clips, 2)]
    assert chosen == [(name, index) for name in ("test1", "test2") for index in (0, 2, 4)]
    assert clips_to_decode(clips, 1) == list(range(10))
