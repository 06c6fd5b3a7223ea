"""The benchmarks still run: each once, as small as it can be. What they measure then means nothing."""

import gc
import importlib
import json
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from accelerate.state import AcceleratorState

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


def test_the_gpu_benchmark_can_be_tried_without_a_gpu(tmp_path: Path) -> None:
    parts = ("ceiling", "attention", "1", "deterministic")
    command = [sys.executable, str(BENCH / "gpu.py"), "--device", "cpu", "--small", "--seconds", "0"]
    command += [word for part in parts for word in ("--part", part)]
    run = subprocess.run([*command, "--json", str(tmp_path / "gpu.json")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert not found["failed"]
    assert {record["part"] for record in found["records"]} == {*parts}
    assert all(record.get("same bits", True) for record in found["records"]), "on a CPU they always are"
    steps = [record for record in found["records"] if record["part"] == "1"]
    assert [record["what"] for record in steps] == ["as written", "compiled blocks"]
    assert all(record["ms"] > 0 and record["ms by kind"]["launches"] > 100 for record in steps)


def test_the_gpu_benchmark_frees_a_training_before_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In half precision a model refers to itself, and its memory would count as the next training's."""
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.syspath_prepend(BENCH.parent / "tests/train")
    gpu, loop = importlib.import_module("gpu"), importlib.import_module("test_loop")
    AcceleratorState._reset_state(reset_partial_state=True)  # other tests of this process take no bf16
    settings = loop.QUICK.replace(precision="bf16")
    trainer = gpu.Trainer(loop.LineTask(), settings, 0, tmp_path, None, "cpu")
    trainer.train_step()
    model = weakref.ref(trainer.task.model)
    gc.disable()
    try:
        del trainer
        assert model() is not None
        gpu.Bench.forget(SimpleNamespace(gpu=False))
        assert model() is None
    finally:
        gc.enable()
        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<...>", "attention"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x64", "attention"),
        ("nvjet_tst_256x128_64x4_1x2_h_bz_coopA_TNT", "product"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolution"),
        ("void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda>", "copy"),
        ("void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float>", "norm"),
        ("triton_per_fused__softmax_mul_sum_0", "fused"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", "elementwise"),
    ],
)
def test_kernels_are_told_apart_by_name(monkeypatch: pytest.MonkeyPatch, kernel: str, kind: str) -> None:
    monkeypatch.syspath_prepend(BENCH)
    assert importlib.import_module("kernels").kind_of_kernel(kernel) == kind


@pytest.mark.parametrize(("card", "gb"), [("24gb", 24), ("80gb", 80)])
def test_settings_of_a_card_fit_it_by_the_memory_model(
    monkeypatch: pytest.MonkeyPatch, card: str, gb: float
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    size, cost = importlib.import_module("published_size"), importlib.import_module("cost_model")
    chosen = yaml.safe_load((BENCH.parent / f"studies/cards/{card}.yaml").read_text())
    assert chosen.keys() == set(cost.STAGES.values())
    for phase, stage in cost.STAGES.items():
        make, settings = size.PHASES[phase]
        settings = settings.replace(**chosen[stage])
        task = make(settings, 8153, settings.batch_size, "meta")
        needed = cost.needed(cost.step_memory(task, settings, settings.gradient_checkpointing))
        assert needed <= gb, f"{stage}: {needed:.1f} GB"
