"""Dependent noise: Gaussian noise whose frames share a part."""

import torch
from torch import Tensor


def require_noise_ratio(ratio: float) -> None:
    """Check that a ratio can be the correlation of frames.

    Raises
    ------
    ValueError : ratio outside [0, 1]
    """
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"the noise ratio is {ratio}; it is a correlation between frames and lies in [0, 1]")


def dependent_noise(
    shape: tuple[int, ...],
    ratio: float,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw noise of unit variance whose frames correlate: eps_j = sqrt(ratio) shared + sqrt(1 - ratio) own_j.

    Numbers are drawn on the generator's device (the CPU if none is given) and then moved, so one CPU
    generator gives the same noise on every device.

    Parameters
    ----------
    shape : (B, C, F, h, w), clips, latent channels, frames, height, width
    ratio : correlation of any two frames (beta of the paper), in [0, 1]; 0 is independent noise, 1 makes
        all frames equal
    generator : source of the random numbers
    device, dtype : of the result

    Returns
    -------
    (B, C, F, h, w)

    Raises
    ------
    ValueError : ratio outside [0, 1] or shape without a frame axis

    Source: NeuroCine (arXiv 2402.01590) section 3.3, eq. 7; roots keep the variance at one.
    """
    require_noise_ratio(ratio)
    if len(shape) != 5:
        raise ValueError(f"noise of shape {tuple(shape)} requested; expected (B, C, F, h, w)")
    clips, channels, _, height, width = shape
    source = generator.device if generator is not None else "cpu"
    shared = torch.randn(clips, channels, 1, height, width, generator=generator, device=source)
    own = torch.randn(shape, generator=generator, device=source)
    return (ratio**0.5 * shared + (1.0 - ratio) ** 0.5 * own).to(device=device, dtype=dtype)
