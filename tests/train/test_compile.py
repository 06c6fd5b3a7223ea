"""Compiled trainings have the losses of plain ones. Traced only: to generate code as well takes minutes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from torch import nn

from tiny_trainings import TRAININGS, change, losses, run_program, write_trainings


@pytest.mark.parametrize(
    ("name", "choice"), [*((name, True) for name in TRAININGS), ("train_decoder", "blocks")]
)
def test_compiled_training_has_the_same_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, choice: bool | str
) -> None:
    compiled: list[nn.Module] = []

    def trace(model: nn.Module, **options: Any) -> None:
        compiled.append(model)
        # Traces forward and backward pass, and runs the trace.
        compile_network(model, **{**options, "backend": "aot_eager"})

    compile_network = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", trace)
    arguments = write_trainings(tmp_path, steps=2, validate_every=2)[name]
    found = {}
    for how in (False, choice):
        out = tmp_path / str(how)
        places = ["--state", str(out / "state"), "--out", str(out)]
        AcceleratorState._reset_state(reset_partial_state=True)
        run_program(name, [*change(arguments, "--settings", compile=how), *places], {})
        found[how] = losses(out)
    assert len(compiled) == 1 if choice is True else len(compiled) > 8
    assert [step for step, _ in found[choice]] == [step for step, _ in found[False]]
    np.testing.assert_allclose(
        [loss for _, loss in found[choice]], [loss for _, loss in found[False]], rtol=1e-4
    )
