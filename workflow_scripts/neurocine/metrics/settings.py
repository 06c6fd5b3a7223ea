"""What is scored and how: the section ``score`` of the config."""

from typing import Annotated, ClassVar

from pydantic import Field

from neurocine.metrics.baselines import GREY
from neurocine.metrics.registry import DEFAULT_METRICS, METRICS
from neurocine.section_checks import ks_below_ways
from neurocine.settings import Check, Count, CountOrZero, OneOf, Settings, Unique, Unit


class ScoreSettings(Settings):
    """What is scored, and how."""

    checks: ClassVar[tuple[Check, ...]] = (ks_below_ways,)

    metrics: Annotated[tuple[Annotated[str, OneOf(tuple(METRICS))], ...], Field(min_length=1), Unique()] = (
        DEFAULT_METRICS
    )
    """Name families of metrics (docs/scoring.md describes each).

    What frozen networks and optical flow compute for them is kept from run to run.
    """
    n_ways: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (2, 50)
    """The N-way identification is scored for each of these N."""
    top_ks: Annotated[tuple[Count, ...], Field(min_length=1)] = (1,)
    """A true class among the k best counts as a hit, for each of these k that is below N."""
    n_way_trials: Annotated[CountOrZero, Unit("trials")] = 0
    """Accuracies are also estimated by this many random trials, as the papers do; 0 leaves that out."""
    retrieval_ks: tuple[Count, ...] = (1, 10)
    """A true clip among the k most similar ones of the test set counts as a hit, for each of these k."""
    retrieval_drop_tr: Annotated[CountOrZero, Unit("TR")] = 5
    """Neighbours of a clip within this distance do not compete in the second retrieval score."""
    min_shift_tr: Annotated[Count, Unit("TR")] = 15
    """The permutation null shows predictions shifted by at least this much; p counts all shifts."""
    null_draws: Annotated[int, Field(ge=1000), Unit("draws")] = 10_000
    """The null takes this many draws, or all combinations of shifts if there are fewer."""
    block_tr: Annotated[Count, Unit("TR")] = 15
    """The bootstrap draws blocks of this length, longer ones where scores change slowly."""
    bootstrap_draws: Annotated[int, Field(ge=1000), Unit("draws")] = 10_000
    """The bootstrap takes this many draws."""
    grey: Annotated[int, Field(ge=0, le=255)] = GREY
    """The constant baseline shows this grey value."""
    label_factors: tuple[str, ...] = ()
    """Name what the words of compound class names mean, one name per word; empty for simple class names."""
    batch_size: Annotated[Count, Unit("items")] = 32
    """A network sees this many frames or clips per forward pass."""
