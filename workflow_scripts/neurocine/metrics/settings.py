"""What is scored and how: the section ``score`` of the config."""

from dataclasses import dataclass

from neurocine.metrics.baselines import GREY
from neurocine.metrics.registry import DEFAULT_METRICS


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of ``score``."""

    # Families of metrics (docs/scoring.md says what each is)
    metrics: tuple[str, ...] = DEFAULT_METRICS
    n_ways: tuple[int, ...] = (2, 50)  # N of the N-way identification
    top_ks: tuple[int, ...] = (1,)  # a true class among the k best counts as found; used where k < N
    n_way_trials: int = 0  # also estimate the accuracies by this many random trials, as the papers do
    retrieval_ks: tuple[int, ...] = (1, 10)  # a true clip among the k most similar counts as found
    retrieval_drop_tr: int = 5  # TR, neighbours that do not compete in the second retrieval score
    min_shift_tr: int = 15  # TR, smallest distance in the permutation null
    null_draws: int = 10_000  # draws of the null; all combinations of shifts if there are fewer
    block_tr: int = 15  # TR, block of the bootstrap
    bootstrap_draws: int = 10_000  # draws of the bootstrap
    grey: int = GREY  # 0..255, value of the constant baseline
    label_factors: tuple[str, ...] = ()  # meaning of the words of compound class names; empty: none
    batch_size: int = 32  # frames or clips per forward pass of a network
    device: str = "auto"  # auto, cpu or cuda

    def __post_init__(self) -> None:
        if not self.metrics:
            raise ValueError("metrics must name at least one")
        if not self.n_ways or not self.top_ks or min(self.n_ways) < 2 or min(self.top_ks) < 1:
            raise ValueError(f"n_ways {self.n_ways} must be 2 or more, top_ks {self.top_ks} 1 or more")
        if min(self.top_ks) >= min(self.n_ways):
            raise ValueError(f"top_ks {self.top_ks} must have a k below each of n_ways {self.n_ways}")
        if self.n_way_trials < 0 or self.retrieval_drop_tr < 0 or min(self.retrieval_ks, default=1) < 1:
            raise ValueError("n_way_trials and retrieval_drop_tr must be 0 or more, retrieval_ks 1 or more")
        if self.min_shift_tr < 1 or self.block_tr < 1 or self.batch_size < 1:
            raise ValueError("min_shift_tr, block_tr and batch_size must be 1 or more")
        if self.null_draws < 1000 or self.bootstrap_draws < 1000:
            raise ValueError("null_draws and bootstrap_draws must be 1000 or more")
        if not 0 <= self.grey <= 255:
            raise ValueError(f"grey {self.grey} must lie in 0..255")
