"""What a condition says of itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from neurocine.naming import Clip

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["result", "control", "baseline", "ceiling"]
KINDS: dict[Kind, str] = {
    "result": "Result",
    "control": "Same generator, without the right fMRI",
    "baseline": "Without the decoder",
    "ceiling": "Ceilings",
}
# Test movies, training movies, each (T, V) float32; TR to shift by; seed: test movies, each (T, V) float32.
MakeFmri = Callable[
    [Mapping[str, "np.ndarray"], Mapping[str, "np.ndarray"], int, int], dict[str, "np.ndarray"]
]
# Clips, seed: the row of the clip whose window each gets, (n_clips,) i64.
ExchangeWindows = Callable[[Sequence[Clip], int], "np.ndarray"]


@dataclass(frozen=True)
class Condition:
    """Clips that are scored in the same way as all others.

    Parameters
    ----------
    name : in the config and in tables
    kind : what it stands for
    step : that makes its clips; the VAE's are made while they are scored
    text : what its clips are made from, on the page
    tells : what its scores tell, in docs/scoring.md
    default : whether it is made unless others are asked for
    fmri : of a control: makes the fMRI that is decoded in place of the recorded one (`MakeFmri`)
    exchanged : of a control: whose whole window each clip gets (`ExchangeWindows`)
    recorded : whether what is decoded is the recorded fMRI, of the clip or of others
    """

    name: str
    kind: Kind
    step: str
    text: str
    tells: str
    default: bool = False
    fmri: MakeFmri | None = None
    exchanged: ExchangeWindows | None = None
    recorded: bool = False
