"""Mind-Animator (arXiv 2405.03280): meaning, look and motion decoded apart, drawn by an image model."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from neurocine.conditions import made_by
from neurocine.errors import InputError
from neurocine.methods.base import Config, Method, Row, Training, of_seed


def variant_key(row: Row) -> str:
    """Name the semantic and the structure decoder of an experiment; those of one variant share them."""
    return of_seed(row["variant"], row)


def motion_key(row: Row) -> str:
    """Name the motion generator of an experiment; experiments with the same name share all trainings."""
    blind = "" if row["motion_from"] == "fmri" else "_blind"
    return of_seed(f"{row['variant']}_tok{row['memory_tokens']}{blind}", row)


class MindAnimator(Method):
    """Mind-Animator on the fMRI of single TRs."""

    name = "mind_animator"
    definition = "AnimatorExperiment"
    parameters = ("variant", "memory_tokens", "motion_from", "renoise", "without", "through")
    titles: ClassVar[Mapping[str, str]] = {
        "train_semantic": "Semantic decoder",
        "train_structure": "Structure decoder",
        "train_motion": "Motion generator",
    }
    contrasts: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "train_semantic": {"contrast": 1}
    }  # of two, weighed
    step = "reconstruct"
    # The same fMRI is given to it as to NeuroCine, and true features besides.
    fmri_conditions = (*made_by("decode"), *made_by("reconstruct"))
    main_experiment = "animator"
    systems = ("Mind-Animator",)
    ranks_areas = True

    def trainings(self, row: Row, config: Config) -> tuple[Training, ...]:
        """List the trainings behind an experiment; what is left out in drawing trains nothing of its own."""
        variant, seed = {"variant": row["variant"]}, row.get("train_seed")
        motion = {**variant, "memory_tokens": row["memory_tokens"], "motion_from": row["motion_from"]}
        return (
            Training("train_semantic", variant_key(row), variant, seed=seed),
            Training("train_structure", variant_key(row), variant, seed=seed),
            Training("train_motion", motion_key(row), motion, seed=seed),
        )

    def used(self, row: Row) -> dict[str, Any]:
        """Return the parameters that an experiment uses."""
        return {name: row[name] for name in self.parameters if name in row}

    def decoders(self, row: Row) -> dict[str, str]:
        """Name the three decoders."""
        variant = variant_key(row)
        return {
            "semantic": f"train_semantic/{variant}/decoder",
            "structure": f"train_structure/{variant}/decoder",
            "motion": f"train_motion/{motion_key(row)}/decoder",
        }

    def further(self, row: Row) -> list[str]:
        """Name the scores of the features that clips are drawn from."""
        return [f"score_features/{motion_key(row)}.tsv"]

    def check(self, config: Config) -> Iterator[InputError]:
        """Find settings of its steps that exclude each other."""
        frames = config["prepare_stimuli"]["frames_per_tr"]
        for step, key in (("train_semantic", "image_frame"), ("embed_variants", "frame")):
            frame = config[step][key]
            if frame >= frames:
                expected = f"0 to {frames - 1} (prepare_stimuli.frames_per_tr)"
                yield InputError(f"{step}.{key}", str(frame), expected, "Correct one of the two.")
        if frames < 2:
            todo = "Keep more frames: there is no motion in one."
            yield InputError("prepare_stimuli.frames_per_tr", str(frames), "2 or more", todo)
        if not config["movies"]["validation"]:
            todo = "Name training movies: decoders are compared with the mean on held-out ones."
            yield InputError("movies.validation", "none", "one movie or more", todo)
