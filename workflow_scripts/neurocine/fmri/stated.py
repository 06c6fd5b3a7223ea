"""The time between volumes as the files of a run state it."""

import json
from pathlib import Path

from neurocine.errors import InputError


def stated_tr(path: Path, header: float) -> tuple[float, str]:
    """Return the TR (s) of a run and where it is stated: in a BIDS sidecar beside it, else in its header.

    Raises
    ------
    InputError : a sidecar that is no JSON object, or whose RepetitionTime is no number
    """
    sidecar = path.with_name(
        path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".dtseries") + ".json"
    )
    if not sidecar.is_file():
        return header, "header"
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        tr = content.get("RepetitionTime")
        return (header, "header") if tr is None else (float(tr), sidecar.name)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        found, expected = f"no sidecar ({error})", "a JSON object with RepetitionTime in seconds"
        raise InputError(sidecar, found, expected, "Copy it again, or remove it.") from None
