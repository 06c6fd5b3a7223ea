"""Explicit random generators: one per purpose, derived from the seed in the config and names."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """Mix a seed with names into a 63-bit seed that does not depend on the order of other draws."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return NumPy's generator for this purpose."""
    return np.random.default_rng(derive_seed(seed, *names))


def torch_generator(seed: int, *names: str | int, device: str = "cpu") -> "torch.Generator":
    """Return torch's generator for this purpose."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))


@contextlib.contextmanager
def seeded_weights(seed: int, *names: str | int) -> Iterator[None]:
    """Make the networks built in this block start from weights of their own seed.

    Layers draw their first weights from torch's global generator, whose state differs from process to
    process. After the block it is as it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *names))
        yield
