"""What the trainings of the toy models share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import Tensor

from neurocine.seeds import seeded_weights
from neurocine.simulate.toy_models.pool import Pool, draw_pools
from neurocine.simulate.toy_models.settings import ToyModelSettings
from neurocine.train.loop import train


class ToyTask:
    """A training whose items are the clips of a pool.

    Attributes
    ----------
    pool : the clips
    model : the network, all of whose weights learn
    """

    pool: Pool
    model: Any

    @property
    def n_items(self) -> int:
        return len(self.pool.frames)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]

    def describe(self, rows: Tensor) -> list[str]:
        """Name the clips of these rows (n,) i64."""
        return [self.pool.captions[int(row)] for row in rows]


AnyToyTask = TypeVar("AnyToyTask", bound=Any)


def train_toy(
    step: str,
    make_task: Callable[[Pool, Pool], AnyToyTask],
    settings: ToyModelSettings,
    seed: int,
    state: Path,
    held_out: Literal["without", "with"] = "without",
) -> AnyToyTask:
    """Train a toy model.

    Parameters
    ----------
    step : name of the rule, for messages and draws
    make_task : makes the task of a training pool and a validation pool
    settings, seed : of the training and of all draws
    state : folder of the resumable state and ``log.jsonl``
    held_out : whether the training pool shows the held-out combinations

    Returns
    -------
    the task, with the trained network
    """
    pools = draw_pools(settings, seed, held_out)
    with seeded_weights(seed, step, "weights"):
        task = make_task(*pools)
    train(task, settings, seed, state, state / "log.jsonl", step)
    return task
