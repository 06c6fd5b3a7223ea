"""Varied captions: thirteen of each, reproducible, and what happens without synonyms."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neurocine.errors import InputError
from neurocine.stimuli.augment import (
    AugmentCaptionsSettings,
    augment_captions,
    delete_words,
    insert_words,
    replace_words,
    swap_words,
    usable_synonyms,
)
from neurocine.stimuli.synonyms import read_synonyms

SYNONYMS = {"red": ("crimson", "scarlet"), "moves": ("travels",)}
WORDS = ["a", "red", "square", "moves", "over", "a", "dark", "field"]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_thirteen_texts_of_every_different_caption_the_first_itself() -> None:
    captions = {"seg1": [["a red square"], ["a blue circle moves"]], "seg2": [["a red square"]]}
    table = augment_captions(captions, AugmentCaptionsSettings(), SYNONYMS, seed=3)
    assert len(table) == 2 * 13
    originals = table[table["variant"] == 0]
    assert (originals["caption"] == originals["text"]).all()
    assert table.equals(augment_captions(captions, AugmentCaptionsSettings(), SYNONYMS, seed=3))
    assert not table.equals(augment_captions(captions, AugmentCaptionsSettings(), SYNONYMS, seed=4))


def test_variants_do_not_depend_on_the_other_captions() -> None:
    both = {"seg1": [["a red square"], ["a blue circle moves"]]}
    one = {"seg9": [["a blue circle moves"]]}
    made, alone = (augment_captions(given, AugmentCaptionsSettings(), SYNONYMS, 3) for given in (both, one))
    rows = made[made["caption"] == "a blue circle moves"]
    assert rows["text"].tolist() == alone["text"].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_swapped_words_stay_the_same_words(seed: int) -> None:
    swapped = swap_words(WORDS, 0.5, generator(seed))
    assert Counter(swapped) == Counter(WORDS)


@pytest.mark.parametrize("seed", range(20))
def test_deleted_words_leave_a_subsequence(seed: int) -> None:
    rest = iter(WORDS)
    assert all(word in rest for word in delete_words(WORDS, 0.5, generator(seed)))
    assert len(delete_words(WORDS, 1.0, generator(seed))) == 1


@pytest.mark.parametrize("seed", range(20))
def test_replaced_and_inserted_words_are_synonyms(seed: int) -> None:
    replaced = replace_words(WORDS, 0.5, SYNONYMS, generator(seed))
    assert len(replaced) == len(WORDS)
    for old, new in zip(WORDS, replaced, strict=True):
        assert new == old or new in SYNONYMS[old]
    assert replaced != WORDS
    inserted = insert_words(WORDS, 0.25, SYNONYMS, generator(seed))
    assert len(inserted) == len(WORDS) + 2
    more = Counter(inserted) - Counter(WORDS)
    assert set(more) <= {"crimson", "scarlet", "travels"}


def test_words_without_meaning_of_their_own_are_not_replaced() -> None:
    assert replace_words(["a", "the"], 1.0, {"a": ("angstrom",)}, generator()) == ["a", "the"]


def test_an_empty_caption_stays_empty() -> None:
    table = augment_captions({"seg1": [[""]]}, AugmentCaptionsSettings(), SYNONYMS, 0)
    assert table["text"].tolist() == [""] * 13


def test_a_table_of_synonyms(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.tsv"
    path.write_text("Red\tcrimson, scarlet,red\n\nmoves\ttravels\n")
    assert read_synonyms(path) == SYNONYMS


def test_wordnet_files(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(
        "  1 This is the licence\n"
        "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 001 @ 01 n 0000 | a member of the genus\n"
    )
    found = read_synonyms(tmp_path)
    assert found["dog"] == ("canis familiaris", "domestic dog")
    (tmp_path / "data.noun").write_text("not a synset\n")
    with pytest.raises(InputError, match="line 1"):
        read_synonyms(tmp_path)


def test_without_synonyms_the_log_says_what_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert usable_synonyms(AugmentCaptionsSettings()) == {}
    assert "replacement and insertion of synonyms are skipped" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "a file that cannot be read"), ("red crimson\n", "line 1"), ("", "no synonym.*are skipped")],
)
def test_synonyms_that_are_named_must_be_usable(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "synonyms.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        usable_synonyms(AugmentCaptionsSettings(synonyms=str(path)))


@pytest.mark.parametrize("key", ["replaced", "inserted", "swapped", "deleted"])
def test_shares_outside_their_range_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        AugmentCaptionsSettings(**{key: 1.2})
