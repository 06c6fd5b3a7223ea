"""What each metric asks, and what clips reach that know nothing of the brain."""

from typing import NamedTuple

import pandas as pd

from neurocine.metrics.registry import lower_is_better, value_range
from neurocine.report.comparisons import Shown


class Meaning(NamedTuple):
    """Beginning of the names of metrics, and what they ask in one sentence."""

    start: str
    asks: str


MEANINGS = (
    Meaning("ssim_colbug", "as ssim, with image columns taken for channels; to compare with papers only"),
    Meaning("ssim", "how alike brightness and contrast are, place by place; smooth frames do well"),
    Meaning("psnr", "how small the error of single pixels is, in dB; frames of middling brightness do well"),
    Meaning("pix_corr", "whether bright and dark lie in the same places; a frame of one value gets 0"),
    Meaning("hue_cos", "how alike hues are, by a cosine that is high for any two frames"),
    Meaning("hue_circ", "whether hues vary over the frame in the same way"),
    Meaning("acc_image", "whether a classifier of pictures finds the original's class among N in the frames"),
    Meaning("acc_video", "whether a classifier of videos finds the original's class among N in the clip"),
    Meaning("clip_image", "how alike frames are to CLIP; unrelated pictures are rather alike too"),
    Meaning("clip_video", "how alike clips are to CLIP, frames averaged: their order does not count"),
    Meaning("clip_id", "how many other clips of the movie are less like the prediction to CLIP"),
    Meaning("clip_change", "whether neighbouring frames change as much as the original's; 0 is as much"),
    Meaning("vifi", "how alike clips are to ViFi-CLIP, frames averaged: their order does not count"),
    Meaning(
        "clip_pcc_thresholded", "how alike neighbouring frames are, 0 unless the clip is like its original"
    ),
    Meaning("clip_pcc", "how alike a clip's own frames are; the original has no part, a frozen clip has 1"),
    Meaning("retrieval", "whether the right clip is among the k of the test set most like the prediction"),
    Meaning("epe", "how far apart the motions are, in pixels; a frozen clip does well wherever little moves"),
    Meaning("flow", "whether things move the same way; a frozen clip gets 0"),
    Meaning("motion_energy", "whether fast clips are fast and slow clips slow"),
    Meaning("motion_id", "how many other clips of the movie move less like the prediction"),
)
# Column -> condition whose mean it holds
SHOWN_CONDITIONS = ("blurred", "training_caption", "retrieval", "fmri")
TRIVIAL = {"grey": "baseline_constant", "mean frame": "baseline_mean_frame"}
MEANING = (
    *(Shown("metric"), Shown("asks", "what it asks")),
    *(Shown("worst", kind="number"), Shown("chance", kind="number"), Shown("best", kind="number")),
    Shown("grey", kind="number", hint="a constant grey video"),
    Shown("mean frame", kind="number", hint="the mean training frame"),
    Shown("blurred", "training frame", "number", "a random training frame, blurred and held"),
    Shown("training_caption", "training caption", "number", "made from a random training clip's caption"),
    Shown("retrieval", kind="number", hint="the training clip with the nearest embedding"),
    Shown("fmri", "from fMRI", "number", "mean over subjects, methods and experiments"),
)


def asks(metric: str) -> str:
    """Say what a metric asks; empty for one that is not known."""
    return next((meaning.asks for meaning in MEANINGS if metric.startswith(meaning.start)), "")


def meaning_frame(scores: pd.DataFrame) -> pd.DataFrame:
    """Gather what trivial clips reach in each metric.

    Parameters
    ----------
    scores : of `neurocine.metrics.tables.gather_scores`

    Returns
    -------
    one row per metric, columns of ``MEANING``: means over subjects, methods, experiments and seeds, NaN where
    a condition was not scored; worst and best are the ends of the metric's range
    """
    rows = []
    for metric, group in scores.groupby("metric", sort=False):
        name = str(metric)
        ends = value_range(name)
        worst, best = ends[::-1] if lower_is_better(name) else ends
        row = {"metric": name, "asks": asks(name), "worst": worst, "best": best}
        row["chance"] = pd.to_numeric(group["chance"]).mean()
        row |= {title: pd.to_numeric(group[column]).mean() for title, column in TRIVIAL.items()}
        values = pd.to_numeric(group["value"]).groupby(group["condition"].astype(str)).mean()
        rows.append(row | {name: values.get(name, float("nan")) for name in SHOWN_CONDITIONS})
    return pd.DataFrame(rows, columns=[column.name for column in MEANING])
