"""One optimiser step of each phase at the published size, with random weights and data, on this CPU.

Batch 1 (2 contrasted items in phases 0 and 1), 6 frames of 256 x 256, the networks, tasks and settings of the
workflow (bf16 autocast, checkpointing). Each phase runs in a process of its own, so that its peak memory can
be read; prints one line per phase and ends with an error if a phase needs more than --limit-gb, or if a
trained weight got no gradient:

    python bench/real_size_step.py
"""

import argparse
import multiprocessing
import resource
import sys
import time

import torch
from published_size import PHASES
from torch import nn

from neurocine.fmri.vertices import SelectVerticesSettings, select_vertices
from neurocine.models.checkpointing import set_checkpointing
from neurocine.seeds import torch_generator

BATCH = {"0": 2, "1": 2, "2a": 1, "2b": 1}  # one clip has no others to contrast with


def without_gradient(model: nn.Module) -> list[str]:
    """Name trained parameters that have no gradient."""
    return [name for name, value in model.named_parameters() if value.requires_grad and value.grad is None]


def run(phase: str, n_vertices: int, limit_gb: float) -> None:
    """Do one step and print what it took."""
    batch = BATCH[phase]
    make, settings = PHASES[phase]
    torch.manual_seed(0)
    task = make(settings, n_vertices, batch, "cpu")
    set_checkpointing(task.model, "all")
    model = task.model.train()
    optimiser = torch.optim.AdamW(task.parameter_groups(), lr=settings.learning_rate, betas=settings.betas)
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = task.loss(model, torch.arange(batch), torch_generator(0, "step"))
    loss.backward()
    missing = without_gradient(model)
    norm = nn.utils.clip_grad_norm_(
        [p for p in model.parameters() if p.requires_grad], settings.gradient_clip
    )
    optimiser.step()
    seconds = time.perf_counter() - started
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    )
    total = sum(value.numel() for value in model.parameters()) / 1e6
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad) / 1e6
    print(
        f"phase {phase}: {total:.1f} M parameters, {trained:.1f} M trained, batch {batch}, "
        f"loss {loss.item():.3f}, gradient norm {norm.item():.2f}, {seconds:.0f} s, "
        f"peak memory {peak:.1f} GB",
        flush=True,
    )
    if missing or not torch.isfinite(loss) or not 0 < norm.item() < float("inf"):
        raise SystemExit(f"phase {phase}: no gradient or none that is finite {missing[:5]}")
    if peak > limit_gb:
        raise SystemExit(f"phase {phase}: {peak:.1f} GB, more than {limit_gb:g} GB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phase", choices=PHASES, action="append", help="default: all, one after the other")
    parser.add_argument("--vertices", type=int, help="of one frame (default: those of select_vertices)")
    parser.add_argument("--limit-gb", type=float, default=20.0)
    arguments = parser.parse_args()
    n_vertices = arguments.vertices or len(select_vertices(SelectVerticesSettings()).area)
    spawn = multiprocessing.get_context("spawn")
    failed = []
    for phase in arguments.phase or PHASES:
        process = spawn.Process(target=run, args=(phase, n_vertices, arguments.limit_gb))
        process.start()
        process.join()
        failed += [phase] if process.exitcode else []
    if failed:
        raise SystemExit(f"failed: phase {', '.join(failed)}")


if __name__ == "__main__":
    main()
