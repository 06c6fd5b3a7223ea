"""Clips made with knowledge of the original."""

from neurocine.conditions.base import Condition

CONDITIONS = (
    Condition(
        "features",
        "ceiling",
        "reconstruct",
        "true text states and latents instead of decoded ones",
        "the ceiling of Mind-Animator's sampling",
    ),
    Condition(
        "vae",
        "ceiling",
        "score",
        "the movie itself through the image compressor",
        "the ceiling for appearance",
        default=True,
    ),
)
