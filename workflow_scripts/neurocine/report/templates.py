"""Jinja2 templates of the page, with autoescape: names, captions and settings cannot become markup."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurocine.report.text import breakable, duration, number, p_text, setting_text


@cache
def environment() -> Environment:
    """Return the templates in ``report/templates``; a name that is missing in one is an error."""
    templates = Environment(
        loader=PackageLoader("neurocine", "report/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "breakable": breakable,
        "duration": duration,
        "number": number,
        "p": p_text,
        "setting": setting_text,
    }
    return templates


def render(template: str, **values: Any) -> Markup:
    """Fill a template; text is escaped, ``Markup`` is not."""
    return Markup(environment().get_template(template).render(values))


def piece(name: str, *values: Any) -> Markup:
    """Fill one of the macros of ``pieces.html``."""
    return Markup(getattr(environment().get_template("pieces.html").module, name)(*values))
