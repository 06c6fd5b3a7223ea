"""Values of one section that are right one by one but exclude each other.

A settings class names the checks of its section in ``checks``. The schema carries their names, so the
workflow runs the same ones without importing the class. Places in the messages are named by the key alone.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from neurocine.errors import InputError

Section = Mapping[str, Any]
CHANGE_ONE = "Change one of the two."


def patience_needs_validation(section: Section) -> Iterator[InputError]:
    """Nothing can be waited for where nothing is validated."""
    if section["patience"] and not section["validate_every"]:
        todo = "Set validate_every, or patience: 0 to train all steps."
        yield InputError("patience", str(section["patience"]), "0 without validations (validate_every)", todo)


def root_needs_warmup(section: Section) -> Iterator[InputError]:
    """A rate that falls with the root of the step is highest at the end of the warm-up."""
    if section["schedule"] == "inverse_sqrt" and not section["warmup_steps"]:
        todo = "Set warmup_steps, at whose end the rate is highest."
        yield InputError("schedule", "inverse_sqrt without warmup_steps", "a schedule that fits", todo)


def exponential_needs_epochs(section: Section) -> Iterator[InputError]:
    """Only some trainings let their rate fall by epochs."""
    if section["schedule"] == "exponential" and "epoch_decay" not in section:
        yield InputError("schedule", "exponential", "constant, cosine or inverse_sqrt", "Choose one of them.")


def compiled_is_not_deterministic(section: Section) -> Iterator[InputError]:
    """The compiler chooses by timing how a sum is split up."""
    if section["compile"] and section["deterministic"]:
        yield InputError("compile", json.dumps(section["compile"]), "false with deterministic", CHANGE_ONE)


def equal_parts(section: Section) -> Iterator[InputError]:
    """A batch is cut into equal parts."""
    if section["batch_size"] % section["gradient_accumulation"]:
        expected = f"a multiple of gradient_accumulation, {section['gradient_accumulation']}"
        yield InputError("batch_size", str(section["batch_size"]), expected, CHANGE_ONE)


def heads_divide_width(section: Section) -> Iterator[InputError]:
    """Heads get equal numbers of features; codes of positions are pairs of sine and cosine."""
    for key in section:
        if not key.endswith("heads"):
            continue
        heads, width = section[key], section[key.removesuffix("heads") + "width"]
        if width % heads:
            found = f"{heads} heads for a width of {width}"
            yield InputError(key, found, "a divisor of the width", CHANGE_ONE)
        if width % 2:
            place = key.removesuffix("heads") + "width"
            yield InputError(place, str(width), "an even number", "Add one, or take one away.")


def heads_divide_attention(section: Section) -> Iterator[InputError]:
    """Each attention head gets the same number of features."""
    heads, width = section["heads"], section["attention_width"]
    if width % heads:
        yield InputError("attention_width", str(width), f"a multiple of heads, {heads}", CHANGE_ONE)


def penalties_in_order(section: Section) -> Iterator[InputError]:
    """The candidates of a penalty lie between the smallest and the largest."""
    smallest, largest = section["smallest_penalty"], section["largest_penalty"]
    if smallest > largest:
        yield InputError(
            "smallest_penalty", f"{smallest:g}", f"at most largest_penalty, {largest:g}", CHANGE_ONE
        )


def frames_within_tr(section: Section) -> Iterator[InputError]:
    """The frames of a clip lie within one TR."""
    if (section["frames_per_tr"] - 1) / section["fps"] >= section["tr"]:
        expected = f"frames within {section['tr']:g} s (tr) at {section['fps']:g} frames per second"
        yield InputError(
            "frames_per_tr", str(section["frames_per_tr"]), expected, "Keep fewer frames or raise fps."
        )


def file_of_captions(section: Section) -> Iterator[InputError]:
    """A table or lists of captions are named where they are read, and only there."""
    named = [key for key in ("file", "lists") if section[key]]
    if len(named) == 2:
        yield InputError("lists", "lists and a table (file)", "one of the two", CHANGE_ONE)
    elif (section["backend"] == "file") != bool(named):
        key = named[0] if named else "file"
        expected = "a table (or lists) if, and only if, caption_clips.backend is file"
        yield InputError(key, json.dumps(section[key]), expected, CHANGE_ONE)
    movies = [movie for one in section["lists"] for movie in one["movies"]]
    if twice := sorted({movie for movie in movies if movies.count(movie) > 1}):
        todo = "Leave it in the list that has its captions."
        yield InputError("lists", f"{', '.join(twice)} twice", "each movie in one list", todo)


def two_frames_by_transformers(section: Section) -> Iterator[InputError]:
    """Captions of two frames are compared by CLIP, which LAVIS's environment does not have."""
    if section["unit"] == "two_frames" and section["backend"] == "lavis":
        expected = "clip or frame with caption_clips.backend lavis"
        yield InputError("unit", '"two_frames"', expected, CHANGE_ONE)


def sequences_need_every_clip(section: Section) -> Iterator[InputError]:
    """Clips that are denoised as one video follow each other."""
    if section["clips_per_sequence"] > 1 and section["every"] > 1:
        found = f"{section['clips_per_sequence']}, with every {section['every']}"
        todo = "Set every to 1: the clips of a sequence follow each other."
        yield InputError("clips_per_sequence", found, "1, or every clip decoded", todo)


def shift_is_not_zero(section: Section) -> Iterator[InputError]:
    """A shift of 0 would make the control equal to what it controls."""
    if section["shift_tr"] == 0:
        yield InputError("shift_tr", "0", "a shift forward or, below 0, back in TR", "Give another number.")


def ks_below_ways(section: Section) -> Iterator[InputError]:
    """Each N of the identification has a k below it."""
    if min(section["top_ks"]) >= min(section["n_ways"]):
        expected = f"a k below each of n_ways, {', '.join(map(str, section['n_ways']))}"
        yield InputError("top_ks", ", ".join(map(str, section["top_ks"])), expected, "Add a smaller k.")


def scenes_have_a_length(section: Section) -> Iterator[InputError]:
    """The shortest scene is no longer than the longest."""
    if section["shortest_scene"] > section["longest_scene"]:
        expected = f"at most longest_scene, {section['longest_scene']} TR"
        yield InputError("shortest_scene", f"{section['shortest_scene']} TR", expected, CHANGE_ONE)


def runs_cover_clips(section: Section) -> Iterator[InputError]:
    """Simulated runs are 5 or 6 volumes longer than their movie, as those of Wen 2018."""
    clips = section["clips_per_movie"]
    for movie, volumes in section["volumes"].items():
        if volumes not in (clips + 5, clips + 6):
            expected = f"{clips + 5} or {clips + 6}, 5 or 6 more than clips_per_movie"
            yield InputError(f"volumes.{movie}", str(volumes), expected, CHANGE_ONE)


def crop_leaves_samples(section: Section) -> Iterator[InputError]:
    """Some volumes are left of every run."""
    for volumes, (first, last) in section["crop"].items():
        if first + last >= int(volumes):
            found = f"{first} + {last} volumes dropped"
            yield InputError(f"crop.{volumes}", found, f"fewer than {volumes}", "Drop fewer.")


SECTION_CHECKS: dict[str, Callable[[Section], Iterator[InputError]]] = {
    check.__name__: check
    for check in (
        patience_needs_validation,
        equal_parts,
        compiled_is_not_deterministic,
        root_needs_warmup,
        exponential_needs_epochs,
        heads_divide_width,
        heads_divide_attention,
        frames_within_tr,
        file_of_captions,
        two_frames_by_transformers,
        sequences_need_every_clip,
        shift_is_not_zero,
        ks_below_ways,
        scenes_have_a_length,
        runs_cover_clips,
        crop_leaves_samples,
        penalties_in_order,
    )
}
