"""Vertices whose responses to the training movies repeat, chosen as by the data set's authors (Wen 2018).

Per training movie and vertex, the repeats are correlated; a one-sided t test over the movies asks whether the
Fisher-transformed correlations are above zero. Test movies have no part in this.
"""

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from neurocine.datasets.base import Recording
from neurocine.errors import InputError
from neurocine.fmri.preprocess import PreprocessRunSettings, clean_run, read_run, runs_by_movie
from neurocine.fmri.vertices import SelectVerticesSettings, VertexSelection

log = logging.getLogger(__name__)
LARGEST_R = 1 - 1e-6  # Fisher's z of 1 is infinite
SMALLEST_SPREAD = 1e-6  # of z between movies; keeps t finite where all movies agree exactly


def repeat_correlation(repeats: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean Fisher z of the correlations between all pairs of repeats.

    Parameters
    ----------
    repeats : at least two arrays (T, V); their scale does not matter

    Returns
    -------
    (V,) float64; 0 for a vertex that is constant in a repeat
    """
    unit = []
    for values in repeats:
        centred = values - values.mean(0, dtype=np.float64)
        length = np.sqrt((centred**2).sum(0))
        unit.append(centred / np.where(length > 0, length, 1))
    pairs = [(one * two).sum(0) for one, two in itertools.combinations(unit, 2)]
    return np.mean([np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R)) for r in pairs], axis=0)


def t_over_movies(z: np.ndarray) -> np.ndarray:
    """Return the t statistic of the mean over movies being above zero: (n_movies, V) to (V,)."""
    spread = np.maximum(z.std(0, ddof=1), SMALLEST_SPREAD)
    return np.asarray(z.mean(0) / (spread / np.sqrt(len(z))))


def reliable(t: np.ndarray, n_movies: int, settings: SelectVerticesSettings) -> np.ndarray:
    """Choose vertices by level (Bonferroni over all given) and then the best by t.

    Parameters
    ----------
    t : (V,); ranked instead of p, which is 0 for many
    n_movies : movies behind t
    settings : section select_vertices

    Returns
    -------
    (V,) bool

    Raises
    ------
    InputError : no vertex is reliable, or fewer than ``reliable_count``
    """
    mask = np.ones(len(t), bool)
    if settings.reliable_p:
        mask = stats.t.sf(t, n_movies - 1) * len(t) < settings.reliable_p
    wanted = settings.count
    if mask.sum() < max(wanted, 1):
        raise InputError(
            "select_vertices",
            f"{mask.sum()} reliable vertices of {len(t)}",
            f"at least {max(wanted, 1)}",
            "Raise reliable_p, lower reliable_count, or take more areas.",
        )
    if wanted:
        best = np.argsort(np.where(mask, -t, np.inf), kind="stable")[:wanted]
        mask = np.zeros(len(t), bool)
        mask[best] = True
    return mask


def select_reliable(
    selection: VertexSelection,
    runs: Sequence[Path],
    recordings: Sequence[Recording],
    settings: SelectVerticesSettings,
    preprocess: PreprocessRunSettings,
    confounds: Sequence[str] = (),
) -> VertexSelection:
    """Keep the vertices of one subject whose repeats of the training movies agree, in the order they had.

    Parameters
    ----------
    selection : candidates
    runs : the subject's runs of training movies, at least two repeats of at least two movies
    recordings : what they are recordings of, in the same order
    settings : section select_vertices of the config
    preprocess : section preprocess_run of the config; runs are cleaned as for training
    confounds : columns of the recordings' tables that are removed

    Raises
    ------
    InputError : bad runs, too few movies with repeats, too few reliable vertices

    Source: Wen 2018, movie_fmri_reproducibility; Mind-Animator keeps 4500 vertices by the same test.
    """
    files, _ = runs_by_movie(runs, recordings, ())
    z = []
    for movie, repeats in files.items():
        if len(repeats) < 2:
            log.warning("%s: one repeat only, so it says nothing about reliability", movie)
            continue
        cleaned = []
        for _, (path, recording) in sorted(repeats.items()):
            bold = read_run(path, recording, selection.vertex, selection.grid)
            cleaned.append(clean_run(bold, recording, preprocess, path, confounds))
        z.append(repeat_correlation(cleaned))
        log.info("%s: mean correlation of repeats %.3f", movie, np.tanh(z[-1]).mean())
    if len(z) < 2:
        raise InputError(
            "select_vertices",
            f"{len(z)} training movies with repeats",
            "at least 2, to test reliability between movies",
            "Choose vertices by roi_set or areas alone: reliable_count: 0, reliable_p: 0.",
        )
    t = t_over_movies(np.array(z))
    mask = reliable(t, len(z), settings)
    log.info("%d of %d vertices kept, smallest t %.2f", mask.sum(), len(mask), t[mask].min())
    return selection.keep(mask)
