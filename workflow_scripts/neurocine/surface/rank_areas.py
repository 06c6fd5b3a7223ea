"""Which areas a method decodes from: what it loses without each of them, held against nulls.

The same for every method. All vertices of an area are set to their training mean, 0 after standardisation,
and the method's own losses and scores of the test clips are computed again. An area counts where the loss of
the *right* pairing is larger than that of pairings with other times of the movie; the largest area of each
such pairing corrects for their number. A decoder trained on fMRI of other times shows what training alone
makes of areas, and turns of the sphere where a map would be high by its smoothness alone.
"""

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd

from neurocine.cli import progress
from neurocine.errors import InputError
from neurocine.fmri.vertices import VertexSelection
from neurocine.metrics.null import Null, shift_null
from neurocine.metrics.settings import ScoreSettings
from neurocine.metrics.statistics import mean_intervals
from neurocine.seeds import numpy_generator
from neurocine.settings import Count, CountOrZero, Settings, ShareBelowOne, Unit
from neurocine.surface.contrasts import PUBLISHED_CONTRASTS, Category, contrast_weights, sort_captions
from neurocine.surface.probes import Bold, Probe, Rows
from neurocine.surface.regions import HEMISPHERES, WHOLE_GROUP, Region, list_regions, scatter_to_brain
from neurocine.surface.spins import Spins, draw_rotations, label_meshes, load_spheres, spin_areas

log = logging.getLogger(__name__)
TRAINED, PERMUTED = "trained", "permuted"  # decoders; the latter are numbered from 1
Facts = dict[str, Any]
COLUMNS = [
    *("decoder", "kind", "measure", "area", "group", "hemisphere", "vertices", "value", "ci_low", "ci_high"),
    *("null_mean", "p_value", "p_family", "draws", "p_holds", "p_training", "spin_mean", "spin_p"),
    *("spins", "noise_ceiling", "rank", "exceeds"),
]


class RankAreasSettings(Settings):
    """How areas are ranked. Null and intervals are those of ``score``."""

    clips_per_movie: Annotated[CountOrZero, Unit("clips")] = 0
    """Occlusion, which takes a pass per area, uses this many clips of each test movie; 0 takes all."""
    permuted: Annotated[CountOrZero, Unit("trainings")] = 0
    """This many null decoders (NeuroCine's encoder) are trained on fMRI of other times.

    An area exceeds its null only if it exceeds all of them; with 19, the p of training can reach .05.
    """
    significance: ShareBelowOne = 0.05
    """An area is outlined where its p, corrected over all areas, is at most this."""
    spins: Annotated[Count, Unit("rotations")] = 1000
    """The spin test rotates the sphere at random this many times; unused for volumes."""
    contrasts: Mapping[str, Category] = PUBLISHED_CONTRASTS
    """Name pairs of categories of clips, recognised by words in their captions, whose areas are compared."""
    contrast_clips: Annotated[Count, Unit("clips")] = 8
    """A contrast is left out where one of its categories has fewer clips than this."""
    batch_size: Annotated[Count, Unit("clips")] = 64
    """The networks see this many clips per pass."""


@dataclass(frozen=True)
class Ranking:
    """Result.

    Parameters
    ----------
    table : a row per decoder, kind, measure and region, ``COLUMNS``
    maps : (59412,), or (n_voxels,) of a grid, float32 each: ``{kind}/{measure}``, values of areas, or of
        vertices where weights and attention have them; ``exceeds/{kind}/{measure}``, 1 in outlined areas,
        else 0; NaN outside the vertices
    contrasts : contrast -> clips of its first and second category; those left out too
    """

    table: pd.DataFrame
    maps: dict[str, np.ndarray]
    contrasts: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class _Study:
    """What all measures share."""

    rows: Rows
    regions: list[Region]
    selection: VertexSelection
    null: Null
    spins: Spins | None
    ceilings: Mapping[tuple[str, str], float]
    score: ScoreSettings
    settings: RankAreasSettings
    seed: int

    def blocks(self, pairs: np.ndarray) -> list[np.ndarray]:
        """Cut pairs of all clips (n, n) into those within movies."""
        ends = np.cumsum([0, *map(len, self.rows.values())])
        return [pairs[a:b, a:b] for a, b in itertools.pairwise(ends)]

    def intervals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % interval of means over clips of (n, columns)."""
        ends = np.cumsum([0, *map(len, self.rows.values())])
        parts = [values[a:b] for a, b in itertools.pairwise(ends)]
        generator = numpy_generator(self.seed, "rank_areas", "bootstrap")
        given = (self.score.block_tr, self.score.bootstrap_draws, generator)
        interval = mean_intervals(parts, list(self.rows.values()), *given)
        return interval.low, interval.high


def spaced_clips(bold: Bold, every: int, per_movie: int) -> dict[str, np.ndarray]:
    """Choose evenly spaced clips of each movie (T, V): movie -> (n,) i64.

    Parameters
    ----------
    bold : movies
    every : decode.every
    per_movie : at most this many; 0 takes all
    """
    chosen = {}
    for movie, samples in bold.items():
        index = np.arange(0, len(samples), every)
        if per_movie and per_movie < len(index):
            index = index[np.arange(per_movie) * len(index) // per_movie]
        chosen[movie] = index
    return chosen


def occlude(bold: Bold, members: np.ndarray) -> dict[str, np.ndarray]:
    """Return movies (T, V) with some vertices (n,) at 0, their training mean."""
    occluded = {movie: samples.copy() for movie, samples in bold.items()}
    for samples in occluded.values():
        samples[:, members] = 0
    return occluded


def family_p(values: np.ndarray, draws: np.ndarray, two_sided: bool = False) -> np.ndarray:
    """Correct p over several values by the largest of each draw.

    Values are brought to the mean and spread of their own draws first, so that one with a wide null does not
    hide the others (Westfall and Young 1993).

    Parameters
    ----------
    values : (k,)
    draws : (k, n) of the null, drawn together for all
    two_sided : whether small values count as well

    Returns
    -------
    (k,); 1 where the null has no spread
    """
    mean, spread = draws.mean(1, keepdims=True), draws.std(1, keepdims=True)
    wide = spread[:, 0] > 1e-12
    scale = np.where(spread > 1e-12, spread, 1)
    null, found = (draws - mean) / scale, (values - mean[:, 0]) / scale[:, 0]
    if two_sided:
        null, found = np.abs(null), np.abs(found)
    largest = np.where(wide[:, None], null, -np.inf).max(0)
    reached = (largest[None] >= found[:, None] - 1e-9).sum(1)
    return np.where(wide, (1 + reached) / (1 + draws.shape[1]), 1.0)


def _families(regions: Sequence[Region]) -> list[np.ndarray]:
    """Rows that are corrected together: areas, and groups; of both hemispheres together, and of each."""
    kinds = [(region.is_group, region.hemisphere == "both") for region in regions]
    return [np.array([kind == one for kind in kinds]) for one in dict.fromkeys(kinds)]


def _area_values(study: _Study, values: np.ndarray) -> np.ndarray:
    """Arrange values of regions as (2, A), left and right, NaN where there is no region."""
    by_area = np.full((2, len(study.selection.areas)), np.nan)
    for region, value in zip(study.regions, values, strict=True):
        if not region.is_group and region.hemisphere != "both":
            side = HEMISPHERES.index(region.hemisphere)
            by_area[side, study.selection.areas.index(region.area)] = value
    return by_area


def _spin_columns(study: _Study, values: np.ndarray) -> Facts:
    """Compare each region's place on a map of areas with what turns bring there."""
    if study.spins is None:
        return {"spin_mean": np.nan, "spin_p": np.nan, "spins": 0}
    of_areas = _area_values(study, values)
    columns: Facts = {"spin_mean": [], "spin_p": [], "spins": []}
    for region in study.regions:
        inside = np.array([region.area in (area, WHOLE_GROUP) for area in study.selection.areas])
        inside &= np.array(study.selection.groups) == region.group
        turned = study.spins.turned(of_areas, inside, region.hemisphere)
        here = study.spins.still(of_areas, inside, region.hemisphere)
        has_null = len(turned) > 0 and np.isfinite(here)
        columns["spin_mean"].append(turned.mean() if has_null else np.nan)
        reached = np.count_nonzero(turned >= here - 1e-12)
        columns["spin_p"].append((1 + reached) / (1 + len(turned)) if has_null else np.nan)
        columns["spins"].append(len(turned))
    return columns


def _ranks(regions: Sequence[Region], values: np.ndarray) -> np.ndarray:
    """Rank areas by falling value within a hemisphere, or both; NaN for groups."""
    ranks = np.full(len(regions), np.nan)
    for family in _families(regions):
        for side in ("both", *HEMISPHERES):
            rows = [
                number
                for number, region in enumerate(regions)
                if family[number] and not region.is_group and region.hemisphere == side
            ]
            order = np.argsort(-values[rows], kind="stable")
            ranks[np.array(rows, int)[order]] = np.arange(1, len(rows) + 1)
    return ranks


def _rows(study: _Study, decoder: str, kind: str, measure: str, values: np.ndarray) -> pd.DataFrame:
    """Tabulate the values of regions with what stands beside them; no p of pairings yet."""
    regions = study.regions
    table = pd.DataFrame(
        {
            "decoder": decoder,
            "kind": kind,
            "measure": measure,
            "area": [region.area for region in regions],
            "group": [region.group for region in regions],
            "hemisphere": [region.hemisphere for region in regions],
            "vertices": [len(region.members) for region in regions],
            "value": values,
            **_spin_columns(study, values),
            "noise_ceiling": [study.ceilings.get((r.group, r.area), np.nan) for r in regions],
            "rank": _ranks(regions, values),
            "exceeds": "no",
        }
    )
    return table.reindex(columns=COLUMNS)


def _tested(
    study: _Study, table: pd.DataFrame, clips: np.ndarray, pairs: Iterable[list[np.ndarray]], two_sided: bool
) -> pd.DataFrame:
    """Fill in intervals and p.

    Parameters
    ----------
    study, table : as made
    clips : (n, R) values of single clips, whose means are those of the table
    pairs : of each region, per movie (n, n)
    two_sided : whether small values count as well
    """
    table["ci_low"], table["ci_high"] = study.intervals(clips)
    draws: list[np.ndarray] = []
    holds: list[tuple[float, int, float, str, float]] = []
    for part, value in zip(pairs, table["value"], strict=True):
        summary = study.null.summarise(float(value), part)
        null = study.null.counted_means(part)
        draws.append(null)
        p_value = summary.p_value
        if two_sided:
            centre = null.mean()
            reached = np.count_nonzero(np.abs(null - centre) >= abs(value - centre) - 1e-12)
            p_value = float((1 + reached) / (1 + len(null)))
        holds.append((summary.mean, len(null), summary.memory_tr, "yes" if summary.holds else "no", p_value))
    table["null_mean"], table["draws"], _, table["p_holds"], table["p_value"] = zip(*holds, strict=True)
    null = np.stack(draws)
    for family in _families(study.regions):
        corrected = family_p(table["value"].to_numpy()[family], null[family], two_sided)
        table.loc[family, "p_family"] = corrected
    above = (table["p_family"] <= study.settings.significance) & (table["p_holds"] == "yes")
    table["exceeds"] = np.where(above & ((table["value"] > 0) | two_sided), "yes", "no")
    return table


def occlusion_table(study: _Study, probe: Probe, bold: Bold) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Occlude each region of movies (T, V).

    Returns
    -------
    a row per measure and region; per measure, falls of single clips (n, R)
    """
    whole = probe.pairs(bold)
    falls: dict[str, list[list[np.ndarray]]] = {measure: [] for measure in whole}
    for region in progress(study.regions, len(study.regions), "occlusion, region"):
        without = probe.pairs(occlude(bold, region.members))
        for measure, pairs in whole.items():
            blocks = study.blocks(pairs - without[measure])
            falls[measure].append([block.astype(np.float32) for block in blocks])
    tables, clips = [], {}
    for measure, of_regions in falls.items():
        diagonals = [np.concatenate([np.diagonal(block) for block in blocks]) for blocks in of_regions]
        clips[measure] = np.stack(diagonals, axis=1).astype(np.float64)
        table = _rows(study, TRAINED, "occlusion", measure, clips[measure].mean(0))
        tables.append(_tested(study, table, clips[measure], of_regions, two_sided=False))
    return pd.concat(tables, ignore_index=True), clips


def contrast_table(
    study: _Study, name: str, weights: Mapping[str, np.ndarray], clips: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Compare two categories of clips in each region.

    Parameters
    ----------
    study : what all measures share
    name : of the contrast
    weights : movie -> (n,) of ``contrast_weights``
    clips : measure -> (n, R) values of single clips

    Returns
    -------
    a row per measure and region: the difference of means, first minus second; p has two sides, and its null
    shifts the categories in time
    """
    joined = np.concatenate(list(weights.values()))
    ends = np.cumsum([0, *map(len, weights.values())])
    tables = []
    for measure, values in clips.items():
        centred = values - values.mean(0)
        weighted = centred * joined[:, None]
        table = _rows(study, TRAINED, f"contrast {name}", measure, weighted.mean(0))
        parts = (
            [
                np.outer(centred[a:b, column], weight)
                for a, b, weight in zip(ends[:-1], ends[1:], weights.values(), strict=True)
            ]
            for column in range(values.shape[1])
        )
        tables.append(_tested(study, table, weighted, parts, two_sided=True))
    return pd.concat(tables, ignore_index=True)


def _make_study(
    bold: Bold,
    rows: Rows,
    selection: VertexSelection,
    ceilings: Mapping[tuple[str, str], float],
    score: ScoreSettings,
    settings: RankAreasSettings,
    seed: int,
) -> _Study:
    sizes = {samples.shape[1] for samples in bold.values()}
    if sizes != {len(selection.vertex)}:
        expected = f"the {len(selection.vertex)} of select_vertices"
        raise InputError("fMRI", f"{sorted(sizes)} vertices", expected, "Preprocess again.")
    generator = numpy_generator(seed, "rank_areas", "null")
    null = shift_null(list(rows.values()), score.min_shift_tr, score.null_draws, generator)
    spins = None
    if selection.grid is None:
        rotations = draw_rotations(settings.spins, numpy_generator(seed, "rank_areas", "spins"))
        spins = spin_areas(load_spheres(), label_meshes(selection), rotations)
    regions = list_regions(selection)
    return _Study(rows, regions, selection, null, spins, ceilings, score, settings, seed)


def permuted_table(study: _Study, probes: Sequence[Probe], bold: Bold) -> pd.DataFrame:
    """Tabulate what decoders of other times lose without each region, on the whole movies (T, V)."""
    tables = []
    for number, probe in enumerate(probes, 1):
        whole = probe.pairs(bold)
        without = [probe.pairs(occlude(bold, region.members)) for region in study.regions]
        for measure, pairs in whole.items():
            falls = np.array([np.diagonal(pairs - part[measure]).mean() for part in without])
            tables.append(_rows(study, f"{PERMUTED}{number}", "occlusion", measure, falls))
    return pd.concat(tables, ignore_index=True)


def beyond_permuted(table: pd.DataFrame, permuted: pd.DataFrame) -> pd.DataFrame:
    """Leave out of what exceeds its null what decoders of other times reach as well.

    ``p_training`` = (1 + decoders whose largest fall of an area is as large) / (1 + decoders), for each
    measure and each way to take hemispheres.
    """
    keys = ["measure", "hemisphere"]
    areas = permuted[permuted["area"] != WHOLE_GROUP]
    largest = areas.groupby([*keys, "decoder"])["value"].max()
    table = table.copy()
    for number, row in table.iterrows():
        reached = (largest[row["measure"], row["hemisphere"]] >= row["value"]).to_numpy()
        table.loc[number, "p_training"] = (1 + reached.sum()) / (1 + len(reached))
        if reached.any():
            table.loc[number, "exceeds"] = "no"
    return table


def _beside(study: _Study, probe: Probe, bold: Bold, training: Bold) -> tuple[pd.DataFrame, dict, dict]:
    """Tabulate what a method's own attention and weights say: table, maps of vertices, clips' attention."""
    tables, maps, clips = [], {}, {}
    attention = probe.attention(bold, study.regions)
    if attention is not None:
        clips["attention"] = attention
        tables.append(_rows(study, TRAINED, "attention", "softmax", attention.mean(0)))
    for (kind, measure), values in probe.vertex_maps(training).items():
        means = np.array([values[region.members].mean() for region in study.regions])
        tables.append(_rows(study, TRAINED, kind, measure, means))
        maps[f"{kind}/{measure}"] = scatter_to_brain(values, study.selection)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return table, maps, clips


def _region_maps(table: pd.DataFrame, selection: VertexSelection) -> dict[str, np.ndarray]:
    """Paint values of areas, and what exceeds its null, on the vertices."""
    maps = {}
    chosen = table[
        (table["decoder"] == TRAINED) & (table["hemisphere"] == "both") & (table["area"] != WHOLE_GROUP)
    ]
    for (kind, measure), rows in chosen.groupby(["kind", "measure"], sort=False):
        values = np.full(len(selection.areas), np.nan)
        outlined = np.zeros(len(selection.areas))
        places = [selection.areas.index(area) for area in rows["area"]]
        values[places] = rows["value"]
        outlined[places] = rows["exceeds"] == "yes"
        maps[f"{kind}/{measure}"] = scatter_to_brain(values[selection.area], selection)
        maps[f"exceeds/{kind}/{measure}"] = scatter_to_brain(outlined[selection.area], selection)
    return maps


def rank_areas(
    probe: Probe,
    rows: Rows,
    bold: Bold,
    training: Bold,
    captions: Mapping[str, Sequence[Sequence[str]]],
    selection: VertexSelection,
    ceilings: Mapping[tuple[str, str], float],
    score: ScoreSettings,
    settings: RankAreasSettings,
    seed: int,
    permuted: Sequence[Probe] = (),
) -> Ranking:
    """Rank the areas that a method decodes from.

    Parameters
    ----------
    probe : the method's networks and what is true of the clips
    rows : movie -> (n,) clips of the probe
    bold, training : test and training movies, (T, V) each, standardised with training statistics
    captions : movie -> captions of each of its clips
    selection : the vertices
    ceilings : (group, area) -> the correlation that a perfect prediction of the fMRI would reach
    score : section score of the config, for null and intervals
    settings : section rank_areas of the config
    seed : of all draws
    permuted : the same networks, each trained on fMRI of other times

    Raises
    ------
    InputError : vertices that do not fit; movies too short for the null
    """
    study = _make_study(bold, rows, selection, ceilings, score, settings, seed)
    if probe.n_vertices != len(selection.vertex):
        found = f"networks of {probe.n_vertices} vertices"
        todo = "Train on the vertices of this study."
        raise InputError("decoders", found, f"the {len(selection.vertex)} of select_vertices", todo)
    table, clips = occlusion_table(study, probe, bold)
    tables = [table]
    if permuted:
        null = permuted_table(study, permuted, bold)
        tables = [beyond_permuted(table, null), null]
    beside, maps, shown = _beside(study, probe, bold, training)
    tables.append(beside)
    shown[probe.losses[0]] = clips[probe.losses[0]]
    responses = np.concatenate([bold[movie][index] for movie, index in rows.items()])
    shown["fmri"] = np.stack([responses[:, region.members].mean(1) for region in study.regions], axis=1)
    counts = {}
    for name, category in settings.contrasts.items():
        sides = {movie: sort_captions(captions[movie], category)[index] for movie, index in rows.items()}
        every = np.concatenate(list(sides.values()))
        counts[name] = (int((every > 0).sum()), int((every < 0).sum()))
        weights = contrast_weights(sides, settings.contrast_clips)
        if weights is None:
            log.warning("contrast %s: %d and %d clips, which is too few", name, *counts[name])
            continue
        tables.append(contrast_table(study, name, weights, shown))
    joined = pd.concat([part for part in tables if len(part)], ignore_index=True)
    return Ranking(joined, _region_maps(joined, selection) | maps, counts)
