"""What of a config may go with results that are shared: no folder of this machine, no list of participants.

Light, because rules import it in every job.
"""

from collections.abc import Mapping
from typing import Any


def without_folders(value: Any) -> Any:
    """Shorten absolute paths, at any depth, to their last name."""
    if isinstance(value, Mapping):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return f"…/{value.rstrip('/').rpartition('/')[2]}"
    return value


def fit_to_share(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without absolute paths, and with the number of rest subjects in place of their names.

    Participants of data under restricted terms are not listed; the subjects of the study name its results.

    Parameters
    ----------
    config : complete; not changed
    """
    shared: dict[str, Any] = without_folders(config)
    rest = shared.get("rest")
    if isinstance(rest, dict):
        for key in ("subjects", "exclude"):
            if isinstance(rest.get(key), list) and rest[key]:
                rest[key] = f"{len(rest[key])} subject{'s' * (len(rest[key]) > 1)}"
    return shared
