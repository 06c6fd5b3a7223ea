"""A few steps of the toy models' trainings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file

from neurocine.simulate.toy_models.settings import ToyModelSettings

QUICK = ToyModelSettings(
    size=16, n_clips=8, n_held_out=4, steps=2, batch_size=4, warmup_steps=0, log_every=1, tensorboard=False
)


def logged_loss(state: Path) -> list[float]:
    """Losses of training in the log of a state."""
    log = pd.read_json(state / "log.jsonl", lines=True)
    return log["loss"].dropna().tolist()


def train_from_one_seed(main: Callable[..., Any], folder: Path) -> Path:
    """Train twice from one seed, as two processes would, to equal weights; return the folder of one model."""
    weights = []
    for number in (1, 2):
        torch.manual_seed(number)
        out = folder / str(number) / "model"
        main(settings=QUICK, seed=5, state=out.parent / "state", out=out)
        weights.append(load_file(out / "model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    return out
