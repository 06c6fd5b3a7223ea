"""What clips are made from, in words and in the order in which a page tells them."""

from typing import NamedTuple


class Told(NamedTuple):
    """Kind of a condition, and what its clips are made from."""

    kind: str
    text: str


KINDS = {
    "result": "Result",
    "control": "Same generator, without the right fMRI",
    "baseline": "No generator at all",
    "ceiling": "Ceilings",
}
CONDITIONS = {
    "fmri": Told("result", "decoded from fMRI"),
    "shifted": Told("control", "fMRI of another time of the movie"),
    "shuffled": Told("control", "fMRI windows in random order"),
    "mean": Told("control", "the mean training fMRI"),
    "noise": Told("control", "white noise instead of fMRI"),
    "training_caption": Told("control", "a random training caption"),
    "retrieval": Told("baseline", "the training clip with the nearest embedding"),
    "static": Told("baseline", "the first true frame, held"),
    "blurred": Told("baseline", "a random training frame, blurred and held"),
    "caption": Told("ceiling", "the clip's own caption instead of fMRI"),
    "vae": Told("ceiling", "the movie itself through the image compressor"),
}


def told(condition: str) -> Told:
    """Describe a condition; one that is not known counts as a control."""
    return CONDITIONS.get(condition, Told("control", condition))
