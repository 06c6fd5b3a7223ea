"""Steps of phases 1, 2a and 2b at the published size and batch, with random weights and data, on this GPU.

The trainings' own loop and settings (bf16 autocast, fused attention and optimiser, checkpointing), as written
and compiled, each in a process of its own. One line each: median time of a step, peak memory, and operations
per second as a share of what a large bf16 matrix product reaches in the same process; what checkpointing
computes twice is counted once:

    python bench/gpu_steps.py

Where a batch does not fit, --batch takes another; --device cpu tries the program out.
"""

import argparse
import dataclasses
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch
from cost_model import decoder_cost, encoder_cost, prior_cost
from published_size import PHASES

from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.train.loop import Trainer

COSTS = {"1": encoder_cost, "2a": lambda n_vertices: prior_cost(), "2b": decoder_cost}


def wait(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def ceiling(size: int, device: str) -> float:
    """Operations per second of the best of ten products of two square bf16 matrices."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(11):  # the first is slow
        wait(device)
        started = time.perf_counter()
        left @ right
        wait(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def step_flops(phase: str, n_vertices: int, batch: int) -> float:
    """Operations of one step, forward and backward, without what checkpointing repeats."""
    with torch.device("meta"):
        cost = COSTS[phase](n_vertices)
    return cost.flops * batch / PHASES[phase][1].batch_size


def peak_memory(device: str) -> float:
    """Most memory so far, GB: of the GPU, else of this process."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def run(phase: str, compiled: bool, given: argparse.Namespace) -> None:
    """Do some steps and print what one took."""
    make, published = PHASES[phase]
    batch = given.batch or published.batch_size
    settings = dataclasses.replace(published, batch_size=batch, compile=compiled, tensorboard=False)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as state:
        trainer = Trainer(
            make(settings, given.vertices, batch), settings, 0, Path(state), "bench", given.device
        )
        trainer.model.train()
        started = time.perf_counter()
        trainer.train_step()  # compiles, and finds the fastest convolutions
        wait(given.device)
        first, times = time.perf_counter() - started, []
        for _ in range(given.steps):
            started = time.perf_counter()
            trainer.train_step()
            wait(given.device)
            times.append(time.perf_counter() - started)
        loss = trainer.check_losses()["loss"]
    seconds, peak = statistics.median(times), peak_memory(given.device)
    reached, best = step_flops(phase, given.vertices, batch) / seconds, ceiling(given.product, given.device)
    print(
        f"phase {phase}, batch {batch}, {'compiled' if compiled else 'as written'}: "
        f"{1000 * seconds:.0f} ms a step ({min(times) * 1000:.0f} to {max(times) * 1000:.0f}; the first took "
        f"{first:.0f} s), {reached / 1e12:.3g} TFLOP/s, {reached / best:.0%} of the {best / 1e12:.3g} of a "
        f"product of {given.product}, peak memory {peak:.1f} GB, loss {loss:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phase", choices=PHASES, action="append", help="default: all, one after the other")
    parser.add_argument("--compiled", choices=["no", "yes"], action="append", help="default: both")
    parser.add_argument("--batch", type=int, help="default: the published one of each phase")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    parser.add_argument("--product", type=int, default=8192, help="side of the matrices of the ceiling")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    given = parser.parse_args()
    given.vertices = given.vertices or len(select_vertices(SelectVerticesSettings()).area)
    spawn = multiprocessing.get_context("spawn")
    failed = []
    for phase in given.phase or PHASES:
        for compiled in given.compiled or ("no", "yes"):
            process = spawn.Process(target=run, args=(phase, compiled == "yes", given))
            process.start()
            process.join()
            failed += [f"{phase} ({compiled})"] if process.exitcode else []
    if failed:
        raise SystemExit(f"failed: phase (compiled) {', '.join(failed)}")


if __name__ == "__main__":
    main()
