"""Losses of phases 0 and 1: InfoNCE in its forms, and the masked reconstruction error."""

import torch
import torch.distributed.nn.functional
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor | float,
    *,
    symmetric: bool = True,
    ignored: Tensor | None = None,
) -> Tensor:
    """Contrast matching rows with all other rows of the batch, on unit vectors.

    Parameters
    ----------
    queries, keys : (n, E), row i of one belongs to row i of the other
    scale : 1 / temperature
    symmetric : average the directions query -> key and key -> query; else only the first
    ignored : (n, n) bool, pairs that are no negatives; its diagonal has no effect

    Returns
    -------
    Scalar, mean cross-entropy in nats; chance is ln n
    """
    with torch.autocast(queries.device.type, enabled=False):  # bf16 logits of +-100 would be off by 0.25
        logits = scale * F.normalize(queries.float(), dim=-1) @ F.normalize(keys.float(), dim=-1).T
    labels = torch.arange(len(logits), device=logits.device)
    if ignored is not None:
        off_diagonal = labels[:, None] != labels
        logits = logits.masked_fill(ignored.to(logits.device) & off_diagonal, -torch.inf)
    loss = F.cross_entropy(logits, labels)
    return (loss + F.cross_entropy(logits.T, labels)) / 2 if symmetric else loss


def gather_rows(rows: Tensor) -> Tensor:
    """Join the rows of all processes, so that each contrasts with the whole batch; gradients flow back.

    Of (n, ...) on each of k processes comes (k n, ...) on all.

    Every process then computes the same loss; the average of gradients that data-parallel training takes
    is the gradient of that loss, as on one process.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    return torch.cat(torch.distributed.nn.functional.all_gather(rows))


def retrieval_accuracy(queries: Tensor, keys: Tensor, top: int) -> float:
    """Return how often a query's own key is among the ``top`` most similar of all keys; chance is top / n.

    Equal similarities (two clips with the same caption) count as drawn in random order, exactly.

    Parameters
    ----------
    queries, keys : (n, E), row i of one belongs to row i of the other
    top : a key counts as found among this many
    """
    similar = F.normalize(queries.float(), dim=-1) @ F.normalize(keys.float(), dim=-1).T
    own = similar.diagonal()[:, None]
    # Equal keys give products that differ in the last bits.
    equal = (similar - own).abs() <= 1e-6
    better = ((similar > own) & ~equal).sum(dim=1)
    return float(((top - better) / equal.sum(dim=1)).clamp(0, 1).mean())


def near_in_time(movie: Tensor, clip: Tensor, distance: int) -> Tensor:
    """Return which pairs are clips of one movie at most ``distance`` TRs apart: they show the same scene.

    Parameters
    ----------
    movie, clip : (n,) i64, index of the movie and of the clip in it
    distance : TRs; 0 finds only repetitions of the clip itself

    Returns
    -------
    (n, n) bool
    """
    return (movie[:, None] == movie) & ((clip[:, None] - clip).abs() <= distance)


def masked_error(predicted: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Return the mean squared error over the patches that were not visible.

    Parameters
    ----------
    predicted, target : (B, p, patch)
    visible : (B, k) i64, token indices
    """
    hidden = torch.ones(target.shape[:2], device=target.device).scatter(1, visible, 0.0)
    error = (predicted.float() - target).square().mean(dim=-1)
    return (error * hidden).sum() / hidden.sum()


def double_contrast(
    first: Tensor, second: Tensor, target: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the self- and cross-contrast of DC-MAE: one direction, negatives from the batch.

    Parameters
    ----------
    first, second : (B, p, patch), reconstructions under two masks
    target : (B, p, patch), the original
    temperature : similarities are divided by it

    Returns
    -------
    Self-contrast (each reconstruction against the originals, averaged), cross-contrast (first against second)
    """
    one, two, original = first.flatten(1), second.flatten(1), target.flatten(1)
    scale = 1 / temperature
    own = (
        info_nce(one, original, scale, symmetric=False) + info_nce(two, original, scale, symmetric=False)
    ) / 2
    return own, info_nce(one, two, scale, symmetric=False)
