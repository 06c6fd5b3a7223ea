"""Small pieces of HTML: escaped text, numbers, tables that a page's script can sort and filter."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One table cell.

    Parameters
    ----------
    text : what is shown, plain text (escaped here) unless ``markup`` is given
    order : number to sort by; the text when None
    markup : HTML made by this package, shown instead of the text
    kind : CSS class
    """

    text: str
    order: float | None = None
    markup: str = ""
    kind: str = ""

    @property
    def sort_value(self) -> float | str | None:
        """What the script sorts by; None where a number is missing."""
        if self.order is None:
            return self.text
        return self.order if math.isfinite(self.order) else None

    def html(self, column: str = "") -> str:
        """Return the ``td`` element; ``column`` is a further CSS class."""
        order = "" if self.order is None or math.isnan(self.order) else f"{self.order:.10g}"
        attributes = {"class": f"{self.kind} {column}".strip(), "data-order": order}
        if self.order is not None and math.isnan(self.order):
            attributes["data-order"] = "nan"
        return f"<td{attribute_text(attributes)}>{self.markup or escape(self.text)}</td>"


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


def attribute_text(attributes: Mapping[str, str]) -> str:
    """Return HTML attributes with a leading space each; empty values are left out."""
    return "".join(f' {name}="{escape(str(value))}"' for name, value in attributes.items() if value != "")


def key_attributes(keys: Mapping[str, str]) -> str:
    """Return the ``data-...`` attributes that the page's filters compare with."""
    return attribute_text({f"data-{name}": value for name, value in keys.items()})


def breakable(name: str) -> str:
    """Escape a long name that may break after its underscores."""
    return escape(name).replace("_", "_<wbr>")


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many decimals, – if there is none, and tiny ones in powers of ten."""
    if not math.isfinite(value):
        return "–"
    if value and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def p_text(value: float) -> str:
    """Write a p-value."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def setting_text(value: Any) -> str:
    """Write the value of a setting."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def fold(cards: Sequence[tuple[str, str, str]]) -> str:
    """Show the cards of the first experiment; those of each other one unfold.

    Parameters
    ----------
    cards : label and name of the experiment, and the card
    """
    experiments: dict[tuple[str, str], list[str]] = {}
    for label, experiment, card in cards:
        experiments.setdefault((label, experiment), []).append(card)
    parts: list[str] = []
    for (label, experiment), group in experiments.items():
        inner = f'<div class="cards">{"".join(group)}</div>'
        if parts:
            keys = key_attributes({"experiment": experiment})
            inner = f'<details class="fold"{keys}><summary>{escape(label)}</summary>{inner}</details>'
        parts.append(inner)
    return "\n".join(parts)


def row_html(row: Row, columns: Sequence[Column]) -> str:
    """Return the ``tr`` element."""
    cells = (cell.html("minor" * column.minor) for cell, column in zip(row.cells, columns, strict=True))
    return f"<tr{attribute_text({'id': row.name})}{key_attributes(row.keys)}>{''.join(cells)}</tr>"


def row_data(name: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return rows as data, from which the page's script draws those in sight.

    A page with tens of thousands of rows would take a minute to open.
    """
    data = [
        (row_html(row, columns), row.name, row.keys, [cell.sort_value for cell in row.cells]) for row in rows
    ]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def table(name: str, caption: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return a table whose header buttons sort it.

    Parameters
    ----------
    name : id of the table
    caption : what it holds, for people who do not see it
    columns, rows : the content
    """
    heads = []
    for column in columns:
        inner = escape(column.title)
        if column.sortable:
            inner = f'<button type="button"{attribute_text({"title": column.hint})}>{inner}</button>'
        kind = " ".join(name for name in ("number" * column.numeric, "minor" * column.minor) if name)
        heads.append(f'<th scope="col"{attribute_text({"class": kind})}>{inner}</th>')
    body = "\n".join(row_html(row, columns) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table id="{escape(name)}" class="data"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def select(key: str, label: str, values: Sequence[str], everything: str) -> str:
    """Return a labelled choice that filters everything on the page by one key."""
    options = "".join(f'<option value="{escape(value)}">{escape(value)}</option>' for value in values)
    return (
        f'<label class="choice"><span>{escape(label)}</span><select data-filter="{escape(key)}">'
        f'<option value="">{escape(everything)}</option>{options}</select></label>'
    )
