"""What the first run of a study decided, kept so that later runs do not decide otherwise.

How many movies or rest subjects a job takes is a matter of the machine, and which rest subjects there are may
change while a download goes on; neither may retrain anything. Rules read this for every job.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurocine.errors import InputError

Batches = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class FirstRun:
    """What earlier runs decided.

    Attributes
    ----------
    batches : name -> movies that one job works on
    rest_batches : name -> rest subjects that one job works on
    rest_subjects : rest runs, joined by ``+`` -> the subjects who had all of them, where all are used
    """

    batches: Batches = field(default_factory=dict)
    rest_batches: Batches = field(default_factory=dict)
    rest_subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "FirstRun":
        """Read the file of a study; nothing was decided where there is none.

        Raises
        ------
        InputError : a file of another form
        """
        if not path.is_file():
            return cls()
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            todo = "Restore the file, or delete it: the next run then decides anew what one job works on."
            raise InputError(path, str(error), "JSON as the workflow writes it", todo) from None

    def with_batches(self, movies: Batches, rest: Batches) -> "FirstRun":
        """Add batches; those of other configs of the same study stay known."""
        return replace(self, batches={**self.batches, **movies}, rest_batches={**self.rest_batches, **rest})

    def with_rest_subjects(self, runs: Sequence[str], subjects: Sequence[str]) -> "FirstRun":
        """Add the rest subjects who have all of these runs."""
        return replace(self, rest_subjects={**self.rest_subjects, "+".join(runs): list(subjects)})

    def write(self, path: Path) -> None:
        """Write the file of a study, once anything was decided."""
        if self != FirstRun():
            write_json(path, vars(self))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all, if the file says anything else."""
    from neurocine.io import replacing  # heavy, and only wanted at the start of a run

    text = json.dumps(content, indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def batches(
    items: Sequence[str], size: int, taken: Collection[str], first_batches: Batches | None = None
) -> dict[str, list[str]]:
    """Cut movies or rest subjects into the batches that one job works on.

    Parameters
    ----------
    items : names, in order
    size : names per batch
    taken : names that a batch of several must not have: those of all movies
    first_batches : batches of earlier runs, which stay as they are where all their items are still asked for

    Returns
    -------
    name -> items, in the order of their first items
    """
    named: dict[str, list[str]] = {}
    done: set[str] = set()
    for name, group in (first_batches or {}).items():
        if set(group) <= set(items) - done:
            named[name] = list(group)
            done.update(group)
    left = [item for item in items if item not in done]
    for start in range(0, len(left), size):
        group = left[start : start + size]
        name = group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}"
        while name in named or (len(group) > 1 and name in taken):
            name += "-"
        named[name] = list(group)
    if not done:
        return named
    place = {item: number for number, item in reversed(list(enumerate(items)))}
    return dict(sorted(named.items(), key=lambda pair: place[pair[1][0]]))
