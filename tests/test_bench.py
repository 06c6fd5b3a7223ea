"""The benchmarks still run: each once, as small as it can be. What they measure then means nothing."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
SMALL = {
    "bench_malloc": "--steps 1 --batch-size 4 --width 32 --rounds 1",
    "bench_n_way": "--clips 40 --frames 2 --classes 200 --repeats 5",
    "bench_score": "--movies 1 --clips 40 --frames 2 --size 32 --threads 1",
    "bench_shards": "--shards 1 2 --samples 4 --vertices 128",
    "bench_ssim": "--clips 2 --size 16",
    "bench_statistics": "--studies 20 --designs toy --kinds scenes",
}


def test_the_page_of_costs_is_what_the_model_prints() -> None:
    run = subprocess.run([sys.executable, str(BENCH / "cost_model.py")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (BENCH.parent / "docs/cost.md").read_text(), (
        "python bench/cost_model.py > docs/cost.md"
    )


def test_all_benchmarks_are_tried() -> None:
    assert {path.stem for path in BENCH.glob("bench_*.py")} == SMALL.keys()


@pytest.mark.parametrize("name", SMALL)
def test_benchmark_runs_and_prints_numbers(name: str) -> None:
    command = [sys.executable, str(BENCH / f"{name}.py"), *SMALL[name].split()]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert any(letter.isdigit() for letter in run.stdout)


def test_trainings_of_published_size_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking a step takes minutes and a GPU's memory (real_size_step, gpu)."""
    monkeypatch.syspath_prepend(BENCH)
    phases = importlib.import_module("published_size").PHASES
    parameters = {}
    for name, (make, settings) in phases.items():
        task = make(settings, 8153, settings.batch_size, "meta")
        parameters[name] = round(sum(value.numel() for value in task.model.parameters()) / 1e6, 1)
    # As docs/cost.md has them.
    assert parameters == {"0": 164.4, "1": 254.1, "2a": 909.1, "2b": 1163.2}
