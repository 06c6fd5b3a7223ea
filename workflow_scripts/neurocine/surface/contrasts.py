"""Contrasts of categories of clips: which areas a method uses more for animals than for food, for example."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from neurocine.settings import Settings


class Category(Settings):
    """Two categories of clips, told by words of their captions."""

    first: Annotated[tuple[str, ...], Field(min_length=1)]
    """Clips with one of these words in a caption, and none of the second, are of the first category."""
    second: Annotated[tuple[str, ...], Field(min_length=1)]
    """Clips with one of these words in a caption, and none of the first, are of the second category."""


ANIMALS = (
    *("animal", "animals", "dog", "dogs", "cat", "cats", "bird", "birds", "horse", "horses", "fish", "bear"),
    *("bears", "lion", "lions", "tiger", "elephant", "elephants", "monkey", "cow", "cows", "sheep", "turtle"),
    *("whale", "dolphin", "shark", "snake", "frog", "butterfly", "bee", "jellyfish", "giraffe", "zebra"),
)
FOOD = (
    *("food", "pizza", "cake", "fruit", "fruits", "vegetable", "vegetables", "bread", "meat", "plate", "pan"),
    *("cheese", "salad", "soup", "sandwich", "apple", "orange", "banana", "chocolate", "cooking"),
)
HUMANS = (
    *("person", "people", "man", "men", "woman", "women", "boy", "boys", "girl", "girls", "child"),
    *("children", "baby", "couple", "crowd", "player", "players", "dancer", "dancers"),
)
VEHICLES = (
    *("airplane", "airplanes", "plane", "planes", "car", "cars", "truck", "trucks", "bus", "train", "trains"),
    *("boat", "boats", "ship", "ships", "motorcycle", "helicopter", "vehicle", "vehicles"),
)
# The categories of the paper's figure on areas (arXiv 2402.01590, Figure 6d).
PUBLISHED_CONTRASTS = {
    "animal_food": Category(first=ANIMALS, second=FOOD),
    "human_vehicle": Category(first=HUMANS, second=VEHICLES),
}


def sort_captions(captions: Sequence[Sequence[str]], category: Category) -> np.ndarray:
    """Sort clips by the words of their captions.

    Parameters
    ----------
    captions : of each clip
    category : the two categories

    Returns
    -------
    (n,) int8: 1 of the first, -1 of the second, 0 of neither or both
    """
    words = [{word for text in texts for word in re.findall(r"[\w']+", text.lower())} for texts in captions]
    first, second = (
        np.array([bool(caption_words & {word.lower() for word in chosen}) for caption_words in words])
        for chosen in (category.first, category.second)
    )
    return first.astype(np.int8) - second.astype(np.int8)


def contrast_weights(sides: Mapping[str, np.ndarray], least: int) -> dict[str, np.ndarray] | None:
    """Weigh clips so that the mean of weighted values is the difference of the categories' means.

    Parameters
    ----------
    sides : movie -> (n,) of ``sort_captions``
    least : fewest clips of a category

    Returns
    -------
    movie -> (n,) float64, or None where a category has fewer clips
    """
    every = np.concatenate(list(sides.values()))
    n_first, n_second = np.count_nonzero(every > 0), np.count_nonzero(every < 0)
    if min(n_first, n_second) < max(least, 1):
        return None
    n = len(every)
    return {
        movie: np.where(side > 0, n / n_first, np.where(side < 0, -n / n_second, 0.0))
        for movie, side in sides.items()
    }
