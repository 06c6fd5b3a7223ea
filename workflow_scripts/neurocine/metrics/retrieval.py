"""Find the training clip whose embedding is nearest to a predicted one."""

from typing import Annotated

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from neurocine.settings import Count, Settings, Unit


class RetrieveClipsSettings(Settings):
    """How clips are retrieved."""

    batch_size: Annotated[Count, Unit("windows")] = 64
    """The encoder sees this many windows of fMRI per pass."""


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
