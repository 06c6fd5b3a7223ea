"""Clips made without a generator."""

from neurocine.conditions.base import Condition

CONDITIONS = (
    Condition(
        "retrieval",
        "baseline",
        "retrieve_clips",
        "the training clip with the nearest embedding",
        "what the encoder knows, without a generator",
    ),
    Condition(
        "static",
        "baseline",
        "make_baselines",
        "the first true frame, held",
        "which metrics reward frozen clips",
    ),
    Condition(
        "blurred",
        "baseline",
        "make_baselines",
        "a random training frame, blurred and held",
        "which metrics reward smooth clips",
    ),
)
