"""Compiled trainings have the losses of plain ones. Traced only: to generate code as well takes minutes."""

from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from torch import nn

from tiny_trainings import TRAININGS, change, losses, run_program, write_trainings


@pytest.mark.parametrize("name", TRAININGS)
def test_compiled_training_has_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    compiled: list[nn.Module] = []

    def trace(model: nn.Module) -> None:
        compiled.append(model)
        compile_network(model, backend="aot_eager")  # traces forward and backward pass, and runs the trace

    compile_network = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", trace)
    arguments = write_trainings(tmp_path, steps=2, validate_every=2)[name]
    found = {}
    for choice in (False, True):
        out = tmp_path / str(choice)
        places = ["--state", str(out / "state"), "--out", str(out)]
        AcceleratorState._reset_state(reset_partial_state=True)
        run_program(name, [*change(arguments, "--settings", compile=choice), *places], {})
        found[choice] = losses(out)
    assert len(compiled) == 1
    assert [step for step, _ in found[True]] == [step for step, _ in found[False]]
    np.testing.assert_allclose(
        [loss for _, loss in found[True]], [loss for _, loss in found[False]], rtol=1e-4
    )
