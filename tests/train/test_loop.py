"""The training loop: exact resume, broken states, signals, NaN, early stop, average, accumulation."""

import dataclasses
import itertools
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from neurocine.errors import EXIT_TRY_AGAIN, InputError
from neurocine.train import checkpoint
from neurocine.train.checkpoint import finish_training
from neurocine.train.loop import LoopSettings, TrainingReport, train
from neurocine.train.schedule import epoch_rows, learning_rate_factor
from neurocine.train.task import EpochSettings

QUICK = LoopSettings(
    steps=6,
    batch_size=4,
    learning_rate=0.01,
    warmup_steps=2,
    log_every=1,
    tensorboard=False,
    validate_every=2,
)


class Line(nn.Module):
    """A small network with dropout (layer randomness), a frozen layer and a buffer that changes."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen, self.layer, self.drop = nn.Linear(3, 5), nn.Linear(5, 1), nn.Dropout(0.3)
        self.frozen.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layer(self.drop(self.frozen(x).tanh()))[:, 0]


class LineTask:
    """Regression with noise drawn from the loop's generator; ``after_step`` is a hook to interrupt."""

    def __init__(self, n_items: int = 10, after_step: Callable[[int], None] | None = None) -> None:
        self.model = Line()
        self.n_items = n_items
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(n_items, 3, generator=generator)
        self.y = self.x.sum(1)
        self.after_step = after_step
        self.calls = 0
        self.seen: list[list[int]] = []

    def parameter_groups(self) -> list[dict[str, Any]]:
        layer = self.model.layer
        return [{"params": [layer.weight]}, {"params": [layer.bias], "lr_scale": 2.0, "weight_decay": 0.0}]

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float | Tensor]]:
        self.calls += 1
        self.seen.append(rows.tolist())
        if self.after_step is not None:
            self.after_step(self.calls)
        x = self.x[rows] + 0.1 * torch.randn(len(rows), 3, generator=generator)
        loss = (model(x) - self.y[rows]).square().mean()
        return loss, {"mse": loss.detach()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"loss": float((model(self.x) - self.y).square().mean().detach())}

    def describe(self, rows: Tensor) -> list[str]:
        return [f"seg1:{row}" for row in rows.tolist()]


def run(
    task: LineTask, tmp: Path, settings: LoopSettings = QUICK, seed: int = 3, **more: Any
) -> TrainingReport:
    return train(
        task, settings, seed, tmp / "state", tmp / "state" / "log.jsonl", "line", device="cpu", **more
    )


def weights(task: LineTask) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def stop_at(call: int, number: int = signal.SIGTERM) -> Callable[[int], None]:
    return lambda calls: os.kill(os.getpid(), number) if calls == call else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_resumed_training_equals_unbroken_one_bit_for_bit(tmp_path: Path, number: int, ema: float) -> None:
    settings = QUICK.replace(ema_decay=ema, keep_best=False)
    whole = LineTask()
    run(whole, tmp_path / "whole", settings)

    handler = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        run(LineTask(after_step=stop_at(3, number)), tmp_path / "cut", settings)
    assert stopped.value.code == EXIT_TRY_AGAIN
    assert signal.getsignal(number) == handler
    rest = LineTask()
    report = run(rest, tmp_path / "cut", settings)

    assert report.resumed_from == 3
    assert rest.calls == 3
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(rest)[name]), name
    logs = [(tmp_path / kind / "state" / "log.jsonl").read_text().splitlines() for kind in ("whole", "cut")]
    drop = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines] for lines in logs
    ]
    assert drop[0] == drop[1]
    assert [line["step"] for line in drop[0]] == [1, 2, 3, 4, 5, 6]


def test_best_weights_survive_an_interruption(tmp_path: Path) -> None:
    # A rising learning rate makes the last weights worse than the best ones.
    settings = QUICK.replace(learning_rate=8.0, warmup_steps=6, validate_every=1)
    whole = LineTask()
    report = run(whole, tmp_path / "whole", settings)
    assert report.best is not None
    assert report.best_step is not None
    assert report.best_step < 6
    assert whole.validate(whole.model)["loss"] == pytest.approx(report.best["loss"], abs=0)

    with pytest.raises(SystemExit):
        run(LineTask(after_step=stop_at(report.best_step + 1)), tmp_path / "cut", settings)
    rest = LineTask()
    again = run(rest, tmp_path / "cut", settings)
    assert (again.best_step, again.best) == (report.best_step, report.best)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(rest)[name]), name


def saved_states(tmp: Path) -> list[str]:
    return sorted(path.name for path in (tmp / "state").glob("step-*"))


@pytest.mark.parametrize("damage", ["truncate", "flip", "no notes"])
def test_broken_state_is_skipped_for_the_one_before(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = QUICK.replace(checkpoint_minutes=0)
    with pytest.raises(SystemExit):
        run(LineTask(after_step=stop_at(4)), tmp_path, settings)
    assert saved_states(tmp_path) == ["step-00000003", "step-00000004"]
    newest = tmp_path / "state" / "step-00000004"
    data = bytearray((newest / "tensors.safetensors").read_bytes())
    if damage == "truncate":
        (newest / "tensors.safetensors").write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[-1] ^= 1
        (newest / "tensors.safetensors").write_bytes(data)
    else:
        (newest / "state.json").unlink()

    whole = LineTask()
    run(whole, tmp_path / "whole", settings)
    rest = LineTask()
    report = run(rest, tmp_path, settings)
    assert report.resumed_from == 3
    assert "is damaged" in caplog.text
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(rest)[name]), name


def test_a_disk_that_is_full_keeps_the_states_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of the state that did not fit, or it would take the room that is missing."""
    settings = QUICK.replace(checkpoint_minutes=0)
    save = checkpoint.save_file

    def until_full(tensors: dict[str, Tensor], path: Path) -> None:
        if "00000004" in str(path):
            path.write_bytes(bytes(100))
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", until_full)
    with pytest.raises(SafetensorError):
        run(LineTask(), tmp_path, settings)
    assert saved_states(tmp_path) == ["step-00000002", "step-00000003"]
    assert not list((tmp_path / "state").glob(".step-*"))
    monkeypatch.undo()
    assert run(LineTask(), tmp_path, settings).resumed_from == 3


def test_state_of_another_training_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit):
        run(LineTask(after_step=stop_at(3)), tmp_path, identity={"mask": 0.2})
    assert run(LineTask(), tmp_path, identity={"mask": 0.4}).resumed_from == 0
    assert "other settings" in caplog.text
    changed = QUICK.replace(log_every=5)  # changes no result
    with pytest.raises(SystemExit):
        run(LineTask(after_step=stop_at(3)), tmp_path / "b")
    assert run(LineTask(), tmp_path / "b", changed).resumed_from == 3


def test_finished_training_is_not_repeated_until_its_state_is_removed(tmp_path: Path) -> None:
    first = LineTask()
    report = run(first, tmp_path)
    again = LineTask()
    assert run(again, tmp_path).steps == 6
    assert again.calls == 0
    assert all(torch.equal(tensor, weights(again)[name]) for name, tensor in weights(first).items())
    checkpoint.finish_training(tmp_path / "state", tmp_path / "out", dataclasses.asdict(report))
    assert not (tmp_path / "state").exists()
    assert json.loads((tmp_path / "out" / "done.json").read_text())["steps"] == 6
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) == 6


def test_nan_names_step_and_clips_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    settings = QUICK.replace(checkpoint_minutes=0, log_every=100, validate_every=0)
    task = LineTask()
    rows = epoch_rows(3, 10, 4, 3)  # step 4

    def spoil(calls: int) -> None:
        if calls == 4:
            task.y[rows[1]] = torch.nan

    task.after_step = spoil
    with pytest.raises(InputError, match="step 4") as error:
        run(task, tmp_path, settings)
    assert all(f"seg1:{row}" in str(error.value) for row in rows.tolist())
    assert saved_states(tmp_path)[-1] == "step-00000003"


def test_divergence_names_step_and_clips_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    settings = QUICK.replace(checkpoint_minutes=0, validate_every=0)
    task = LineTask()
    rows = epoch_rows(3, 10, 4, 3)  # step 4

    def spoil(calls: int) -> None:
        if calls == 4:
            task.y[rows[1]] = 1e4

    task.after_step = spoil
    with pytest.raises(InputError, match=r"step 4.*divergence_factor.*last good state") as error:
        run(task, tmp_path, settings)
    assert f"seg1:{rows[1]}" in str(error.value)
    assert saved_states(tmp_path)[-1] == "step-00000003"
    # Without the check the training goes on, and from the state the threshold is still the first loss.
    task.after_step = spoil
    again = LineTask()
    again.y[:] = 1e4
    with pytest.raises(InputError, match="step 4"):
        run(again, tmp_path, settings)
    assert run(again, tmp_path, settings.replace(divergence_factor=0)).resumed_from == 3


def test_state_with_broken_weights_is_not_kept(tmp_path: Path) -> None:
    """Gradients may overflow while the loss is still finite; the next loss would only tell after the save."""
    settings = QUICK.replace(checkpoint_minutes=0, validate_every=0)
    task = LineTask()
    task.model.layer.bias.register_hook(
        lambda gradient: gradient * torch.inf if task.calls == 3 else gradient
    )
    with pytest.raises(InputError, match=r"step 3.*layer\..*last good state"):
        run(task, tmp_path, settings)
    assert saved_states(tmp_path) == ["step-00000001", "step-00000002"]


def test_early_stop_counts_validations_without_improvement(tmp_path: Path) -> None:
    task = LineTask()
    task.validate = lambda model: {"loss": 1.0}  # type: ignore[method-assign]
    report = run(task, tmp_path, QUICK.replace(validate_every=1, patience=3))
    assert report.stopped_early
    assert report.steps == 4
    assert report.best_step == 1


def test_average_follows_its_equation(tmp_path: Path) -> None:
    settings = QUICK.replace(ema_decay=0.5, validate_every=0)
    task = LineTask()
    history: list[Tensor] = [task.model.layer.weight.detach().clone()]
    task.after_step = lambda calls: history.append(task.model.layer.weight.detach().clone())
    run(task, tmp_path, settings)
    last = LineTask()
    run(last, tmp_path / "raw", settings.replace(ema_decay=0.0))
    trail = [*history[2:], last.model.layer.weight.detach()]  # weights after steps 1..6
    average = history[0]
    for step, value in enumerate(trail, 1):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
    torch.testing.assert_close(task.model.layer.weight.detach(), average)


def test_first_step_is_adamw_with_scaled_rates(tmp_path: Path) -> None:
    """AdamW's first step moves each weight by lr * sign(gradient), after decay."""
    settings = QUICK.replace(steps=1, warmup_steps=4, validate_every=0, weight_decay=0.1)
    task = LineTask()
    before = weights(task)
    run(task, tmp_path, settings)
    rate = 0.01 / 4
    bias = (weights(task)["layer.bias"] - before["layer.bias"]).abs()
    torch.testing.assert_close(bias, torch.full_like(bias, 2 * rate), rtol=1e-3, atol=0)
    moved = (weights(task)["layer.weight"] - before["layer.weight"] * (1 - rate * 0.1)).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=0)
    assert torch.equal(weights(task)["frozen.weight"], before["frozen.weight"])


def test_accumulated_gradients_equal_one_batch(tmp_path: Path) -> None:
    class Exact(LineTask):
        def __init__(self) -> None:
            super().__init__()
            self.model.drop.p = 0.0

        def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, dict]:
            self.seen.append(rows.tolist())
            return (model(self.x[rows]) - self.y[rows]).square().mean(), {}

    one, two = Exact(), Exact()
    run(one, tmp_path / "one")
    run(two, tmp_path / "two", QUICK.replace(gradient_accumulation=2))
    assert [a + b for a, b in zip(two.seen[::2], two.seen[1::2], strict=True)] == one.seen
    torch.testing.assert_close(one.model.layer.weight, two.model.layer.weight)


def test_epochs_are_permutations_without_repeats() -> None:
    steps = [epoch_rows(step, 11, 3, 0).tolist() for step in range(6)]
    for epoch in (steps[:3], steps[3:]):
        rows = [row for batch in epoch for row in batch]
        assert len(rows) == 9
        assert len(set(rows)) == 9
    assert steps[:3] != steps[3:]
    with pytest.raises(InputError, match="batch_size"):
        epoch_rows(0, 2, 3, 0)


def test_task_may_choose_its_batches(tmp_path: Path) -> None:
    task = LineTask()
    task.batches = lambda step, generator: torch.tensor([step, step])  # type: ignore[attr-defined]
    run(task, tmp_path)
    assert task.seen == [[step, step] for step in range(6)]


def test_learning_rate_schedule() -> None:
    cosine = LoopSettings(steps=12, warmup_steps=2, schedule="cosine")
    factors = [learning_rate_factor(step, cosine) for step in range(12)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[7] == pytest.approx(0.5)
    assert all(a >= b for a, b in itertools.pairwise(factors[1:]))
    constant = LoopSettings(steps=12, warmup_steps=2, schedule="constant")
    assert [learning_rate_factor(step, constant) for step in (1, 5, 11)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "step"},
        {"precision": "fp8"},
        {"steps": 0},
        {"learning_rate": 0.0},
        {"ema_decay": 1.0},
        {"patience": 3},
        {"batch_size": 6, "gradient_accumulation": 4},
        {"betas": (0.9, 1.0)},
        {"gradient_clip": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoopSettings(**wrong)


def test_bf16_trains_and_leaves_a_plain_model(tmp_path: Path) -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    task = LineTask()
    try:
        report = run(task, tmp_path, QUICK.replace(precision="bf16"))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert report.loss == report.loss
    assert task.model(task.x).dtype == torch.float32
    assert task.model.layer.weight.dtype == torch.float32


def test_gpu_asked_for_and_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="GPU"):
        train(LineTask(), QUICK, 0, tmp_path, tmp_path / "log.jsonl", "line", device="cuda")


def test_tensorboard_events_are_written(tmp_path: Path) -> None:
    run(LineTask(), tmp_path, QUICK.replace(tensorboard=True))
    assert list((tmp_path / "state" / "tensorboard").glob("events.*"))


def test_the_root_schedule_is_the_published_one() -> None:
    settings = EpochSettings(schedule="inverse_sqrt", warmup_steps=50, learning_rate=1.105e-3)
    for step in range(1, 5000, 37):
        noam = 16384**-0.5 * min(step**-0.5, step * 50**-1.5)
        rate = settings.learning_rate * learning_rate_factor(step - 1, settings)
        assert rate == pytest.approx(noam, rel=1e-3)
    assert settings.learning_rate * learning_rate_factor(49, settings) == pytest.approx(1.105e-3)
    assert settings.learning_rate * learning_rate_factor(70 * 63 - 1, settings) == pytest.approx(
        1.17e-4, rel=0.01
    )


def test_the_exponential_schedule_falls_once_per_epoch() -> None:
    settings = EpochSettings(schedule="exponential", epoch_decay=0.5, warmup_steps=2)
    factors = [learning_rate_factor(step, settings, epoch_steps=3) for step in range(9)]
    assert factors == [0.5, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_the_loop_counts_epochs_by_its_batches(tmp_path: Path) -> None:
    settings = EpochSettings(
        **(QUICK.model_dump() | {"schedule": "exponential", "epoch_decay": 0.5, "warmup_steps": 0})
    )
    train(LineTask(n_items=9), settings, 0, tmp_path, tmp_path / "log.jsonl", "line", device="cpu")
    rates = [line["lr"] for line in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())]
    assert rates == [0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]


def test_schedules_that_need_more_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule(.|\n)*exponential"):
        LoopSettings(schedule="exponential")
    with pytest.raises(ValueError, match="warmup_steps"):
        EpochSettings(schedule="inverse_sqrt")
    with pytest.raises(ValueError, match="epoch_decay"):
        EpochSettings(epoch_decay=0.0)


def test_results_do_not_name_the_computer(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "out"
    (state / "tensorboard").mkdir(parents=True)
    name = "events.out.tfevents.1764252000"
    (state / "tensorboard" / f"{name}.node7.cluster.example.org.4711.0").write_bytes(b"events")
    finish_training(state, out, {})
    assert [path.name for path in (out / "tensorboard").iterdir()] == [f"{name}.4711.0"]
