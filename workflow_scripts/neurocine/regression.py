"""Ridge regression with a penalty of its own for each output, chosen on held-out training movies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from neurocine.errors import InputError
from neurocine.section_checks import penalties_in_order
from neurocine.settings import Check, Count, Settings, Unit

TINY = 1e-12  # variance below which a column is constant
OUTPUTS_AT_ONCE = 8192  # of all penalties in memory


class RidgeSettings(Settings):
    """How the penalties of a ridge regression are chosen."""

    checks: ClassVar[tuple[Check, ...]] = (penalties_in_order,)

    folds: Annotated[int, Field(ge=2), Unit("parts")] = 5
    """The training movies are cut into this many parts, each held out once to choose the penalties."""
    smallest_penalty: Annotated[float, Field(gt=0)] = 1.0
    """The ridge regression tries penalties from here on, for features of unit variance."""
    largest_penalty: Annotated[float, Field(gt=0)] = 1e6
    """The ridge regression tries penalties up to here."""
    n_penalties: Annotated[Count, Unit("penalties")] = 13
    """This many candidates, evenly spaced as logarithms, compete for the penalty of each output."""

    @property
    def penalties(self) -> np.ndarray:
        """Candidates, (n_penalties,)."""
        return np.geomspace(self.smallest_penalty, self.largest_penalty, self.n_penalties)


@dataclass(frozen=True)
class LinearModel:
    """A linear map from inputs to outputs.

    Parameters
    ----------
    mean, std : (E,) of the inputs of the training clips
    weights : (E, V), of standardised inputs
    intercept : (V,)
    penalties : (V,), chosen for each output
    """

    mean: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalties: np.ndarray

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Predict outputs (n, V) from inputs (n, E)."""
        return (inputs - self.mean) / self.std @ self.weights + self.intercept


def split_movies(lengths: Mapping[str, int], folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Hold out whole movies in turn; of a single movie, stretches of time.

    Parameters
    ----------
    lengths : movie -> number of clips
    folds : most parts

    Returns
    -------
    pairs of rows (training, held out), i64, over the clips of all movies one after the other
    """
    n = sum(lengths.values())
    movie = np.repeat(np.arange(len(lengths)), list(lengths.values()))
    part = movie % folds if len(lengths) > 1 else np.arange(n) * folds // n
    return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in np.unique(part)]


def fit_ridge_of_movies(
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    settings: RidgeSettings,
    dtype: Any = np.float64,
) -> LinearModel:
    """Fit a ridge regression with a penalty of its own for each output.

    Parameters
    ----------
    inputs : training movies, (T, E) each
    outputs : the same movies, (T, V) each
    settings : how penalties are chosen
    dtype : in which all is computed

    Raises
    ------
    InputError : movies or clips of inputs and outputs differ
    """
    from himalaya.ridge import RidgeCV

    for movie, samples in outputs.items():
        n_clips = len(inputs.get(movie, ()))
        if n_clips != len(samples):
            expected = f"{len(samples)} clips, one per TR of the fMRI"
            todo = "Make embed_clips, assemble_train and assemble_test of the same movies."
            raise InputError(f"features of {movie}", f"{n_clips} clips", expected, todo)
    x = np.concatenate([inputs[movie] for movie in outputs]).astype(dtype)
    y = np.concatenate(list(outputs.values())).astype(dtype)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > np.sqrt(TINY), std, 1.0)
    splits = split_movies({movie: len(samples) for movie, samples in outputs.items()}, settings.folds)
    solver: dict[str, Any] = {"warn": False}  # that kernels were faster
    if y.shape[1] > OUTPUTS_AT_ONCE:
        solver["n_targets_batch"] = OUTPUTS_AT_ONCE
    model = RidgeCV(alphas=settings.penalties, fit_intercept=True, cv=splits, solver_params=solver)
    model.fit((x - mean) / std, y)
    return LinearModel(mean, std, model.coef_, model.intercept_, model.best_alphas_)
