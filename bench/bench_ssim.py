"""SSIM of all pairs of clips by matrix products against one scikit-image call per pair and frame.

Prints seconds of both for the same pairs, their ratio and the largest difference; ends with an error if that
exceeds 1e-6. The permutation null needs all pairs.
"""

import argparse
import time

import numpy as np
import torch
from skimage.metrics import structural_similarity

from neurocine.metrics.ssim import ssim_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the other side has one thread too
    shape = (2, arguments.clips, arguments.frames, arguments.size, arguments.size, 3)
    predicted, truth = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    started = time.perf_counter()
    fast = ssim_pairs(predicted, truth, arguments.device)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    slow = np.zeros_like(fast)
    for i, j in np.ndindex(*slow.shape):
        for frame in range(arguments.frames):
            first, second = predicted[i, frame], truth[j, frame]
            slow[i, j] += structural_similarity(first, second, channel_axis=-1, data_range=255)
    slow /= arguments.frames
    slow_seconds = time.perf_counter() - started
    difference = np.abs(fast - slow).max()
    print(f"loop {slow_seconds:.1f} s, pairs {seconds:.2f} s, ratio {slow_seconds / seconds:.0f}")
    print(f"largest difference {difference:.1e}")
    if difference > 1e-6:
        raise SystemExit("SSIM of pairs differs from scikit-image")


if __name__ == "__main__":
    main()
