"""Tables, filters and foldable cards of the page, as data that its templates write."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from markupsafe import Markup

from neurocine.report.templates import piece, render


@dataclass(frozen=True)
class Cell:
    """One table cell.

    Parameters
    ----------
    text : what is shown; plain text is escaped, markup is not
    order : number to sort by; the text when None
    kind : CSS class
    """

    text: str | Markup
    order: float | None = None
    kind: str = ""

    @property
    def sort_value(self) -> float | str | None:
        """What the script sorts by; None where a number is missing."""
        if self.order is None:
            return self.text.striptags() if isinstance(self.text, Markup) else self.text
        return self.order if math.isfinite(self.order) else None

    @property
    def data_order(self) -> str:
        """The same as an attribute of the cell; empty where its text is sorted by."""
        return "" if self.order is None else f"{self.order:.10g}"


@dataclass(frozen=True)
class Row:
    """One table row: its cells, what filters look at (subject, experiment, ...), and its id."""

    cells: Sequence[Cell]
    keys: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Column:
    """One table column: its title, a longer explanation, whether it holds numbers, is absent on phones."""

    title: str
    hint: str = ""
    numeric: bool = False
    sortable: bool = True
    minor: bool = False

    @property
    def kind(self) -> str:
        """CSS classes of its head."""
        return " ".join(name for name in ("number" * self.numeric, "minor" * self.minor) if name)


class Card(NamedTuple):
    """What the page shows of one result: label and name of its experiment, and the card itself."""

    label: str
    experiment: str
    body: Markup


def fold(cards: Sequence[Card]) -> Markup:
    """Show the cards of the first experiment; those of each other one unfold."""
    groups: dict[tuple[str, str], list[Markup]] = {}
    for card in cards:
        groups.setdefault((card.label, card.experiment), []).append(card.body)
    return render("fold.html", groups=groups)


def row_data(name: str, columns: Sequence[Column], rows: Sequence[Row]) -> Markup:
    """Return rows as data, from which the page's script draws those in sight.

    A page with tens of thousands of rows would take a minute to open.
    """
    data = [
        (piece("row", row, columns), row.name, row.keys, [cell.sort_value for cell in row.cells])
        for row in rows
    ]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    text = re.sub("<(?=/|!--|script)", r"\\u003c", text, flags=re.IGNORECASE)  # what could end the element
    return piece("data", name, Markup(text))


def table(name: str, caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> Markup:
    """Return a table whose header buttons sort it.

    Parameters
    ----------
    name : id of the table
    caption : what it holds, for people who do not see it
    columns, rows : the content
    """
    return piece("table", name, caption, columns, rows)


def select(key: str, label: str, values: Sequence[str], everything: str) -> Markup:
    """Return a labelled choice that filters everything on the page by one key."""
    return piece("select", key, label, values, everything)
