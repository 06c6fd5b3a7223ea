"""Ridge regression from the fMRI of single TRs to features of clips: the method to beat."""

from collections.abc import Mapping
from typing import Any, ClassVar

from neurocine.conditions import made_by
from neurocine.methods.base import Config, Method, Row, Training
from neurocine.methods.neurocine import prior_key, prior_parameters


class Ridge(Method):
    """The training clip or caption with the nearest predicted embedding, or predicted latents and the VAE."""

    name = "ridge"
    definition = "RidgeExperiment"
    parameters = ("target",)
    # Solved, not trained; captions are shown by NeuroCine's video prior.
    titles: ClassVar[Mapping[str, str]] = {"train_video_prior": "Video prior from captions"}
    step = "predict_clips"
    fmri_conditions = made_by("decode")
    draws = False
    to_beat = True
    main_experiment = "ridge_latents"

    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        """Name the video prior, which only captions need."""
        if row["target"] != "caption":
            return ()
        key, seed = prior_key(row), row.get("train_seed")
        return (Training("train_video_prior", key, prior_parameters(row), of="study", seed=seed),)

    def used(self, row: Row) -> dict[str, Any]:
        """Return the parameters that an experiment uses."""
        return {name: row[name] for name in self.parameters if name in row}

    def further(self, row: Row) -> list[str]:
        """Name the scores of the predicted features."""
        return ["score_features/ridge.tsv"]
