"""The two augmented views of a window: a spatial mask and temporal interpolation.

Equations: docs/method.md, "The two views".

Both are drawn here as factors, which :class:`neurocine.models.fmri_encoder.FmriEncoder` applies to the patch
embeddings; nothing here touches data.
"""

import torch
from torch import Tensor


def random_order(n_samples: int, n_items: int, generator: torch.Generator) -> Tensor:
    """Return an independent random permutation per sample, (n_samples, n_items) i64."""
    return torch.rand(n_samples, n_items, generator=generator).argsort(dim=1)


def spatial_keep(
    n_samples: int, n_tokens: int, width: int, ratio: float, mode: str, generator: torch.Generator
) -> Tensor:
    """Draw the spatial mask, which differs between samples and is the same in all frames of one.

    Parameters
    ----------
    n_samples : windows, each with a mask of its own
    n_tokens : tokens that a mask covers
    width : features per token
    ratio : share to be masked, gamma_spa; round(ratio n) entries are masked in each sample
    mode : "token" masks whole tokens, "feature" masks features of all tokens (the printed formula)
    generator : draws what is masked

    Returns
    -------
    (n_samples, n_tokens, 1) or (n_samples, 1, width) f32, 0 where masked, else 1
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}, must be in [0, 1]")
    if mode not in ("token", "feature"):
        raise ValueError(f"mode is {mode!r}, not token or feature")
    n_items = n_tokens if mode == "token" else width
    masked = random_order(n_samples, n_items, generator)[:, : round(ratio * n_items)]
    keep = torch.ones(n_samples, n_items).scatter(1, masked, 0.0)
    return keep[:, :, None] if mode == "token" else keep[:, None, :]


def replaced_frames(
    n_samples: int, window: int, ratio: float, min_one: bool, generator: torch.Generator
) -> Tensor:
    """Draw the frames that are interpolated: each with probability ``ratio``, never all of a window.

    Parameters
    ----------
    n_samples : windows
    window : frames of each, w
    ratio : gamma_tem
    min_one : where none was drawn, take one at random; in a window of two exactly one frame is then replaced,
        whatever the ratio
    generator : draws the frames

    Returns
    -------
    (n_samples, window) bool. Where all were drawn, a random one stays: interpolating every frame would, for
    a window of two, only swap them.
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f"ratio is {ratio}, must be in [0, 1]")
    if window < 2:
        raise ValueError("a window of one frame has no neighbours to interpolate from")
    drawn = torch.rand(n_samples, window, generator=generator) < ratio
    chosen = torch.randint(window, (n_samples, 1), generator=generator)
    one = torch.zeros_like(drawn).scatter(1, chosen, True)
    drawn = drawn & ~(drawn.all(dim=1, keepdim=True) & one)
    return drawn | (one & ~drawn.any(dim=1, keepdim=True)) if min_one else drawn


def interpolation_mix(replaced: Tensor, normalise: bool) -> Tensor:
    """Return eq. 1 as a matrix: frame i becomes the sum over j != i of (1 - |i - j| / w) times frame j.

    All replaced frames are interpolated from the original values of the others.

    Parameters
    ----------
    replaced : (n_samples, w) bool
    normalise : divide the weights by their sum; the printed equation does not (for w = 2 it halves)

    Returns
    -------
    (n_samples, w, w) f32, rows of frames that stay are those of the unit matrix
    """
    window = replaced.shape[1]
    frame = torch.arange(window)
    weights = 1 - (frame[:, None] - frame).abs() / window
    weights = weights * (frame[:, None] != frame)
    if normalise:
        weights = weights / weights.sum(dim=1, keepdim=True)
    return torch.where(replaced[:, :, None], weights, torch.eye(window))
