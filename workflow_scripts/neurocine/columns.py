"""What the columns of tables hold, written as JSON beside each table, as BIDS describes its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from neurocine.io import write_json, write_table
from neurocine.metrics.meanings import P_MEANS, asks
from neurocine.version import code_version, package_versions

# Column -> what it holds, and its unit where it has one.
COLUMNS: dict[str, tuple[str, str]] = {
    # whose
    "dataset": ("name of the study", ""),
    "subject": ("whose fMRI; all for what subjects share", ""),
    "method": ("by which clips were reconstructed", ""),
    "experiment": ("row of the config section experiments", ""),
    "condition": ("what clips were made from; docs/scoring.md explains each", ""),
    "seed": ("of the generation, or of the training in the order of the config", ""),
    "movie": ("name of the movie", ""),
    "clip": ("number of the clip in its movie, from 0", ""),
    # scores
    "metric": ("name of the metric; docs/scoring.md defines each", ""),
    "value": ("mean over clips", "that of the metric"),
    "chance": ("exact level by luck, where the metric has one", "that of the metric"),
    "null_mean": ("mean with predictions paired with other times of the movie", "that of the metric"),
    "null_p99": ("what 99 % of these pairings do not reach", "that of the metric"),
    "p_value": ("of the permutation test over these pairings, not corrected", ""),
    "p_holm": ("the same, corrected over the metrics of a result by Holm", ""),
    "tested_over": ("what p and interval generalise to; or why there is no p", ""),
    "p_family": ("of the difference, corrected over its family", ""),
    "p_holds": ("whether scores change fast enough for p to hold", ""),
    "draws": ("pairings of the permutation test", ""),
    "memory_tr": ("for how long scores resemble each other", "TR"),
    "block_tr": ("length of the blocks of the bootstrap", "TR"),
    "ci_low": ("low end of the 95 % interval, block bootstrap over time", "that of the metric"),
    "ci_high": ("high end of the 95 % interval", "that of the metric"),
    "baseline": ("the better of the two trivial clips", "that of the metric"),
    "baseline_constant": ("a constant grey video", "that of the metric"),
    "baseline_mean_frame": ("the mean training frame", "that of the metric"),
    "n_clips": ("clips that were scored", "clips"),
    "seeds": ("generations that the value is a mean of", ""),
    "seed_sd": ("standard deviation over generations", "that of the metric"),
    "trainings": ("of each result, averaged or compared; those of one seed belong together", ""),
    "train_sd": ("standard deviation over trainings", "that of the metric"),
    # order of frames
    "sample": ("clips that are tested: all, or identified with other seeds of generation", ""),
    "permuted": ("mean with the frames in other orders, the same for all clips", "that of the metric"),
    "permuted_p": (P_MEANS["permuted"], ""),
    "reversed": ("mean with the frames in reversed time", "that of the metric"),
    "reversed_p": (P_MEANS["reversed"], ""),
    "other_clip": ("mean beside the truth of other clips of the movie", "that of the metric"),
    "other_clip_p": (P_MEANS["other_clip"], ""),
    "held": ("mean with the first frame held", "that of the metric"),
    "held_p": (P_MEANS["held"], ""),
    "orders": ("other orders that the frames were put into", ""),
    "evidence": ("whether the value is better than all four, each with a p-value small enough", ""),
    # comparisons and published values
    "kind": ("what is compared, or what the row is of", ""),
    "first": ("result that the second is subtracted from", ""),
    "second": ("result that is subtracted", ""),
    "first_seeds": ("generations of the first", ""),
    "second_seeds": ("generations of the second", ""),
    "difference": ("first minus second, of the same clips", "that of the metric"),
    "source": ("where the value is published", ""),
    "reading": ("how the value was read from its source", ""),
    "system": ("that reached the published value", ""),
    "year": ("of publication", ""),
    "named": ("the metric's name at the source", ""),
    "n_way": ("classes to choose among", ""),
    "top_k": ("best classes that count as found", ""),
    "published": ("the published value", "that of the metric"),
    "std": ("standard deviation at the source", "that of the metric"),
    "comparable": ("whether ours and the published value may be compared", ""),
    "reason": ("why not", ""),
    "note": ("what is known of the published value", ""),
    # the brain
    "vertex": ("number of the grayordinate, of 59412 (or of the voxel)", ""),
    "vertices": ("number of vertices of the area", ""),
    "n_vertices": ("number of vertices of the area", ""),
    "area": ("of the atlas; all for a whole group", ""),
    "group": ("of areas", ""),
    "hemisphere": ("left, right or both", ""),
    "movies": ("that were measured", ""),
    "fewest_repeats": ("fewest repeats of a movie", ""),
    "most_repeats": ("most repeats of a movie", ""),
    "signal_share": ("share of the variance that repeats share, median over vertices", ""),
    "reliability": ("correlation of repeats, median over vertices", "r"),
    "ceiling_single": ("correlation that a perfect prediction of one repeat has", "r"),
    "ceiling_mean": ("correlation that a perfect prediction of the mean has", "r"),
    "fmri_minus": ("clips from fMRI minus this condition, of the same clips", "r"),
    "noise_ceiling": ("correlation that a perfect prediction has", "r"),
    # recorded runs
    "repeat": ("number of the recording of this movie, from 1", ""),
    "volumes": ("in the file", "volumes"),
    "tr_stated": ("time from volume to volume, in the header or its BIDS sidecar", "s"),
    "tr_study": ("time from volume to volume, of the study, which is used", "s"),
    "constant": ("vertices, or chosen voxels, that are constant or NaN in every volume", ""),
    "areas_without_signal": ("how many of these lie in each area", ""),
    "tsnr": ("mean over standard deviation in time after detrending, median over vertices", ""),
    "repeat_correlation": ("with the mean of the movie's other repeats, mean over vertices", "r"),
    "best_lag_tr": ("at which this correlation is largest; 0 is in time", "TR"),
    "right_side": ("share of vertices that lie on the side that their area's name says", ""),
    "marked": ("what is unusual about the run; empty where nothing is", ""),
    # areas that are decoded from
    "decoder": ("trained, or permuted 1 and so on: trained on fMRI of other times", ""),
    "measure": ("of the clips, or contrast between categories of clips; docs/scoring.md names each", ""),
    "p_training": ("share of decoders of other times that lose as much without any area", ""),
    "spin_mean": ("value of this place when the map is turned about the sphere", "that of the measure"),
    "spin_p": ("of these turns, not corrected", ""),
    "spins": ("turns that bring known areas to at least half of the place", ""),
    "rank": ("among areas, or groups, of a hemisphere or both; 1 is the largest value", ""),
    "exceeds": ("whether the value exceeds its null", ""),
    # linear decoders
    "lag_tr": ("by which the fMRI is late against the movie, beside that of the study", "TR"),
    "test_repeats": ("recordings of each test movie that were averaged", ""),
    "cosine": ("to CLIP's embeddings, less the training mean; mean over text and image, and over clips", ""),
    "identification": ("share of other clips that are less similar, mean over text and image, and clips", ""),
    # decoded features
    "decoders": ("of the experiments that share them", ""),
    "score": ("name of the score; docs/scoring.md and docs/method.md explain them", ""),
    "better": ("whether higher or lower values are better", ""),
    "reference": ("what a simpler answer scores", "that of the score"),
    "reference_name": ("the simpler answer", ""),
    "n": ("clips that were scored", "clips"),
    "stage": ("of the encoder: pretrained, contrastive or full", ""),
    "layer": ("of the encoder, from 1", ""),
    "importance_softmax": ("attention that the area receives; 1 is uniform", ""),
    "importance_l2row": ("the same with rows of unit l2 norm", ""),
    "random_softmax": ("the same in an encoder with random weights", ""),
    "random_l2row": ("the same in an encoder with random weights, rows of unit l2 norm", ""),
    "softmax_low": ("low end of its 95 % interval", ""),
    "softmax_high": ("high end of its 95 % interval", ""),
    "entropy": ("of the rows of the area's tokens", "nat"),
    "fall_cosine": ("fall of the cosine to CLIP when the area is hidden", ""),
    "fall_identification": ("fall of pairwise identification when the area is hidden", ""),
    # parameters of experiments
    "spatial_ratio": ("share of tokens that are masked", ""),
    "temporal_ratio": ("share of frames that are interpolated", ""),
    "spatial_weight": ("weight of the spatial loss", ""),
    "temporal_weight": ("weight of the temporal loss", ""),
    "noise_ratio": ("share of noise that the frames of a clip have in common", ""),
}
# What is left of a name without such an end is another column, or a metric.
ENDS = {
    "_ci": "95 % interval of the mean over clips",
    "_null": "mean with predictions paired with other times of the movie",
    "_p": "of the permutation test over these pairings, not corrected",
    "_chance": "exact level by luck",
    "_baseline": "the better of the two trivial clips",
    "_low": "low end of its 95 % interval",
    "_high": "high end of its 95 % interval",
}


def _described(name: str) -> tuple[str, str]:
    if name in COLUMNS:
        return COLUMNS[name]
    if name.startswith("random_"):
        text, unit = _described(name.removeprefix("random_"))
        return (f"the same in an encoder with random weights: {text}" if text else "", unit)
    for end, text in ENDS.items():
        whole = name.removesuffix(end)
        if whole != name and (about := _described(whole)[0]):
            return f"{text}: {about}", ""
    return asks(name), ""


def describe_columns(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Say what columns hold, each with its unit if it has one; of a column that nobody knows nothing is said.

    Parameters
    ----------
    names : of columns; those of metrics are known too, with the ends of wide tables
    """
    described = {}
    for name in names:
        text, unit = _described(name)
        if text:
            described[name] = {"Description": text} | ({"Units": unit} if unit else {})
    return described


def write_described_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table, and beside it JSON of the same name: what each column holds, and which code wrote it."""
    write_table(path, table)
    code: dict[str, Any] = {"Name": "neurocine", "Version": code_version(), "Packages": package_versions()}
    write_json(
        path.with_suffix(".json"), {**describe_columns(map(str, table.columns)), "GeneratedBy": [code]}
    )
