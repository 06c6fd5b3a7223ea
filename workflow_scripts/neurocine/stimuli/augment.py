"""Varied captions: words replaced, inserted, swapped or deleted at random.

Source: Wei & Zou 2019 (easy data augmentation), with the shares that Mind-Animator's release uses.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from neurocine.errors import InputError
from neurocine.seeds import numpy_generator
from neurocine.settings import CountOrZero, Settings, Share, Unit
from neurocine.stimuli.synonyms import FORMAT, Synonyms, read_synonyms

log = logging.getLogger(__name__)
COLUMNS = ["caption", "variant", "text"]
# Without a meaning that a synonym would keep.
FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "this",
        "that",
        "these",
        "those",
        "and",
        "or",
        "but",
        "nor",
        "of",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "to",
        "into",
        "onto",
        "with",
        "without",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "am",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "it",
        "its",
        "he",
        "him",
        "his",
        "she",
        "her",
        "they",
        "them",
        "their",
        "there",
        "then",
        "who",
        "whom",
        "which",
        "what",
        "not",
        "no",
        "so",
        "than",
        "too",
        "very",
        "can",
        "will",
        "just",
        "over",
        "under",
        "up",
        "down",
        "out",
        "off",
    ]
)


class AugmentCaptionsSettings(Settings):
    """How captions are varied; fractions are of a caption's words."""

    synonyms: str = ""
    """Name a TSV (word, tab, synonyms with commas) or WordNet's folder dict; if empty, no synonyms are used.
    """
    variants: Annotated[CountOrZero, Unit("variants")] = 12
    """Each caption gets this many variants besides itself."""
    replaced: Share = 0.5
    """This fraction of the words is replaced by a synonym."""
    inserted: Share = 0.2
    """For this fraction of the words, a synonym is inserted at a random place."""
    swapped: Share = 0.2
    """This fraction of the words changes places with another."""
    deleted: Share = 0.2
    """Each word is deleted with this probability."""


def _count(share: float, words: Sequence[str]) -> int:
    return max(1, int(share * len(words))) if share else 0


def _replaceable(words: Sequence[str], synonyms: Synonyms) -> list[str]:
    return sorted({word for word in words if word in synonyms and word not in FUNCTION_WORDS})


def replace_words(
    words: Sequence[str], share: float, synonyms: Synonyms, generator: np.random.Generator
) -> list[str]:
    """Replace different words, wherever they occur, by one of their synonyms each."""
    candidates = _replaceable(words, synonyms)
    order = generator.permutation(len(candidates))[: _count(share, words)]
    chosen = [candidates[place] for place in order]
    new = {word: synonyms[word][int(generator.integers(len(synonyms[word])))] for word in chosen}
    return [new.get(word, word) for word in words]


def insert_words(
    words: Sequence[str], share: float, synonyms: Synonyms, generator: np.random.Generator
) -> list[str]:
    """Insert synonyms of some of the words at random places."""
    result, candidates = list(words), _replaceable(words, synonyms)
    for _ in range(_count(share, words) if candidates else 0):
        others = synonyms[candidates[generator.integers(len(candidates))]]
        result.insert(int(generator.integers(len(result) + 1)), others[generator.integers(len(others))])
    return result


def swap_words(words: Sequence[str], share: float, generator: np.random.Generator) -> list[str]:
    """Let pairs of words change places; the words stay the same."""
    result = list(words)
    for _ in range(_count(share, words) if len(words) > 1 else 0):
        one, two = generator.choice(len(result), 2, replace=False)
        result[one], result[two] = result[two], result[one]
    return result


def delete_words(words: Sequence[str], share: float, generator: np.random.Generator) -> list[str]:
    """Delete each word with probability ``share``; one is always left."""
    remaining = [word for word in words if generator.random() >= share]
    return remaining or [words[int(generator.integers(len(words)))]]


def vary_caption(
    caption: str, settings: AugmentCaptionsSettings, synonyms: Synonyms, generator: np.random.Generator
) -> list[str]:
    """Make the variants of a caption.

    Operations take turns; those that need synonyms are left out where there are none. Variants may be equal,
    as short captions allow few.

    Returns
    -------
    1 + settings.variants texts, the caption first
    """
    words = caption.split()
    if not words:
        return [caption] * (1 + settings.variants)
    operations: list[Callable[[], list[str]]] = [
        partial(swap_words, words, settings.swapped, generator),
        partial(delete_words, words, settings.deleted, generator),
    ]
    if synonyms:
        operations = [
            partial(replace_words, words, settings.replaced, synonyms, generator),
            partial(insert_words, words, settings.inserted, synonyms, generator),
            *operations,
        ]
    varied = [" ".join(operations[number % len(operations)]()) for number in range(settings.variants)]
    return [caption, *varied]


def usable_synonyms(settings: AugmentCaptionsSettings) -> Synonyms:
    """Read the synonyms; where no file of them is named, say which operations are skipped.

    Raises
    ------
    InputError : the file that is named is missing, malformed, or holds no synonym
    """
    skipped = "words are swapped and deleted; replacement and insertion of synonyms are skipped"
    if not settings.synonyms:
        log.warning("augment_captions.synonyms is empty: %s", skipped)
        return {}
    synonyms = read_synonyms(Path(settings.synonyms))
    if not synonyms:
        todo = f'Correct it, or set augment_captions.synonyms to "": {skipped}.'
        raise InputError(settings.synonyms, "no synonym", FORMAT, todo)
    return synonyms


def augment_captions(
    captions: Mapping[str, Sequence[Sequence[str]]],
    settings: AugmentCaptionsSettings,
    synonyms: Synonyms,
    seed: int,
) -> pd.DataFrame:
    """Vary every different caption; equal captions have equal variants, whatever the movie.

    Parameters
    ----------
    captions : movie -> (n_clips, K) captions
    settings : section augment_captions
    synonyms : from `usable_synonyms`
    seed : with the caption itself, decides its variants

    Returns
    -------
    table with columns caption, variant (0 is the caption itself), text
    """
    different = sorted({text for rows in captions.values() for texts in rows for text in texts})
    rows = [
        (caption, number, text)
        for caption in different
        for number, text in enumerate(
            vary_caption(caption, settings, synonyms, numpy_generator(seed, "augment_captions", caption))
        )
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
