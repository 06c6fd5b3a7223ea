"""Attention for any number of sequences: plain arithmetic over few tokens, PyTorch's kernels over many.

The attention kernels of GPUs take one sequence per block and no more than 65,535 of them, and are made for
hundreds of tokens. Attention over the frames of a window or clip has two to eight tokens and a sequence for
every place of every window, which is a hundred thousand at the published batch.
"""

import functools
import logging
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

log = logging.getLogger(__name__)
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
FEW = 16  # tokens, at most, that are attended to without a kernel made for attention
GRID = 65_535  # CUDA's largest grid in y and z, so the most sequences of one call
PRODUCTS = 2**26  # products held at once where nothing fuses them: 256 MB
COMPILED_SIZES = 64  # sizes of heads, tokens and widths that one process may compile


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in each of N sequences: softmax(query key^T / sqrt(d)) value.

    CPUs use PyTorch's attention for all lengths, which is as fast there.

    Parameters
    ----------
    query : (N, heads, n, d), any floating dtype
    key, value : (N, heads, m, d)

    Returns
    -------
    (N, heads, n, d)
    """
    few = max(query.shape[2], key.shape[2]) <= FEW
    if not few or query.device.type == "cpu":
        return in_chunks(F.scaled_dot_product_attention, GRID, query, key, value)
    if torch.compiler.is_compiling():  # part of a larger graph, which fuses it
        return attend_to_few(query, key, value)
    # The compiler chooses by timing how a sum is split up, so another run may have other bits.
    exact = torch.are_deterministic_algorithms_enabled()
    compiled = None if exact else compiled_attention(query.device.type)
    if compiled is None:
        products = math.prod(query.shape[1:]) * key.shape[2]
        return in_chunks(attend_to_few, max(PRODUCTS // products, 1), query, key, value)
    return compiled(query, key, value)


def attend_to_few(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Do what `attend` does by products and sums in float32 (or float64), which a compiler fuses.

    Without a compiler the products, (N, heads, n, m, d), are held in memory.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    queries, keys, values = query.to(dtype), key.to(dtype), value.to(dtype)
    scores = (queries.unsqueeze(3) * keys.unsqueeze(2)).sum(-1) / math.sqrt(query.shape[3])
    weights = scores.softmax(-1)  # (N, heads, n, m)
    return (weights.unsqueeze(4) * values.unsqueeze(2)).sum(3).to(query.dtype)


def in_chunks(run: Attend, size: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend in at most ``size`` sequences at a time; shapes as in `attend`, (N, heads, n or m, d)."""
    if len(query) <= size:
        return run(query, key, value)
    parts = zip(query.split(size), key.split(size), value.split(size), strict=True)
    return torch.cat([run(*part) for part in parts])


def compile_attention(backend: str = "inductor") -> Attend:
    """Compile `attend_to_few`: a program per size of heads, tokens and width, for any number of sequences."""
    # Static sizes make the faster programs, so there are some: four levels, with and without gradients.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, COMPILED_SIZES)
    program = torch.compile(attend_to_few, dynamic=False, backend=backend)

    def run(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        for tensor in (query, key, value):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return program(query, key, value)

    return run


@functools.cache
def compiled_attention(device_type: str) -> Attend | None:
    """Return `compile_attention` for a kind of device, or None where no compiler works (tried once)."""
    if device_type != "cuda":
        return None
    compiled = compile_attention()
    trial = torch.ones(3, 1, 2, 8, device=device_type, requires_grad=True)
    try:
        compiled(trial, trial, trial).sum().backward()
    except Exception as error:  # of Triton, of the C compiler it calls, or of the driver
        log.warning("attention over few tokens is not compiled here, which is slower: %s", error)
        return None
    return compiled
