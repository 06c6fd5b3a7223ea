"""fMRI as the condition of the diffusion model: windows per clip, the null window, and controls."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.fmri.assemble import Direction, training_statistics, window_index
from neurocine.seeds import numpy_generator
from neurocine.stimuli.cached import Clip

# What a decoder is given. fmri: as recorded. shifted: rotated in time. shuffled: windows in random order.
# mean: the training mean throughout, which is the null condition. noise: white noise of the training's size.
CONDITIONS = ("fmri", "shifted", "shuffled", "mean", "noise")
FAR_TR = 15  # TR, least distance of a shuffled window from its clip; a quarter of a shorter movie


def mean_window(bold: Mapping[str, np.ndarray], width: int) -> np.ndarray:
    """Average training fMRI over all TRs and repeat it, (w, V) float32; its encoding is the null condition.

    Parameters
    ----------
    bold : training movies, each (T, V)
    width : w

    Source: docs/method.md, "Sampling"; the training mean, because test data must not shape the decoder.
    """
    total = np.sum([movie.sum(0, dtype=np.float64) for movie in bold.values()], axis=0)
    mean = total / sum(map(len, bold.values()))
    return np.repeat(mean[None].astype(np.float32), width, axis=0)


def shift_within_movies(bold: Mapping[str, np.ndarray], shift: int) -> dict[str, np.ndarray]:
    """Rotate each movie's fMRI in time, so that it keeps its statistics but belongs to other clips.

    Parameters
    ----------
    bold : movies, each (T, V)
    shift : TR; sample t moves to t + shift, and past the end to the start

    Raises
    ------
    InputError : the shift is a whole number of a movie's lengths and would change nothing
    """
    for movie, samples in bold.items():
        if shift % len(samples) == 0:
            raise InputError(
                "shift_tr",
                f"{shift}, which moves the {len(samples)} TR of {movie} onto themselves",
                "a shift that is no multiple of a movie's length",
                "Change shift_tr of decode.",
            )
    return {movie: np.roll(samples, shift, axis=0) for movie, samples in bold.items()}


def far_permutation(n: int, distance: int, generator: np.random.Generator) -> np.ndarray:
    """Draw an order of n things in which each is at least ``distance`` from its place, (n,) i64.

    Raises
    ------
    InputError : there is none, or none was found in many draws
    """
    order = generator.permutation(n)
    places = np.arange(n)
    for _ in range(1000):
        near = np.flatnonzero(np.abs(order - places) < distance)
        if not len(near):
            return order
        for place in near:
            other = generator.integers(n)
            order[[place, other]] = order[[other, place]]
    raise InputError(
        "a movie", f"{n} clips", f"an order that moves each by {distance}", "Take shuffled out of conditions."
    )


def shuffled_rows(clips: Sequence[Clip], seed: int) -> np.ndarray:
    """Give every clip the row of another one of its movie, far away in time: (n_clips,) i64.

    Whole windows are exchanged, so each is a possible piece of fMRI, and each is used once.
    """
    rows = np.arange(len(clips))
    for movie in dict.fromkeys(name for name, _ in clips):
        here = np.flatnonzero([name == movie for name, _ in clips])
        generator = numpy_generator(seed, "decode", "shuffled", movie)
        rows[here] = here[far_permutation(len(here), max(1, min(FAR_TR, len(here) // 4)), generator)]
    return rows


def control_fmri(
    condition: str, test: Mapping[str, np.ndarray], training: Mapping[str, np.ndarray], shift: int, seed: int
) -> dict[str, np.ndarray]:
    """Make the samples that a condition decodes.

    Parameters
    ----------
    condition : one of `CONDITIONS`; "shuffled" exchanges windows, not samples (`shuffled_rows`)
    test, training : movies, each (T, V) float32
    shift : TR, of "shifted"
    seed : of "noise"

    Returns
    -------
    test movies, each (T, V) float32
    """
    if condition == "shifted":
        return shift_within_movies(test, shift)
    if condition not in ("mean", "noise"):
        return dict(test)
    mean, std = training_statistics(list(training.values()))
    made = {}
    for movie, samples in test.items():
        made[movie] = np.repeat(mean[None], len(samples), axis=0)
        if condition == "noise":
            generator = numpy_generator(seed, "decode", "noise", movie)
            made[movie] += std * generator.standard_normal(samples.shape, dtype=np.float32)
    return made


class FmriWindows:
    """Windows of fMRI for the clips of several movies, cut when asked for.

    Parameters
    ----------
    samples : movies, each (n, T, V): the mean over repeats (n = 1), or single repeats
    width : w
    direction : see `neurocine.fmri.assemble.window_index`

    Attributes
    ----------
    clips : id of every clip, in the order of the movies
    """

    def __init__(
        self, samples: Mapping[str, np.ndarray], width: int, direction: Direction = "forward"
    ) -> None:
        self.clips: tuple[Clip, ...] = tuple(
            (movie, index) for movie, repeats in samples.items() for index in range(repeats.shape[1])
        )
        lengths = [repeats.shape[1] for repeats in samples.values()]
        counts = [len(repeats) for repeats in samples.values()]
        starts = np.cumsum([0, *(length * count for length, count in zip(lengths, counts, strict=True))])[:-1]
        n_vertices = next(iter(samples.values())).shape[2]
        flat = np.concatenate([repeats.reshape(-1, n_vertices) for repeats in samples.values()])
        self.table = torch.from_numpy(np.ascontiguousarray(flat, np.float32))  # all samples of all repeats
        inside = np.concatenate([window_index(length, width, direction) for length in lengths])
        self.first = torch.from_numpy(inside + np.repeat(starts, lengths)[:, None])  # rows of repeat 0
        self.length = torch.from_numpy(np.repeat(lengths, lengths))
        self.n_repeats = torch.from_numpy(np.repeat(counts, lengths))

    def take(self, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the windows (n, w, V) of these clips.

        Parameters
        ----------
        rows : (n,) i64
        generator : draws one repeat per clip; without it, repeats are averaged
        """
        first, length, count = self.first[rows], self.length[rows], self.n_repeats[rows]
        if generator is None:
            return torch.stack([self._mean(*clip) for clip in zip(first, length, count, strict=True)])
        repeat = (torch.rand(len(rows), generator=generator) * count).long()
        return self.table[first + (repeat * length)[:, None]]

    def _mean(self, first: Tensor, length: Tensor, count: Tensor) -> Tensor:
        return self.table[first + torch.arange(int(count))[:, None] * length].mean(0)


def clips_to_decode(clips: Sequence[Clip], every: int) -> list[int]:
    """Return the rows of each k-th clip of a movie: those whose index is a multiple of ``every``."""
    return [row for row, (_, index) in enumerate(clips) if index % every == 0]
