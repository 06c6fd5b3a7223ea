"""A small training step with and without `neurocine.cli.keep_freed_memory`, each in a process of its own.

glibc gives tensors over 32 MB back to the kernel and gets them anew, page by page. Prints milliseconds per
step and the page faults of both, and their ratio; ends with an error if the two do not give the same losses.
"""

import argparse
import json
import os
import subprocess
import sys


def train(keep: bool, steps: int, batch_size: int, width: int) -> None:
    """Time steps of a network whose activations are large tensors; print a line of JSON."""
    import resource
    import time

    import torch
    from torch import nn

    from neurocine.cli import keep_freed_memory

    if keep:
        keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
    model = nn.Sequential(*layers, nn.Conv2d(width, 4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    data = torch.randn(batch_size, 4, 64, 64)
    losses, started, faults = [], 0.0, 0
    for step in range(-2, steps):
        if step == 0:  # the first steps fill the heap in both
            started, faults = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        loss = (model(data) - data).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    seconds = (time.perf_counter() - started) / steps
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) // steps
    print(json.dumps({"seconds": seconds, "faults": faults, "losses": losses}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--only", choices=("keep", "default"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        train(arguments.only == "keep", arguments.steps, arguments.batch_size, arguments.width)
        return
    found = {}
    for _ in range(arguments.rounds):
        for kind in ("default", "keep"):  # in turns, so that both meet the same machine
            command = [sys.executable, *sys.argv, "--only", kind]
            run = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
            result = json.loads(run.stdout)
            if kind not in found or result["seconds"] < found[kind]["seconds"]:
                found[kind] = result
    for kind, result in found.items():
        print(f"{kind:8s} {1000 * result['seconds']:7.0f} ms and {result['faults']:7d} page faults per step")
    share = 1 - found["keep"]["seconds"] / found["default"]["seconds"]
    ratio = found["default"]["seconds"] / found["keep"]["seconds"]
    print(f"ratio {ratio:.2f}: page faults take {100 * share:.0f} % of a step")
    if found["keep"]["losses"] != found["default"]["losses"]:
        raise SystemExit("the losses differ")


if __name__ == "__main__":
    main()
