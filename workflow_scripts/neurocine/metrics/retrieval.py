"""Find the training clip whose embedding is nearest to a predicted one."""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class RetrieveClipsSettings:
    """Settings of ``retrieve_clips``."""

    batch_size: int = 64  # windows per pass of the encoder
    device: str = "auto"  # auto, cpu or cuda

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, must be at least 1")


def nearest(predicted: Tensor, candidates: Tensor) -> np.ndarray:
    """Return the candidate with the highest cosine for each prediction.

    Parameters
    ----------
    predicted : (n, E)
    candidates : (m, E)

    Returns
    -------
    (n,) i64; the first of equal ones
    """
    unit = F.normalize(predicted.float(), dim=-1)
    return (unit @ F.normalize(candidates.float(), dim=-1).T).argmax(dim=1).numpy()
