"""A start for the position tables of small vision transformers."""

import numpy as np
import torch
from torch import Tensor

AMPLITUDE = 0.3  # about the size of an untrained patch embedding of these frames
BASE = 100.0  # ratio of the longest to the shortest period


@torch.no_grad()
def start_positions_(table: Tensor, side: int) -> None:
    """Overwrite a table (1 + side * side, width) of class token and patches with 2-D sines and cosines.

    The published models learn their table from noise of 0.02, which millions of images allow. Here that noise
    hides where a patch is: after 1500 steps, direction of motion was still named at chance.
    """
    rates = BASE ** -(np.arange(table.shape[1] // 4) / (table.shape[1] // 4))
    place = np.arange(side)[:, None] * rates
    axis = np.concatenate([np.sin(place), np.cos(place)], axis=1)  # (side, width / 2)
    rows, columns = np.repeat(axis, side, axis=0), np.tile(axis, (side, 1))
    table[0] = 0
    table[1:] = torch.from_numpy(AMPLITUDE * np.concatenate([rows, columns], axis=1)).to(table)
