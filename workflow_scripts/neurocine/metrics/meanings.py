"""What each metric asks, in a sentence; light, because every table is described by it."""

from typing import NamedTuple


class Meaning(NamedTuple):
    """Beginning of the names of metrics, and what they ask in one sentence."""

    start: str
    asks: str


MEANINGS = (
    Meaning("ssim_colbug", "as ssim, with image columns taken for channels; to compare with papers only"),
    Meaning("ssim", "local similarity of brightness and contrast; smooth frames do well"),
    Meaning("psnr", "how small the error of single pixels is, in dB; frames of medium brightness do well"),
    Meaning("pix_corr", "whether bright and dark lie in the same places; a uniform frame gets 0"),
    Meaning("hue_cos", "similarity of hues, by a cosine that is high for any two frames"),
    Meaning("hue_circ", "whether hues vary over the frame in the same way"),
    Meaning("acc_image", "whether a classifier of pictures finds the original's class among N in the frames"),
    Meaning("acc_video", "whether a classifier of videos finds the original's class among N in the clip"),
    Meaning("lpips", "distance of frames to a network fitted to what people find similar; 0 is equal"),
    Meaning("videomae_id", "fraction of other clips of the movie that are less similar by VideoMAE"),
    Meaning("videomae", "similarity of clips by VideoMAE, for which the order of frames counts"),
    Meaning("clip_image", "similarity of frames by CLIP, which is high for unrelated pictures too"),
    Meaning("clip_video", "similarity of clips by CLIP, averaged over frames: their order does not count"),
    Meaning("clip_id", "fraction of other clips of the movie that are less similar by CLIP"),
    Meaning("clip_change", "whether neighbouring frames change as much as the original's; 0 is as much"),
    Meaning("vifi", "similarity of clips by ViFi-CLIP, averaged over frames: their order does not count"),
    Meaning(
        "clip_pcc_thresholded", "similarity of neighbouring frames, 0 unless the clip resembles its original"
    ),
    Meaning("clip_pcc", "similarity of a clip's own frames; the original plays no part, a frozen clip has 1"),
    Meaning("retrieval", "whether the right clip is among the k most similar ones of the test set"),
    Meaning("epe", "difference of motion in pixels; a frozen clip does well wherever little moves"),
    Meaning("flow", "whether objects move in the same direction; a frozen clip gets 0"),
    Meaning("motion_energy", "whether fast clips are fast and slow clips slow"),
    Meaning("motion_id", "fraction of other clips of the movie whose motion fits the prediction less"),
)


# What the p-value of each comparison of test_order says.
P_MEANS = {
    "permuted": "share of other orders of the frames, each the same for all clips, whose mean over clips "
    "is at least as good: (1 + as good) / (1 + orders)",
    "reversed": "how often the mean difference from the same frames in reversed time would be as large in "
    "either direction if blocks of time had random signs",
    "other_clip": "share of pairings with other clips of the movie, shifted in time, whose mean is at least "
    "as good: (1 + as good) / (1 + pairings)",
    "held": "how often the mean difference from the first frame held would be as large in either direction "
    "if blocks of time had random signs",
}


def asks(metric: str) -> str:
    """Say what a metric asks; empty for one that is not known."""
    return next((meaning.asks for meaning in MEANINGS if metric.startswith(meaning.start)), "")
