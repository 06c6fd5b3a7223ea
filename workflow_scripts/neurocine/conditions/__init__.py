"""The conditions whose clips are scored: what each is made from, which step makes it, and what it tells.

They are found in the modules of this package, which is all that a new one needs. Nothing heavy is imported,
because the workflow asks for names.
"""

from neurocine.conditions.base import KINDS, Condition, Kind
from neurocine.discover import declared

__all__ = [
    "CONDITIONS", "DEFAULT_CONDITIONS", "KINDS", "Condition", "Kind",
    "conditions_table", "describe", "made_by",
]  # fmt: skip

# Steps that make clips, in the order in which tables and page show what they make; others follow.
STEPS = (
    *("decode", "decode_captions", "decode_nearest", "retrieve_clips", "make_baselines"),
    *("reconstruct", "score"),
)


def _in_order() -> list[Condition]:
    """Gather what the modules of this package declare as ``CONDITIONS``, in order."""
    conditions: list[Condition] = declared(__name__, "CONDITIONS")
    if len({condition.name for condition in conditions}) < len(conditions):
        raise ValueError(f"two of the same name among {', '.join(each.name for each in conditions)}")
    rank = {step: place for place, step in enumerate(STEPS)}
    return sorted(conditions, key=lambda condition: rank.get(condition.step, len(STEPS)))


CONDITIONS = {condition.name: condition for condition in _in_order()}
DEFAULT_CONDITIONS = tuple(name for name, condition in CONDITIONS.items() if condition.default)


def made_by(step: str) -> tuple[str, ...]:
    """Name the conditions whose clips a step makes."""
    return tuple(name for name, condition in CONDITIONS.items() if condition.step == step)


def describe(name: str) -> Condition:
    """Find a condition; one that is not known counts as a control."""
    return CONDITIONS.get(name, Condition(name, "control", "", name, ""))


def conditions_table() -> str:
    """Write the table of all conditions in docs/scoring.md; those in bold are made by default."""
    lines = ["| condition | shown | what it tells |", "| --- | --- | --- |"]
    for name, condition in CONDITIONS.items():
        shown = f"**`{name}`**" if condition.default else f"`{name}`"
        lines.append(f"| {shown} | {condition.text} | {condition.tells} |")
    return "\n".join(lines) + "\n"
