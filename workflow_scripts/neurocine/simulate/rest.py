"""Simulated rest: spontaneous activity with the spatial structure of the simulated brains, HCP-style."""

from dataclasses import dataclass

import numpy as np

from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.fmri.parcellation import area_vertices
from neurocine.seeds import numpy_generator
from neurocine.simulate.brain import grayordinate_labels
from neurocine.simulate.features import GROUPS, feature_names
from neurocine.simulate.noise import autoregressive, drift, spatial_modes, spontaneous_activity
from neurocine.simulate.tuning import draw_tuning, tuned_among


@dataclass(frozen=True)
class SimulateRestSettings:
    """Settings of the simulated rest runs."""

    # Volumes of a run; 1200 in the HCP.
    volumes: int = 1200
    # Seconds between volumes.
    tr: float = 0.72
    # Share of the variance that neighbours, areas and equally tuned vertices have in common, 0..1.
    structured_share: float = 0.5
    # Correlation of the structured activity between neighbouring volumes: slow fluctuations, 0 <= c < 1.
    structured_autocorrelation: float = 0.9
    # Correlation of the private noise between neighbouring volumes, 0 <= c < 1.
    noise_autocorrelation: float = 0.3
    # Probability that a vertex weighs a feature of its group.
    tuning_density: float = 0.25
    # Standard deviation of the slow drift, in standard deviations of the rest; cleaned runs have little.
    drift: float = 0.1
    # Mean of the raw signal, arbitrary units; each grayordinate has 0.7 to 1.3 times this.
    baseline: float = 10000.0
    # Standard deviation, percent of the mean.
    percent_signal: float = 1.5

    def __post_init__(self) -> None:
        for name in ("structured_share", "tuning_density"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be from 0 to 1")
        for name in ("structured_autocorrelation", "noise_autocorrelation"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 0 and less than 1")
        if self.volumes < 10:
            raise ValueError(f"volumes is {self.volumes}, must be 10 or more")
        if min(self.tr, self.baseline, self.percent_signal) <= 0 or self.drift < 0:
            raise ValueError("tr, baseline and percent_signal must be positive, drift not negative")


def simulate_rest(
    subject: str, settings: SimulateRestSettings, seed: int, rows: np.ndarray | None = None, run: str = ""
) -> np.ndarray:
    """Simulate one rest run.

    Vertices of one tuning group share latent signals through the same kind of weights as in the movies, so
    that masked modelling of rest teaches something about movies.

    Parameters
    ----------
    subject : name; with the seed it decides the subject's tuning
    rows : (V,) i64 ascending, grayordinates to simulate; all by default
    run : name; runs of one subject share the tuning, not the activity

    Returns
    -------
    (volumes, V) f32, scanner units
    """
    rows = np.arange(GRAYORDINATES) if rows is None else rows
    group = np.array([GROUPS.index(name.split("/")[0]) for name in feature_names([])])
    generator = numpy_generator(seed, "simulate_rest", subject, "tuning")
    tuning = draw_tuning(area_vertices(), group, np.eye(len(group)), settings.tuning_density, generator)
    inside, tuned = tuned_among(rows, tuning)
    modes = spatial_modes(rows, grayordinate_labels()[rows], tuned, tuning.weights[inside])
    baseline = (settings.baseline * generator.uniform(0.7, 1.3, GRAYORDINATES))[rows].astype(np.float32)

    generator = numpy_generator(seed, "simulate_rest", subject, "run", run)
    shape = (settings.volumes, len(rows))
    bold = autoregressive(shape, settings.noise_autocorrelation, generator)
    bold *= np.float32(np.sqrt(1 - settings.structured_share))
    shared = spontaneous_activity(modes, settings.volumes, settings.structured_autocorrelation, generator)
    shared *= np.float32(np.sqrt(settings.structured_share))
    bold += shared
    bold += drift(*shape, settings.drift, generator)
    bold *= baseline * np.float32(settings.percent_signal / 100)
    bold += baseline
    return bold
