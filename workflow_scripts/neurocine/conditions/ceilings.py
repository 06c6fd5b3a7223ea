"""Clips that know more than fMRI can tell."""

from neurocine.conditions.base import Condition

CONDITIONS = (
    Condition(
        "features",
        "ceiling",
        "reconstruct",
        "true meaning and true latents instead of decoded ones",
        "the ceiling of Mind-Animator's drawing",
    ),
    Condition(
        "vae",
        "ceiling",
        "score",
        "the movie itself through the image compressor",
        "the ceiling for what it looks like",
        default=True,
    ),
)
