"""Ridge regression from the fMRI of single TRs to features of clips: the method to beat."""

from collections.abc import Mapping
from typing import Any, ClassVar

from neurocine.conditions import made_by
from neurocine.methods.base import Config, Method, Row, Training


class Ridge(Method):
    """The training clip with the nearest predicted embedding, or predicted latents through the VAE."""

    name = "ridge"
    definition = "RidgeExperiment"
    parameters = ("target",)
    titles: ClassVar[Mapping[str, str]] = {}  # solved, not trained: nothing is logged
    step = "predict_clips"
    fmri_conditions = made_by("decode")
    draws = False
    to_beat = True
    main_experiment = "ridge_latents"

    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        """There is none."""
        return ()

    def used(self, row: Row) -> dict[str, Any]:
        """Return the parameters that an experiment uses."""
        return {name: row[name] for name in self.parameters if name in row}

    def further(self, row: Row) -> list[str]:
        """Name the scores of the predicted features."""
        return ["score_features/ridge.tsv"]
