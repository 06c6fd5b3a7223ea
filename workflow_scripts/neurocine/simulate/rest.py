"""Simulated rest: spontaneous activity with the spatial structure of the simulated brains, HCP-style."""

from typing import Annotated

import numpy as np
from pydantic import Field

from neurocine.fmri.grayordinates import GRAYORDINATES
from neurocine.fmri.parcellation import area_vertices
from neurocine.seeds import numpy_generator
from neurocine.settings import NotNegative, Positive, Settings, Share, ShareBelowOne, Unit
from neurocine.simulate.brain import grayordinate_labels
from neurocine.simulate.features import GROUPS, feature_names
from neurocine.simulate.noise import autoregressive, drift, spatial_modes, spontaneous_activity
from neurocine.simulate.tuning import draw_tuning, tuned_among


class SimulateRestSettings(Settings):
    """What the simulated rest runs are like."""

    volumes: Annotated[int, Field(ge=10), Unit("volumes")] = 1200
    """Each run has this many volumes; 1200 in the HCP."""
    tr: Annotated[Positive, Unit("s")] = 0.72
    """Volumes follow each other at this interval."""
    structured_share: Share = 0.5
    """Neighbours, areas and equally tuned vertices have this fraction of the variance in common."""
    structured_autocorrelation: ShareBelowOne = 0.9
    """The structured activity of consecutive volumes has this correlation; the larger, the slower it is."""
    noise_autocorrelation: ShareBelowOne = 0.3
    """The independent noise of consecutive volumes has this correlation."""
    tuning_density: Share = 0.25
    """A vertex responds to each feature of its group with this probability."""
    drift: NotNegative = 0.1
    """The slow drift has this standard deviation, in standard deviations of the rest; cleaned runs have
    little.
    """
    baseline: Positive = 10000.0
    """The raw signal has this mean in arbitrary units; each grayordinate has 0.7 to 1.3 times this."""
    percent_signal: Annotated[Positive, Unit("%")] = 1.5
    """The signal has this standard deviation, in percent of the mean."""


def simulate_rest(
    subject: str, settings: SimulateRestSettings, seed: int, rows: np.ndarray | None = None, run: str = ""
) -> np.ndarray:
    """Simulate one rest run.

    Vertices of one tuning group share latent signals through the same kind of weights as in the movies, so
    that masked modelling of rest teaches something about movies.

    Parameters
    ----------
    subject : name; with the seed it decides the subject's tuning
    settings : section simulate_rest
    seed : of the study
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
