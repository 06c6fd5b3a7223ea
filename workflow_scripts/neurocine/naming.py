"""How clips are named, and the order in which people expect names that hold numbers."""

import re

Clip = tuple[str, int]  # movie, index of the clip in it


def natural(name: str) -> list[int | str]:
    """Sort key that puts test2 before test10.

    Texts and numbers take turns in it, beginning with a text, so that any two keys can be compared.
    """
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
