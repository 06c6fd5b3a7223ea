"""Windows of fMRI against slow loops, and the window of the training mean by hand."""

import numpy as np
import pytest
import torch

from neurocine.fmri.windows import Direction, FmriWindows, mean_window, window_index

T, V = 12, 4
ROWS = torch.tensor([5, 3, 0, 6])


def movies(repeats: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = {"seg1": 4, "seg2": 3}
    return {name: random.normal(size=(repeats, n, 5)).astype(np.float32) for name, n in sizes.items()}


def cut(samples: np.ndarray, n_trs: int, direction: Direction = "forward") -> np.ndarray:
    """Windows (T, w, V) of one movie's samples (T, V), one sample after the other."""
    start = {"forward": 0, "backward": -(n_trs - 1), "centred": -((n_trs - 1) // 2)}[direction]
    places = range(len(samples))
    return np.array(
        [[samples[min(max(t + start + k, 0), len(samples) - 1)] for k in range(n_trs)] for t in places]
    )


@pytest.mark.parametrize("n_trs", [1, 2, 3, 15])
@pytest.mark.parametrize("direction", ["forward", "backward", "centred"])
def test_windows_equal_a_loop(n_trs: int, direction: Direction) -> None:
    samples = np.random.default_rng(0).normal(size=(T, V)).astype(np.float32)
    np.testing.assert_array_equal(samples[window_index(T, n_trs, direction)], cut(samples, n_trs, direction))
    made = FmriWindows({"seg1": samples[None]}, n_trs, direction)
    np.testing.assert_array_equal(made.take(torch.arange(T)), cut(samples, n_trs, direction))


def test_forward_window_by_hand() -> None:
    assert window_index(4, 2).tolist() == [[0, 1], [1, 2], [2, 3], [3, 3]]
    for bad in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            window_index(4, bad)


@pytest.mark.parametrize("n_trs", [1, 2, 3])
def test_windows_are_those_of_each_movie(n_trs: int) -> None:
    samples = movies()
    made = FmriWindows(samples, n_trs)
    slow = np.concatenate([cut(movie[0], n_trs) for movie in samples.values()])
    assert torch.equal(made.take(ROWS), torch.from_numpy(slow[ROWS.numpy()]))
    assert made.clips == (*(("seg1", index) for index in range(4)), *(("seg2", index) for index in range(3)))
    assert len(made) == 7
    assert made.movie.tolist() == [0] * 4 + [1] * 3
    assert made.clip.tolist() == [0, 1, 2, 3, 0, 1, 2]
    means = FmriWindows.of_means({movie: values[0] for movie, values in samples.items()}, n_trs)
    assert torch.equal(means.take(ROWS), made.take(ROWS))
    assert means.clips == made.clips


def test_a_generator_draws_repeats_and_without_one_they_are_averaged() -> None:
    samples = {**movies(repeats=2), "seg3": movies()["seg2"]}  # the last has one repeat
    made = FmriWindows(samples, 2)
    by_repeat = [cut(samples["seg2"][repeat], 2) for repeat in range(2)]
    row = torch.tensor([4 + 1])  # clip 1 of seg2
    torch.testing.assert_close(made.take(row)[0].numpy(), (by_repeat[0][1] + by_repeat[1][1]) / 2)
    generator = torch.Generator().manual_seed(0)
    draws = [made.take(row, generator)[0].numpy() for _ in range(40)]
    counts = [sum(np.array_equal(draw, repeat[1]) for draw in draws) for repeat in by_repeat]
    assert sum(counts) == 40
    assert min(counts) > 8
    last = torch.tensor([len(made.clips) - 1])
    assert np.array_equal(made.take(last, generator)[0], cut(samples["seg3"][0], 2)[-1])


def test_mean_window_is_the_mean_of_all_training_samples() -> None:
    bold = {name: samples[0] for name, samples in movies().items()}
    expected = np.concatenate(list(bold.values())).mean(0)
    assert mean_window(bold, 2).shape == (2, 5)
    np.testing.assert_allclose(mean_window(bold, 2), [expected, expected], rtol=1e-5, atol=1e-6)
