"""Features of clips by ridge regression: what any decoder of them has to beat."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np

from neurocine.animator.features import Features
from neurocine.metrics.agreement import mean_direction
from neurocine.regression import LinearModel, RidgeSettings, fit_ridge_of_movies
from neurocine.section_checks import penalties_in_order, shift_is_not_zero
from neurocine.settings import Check, Unit
from neurocine.stimuli.cached import CachedClips, Clip


class PredictFeaturesSettings(RidgeSettings):
    """How features are predicted from fMRI by ridge regression."""

    checks: ClassVar[tuple[Check, ...]] = (penalties_in_order, shift_is_not_zero)

    shift_tr: Annotated[int, Unit("TR")] = 30
    """The control shifted rotates a movie's fMRI by this many volumes, not 0."""


@dataclass(frozen=True)
class ClipTargets:
    """What is predicted of clips: their features, and the direction of their frames.

    Parameters
    ----------
    features : embedding, text states and latents
    image : (n, E) float32, mean direction of the embeddings of a clip's frames
    """

    features: Features
    image: np.ndarray

    @classmethod
    def read(
        cls, embeddings: Sequence[Path], latents: Sequence[Path], movies: Sequence[str], tokens: int
    ) -> "ClipTargets":
        """Read the true ones of movies from files of embed_clips and encode_latents.

        Raises
        ------
        InputError : see `Features.true`
        """
        image = CachedClips.read(embeddings, "image", movies).rows
        directions = mean_direction(image).numpy().astype(np.float32)
        return cls(Features.true(embeddings, latents, movies, tokens), directions)

    def columns(self) -> dict[str, np.ndarray]:
        """Return all of it as columns (n, K) float32 per movie; a clip is a row."""
        one = self.features
        parts = (one.embedding, self.image, one.states.reshape(len(one.states), -1))
        joined = np.concatenate([*parts, one.latents.reshape(len(one.latents), -1)], axis=1)
        names = np.array([movie for movie, _ in one.clips])
        return {movie: joined[names == movie] for movie in dict.fromkeys(names.tolist())}

    def like(self, columns: np.ndarray, clips: Sequence[Clip]) -> "ClipTargets":
        """Read columns (n, K) of other clips in the layout of these."""
        shapes = [part.shape[1:] for part in (self.features.embedding, self.image)]
        shapes += [part.shape[1:] for part in (self.features.states, self.features.latents)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        embedding, image, states, latents = (
            part.reshape(len(part), *shape).astype(np.float32)
            for part, shape in zip(np.split(columns, ends, axis=1), shapes, strict=True)
        )
        return ClipTargets(Features(tuple(clips), embedding, states, latents), image)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the arrays as stored, per movie: those of `Features.arrays`, and ``{movie}/image`` (n, E)."""
        arrays = self.features.arrays()
        names = np.array([movie for movie, _ in self.features.clips])
        for movie in dict.fromkeys(names.tolist()):
            arrays[f"{movie}/image"] = self.image[names == movie]
        return arrays


def fit_features(
    bold: Mapping[str, np.ndarray], targets: ClipTargets, settings: PredictFeaturesSettings
) -> LinearModel:
    """Fit all features of training clips from their fMRI; what is the same in all clips stays what it is.

    Parameters
    ----------
    bold : training movies, (T, V) each
    targets : of the same movies
    settings : section predict_features

    Raises
    ------
    InputError : movies or clips of fMRI and features differ
    """
    return fit_ridge_of_movies(bold, targets.columns(), settings, np.float32)


def predict_features(
    model: LinearModel, layout: ClipTargets, bold: np.ndarray, clips: Iterable[Clip]
) -> ClipTargets:
    """Predict the features of clips.

    Parameters
    ----------
    model : of `fit_features`
    layout : targets that it was fitted to
    bold : (n, V)
    clips : movie and index of each row
    """
    return layout.like(model.predict(bold), tuple(clips))
