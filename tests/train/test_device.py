"""What a training does for its device: half-precision frozen weights, memory that runs out, equal bits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from accelerate.state import AcceleratorState
from test_loop import QUICK, LineTask
from torch import Tensor, nn

from neurocine.models.checkpointing import CHECKPOINTINGS
from neurocine.settings import Cosmetic
from neurocine.train import loop
from neurocine.train.device import FrozenWeights, deterministic, to_device
from neurocine.train.loop import Trainer, train
from neurocine.train.task import GradientCheckpointing, LoopSettings


@pytest.fixture(autouse=True)
def no_precision_chosen_before() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)


class Network(nn.Module):
    """Frozen linear and convolutional layers and a frozen norm around a trained layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.frozen = nn.Conv1d(2, 4, 3), nn.LayerNorm(6), nn.Linear(6, 6)
        self.requires_grad_(False)
        self.trained = nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.trained(self.frozen(self.norm(self.conv(x))))


def test_frozen_weights_in_half_precision_change_no_bit_and_come_back() -> None:
    results = []
    for precision in ("no", "bf16"):
        network = Network()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        frozen = FrozenWeights(network, precision)
        with torch.autocast("cpu", torch.bfloat16):
            output = network(torch.linspace(-2, 2, 48).view(3, 2, 8))
        output.float().square().sum().backward()
        results.append([output.detach(), *(value.grad for value in network.trained.parameters())])
        halved = {name for name, value in network.named_parameters() if value.dtype == torch.bfloat16}
        expected = (
            {"conv.weight", "conv.bias", "frozen.weight", "frozen.bias"} if precision == "bf16" else set()
        )
        assert halved == expected
        frozen.restore()
        assert {value.dtype for value in network.parameters()} == {torch.float32}
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_a_training_in_bf16_ends_with_its_frozen_weights_as_they_were(tmp_path: Path) -> None:
    task = LineTask()
    before = task.model.frozen.weight.clone()
    train(
        task,
        QUICK.replace(precision="bf16"),
        0,
        tmp_path,
        tmp_path / "log",
        "line",
        device="cpu",
    )
    assert torch.equal(task.model.frozen.weight, before)


class Short(LineTask):
    """A task for which memory does not suffice in the second part of step 2, as often as is said."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures, self.calls = failures, 0

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Any]]:
        self.calls += 1
        if self.calls >= 6 and self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().loss(model, rows, generator)


class Automatic(LoopSettings):
    gradient_checkpointing: Annotated[GradientCheckpointing, Cosmetic()] = "auto"


def automatic(tmp_path: Path, failures: int) -> Trainer:
    settings = Automatic(**QUICK.model_dump() | {"gradient_accumulation": 2, "validate_every": 0})
    trainer = Trainer(Short(failures), settings, 0, tmp_path / str(failures), None, "cpu")
    for _ in range(settings.steps):
        trainer.train_step()
    return trainer


@pytest.mark.parametrize("failures", [1, 2])
def test_memory_that_runs_out_leads_to_more_checkpointing_and_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    monkeypatch.setattr(Trainer, "_one_gpu", lambda self: True)
    plain, short = automatic(tmp_path, 0), automatic(tmp_path, failures)
    assert (plain.checkpointing, short.checkpointing) == ("none", CHECKPOINTINGS[failures])
    for name, value in plain.state().tensors.items():
        if name == "model/calls":  # counts what was tried; no network of the workflow has such a buffer
            continue
        assert torch.equal(value, short.state().tensors[name]), name


def test_memory_that_is_too_small_for_everything_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(torch.OutOfMemoryError):  # on a CPU all is checkpointed from the start
        automatic(tmp_path, 1)
    monkeypatch.setattr(Trainer, "_one_gpu", lambda self: True)
    with pytest.raises(torch.OutOfMemoryError):
        automatic(tmp_path, 3)


def test_checkpointing_does_not_tell_trainings_apart(tmp_path: Path) -> None:
    found = set()
    for which in CHECKPOINTINGS:
        settings = Automatic(**QUICK.model_dump() | {"gradient_checkpointing": which})
        found.add(Trainer(LineTask(), settings, 0, tmp_path, None, "cpu").identity)
    assert len(found) == 1


@pytest.mark.parametrize(("spelled", "which"), [(True, "all"), (False, "none"), ("blocks", "blocks")])
def test_checkpointing_may_be_said_as_before(tmp_path: Path, spelled: Any, which: str) -> None:
    settings = Automatic(**QUICK.model_dump(), gradient_checkpointing=spelled)
    assert Trainer(LineTask(), settings, 0, tmp_path, None, "cpu").checkpointing == which


def test_deterministic_excludes_the_compiler() -> None:
    with pytest.raises(ValueError, match="deterministic"):
        QUICK.replace(deterministic=True, compile="blocks")


def test_deterministic_holds_for_the_training_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    seen: list[bool] = []
    task = LineTask(after_step=lambda step: seen.append(torch.are_deterministic_algorithms_enabled()))
    for wanted in (True, False):
        seen.clear()
        settings = QUICK.replace(deterministic=wanted)
        loop.train(task, settings, 0, tmp_path / str(wanted), tmp_path / "log", "line", device="cpu")
        assert set(seen) == {wanted}
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_deterministic_is_strict() -> None:
    """Strictly: told only to warn, PyTorch keeps the attention whose bits differ."""
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.is_deterministic_algorithms_warn_only_enabled()


def test_copies_to_the_same_device_are_equal() -> None:
    values = torch.arange(6.0).view(2, 3)
    assert torch.equal(to_device(values, torch.device("cpu")), values)
    assert to_device(values, torch.device("meta")).shape == values.shape
