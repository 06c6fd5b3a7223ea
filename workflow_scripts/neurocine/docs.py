"""Write the tables of a page from what the code declares: ``python -m neurocine.docs docs/scoring.md``."""

import sys
from pathlib import Path

from neurocine.conditions import conditions_table
from neurocine.metrics.registry import metrics_table


def fill_tables(text: str) -> str:
    """Put the tables of metrics and conditions between their marks in a page.

    Raises
    ------
    ValueError : a page without the marks
    """
    for name, table in (("metrics", metrics_table()), ("conditions", conditions_table())):
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
        if begin not in text or end not in text:
            raise ValueError(f"the page has no lines {begin.strip()} and {end.strip()}")
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + table + "\n" + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page.write_text(fill_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
