"""Windows of fMRI, one per clip: what all trainings, decoding, retrieval and attention take."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neurocine.naming import Clip

Direction = Literal["forward", "backward", "centred"]


def window_index(n_samples: int, n_trs: int, direction: Direction = "forward") -> np.ndarray:
    """Which samples each window holds; at the movie's ends the first or last one is repeated.

    Parameters
    ----------
    n_samples : T of one movie
    n_trs : w, samples per window
    direction : forward t...t+w-1 (NeuroCine section 3.1), backward t-w+1...t, or centred t-(w-1)//2...

    Returns
    -------
    (T, w) int64; window t belongs to clip t
    """
    if n_trs < 1 or n_samples < 1:
        raise ValueError(f"n_trs is {n_trs}, n_samples is {n_samples}; both must be at least 1")
    before = {"forward": 0, "backward": n_trs - 1, "centred": (n_trs - 1) // 2}[direction]
    return np.clip(np.arange(n_samples)[:, None] + np.arange(n_trs) - before, 0, n_samples - 1)


def mean_window(bold: Mapping[str, np.ndarray], n_trs: int) -> np.ndarray:
    """Average training fMRI over all TRs and repeat it, (w, V) float32; its encoding is the null condition.

    Parameters
    ----------
    bold : training movies, each (T, V)
    n_trs : w

    Source: docs/method.md, "Sampling"; the training mean, because test data must not shape the decoder.
    """
    total = np.sum([movie.sum(0, dtype=np.float64) for movie in bold.values()], axis=0)
    mean = total / sum(map(len, bold.values()))
    return np.repeat(mean[None].astype(np.float32), n_trs, axis=0)


class FmriWindows:
    """Windows of fMRI for the clips of several movies, cut when asked for.

    Parameters
    ----------
    samples : movies, each (n, T, V): the mean over repeats (n = 1), or single repeats
    n_trs : w
    direction : see `window_index`

    Attributes
    ----------
    clips : id of every clip, in the order of the movies
    movies : names of the movies
    movie, clip : (n_clips,) i64, index of each clip's movie in ``movies``, and of the clip in its movie
    table : (n_rows, V) f32, all samples of all repeats of all movies
    """

    def __init__(
        self, samples: Mapping[str, np.ndarray], n_trs: int, direction: Direction = "forward"
    ) -> None:
        lengths = [repeats.shape[1] for repeats in samples.values()]
        counts = [len(repeats) for repeats in samples.values()]
        self.movies = tuple(samples)
        self.movie = torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths))
        self.clip = torch.from_numpy(np.concatenate([np.arange(length) for length in lengths]))
        self.clips: tuple[Clip, ...] = tuple(
            (movie, index) for movie, length in zip(samples, lengths, strict=True) for index in range(length)
        )
        n_vertices = next(iter(samples.values())).shape[2]
        flat = np.concatenate([repeats.reshape(-1, n_vertices) for repeats in samples.values()])
        self.table = torch.from_numpy(np.ascontiguousarray(flat, np.float32))
        starts = np.cumsum([0, *(length * count for length, count in zip(lengths, counts, strict=True))])[:-1]
        inside = np.concatenate([window_index(length, n_trs, direction) for length in lengths])
        self._first = torch.from_numpy(inside + np.repeat(starts, lengths)[:, None])  # rows of repeat 0
        self._length = torch.from_numpy(np.repeat(lengths, lengths))
        self._n_repeats = torch.from_numpy(np.repeat(counts, lengths))

    @classmethod
    def of_means(cls, bold: Mapping[str, np.ndarray], n_trs: int) -> "FmriWindows":
        """Windows of movies that have one sample per TR, (T, V) each."""
        return cls({movie: samples[None] for movie, samples in bold.items()}, n_trs)

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the windows (n, w, V) of these clips.

        Parameters
        ----------
        rows : (n,) i64
        generator : draws one repeat per clip; without it, repeats are averaged
        """
        first, length, count = self._first[rows], self._length[rows], self._n_repeats[rows]
        if generator is not None:
            repeat = (torch.rand(len(rows), generator=generator) * count).long()
            return self.table[first + (repeat * length)[:, None]]
        if (count == 1).all():
            return self.table[first]
        return torch.stack([self._mean(*clip) for clip in zip(first, length, count, strict=True)])

    def _mean(self, first: Tensor, length: Tensor, count: Tensor) -> Tensor:
        return self.table[first + torch.arange(int(count))[:, None] * length].mean(0)
