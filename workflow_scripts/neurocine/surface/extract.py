"""The whole extraction of one subject: attention of three stages, occlusion, their nulls, maps and table."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from neurocine.errors import InputError
from neurocine.fmri.vertices import VertexSelection
from neurocine.fmri.windows import FmriWindows
from neurocine.metrics.agreement import SCORES, Targets, find_rivals, mean_direction
from neurocine.metrics.statistics import mean_intervals
from neurocine.models.fmri_encoder import FmriEncoder
from neurocine.seeds import numpy_generator
from neurocine.surface.attention import (
    QUANTITIES,
    ExtractAttentionSettings,
    LayerAttention,
    measure_attention,
    random_encoder,
)
from neurocine.surface.occlusion import measure_occlusion
from neurocine.surface.regions import Region, list_regions, scatter_to_brain

log = logging.getLogger(__name__)
OCCLUDED_STAGE = "contrastive"  # the stage whose output is compared with CLIP


@dataclass(frozen=True)
class MeasuredClips:
    """Test samples of one subject.

    Parameters
    ----------
    bold : movie -> (T, V) float32, standardised with training statistics
    text, image : movie -> (T, k, E), projected CLIP embeddings of captions and frames
    """

    bold: Mapping[str, np.ndarray]
    text: Mapping[str, np.ndarray]
    image: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Extraction:
    """Result.

    Parameters
    ----------
    maps : (59412,), or (n_voxels,) of a grid, float32 each: ``attention/{stage}/layer{n}/{quantity}``,
        ``random/layer{n}/{quantity}``, ``occlusion/{score}``; NaN outside the vertices
    table : one row per stage, layer and region (kind attention), and per occluded region (kind occlusion)
    whole : scores of the encoder with nothing occluded
    """

    maps: dict[str, np.ndarray]
    table: pd.DataFrame
    whole: dict[str, float]


@dataclass(frozen=True)
class _Sample:
    """Windows of chosen clips: (n, w, V), with movie number and clip index of each."""

    bold: np.ndarray
    movie: np.ndarray
    clip: np.ndarray

    def bootstrap(
        self, values: np.ndarray, settings: ExtractAttentionSettings, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the 95 % interval of the mean over clips of (n, columns): low and high, (columns,) each."""
        parts, clips = (
            [column[self.movie == number] for number in np.unique(self.movie)]
            for column in (values, self.clip)
        )
        generator = numpy_generator(seed, "extract_attention", "bootstrap")
        interval = mean_intervals(parts, clips, settings.block_tr, settings.bootstrap_draws, generator)
        return interval.low, interval.high


def spaced(n_clips: int, count: int) -> np.ndarray:
    """Choose a number of evenly spaced clips of a movie, all if 0: (n,) int64 indices."""
    if not count or count >= n_clips:
        return np.arange(n_clips)
    return (np.arange(count) * n_clips) // count


def take_clips(bold: Mapping[str, np.ndarray], window: int, per_movie: int) -> _Sample:
    """Cut windows of evenly spaced clips of all movies, ``bold`` (T, V) each."""
    windows = FmriWindows.of_means(bold, window)
    first, chosen = 0, []
    for samples in bold.values():
        chosen.append(first + spaced(len(samples), per_movie))
        first += len(samples)
    rows = torch.from_numpy(np.concatenate(chosen))
    return _Sample(windows.take(rows).numpy(), windows.movie[rows].numpy(), windows.clip[rows].numpy())


def make_targets(clips: MeasuredClips, sample: _Sample, min_distance_tr: int) -> Targets:
    """Gather the CLIP embeddings of the sample's clips."""
    names = list(clips.bold)
    chosen = {name: sample.clip[sample.movie == number] for number, name in enumerate(names)}
    for name in names:
        lengths = {len(clips.bold[name]), len(clips.text[name]), len(clips.image[name])}
        if len(lengths) > 1:
            found = f"{len(clips.text[name])} clips"
            raise InputError(
                f"embeddings of {name}", found, f"{len(clips.bold[name])}, as fMRI", "Embed again."
            )
    return Targets(
        text=mean_direction(np.concatenate([clips.text[name][rows] for name, rows in chosen.items()])),
        image=mean_direction(np.concatenate([clips.image[name][rows] for name, rows in chosen.items()])),
        rivals=find_rivals(sample.movie, sample.clip, min_distance_tr),
    )


def _mean_layers(results: list[dict[int, LayerAttention]]) -> dict[int, LayerAttention]:
    """Average the attention of several encoders."""
    return {
        layer: LayerAttention(
            {name: np.mean([r[layer].vertices[name] for r in results], axis=0) for name in QUANTITIES},
            {name: np.mean([r[layer].regions[name] for r in results], axis=0) for name in QUANTITIES},
        )
        for layer in results[0]
    }


def _region_columns(regions: list[Region]) -> dict[str, list[str] | list[int]]:
    return {
        "area": [region.area for region in regions],
        "group": [region.group for region in regions],
        "hemisphere": [region.hemisphere for region in regions],
        "vertices": [len(region.members) for region in regions],
    }


def attention_rows(
    stage: str,
    layer: int,
    attention: LayerAttention,
    null: LayerAttention,
    regions: list[Region],
    interval_softmax: tuple[np.ndarray, np.ndarray],
) -> pd.DataFrame:
    """Tabulate one layer at one stage: one row per region.

    ``interval_softmax`` holds the lower and the upper ends, (n_regions,) each.
    """
    columns = {"kind": "attention", "stage": stage, "layer": layer, **_region_columns(regions)}
    table = pd.DataFrame(columns)
    table["importance_softmax"] = attention.regions["softmax"].mean(0)
    table["softmax_low"], table["softmax_high"] = interval_softmax
    table["importance_l2row"] = attention.regions["l2row"].mean(0)
    table["entropy"] = attention.regions["entropy"].mean(0)
    for name in QUANTITIES:
        table[f"random_{name}"] = null.regions[name].mean(0)
    return table


def occlude_regions(
    encoder: FmriEncoder,
    nulls: list[FmriEncoder],
    clips: MeasuredClips,
    regions: list[Region],
    settings: ExtractAttentionSettings,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Occlude every region in the encoder and in encoders with random weights.

    Returns
    -------
    one row per region; scores of the encoder with nothing occluded
    """
    sample = take_clips(clips.bold, encoder.config.window, settings.occlusion_clips_per_movie)
    targets = make_targets(clips, sample, settings.min_distance_tr)
    arguments = (sample.bold, targets, regions, settings.batch_size)
    whole, falls = measure_occlusion(encoder, *arguments, OCCLUDED_STAGE)
    null_falls = [measure_occlusion(null, *arguments, "a random encoder")[1] for null in nulls]
    table = pd.DataFrame({"kind": "occlusion", "stage": OCCLUDED_STAGE, **_region_columns(regions)})
    for name in SCORES:
        table[f"fall_{name}"] = falls[name].mean(0)
        low, high = sample.bootstrap(falls[name], settings, seed)
        table[f"fall_{name}_low"], table[f"fall_{name}_high"] = low, high
        table[f"random_fall_{name}"] = np.mean([fall[name].mean(0) for fall in null_falls], axis=0)
    return table, {name: float(values.mean()) for name, values in whole.items()}


def _occlusion_maps(
    table: pd.DataFrame, regions: list[Region], selection: VertexSelection
) -> dict[str, np.ndarray]:
    maps = {}
    for name in SCORES:
        values = np.full(len(selection.vertex), np.nan)
        for fall, region in zip(table[f"fall_{name}"], regions, strict=True):
            if not region.is_group:
                values[region.members] = fall
        maps[f"occlusion/{name}"] = scatter_to_brain(values, selection)
    return maps


def extract_attention(
    encoders: Mapping[str, FmriEncoder],
    clips: MeasuredClips,
    selection: VertexSelection,
    settings: ExtractAttentionSettings,
    seed: int,
) -> Extraction:
    """Measure attention at every stage, occlude areas at the contrastive one, compare with random encoders.

    Parameters
    ----------
    encoders : per stage; one is named ``contrastive``
    clips : test samples
    selection : the vertices of the fMRI
    settings : section extract_attention of the config
    seed : of random encoders and bootstrap

    Raises
    ------
    InputError : encoder, fMRI, vertices or embeddings that do not fit
    """
    n_vertices = {movie: values.shape[1] for movie, values in clips.bold.items()}
    if set(n_vertices.values()) != {len(selection.vertex)}:
        expected = f"the {len(selection.vertex)} of select_vertices"
        raise InputError("fMRI", f"vertices {n_vertices}", expected, "Preprocess again.")
    reference = encoders[OCCLUDED_STAGE]
    device = reference.pos_embed.device
    nulls = [random_encoder(reference.config, seed, n).to(device) for n in range(settings.random_encoders)]
    regions = list_regions(selection)
    sample = take_clips(clips.bold, reference.config.window, settings.clips_per_movie)
    null = _mean_layers(
        [measure_attention(e, sample.bold, regions, settings, "a random encoder") for e in nulls]
    )
    maps, tables = {}, []
    for stage, encoder in encoders.items():
        layers = measure_attention(encoder, sample.bold, regions, settings, f"the {stage} encoder")
        for layer, values in layers.items():
            ends = sample.bootstrap(values.regions["softmax"], settings, seed)
            tables.append(attention_rows(stage, layer, values, null[layer], regions, ends))
            for name in QUANTITIES:
                map_name = f"attention/{stage}/layer{layer}/{name}"
                maps[map_name] = scatter_to_brain(values.vertices[name], selection)
    for layer, values in null.items():
        for name in QUANTITIES:
            maps[f"random/layer{layer}/{name}"] = scatter_to_brain(values.vertices[name], selection)
    both = [region for region in regions if region.hemisphere == "both"]
    occlusion, whole = occlude_regions(reference, nulls, clips, both, settings, seed)
    log.info("nothing occluded: cosine %.3f, identification %.3f", whole["cosine"], whole["identification"])
    maps |= _occlusion_maps(occlusion, both, selection)
    return Extraction(maps, pd.concat([*tables, occlusion], ignore_index=True), whole)
