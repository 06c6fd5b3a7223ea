"""How numbers, names and settings are written on the page."""

import json
import math
from typing import Any

from markupsafe import Markup

from neurocine.shared import without_folders


def breakable(name: str) -> Markup:
    """Escape a long name that may break after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def number(value: float, digits: int = 3) -> str:
    """Write a number with this many decimals, – if it is not finite, and tiny ones in powers of ten."""
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
    """Write the value of a setting, fit to be shared."""
    value = without_folders(value)
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def duration(hours: float) -> str:
    """Write a time in hours, or in minutes or seconds where it is short."""
    for unit, size in (("h", 1.0), ("min", 60.0)):
        if hours * size >= 1:
            return f"{hours * size:.1f} {unit}"
    return f"{3600 * hours:.0f} s"
