"""How well embeddings predicted from fMRI agree with CLIP's: cosine, and identification among other clips."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from neurocine.models.fmri_encoder import FmriEncoder

SCORES = ("cosine", "identification")


@dataclass(frozen=True)
class Targets:
    """CLIP embeddings of the test clips, and which clips may be confused with which.

    Parameters
    ----------
    text, image : (n_clips, E) float32 of unit length: means over a clip's captions and frames
    rivals : (n_clips, n_clips) bool, False for the clip itself and those near it in time
    """

    text: Tensor
    image: Tensor
    rivals: Tensor


def mean_direction(embeddings: np.ndarray) -> Tensor:
    """Average unit vectors: (n_clips, k, E) to (n_clips, E) of unit length."""
    each = F.normalize(torch.from_numpy(embeddings).float(), dim=-1)
    return F.normalize(each.mean(1), dim=-1)


def find_rivals(movie: np.ndarray, clip: np.ndarray, min_distance_tr: int) -> Tensor:
    """Return which clips are alternatives to which, (n, n) bool; near clips show the same scene."""
    near = np.abs(clip[:, None] - clip[None]) < min_distance_tr
    return torch.from_numpy(~((movie[:, None] == movie[None]) & near))


def agreement(predicted: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Score predicted embeddings.

    Parameters
    ----------
    predicted : (n_clips, E), any length
    targets : CLIP embeddings

    Returns
    -------
    (n_clips,) each, means over text and image. cosine: with the clip's own embedding. identification: share
    of rivals that are less similar than the own clip, ties half; chance, and without rivals, 0.5
    """
    unit = F.normalize(predicted.float(), dim=-1)
    cosines, shares = [], []
    for target in (targets.text, targets.image):
        similar = unit @ target.T
        own = similar.diagonal()
        wins = (own[:, None] > similar).float() + 0.5 * (own[:, None] == similar).float()
        cosines.append(own)
        count = targets.rivals.sum(1)
        share = (wins * targets.rivals).sum(1) / count.clamp_min(1)
        shares.append(torch.where(count > 0, share, 0.5))
    return {"cosine": torch.stack(cosines).mean(0), "identification": torch.stack(shares).mean(0)}


@torch.no_grad()
def embed(encoder: FmriEncoder, bold: np.ndarray, occluded: np.ndarray | None, batch_size: int) -> Tensor:
    """Embed windows in CLIP's space, if asked with some vertices at their mean.

    Parameters
    ----------
    encoder : with projection head
    bold : (n_clips, w, V) float32, standardised with training statistics; not changed
    occluded : rows of vertices to set to 0
    batch_size : windows per pass

    Returns
    -------
    (n_clips, E) on the CPU
    """
    device = encoder.pos_embed.device
    parts = []
    for start in range(0, len(bold), batch_size):
        batch = torch.tensor(bold[start : start + batch_size], device=device)
        if occluded is not None:
            batch[..., torch.as_tensor(occluded, device=device)] = 0.0
        parts.append(encoder.embedding(encoder(batch)).float().cpu())
    return torch.cat(parts)
