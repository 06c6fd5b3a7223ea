"""Memory of pretrain_encoder for few and for many shards, and the speed at which it reads samples.

Writes shards as preprocess_hcp does and pretrains a small encoder on the first few, then on all of them, each
time for as many steps as an epoch of all has. Prints the highest memory of each run, what the shards take on
disk, and the samples read per second in the shuffled order of an epoch; ends with an error if memory grows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from neurocine.io import write_arrays
from neurocine.seeds import numpy_generator
from neurocine.train.shards import Shards

PROGRAM = Path(__file__).parents[1] / "workflow_scripts" / "pretrain_encoder.py"
ALLOWED = 1.05  # times the memory for the fewest shards
NETWORK = {
    "patch": 64, "depth": 1, "width": 16, "heads": 2, "decoder_width": 16, "decoder_depth": 1,
    "decoder_heads": 2, "precision": "no", "self_weight": 0, "cross_weight": 0, "warmup_steps": 0,
    "validate_every": 0, "tensorboard": False,
}  # fmt: skip


def peak_memory(shards: list[Path], settings: dict[str, object], folder: Path) -> float:
    """Pretrain and return the highest memory of the process, MB."""
    command = [sys.executable, str(PROGRAM), "--shards", *map(str, shards), "--train-movies"]
    command += ["--seed", "0", "--device", "cpu"]
    command += ["--settings", json.dumps(settings), "--state", str(folder / "state"), "--out", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said)
    return usage.ru_maxrss / 1000


def reading_speed(shards: list[Path], in_memory: int, batch_size: int) -> float:
    """Read an epoch in its order; return samples per second."""
    data = Shards(shards, in_memory)
    order = data.epoch_order(len(data), 0, 0)
    began = time.perf_counter()
    for rows in order.split(batch_size):
        data.rows(rows)
    return len(data) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[2, 20, 200])
    parser.add_argument("--samples", type=int, default=120, help="of a shard; 120 per rest run in HCP 3T")
    parser.add_argument("--vertices", type=int, default=8153, help="those of visual27")
    parser.add_argument("--in-memory", type=int, default=2, help="shards_in_memory of pretrain_encoder")
    parser.add_argument("--batch-size", type=int, default=100)
    arguments = parser.parse_args()
    counts = sorted(arguments.shards)
    with tempfile.TemporaryDirectory() as name:
        folder, shards = Path(name), []
        for number in range(counts[-1]):
            shape = (arguments.samples, arguments.vertices)
            values = numpy_generator(number).standard_normal(shape, np.float32)
            shards.append(folder / f"{number:04d}.safetensors")
            write_arrays(shards[-1], {"bold": values}, {"step": "preprocess_hcp", "computed_from": []})
        size = shards[0].stat().st_size / 1e6
        batch = min(arguments.batch_size, counts[0] * arguments.samples)
        steps = counts[-1] * arguments.samples // batch
        settings = {**NETWORK, "shards_in_memory": arguments.in_memory, "batch_size": batch, "steps": steps}
        memory = {}
        for count in counts:
            memory[count] = peak_memory(shards[:count], settings, folder / f"run{count}")
            text = f"{count:4d} shards, {count * size:5.0f} MB on disk: {memory[count]:5.0f} MB of memory"
            print(text, flush=True)
        speed = reading_speed(shards, arguments.in_memory, batch)
        print(f"{speed:.0f} samples read per second, {speed * 4e-6 * arguments.vertices:.0f} MB/s")
    growth = memory[counts[-1]] / memory[counts[0]]
    print(f"memory for {counts[-1]} shards is {growth:.2f} times that for {counts[0]}")
    if growth > ALLOWED:
        raise SystemExit("memory grows with the number of shards")


if __name__ == "__main__":
    main()
