"""What the trainings of Mind-Animator's three decoders share: samples of one TR, sparsification, L1."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor, nn

from neurocine.diffusion.conditions import exchanged_rows
from neurocine.errors import InputError
from neurocine.fmri.assemble import SubjectFmri
from neurocine.io import file_sha256
from neurocine.models.saved import SavedNetwork
from neurocine.provenance import header, refuse_leaks, stamp_weights
from neurocine.settings import Count, NotNegative, Positive, Share, Unit
from neurocine.stimuli.cached import CachedClips, Clip
from neurocine.train.checkpoint import finish_training
from neurocine.train.loop import is_main_process, train
from neurocine.train.schedule import epoch_rows
from neurocine.train.sparsify import LossInPlace, l1_factor, sparsify
from neurocine.train.task import EpochSettings, TrainingReport

log = logging.getLogger(__name__)
Variant = Literal["paper", "code"]
VARIANTS = get_args(Variant)
OneSettings = TypeVar("OneSettings", bound="AnimatorSettings")
OneNetwork = TypeVar("OneNetwork", bound=nn.Module)


class AnimatorSettings(EpochSettings, defaults={"weight_decay": 0.0, "gradient_clip": 0.0}):
    """What all three trainings have: Adam (decay 0), sparsified fMRI, and an L1 penalty that fades.

    The published trainings clip no gradients.
    """

    adam_eps: Positive = 1e-8
    """Adam adds this to the root of the mean squared gradient before it divides by it."""
    sparsify_share: Share = 0.1
    """This fraction of the fMRI's values is set to zero."""
    l1_weight: NotNegative = 0.0
    """The sum of all absolute weights has this weight in the loss."""
    l1_decay: NotNegative = 0.0
    """The L1 penalty falls at this rate: in epoch E it has fallen by exp(-l1_decay E (E - 1) / 2)."""
    code_steps: Annotated[Count, Unit("steps")] = 2000
    """Variant code, which keeps its last weights, trains for this many steps."""


def require_variant(variant: str) -> None:
    """Refuse an unknown variant.

    Raises
    ------
    InputError : neither of the two
    """
    if variant not in VARIANTS:
        raise InputError("--variant", variant, " or ".join(VARIANTS), "Choose one of them.")


def settings_of_variant(settings: OneSettings, variant: str) -> OneSettings:
    """Let variant "code" train for ``code_steps`` and keep its last weights.

    Its in-place augmentation destroys the data by and by; a choice by validation would hide that.
    """
    if variant != "code":
        return settings
    return settings.replace(steps=settings.code_steps, keep_best=False, patience=0)


@dataclasses.dataclass(frozen=True)
class Samples:
    """fMRI of clips, one TR each.

    Parameters
    ----------
    bold : (n, V) f32, means over repeats
    clips : movie and index of each
    """

    bold: Tensor
    clips: tuple[Clip, ...]

    @classmethod
    def of(cls, fmri: SubjectFmri, movies: Sequence[str]) -> Self:
        """Take the samples of movies, one after the other."""
        bold = np.concatenate([fmri.bold[movie] for movie in movies])
        clips = tuple((movie, index) for movie in movies for index in range(len(fmri.bold[movie])))
        return cls(torch.from_numpy(np.ascontiguousarray(bold, np.float32)), clips)

    def __len__(self) -> int:
        return len(self.bold)

    def given(self, condition: str, seed: int) -> Self:
        """Return what clips are decoded from: their own samples, or (shuffled) those of other clips."""
        rows = torch.from_numpy(exchanged_rows(condition, self.clips, seed))
        return dataclasses.replace(self, bold=self.bold[rows])

    def require_same(self, cached: CachedClips, what: str) -> None:
        """Refuse caches of other clips.

        Raises
        ------
        InputError : another number or order of clips
        """
        if cached.clips != self.clips:
            raise InputError(
                what,
                f"{len(cached.clips)} clips",
                f"those of the {len(self.clips)} TR of fMRI, in the same order",
                "Give the files of the training movies, one clip per TR.",
            )


def split_movies(fmri: SubjectFmri, validation: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part a subject's movies into those to train on and those held out.

    Raises
    ------
    InputError : a validation movie that the subject does not have, none left to train on, or none held out
    """
    training = [movie for movie in fmri.movies if movie not in validation]
    held_out = [movie for movie in fmri.movies if movie in validation]
    if not training or len(held_out) != len(set(validation)) or not held_out:
        raise InputError(
            "validation movies",
            ", ".join(validation) or "none",
            f"some but not all of {', '.join(fmri.movies)}",
            "Correct movies.validation: these decoders are compared with the mean on held-out movies.",
        )
    return training, held_out


class AnimatorTask:
    """A decoder of single TRs; a subclass says what its loss is.

    Parameters
    ----------
    network : to be trained
    samples : training samples
    settings : section of the rule that trains it
    variant : "paper", or "code" for the augmentation in place of the released code
    seed : root of all randomness of the training
    in_place_calls : of the released augmentation up to the start of the first epoch (variant "code")
    """

    def __init__(
        self,
        network: nn.Module,
        samples: Samples,
        settings: AnimatorSettings,
        variant: str,
        seed: int,
        in_place_calls: int = 1,
    ) -> None:
        self.model, self.samples, self.settings, self.seed = network, samples, settings, seed
        self.n_items = len(samples)
        self.epoch = 0
        self.in_place: LossInPlace | None = None
        if variant == "code":
            shape = (self.n_items, samples.bold.shape[1])
            self.in_place = LossInPlace(shape, settings.sparsify_share, seed, in_place_calls)

    def batches(self, step: int, generator: torch.Generator) -> Tensor:
        """Return the rows (B,) i64 of a step and note its epoch, on which penalty and augmentation depend."""
        self.epoch = step // max(self.n_items // self.settings.batch_size, 1)
        return epoch_rows(step, self.n_items, self.settings.batch_size, self.seed)

    def augmented(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return sparsified fMRI of rows, (n, V), on the device of the network."""
        bold = self.samples.bold[rows]
        if self.in_place is not None:
            bold = bold * self.in_place.after(self.epoch)[rows]
        else:
            bold = sparsify(bold, self.settings.sparsify_share, generator)
        return bold.to(next(self.model.parameters()).device)

    def penalty(self) -> Tensor:
        """Return the L1 penalty of all weights in this epoch, a scalar."""
        weight = self.settings.l1_weight * l1_factor(self.epoch, self.settings.l1_decay)
        parameters = list(self.model.parameters())
        if not weight:
            return torch.zeros((), device=parameters[0].device)
        return weight * torch.stack([parameter.abs().sum() for parameter in parameters]).sum()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return all weights, with Adam's epsilon."""
        return [{"params": list(self.model.parameters()), "eps": self.settings.adam_eps}]

    def describe(self, rows: Tensor) -> list[str]:
        """Name the clips of rows (n,), movie:index."""
        return ["{}:{}".format(*self.samples.clips[row]) for row in rows.tolist()]


def train_animator(
    network: OneNetwork,
    task: Any,
    settings: AnimatorSettings,
    seed: int,
    state_dir: Path,
    what: str,
    *,
    identity: Any,
    device: str,
) -> tuple[OneNetwork, TrainingReport, dict[str, Any]]:
    """Train a task and compare the result with the training mean on held-out movies.

    Parameters
    ----------
    network : to be saved, which the task trains, alone or with what only its training needs
    task : an `AnimatorTask` with ``loss``, ``validate`` (with ``error`` and ``mean_error``)
    settings, seed, state_dir : see `neurocine.train.loop.train`; the log is written into ``state_dir``
    what, identity, device : see `neurocine.train.loop.train`

    Returns
    -------
    The network, the report, and error, mean_error and better_than_mean of the weights that are left in it
    """
    report = train(
        task, settings, seed, state_dir, state_dir / "log.jsonl", what, identity=identity, device=device
    )
    with torch.no_grad():
        values = task.validate(task.model)
    return network, report, compare_with_mean(values, what)


def compare_with_mean(values: Mapping[str, float], what: str) -> dict[str, Any]:
    """Say in the log whether a decoder is better than the training mean, and return it for ``done.json``.

    Parameters
    ----------
    values : of the validation, with ``error`` and ``mean_error``
    what : name of the training in the log
    """
    error, mean_error = values["error"], values["mean_error"]
    better = error < mean_error
    text = "better" if better else "NO BETTER"
    message = "%s: %s than the training mean on held-out movies, error %.4g against %.4g"
    (log.info if better else log.warning)(message, what, text, error, mean_error)
    return {**values, "better_than_mean": better}


def read_training(
    fmri: Path, others: Sequence[Path], train_movies: Sequence[str]
) -> tuple[SubjectFmri, list[str], dict[str, str]]:
    """Read the fMRI that a decoder is trained on, and say what it and all other inputs are.

    Parameters
    ----------
    fmri : training file of assemble_train
    others : further files that the training reads
    train_movies : movies that trainings may see

    Returns
    -------
    means over repeats, the movies behind all files, and each file with its hash

    Raises
    ------
    InputError : a file that was computed from any other movie
    """
    files = [fmri, *others]
    behind = refuse_leaks(files, train_movies)
    hashes = {str(path): file_sha256(path) for path in files}
    return SubjectFmri.read(fmri, with_repeats=False), behind, hashes


def save_decoder(
    trained: tuple[SavedNetwork, TrainingReport, Mapping[str, Any]],
    step: str,
    settings: AnimatorSettings,
    behind: Sequence[str],
    state_dir: Path,
    out: Path,
    **facts: Any,
) -> None:
    """Write a trained decoder with the movies behind it, its log and, last, ``done.json``; in one process.

    Parameters
    ----------
    trained : result of `train_animator`
    step : that trained it
    settings : its section
    behind : movies that it was computed from
    state_dir : the resumable state, which is removed
    out : folder that receives decoder/, log.jsonl and done.json
    facts : further ones for ``done.json``
    """
    if not is_main_process():
        return
    network, report, quality = trained
    network.save_pretrained(out / "decoder")
    stamp_weights(out / "decoder", behind, step)
    facts |= {"quality": dict(quality), "report": dataclasses.asdict(report)}
    finish_training(state_dir, out, header(step, settings, behind, **facts))
