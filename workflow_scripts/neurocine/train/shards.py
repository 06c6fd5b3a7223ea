"""Unlabelled fMRI in many files: a few are in memory at a time, and each is read once per epoch."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurocine.errors import InputError
from neurocine.io import open_arrays
from neurocine.seeds import torch_generator

STATISTICS = ("mean", "std")  # not samples, in files of assemble_train


class Shards:
    """Samples (n, V) spread over files: an array (T, V) per rest subject or per movie.

    Parameters
    ----------
    paths : files of preprocess_hcp, or training files of assemble_train
    in_memory : arrays kept in memory; also how many are mixed with each other in an epoch

    Raises
    ------
    InputError : no file, no samples in one, or another number of vertices
    """

    def __init__(self, paths: Sequence[Path], in_memory: int) -> None:
        self.in_memory = in_memory
        self.sources: list[tuple[Path, str]] = []
        lengths, widths = [], []
        for path in paths:
            with open_arrays(path) as handle:
                shapes = {name: handle.get_slice(name).get_shape() for name in list(handle.keys())}
            names = [name for name, shape in shapes.items() if len(shape) == 2 and name not in STATISTICS]
            if not names:
                raise InputError(
                    path, f"arrays {', '.join(shapes)}", "samples (T, V)", "Give files with fMRI."
                )
            for name in sorted(names):
                self.sources.append((Path(path), name))
                lengths.append(shapes[name][0])
                widths.append(shapes[name][1])
                if widths[-1] != widths[0]:
                    raise InputError(
                        path,
                        f"{widths[-1]} vertices",
                        f"{widths[0]} as in {paths[0]}",
                        "Use the same vertices.",
                    )
        if not self.sources:
            raise InputError("--shards", "no file", "at least one file of preprocess_hcp", "Give some.")
        self.lengths = np.array(lengths, np.int64)
        self.starts = np.concatenate([[0], self.lengths.cumsum()])
        self.n_vertices = int(widths[0])
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _load(self, number: int) -> np.ndarray:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        path, name = self.sources[number]
        with open_arrays(path) as handle:
            array = handle.get_tensor(name).astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise InputError(
                path, f"NaN or infinite values in {name}", "finite values", "Make the file again."
            )
        self._cache[number] = array
        if len(self._cache) > self.in_memory:
            self._cache.popitem(last=False)
        return array

    def place(self, row: int) -> tuple[Path, str, int]:
        """Return file, array and index in it of a sample."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        path, name = self.sources[number]
        return path, name, row - int(self.starts[number])

    def rows(self, rows: Tensor) -> Tensor:
        """Read samples, (n, V) f32."""
        wanted = rows.numpy()
        numbers = np.searchsorted(self.starts, wanted, side="right") - 1
        out = np.empty((len(wanted), self.n_vertices), np.float32)
        for number in np.unique(numbers):
            here = numbers == number
            out[here] = self._load(int(number))[wanted[here] - self.starts[number]]
        return torch.from_numpy(out)

    def epoch_order(self, n_items: int, seed: int, epoch: int) -> Tensor:
        """Shuffle the first ``n_items`` samples: files in random order, then samples within groups of files.

        Returns
        -------
        (n_items,) i64; with no more files than ``in_memory`` a plain permutation
        """
        generator = torch_generator(seed, "shards", epoch)
        order = torch.randperm(len(self.sources), generator=generator).tolist()
        parts = []
        for first in range(0, len(order), self.in_memory):
            group = order[first : first + self.in_memory]
            rows = torch.cat([torch.arange(self.starts[number], self.starts[number + 1]) for number in group])
            rows = rows[rows < n_items]
            parts.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(parts)
