"""A few steps of the toy models' trainings."""

from pathlib import Path

import pandas as pd

from neurocine.simulate.toy_models.settings import ToyModelSettings

QUICK = ToyModelSettings(
    size=16, n_clips=8, n_held_out=4, steps=2, batch_size=4, warmup_steps=0, log_every=1, tensorboard=False
)


def logged_loss(state: Path) -> list[float]:
    """Losses of training in the log of a state."""
    log = pd.read_json(state / "log.jsonl", lines=True)
    return log["loss"].dropna().tolist()
