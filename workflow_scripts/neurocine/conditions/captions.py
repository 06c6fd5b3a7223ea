"""Clips made from captions."""

from neurocine.conditions.base import Condition

CONDITIONS = (
    Condition(
        "caption",
        "ceiling",
        "decode_captions",
        "the clip's own caption instead of fMRI",
        "the ceiling for meaning",
        default=True,
    ),
    Condition(
        "training_caption",
        "control",
        "decode_captions",
        "a random caption of the training movies",
        "what fluent but unrelated clips score",
    ),
    Condition(
        "nearest_caption",
        "baseline",
        "decode_nearest",
        "the training caption with the nearest embedding",
        "what the encoder and the video prior reach before joint training, which has to beat it",
    ),
)
