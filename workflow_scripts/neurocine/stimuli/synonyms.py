"""Synonyms of words, from a table or from the files of WordNet."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from neurocine.errors import InputError

Synonyms = Mapping[str, tuple[str, ...]]
WORDNET_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
FORMAT = "a line per word: the word, a tab, its synonyms with commas between them"


def read_synonyms(path: Path) -> Synonyms:
    """Read synonyms from a table, or from the folder ``dict`` of WordNet 3.

    Parameters
    ----------
    path : TSV, a word and its synonyms (with commas between) in each line; or a folder with data.noun ...

    Returns
    -------
    word -> synonyms in alphabetical order, all in lower case, without the word itself

    Raises
    ------
    InputError : nothing there, not text, or lines of another form
    """
    path = Path(path)
    try:
        if path.is_dir():
            return _sorted(_read_wordnet(path))
        return _sorted(_read_table(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"a file that cannot be read ({error})", FORMAT, "Correct the path.") from None


def _sorted(groups: Mapping[str, set[str]]) -> Synonyms:
    return {
        word: tuple(sorted(others - {word})) for word, others in sorted(groups.items()) if others - {word}
    }


def _read_table(path: Path) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        word, tab, rest = line.partition("\t")
        others = {other.strip().lower() for other in rest.split(",")} - {""}
        if not tab or not word.strip() or not others:
            raise InputError(path, f"line {number}: {line[:60]!r}", FORMAT, "Correct the line.")
        groups[word.strip().lower()] |= others
    return groups


def _read_wordnet(folder: Path) -> dict[str, set[str]]:
    """Join the words of each synset: offset, file, type, count (hex), then word and number by turns."""
    present = [folder / name for name in WORDNET_FILES if (folder / name).is_file()]
    if not present:
        raise InputError(folder, "no data files", ", ".join(WORDNET_FILES), "Give WordNet's folder dict.")
    groups: dict[str, set[str]] = defaultdict(set)
    for path in present:
        for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
            if line.startswith("  "):  # the licence
                continue
            fields = line.split(" ")
            try:
                count = int(fields[3], 16)
                words = {fields[4 + 2 * at].partition("(")[0].lower() for at in range(count)}
            except (IndexError, ValueError):
                raise InputError(
                    path, f"line {number}: {line[:60]!r}", "a synset of WordNet 3", "Give its folder dict."
                ) from None
            words = {word.replace("_", " ") for word in words}
            for word in words:
                groups[word] |= words
    return groups
