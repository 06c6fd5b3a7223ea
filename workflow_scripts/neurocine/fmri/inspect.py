"""Look at the recorded runs of a subject as they are: what a person should see before trusting what follows.

Nothing is left out for what is found here. Outliers are marked, for a person to list in exclude_runs.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from neurocine.datasets.base import Recording
from neurocine.fmri.cifti import read_dtseries
from neurocine.fmri.coverage import Samples, count_by_area
from neurocine.fmri.grayordinates import CORTEX, mesh_vertices
from neurocine.fmri.parcellation import area_vertices
from neurocine.fmri.preprocess import (
    TR_SLACK,
    PreprocessRunSettings,
    detrend,
    kept_samples,
    runs_by_movie,
    zscore,
)
from neurocine.fmri.stated import stated_tr
from neurocine.fmri.vertices import VertexSelection
from neurocine.fmri.volumes import read_volumes, volumes_tr
from neurocine.settings import Count, Positive, Settings, Share, Unit

log = logging.getLogger(__name__)

MAD_TO_SD = 1.4826  # standard deviation of normal values with a median absolute deviation of 1
LATE = 3.0  # s by which a run must differ from its repeats in time to be marked
FEWEST = 4  # runs from which on one of them can be an outlier
MOST_VERTICES = 2000  # looked at for signal and repeats; every k-th where there are more
COLUMNS = (
    *("movie", "repeat", "volumes", "tr_stated", "tr_study", "constant", "areas_without_signal"),
    *("tsnr", "repeat_correlation", "best_lag_tr", "right_side", "marked"),
)


class InspectRunsSettings(Settings):
    """What is marked when the runs are looked at; nothing is left out for it."""

    max_lag_tr: Annotated[Count, Unit("TR")] = 6
    """A run is compared with the mean of its movie's other repeats at lags up to this one."""
    outlier_deviations: Positive = 3.5
    """A run is marked if its temporal SNR or agreement is this many robust deviations below the median."""
    constant_share: Annotated[Share, Field(gt=0)] = 0.05
    """A run is marked if at least this fraction of the vertices has no signal."""


def temporal_snr(samples: Samples, order: int) -> float:
    """Return the median over vertices of mean over standard deviation in time, without a polynomial trend.

    Parameters
    ----------
    samples : time courses (T, V), scanner units
    order : degree of the trend
    """
    there = ~samples.constant
    if not there.any():
        return float("nan")
    bold = samples.bold[:, there].astype(np.float64)
    return float(np.median(np.abs(bold.mean(0)) / detrend(bold, order).std(0, ddof=order + 1)))


def lagged_correlations(run: np.ndarray, others: np.ndarray, max_lag: int) -> np.ndarray:
    """Correlate a run with what it should repeat, shifted in time.

    Parameters
    ----------
    run : (T, V), z-scored; constant vertices are 0 and do not count
    others : (T, V), mean of the other repeats
    max_lag : samples

    Returns
    -------
    (2 max_lag + 1,) mean over vertices of the correlation of run[t + lag] and others[t], from -max_lag on
    """
    there = (run != 0).any(0) & (others != 0).any(0)
    if not there.any():
        return np.full(2 * max_lag + 1, np.nan)
    run, others = run[:, there].astype(np.float64), others[:, there].astype(np.float64)
    correlations = []
    for lag in range(-max_lag, max_lag + 1):
        length = len(run) - abs(lag)
        a = run[max(lag, 0) : max(lag, 0) + length]
        b = others[max(-lag, 0) : max(-lag, 0) + length]
        a, b = a - a.mean(0), b - b.mean(0)
        size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
        correlations.append(float(np.mean((a * b).sum(0) / np.where(size > 0, size, np.inf))))
    return np.array(correlations)


def agree_with_repeats(cleaned: np.ndarray, max_lag: int) -> list[tuple[float, float]]:
    """Say of each repeat how well it agrees with the mean of the others, and at which lag best.

    Parameters
    ----------
    cleaned : (n_repeats, T, V), z-scored
    max_lag : samples, cut to a third of T

    Returns
    -------
    correlation at lag 0 and best lag of each repeat; NaN of a movie that was shown once
    """
    if len(cleaned) < 2:
        return [(float("nan"), float("nan"))] * len(cleaned)
    reach = min(max_lag, cleaned.shape[1] // 3)
    total, peaks = cleaned.sum(0), []
    for run in cleaned:
        curve = lagged_correlations(run, (total - run) / (len(cleaned) - 1), reach)
        best = float(np.nan if np.isnan(curve).all() else np.argmax(curve) - reach)
        peaks.append((float(curve[reach]), best))
    return peaks


def on_their_side(selection: VertexSelection) -> float:
    """Return the share of vertices that lie on the side which the name of their area says; NaN if unknown."""
    if not selection.placed:
        return float("nan")
    if selection.grid is not None:
        right = selection.grid.position(selection.vertex)[0] >= 0
    else:
        right = selection.vertex >= len(mesh_vertices()[0])
    return float((right == (selection.hemisphere == 1)).mean())


def low_outliers(values: np.ndarray, deviations: float) -> np.ndarray:
    """Find values far below the median: (n,) bool, none among fewer than four.

    Parameters
    ----------
    values : (n,), NaN where there is none
    deviations : robust standard deviations, 1.4826 times the median absolute deviation
    """
    finite_values = values[np.isfinite(values)]
    if len(finite_values) < FEWEST:
        return np.zeros(len(values), bool)
    middle = np.median(finite_values)
    spread = MAD_TO_SD * np.median(np.abs(finite_values - middle))
    return np.asarray(np.nan_to_num(values, nan=np.inf) < middle - deviations * spread)


def _read(path: Path, selection: VertexSelection) -> tuple[np.ndarray, float]:
    """Read a run, (T, V) of the whole cortex or of the chosen voxels, and the TR of its header."""
    if selection.grid is not None:
        return read_volumes(path, selection.vertex, selection.grid), volumes_tr(path)
    return read_dtseries(path, np.arange(CORTEX))


def inspect_runs(
    runs: Sequence[Path],
    recordings: Sequence[Recording],
    selection: VertexSelection,
    preprocess: PreprocessRunSettings,
    settings: InspectRunsSettings,
) -> pd.DataFrame:
    """Look at all runs of a subject, one movie after the other.

    Parameters
    ----------
    runs : dense time series, or volumes
    recordings : what they are recordings of, in the same order
    selection : the vertices that are decoded
    preprocess : section preprocess_run of the config
    settings : section inspect_runs of the config

    Returns
    -------
    a row per run: movie, repeat; volumes; tr_stated and tr_study (s); constant, vertices of the cortex (or of
    the chosen voxels) without signal, and areas_without_signal; tsnr; repeat_correlation with the mean of the
    other repeats and best_lag_tr, at which it is largest; right_side, share of the vertices on the side that
    their area's name says; marked, what is unusual

    Raises
    ------
    InputError : as `preprocess_run`
    """
    files, _ = runs_by_movie(runs, recordings, ())
    thinned = selection.vertex[:: -(-len(selection.vertex) // MOST_VERTICES)]
    looked_at = np.arange(len(selection.vertex)) if selection.grid is not None else thinned
    side = on_their_side(selection)
    rows: list[dict[str, object]] = []
    for movie, repeats in files.items():
        cleaned = []
        for repeat, (path, recording) in sorted(repeats.items()):
            row, samples = _look(path, recording, selection, preprocess, looked_at)
            trend = detrend(samples.bold, preprocess.detrend_order)
            scale = np.abs(samples.bold).max(0).astype(np.float64)
            cleaned.append(zscore(trend, preprocess.ddof, scale, path))
            rows.append({"movie": movie, "repeat": repeat, **row, "right_side": side})
        agreement = agree_with_repeats(np.stack(cleaned), settings.max_lag_tr)
        for row, (correlation, lag) in zip(rows[-len(cleaned) :], agreement, strict=True):
            row |= {"repeat_correlation": correlation, "best_lag_tr": lag}
    table = pd.DataFrame(rows)
    table["marked"] = mark_unusual(table, settings, CORTEX if selection.grid is None else len(looked_at))
    for unusual in table[table["marked"] != ""].to_dict("records"):
        log.warning("%s repeat %s: %s", unusual["movie"], unusual["repeat"], unusual["marked"])
    return table[list(COLUMNS)]


def _look(
    path: Path,
    recording: Recording,
    selection: VertexSelection,
    preprocess: PreprocessRunSettings,
    looked_at: np.ndarray,
) -> tuple[dict[str, object], Samples]:
    """Describe one run by itself, and return the samples of the vertices that are looked at."""
    bold, header = _read(path, selection)
    samples = kept_samples(bold, recording, preprocess, path)
    areas = {} if selection.grid is not None else area_vertices()
    constant_areas = count_by_area(samples.constant, areas) if areas else ""
    chosen = Samples(samples.bold[:, looked_at], samples.constant[looked_at])
    row: dict[str, object] = {
        "volumes": len(bold),
        "tr_stated": stated_tr(path, header)[0],
        "tr_study": recording.tr,
        "constant": int(samples.constant.sum()),
        "areas_without_signal": constant_areas.rpartition(": ")[2] if ": " in constant_areas else "",
        "tsnr": temporal_snr(chosen, preprocess.detrend_order),
    }
    return row, chosen


def mark_unusual(table: pd.DataFrame, settings: InspectRunsSettings, n_vertices: int) -> list[str]:
    """Say what is unusual about each run, empty where nothing is.

    Parameters
    ----------
    table : as `inspect_runs` returns it, but for the column marked
    settings : section inspect_runs of the config
    n_vertices : among which constant ones were counted
    """
    usual = table.groupby("movie")["volumes"].transform(lambda counts: counts.isin(counts.mode()))
    checks: Mapping[str, pd.Series | np.ndarray] = {
        "another number of volumes": ~usual,
        "another TR": (table["tr_stated"] / table["tr_study"] - 1).abs().fillna(np.inf) > TR_SLACK,
        "vertices without signal": table["constant"] >= settings.constant_share * n_vertices,
        "low temporal SNR": low_outliers(table["tsnr"].to_numpy(float), settings.outlier_deviations),
        "unlike its repeats": low_outliers(
            table["repeat_correlation"].to_numpy(float), settings.outlier_deviations
        ),
        "early or late": (table["best_lag_tr"] * table["tr_study"]).fillna(0).abs() >= LATE,
        "areas on the other side": table["right_side"].fillna(1) < 1,
    }
    flags = {name: np.asarray(marks, bool) for name, marks in checks.items()}
    return ["; ".join(name for name in flags if flags[name][row]) for row in range(len(table))]
