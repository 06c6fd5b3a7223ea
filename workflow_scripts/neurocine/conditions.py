"""The conditions whose clips are scored: what each is made from, which step makes it, and what it tells.

Nothing heavy is imported, because the workflow asks for names.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["result", "control", "baseline", "ceiling"]
KINDS: dict[Kind, str] = {
    "result": "Result",
    "control": "Same generator, without the right fMRI",
    "baseline": "Without the decoder",
    "ceiling": "Ceilings",
}


@dataclass(frozen=True)
class Condition:
    """Clips that are scored in the same way as all others.

    Parameters
    ----------
    name : in the config and in tables
    kind : what it stands for
    step : that makes its clips; the VAE's are made while they are scored
    text : what its clips are made from, on the page
    tells : what its scores tell, in docs/scoring.md
    default : whether it is made unless others are asked for
    """

    name: str
    kind: Kind
    step: str
    text: str
    tells: str
    default: bool = False


# In the order of tables and page.
CONDITIONS = {
    condition.name: condition
    for condition in (
        Condition("fmri", "result", "decode", "decoded from fMRI", "the result", default=True),
        Condition(
            "shifted",
            "control",
            "decode",
            "fMRI of another time of the movie",
            "what the generator scores without the right fMRI",
            default=True,
        ),
        Condition(
            "shuffled",
            "control",
            "decode",
            "fMRI windows in random order, each at least 15 TR from its place",
            "as above, without one shift for all",
        ),
        Condition(
            "mean",
            "control",
            "decode",
            "the mean training fMRI",
            "what the generator makes of no fMRI; guidance, which points away from it, has no effect",
        ),
        Condition(
            "noise",
            "control",
            "decode",
            "white noise of the size of fMRI",
            "what the generator makes of no fMRI",
        ),
        Condition(
            "caption",
            "ceiling",
            "decode_captions",
            "the clip's own caption instead of fMRI",
            "a ceiling for what it means",
            default=True,
        ),
        Condition(
            "training_caption",
            "control",
            "decode_captions",
            "a random caption of the training movies",
            "what fluent but unrelated clips score",
        ),
        Condition(
            "nearest_caption",
            "baseline",
            "decode_nearest",
            "the training caption with the nearest embedding",
            "what the encoder and the video prior show without joint training, which has to beat it",
        ),
        Condition(
            "retrieval",
            "baseline",
            "retrieve_clips",
            "the training clip with the nearest embedding",
            "what the encoder knows, without a generator",
        ),
        Condition(
            "static",
            "baseline",
            "make_baselines",
            "the first true frame, held",
            "which metrics reward frozen clips",
        ),
        Condition(
            "blurred",
            "baseline",
            "make_baselines",
            "a random training frame, blurred and held",
            "which metrics reward smooth clips",
        ),
        Condition(
            "features",
            "ceiling",
            "reconstruct",
            "true meaning and true latents instead of decoded ones",
            "the ceiling of Mind-Animator's drawing",
        ),
        Condition(
            "vae",
            "ceiling",
            "score",
            "the movie itself through the image compressor",
            "the ceiling for what it looks like",
            default=True,
        ),
    )
}
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
