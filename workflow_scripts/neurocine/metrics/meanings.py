"""What each metric asks, in a sentence; light, because every table is described by it."""

from typing import NamedTuple


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


def asks(metric: str) -> str:
    """Say what a metric asks; empty for one that is not known."""
    return next((meaning.asks for meaning in MEANINGS if metric.startswith(meaning.start)), "")
