"""A network on a large batch in little memory, for losses that compare all items of the batch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_parts(
    forward: Callable[..., tuple[Tensor, ...]], n_parts: int, *inputs: Tensor | None
) -> tuple[Tensor, ...]:
    """Run a network on parts of a batch and keep no more than its inputs and outputs.

    The backward pass computes each part again just before its gradients, so a step needs the memory of one
    part and one more forward pass. Results and gradients are those of the whole batch.

    Parameters
    ----------
    forward : takes the inputs, whose items it treats each for itself
    n_parts : 1 computes the whole batch at once
    inputs : (B, ...) each, or None

    Returns
    -------
    What ``forward`` returns for the whole batch, (B, ...) each

    Source: GradCache (Gao et al. 2021, arXiv 2101.06983).
    """
    if n_parts == 1 or not torch.is_grad_enabled():
        return forward(*inputs)
    split = [[None] * n_parts if value is None else value.tensor_split(n_parts) for value in inputs]
    results = [checkpoint(forward, *part, use_reentrant=False) for part in zip(*split, strict=True)]
    return tuple(torch.cat(outputs) for outputs in zip(*results, strict=True))
