"""The one training loop: steps, precision, accumulation, validation, checkpoints, and an exact way back.

Every random number of step s comes from generators derived from (seed, s), so a state needs no generator:
training that was interrupted and resumed gives the same weights, bit for bit, as one that was not.
"""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from neurocine.errors import EXIT_TRY_AGAIN, InputError
from neurocine.models.checkpointing import CHECKPOINTINGS, set_checkpointing
from neurocine.seeds import derive_seed, torch_generator
from neurocine.train.checkpoint import TrainingState, fingerprint, load_state, save_state
from neurocine.train.device import FrozenWeights, deterministic, make_accelerator
from neurocine.train.record import Record
from neurocine.train.schedule import epoch_rows, learning_rate_factor
from neurocine.train.signals import StopSignals
from neurocine.train.task import LoopSettings, Task, TrainingReport

__all__ = ["LoopSettings", "Task", "TrainingReport", "is_main_process", "train"]

log = logging.getLogger(__name__)
GO_ON, SAVE, SAVE_AND_STOP = 0, 1, 2


def make_optimizer(task: Task, settings: LoopSettings) -> torch.optim.AdamW:
    """Make the optimiser of a task's groups of weights; a group without ``lr_scale`` has 1."""
    return torch.optim.AdamW(
        [{"lr_scale": 1.0, **group} for group in task.parameter_groups()],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


class Trainer:
    """One training under way: the task, its optimiser, its average and best weights, and the step reached."""

    def __init__(
        self, task: Task, settings: LoopSettings, seed: int, state_dir: Path, identity: Any, device: str
    ) -> None:
        self.task, self.settings, self.seed, self.state_dir = task, settings, seed, state_dir
        # A batch whose items are contrasted is not cut, or each would have fewer others to differ from.
        self.n_parts = 1 if getattr(task, "contrasts", False) else settings.gradient_accumulation
        self.accelerator = make_accelerator(settings, device, self.n_parts)
        task.model.to(self.accelerator.device)
        self.frozen = FrozenWeights(task.model, settings.precision)
        self._choose_checkpointing()
        self.plain_optimizer = make_optimizer(task, settings)
        if settings.compile:
            self._compile()
        self.model, self.optimizer = self.accelerator.prepare(task.model, self.plain_optimizer)
        self.trained = {name: p for name, p in task.model.named_parameters() if p.requires_grad}
        self.buffers = dict(task.model.named_buffers())
        self.average = (
            {name: p.detach().clone() for name, p in self.trained.items()} if settings.ema_decay else {}
        )
        self.step = self.resumed_from = 0
        self.seconds, self.mean_loss, self.first_loss = 0.0, math.nan, math.nan
        self.best: dict[str, Tensor] = {}
        self.best_values: dict[str, float] | None = None
        self.best_step: int | None = None
        self.bad_validations = 0
        self.stopped = False
        # Steps not yet checked and logged.
        self.pending: list[tuple[int, Tensor, Tensor, dict[str, Any]]] = []
        self.identity = self._identity(identity)

    def _compile(self) -> None:
        from neurocine.models.compiling import compile_blocks  # diffusers takes seconds to load

        if self.settings.compile != "blocks" or not compile_blocks(self.task.model):
            self.task.model.compile()  # in place: names of weights stay

    def _choose_checkpointing(self) -> None:
        """Say how much of the network is computed twice, and whether that may grow when memory ends."""
        choice: Any = getattr(self.settings, "gradient_checkpointing", "none")
        choice = ("none", "all")[choice] if isinstance(choice, bool) else choice
        # Several processes would each have to find out the same; a CPU's memory ends without a word.
        self.may_checkpoint_more = choice == "auto" and self._one_gpu()
        if choice == "auto":
            choice = CHECKPOINTINGS[0 if self.may_checkpoint_more else -1]
        self.checkpointing = choice
        set_checkpointing(self.task.model, choice)

    def _one_gpu(self) -> bool:
        return self.accelerator.device.type == "cuda" and self.accelerator.num_processes == 1

    def _identity(self, extra: Any) -> str:
        shapes = {name: list(p.shape) for name, p in self.trained.items()}
        return fingerprint([self.settings.identity(), self.seed, self.task.n_items, shapes, extra])

    # --- one step -------------------------------------------------------------------------------------

    def rows(self) -> Tensor:
        """Return the items of the current step, (B,) i64."""
        batches: Callable[[int, torch.Generator], Tensor] | None = getattr(self.task, "batches", None)
        if batches is not None:
            return batches(self.step, torch_generator(self.seed, "batch", self.step))
        return epoch_rows(self.step, self.task.n_items, self.settings.batch_size, self.seed)

    def train_step(self) -> None:
        """Do one optimiser step; its losses wait in ``pending`` so that a GPU need not be waited for."""
        epoch_steps = max(self.task.n_items // self.settings.batch_size, 1)
        factor = learning_rate_factor(self.step, self.settings, epoch_steps)
        for group in self.plain_optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * group["lr_scale"] * factor
        rows = self.rows()
        while (result := self._try_step(rows)) is None:
            self._checkpoint_more()
        self.step += 1
        self._update_average()
        self.pending.append((self.step, rows, *result))

    def _try_step(self, rows: Tensor) -> tuple[Tensor, dict[str, Any]] | None:
        """Do the step and return its losses; None if memory did not suffice and nothing was changed yet."""
        n_parts = self.n_parts
        first = self.accelerator.process_index * n_parts
        self.accelerator.step = 0  # parts since the last step of the optimiser
        chunks = rows.chunk(n_parts * self.accelerator.num_processes)
        losses: list[Tensor] = []
        parts: Mapping[str, Any] = {}
        for number, chunk in enumerate(chunks[first : first + n_parts], first):
            with self.accelerator.accumulate(self.model):
                try:
                    loss, parts = self._gradients(number, chunk)
                except torch.OutOfMemoryError:
                    if not self.may_checkpoint_more or self.checkpointing == CHECKPOINTINGS[-1]:
                        raise
                    return None
                if self.accelerator.sync_gradients and self.settings.gradient_clip:
                    self.accelerator.clip_grad_norm_(list(self.trained.values()), self.settings.gradient_clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.append(loss)
        return torch.stack(losses), dict(parts)

    def _gradients(self, number: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Any]]:
        """Add the gradients of one part of a batch; return its loss and the loss's parts."""
        # Layers such as dropout draw from torch's global generator, so that is seeded per step as well.
        torch.manual_seed(derive_seed(self.seed, "layers", self.step, number))
        generator = torch_generator(self.seed, "step", self.step, number)
        with self.accelerator.autocast():
            loss, parts = self.task.loss(self.model, rows, generator)
        self.accelerator.backward(loss)
        return loss.detach().float(), parts

    def _checkpoint_more(self) -> None:
        """Compute more of the network twice, and forget the gradients of a step that did not fit."""
        self.plain_optimizer.zero_grad()
        self.checkpointing = CHECKPOINTINGS[CHECKPOINTINGS.index(self.checkpointing) + 1]
        log.info(
            "the GPU's memory is too small: gradient_checkpointing is %s from now on", self.checkpointing
        )
        set_checkpointing(self.task.model, self.checkpointing)
        torch.cuda.empty_cache()

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average:
            # Slower at first, or the average would remember the random start for 1 / (1 - decay) steps.
            decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(list(self.average.values()), list(self.trained.values()), 1 - decay)

    def check_losses(self) -> dict[str, float]:
        """Look at the losses since the last look; return their mean and the mean of their parts.

        Raises
        ------
        InputError : a loss is not finite, or their mean is far above the first one that was logged; no state
            has been written since it was
        """
        if not self.pending:
            return {}
        losses = torch.stack([losses for _, _, losses, _ in self.pending])  # (steps, parts here)
        losses = self.accelerator.gather(losses.T.contiguous()).T.cpu()  # (steps, parts of all processes)
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            row, part = bad[0].tolist()
            raise self._bad_loss(losses, row, part, "a finite loss")
        mean, factor = float(losses.mean()), self.settings.divergence_factor
        if math.isnan(self.first_loss):
            self.first_loss = mean
        # Of the size only: a loss may be negative, and one near zero at the start may grow.
        largest = factor * max(abs(self.first_loss), 1.0)
        if factor and mean > largest:
            row, part = divmod(int(losses.argmax()), losses.shape[1])
            expected = f"a mean below {largest:.4g}, {factor:g} times the first (divergence_factor)"
            raise self._bad_loss(losses, row, part, expected)
        names = self.pending[-1][3]
        means = {
            name: sum(float(parts[name]) for *_, parts in self.pending) / len(self.pending) for name in names
        }
        self.pending = []
        self.mean_loss = mean
        return {"loss": self.mean_loss, **means}

    def _bad_loss(self, losses: Tensor, row: int, part: int, expected: str) -> InputError:
        """Name the step and the items of one of the pending losses, (steps, parts)."""
        step, rows, _, _ = self.pending[row]
        clips = self.task.describe(rows.chunk(losses.shape[1])[part])
        found = f"a loss of {float(losses[row, part]):.4g} for the items {', '.join(clips)}"
        return InputError(f"training, step {step}", found, expected, self._what_is_kept())

    # --- validation and weights -----------------------------------------------------------------------

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the moving average in place of the weights for the time of the block."""
        if not self.average:
            yield
            return
        raw = {name: p.detach().clone() for name, p in self.trained.items()}
        _copy_into(self.trained, self.average)
        try:
            yield
        finally:
            _copy_into(self.trained, raw)

    @contextlib.contextmanager
    def looked_at(self) -> Iterator[nn.Module]:
        """Give the model as it would be used now: averaged weights, no dropout, no gradients."""
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        # Not compiled: batches have other sizes here, each of which would be compiled for itself.
        stance = torch.compiler.set_stance("force_eager" if self.settings.compile else "default")
        with stance, self.averaged(), torch.no_grad(), self.accelerator.autocast():
            yield model
        model.train()

    def validate(self) -> dict[str, float]:
        """Run the task's validation, note the best, and decide about stopping early."""
        torch.manual_seed(derive_seed(self.seed, "validate"))
        with self.looked_at() as model:
            values = {name: float(value) for name, value in self.task.validate(model).items()}
            if self.accelerator.num_processes > 1:  # one decision for all processes
                values = broadcast_object_list([values])[0]
            if self.best_values is None or values["loss"] < self.best_values["loss"]:
                self.best_values, self.best_step, self.bad_validations = values, self.step, 0
                if self.settings.keep_best:
                    self.best = {name: p.detach().cpu().clone() for name, p in self._weights().items()}
            else:
                self.bad_validations += 1
        self.stopped = bool(self.settings.patience) and self.bad_validations >= self.settings.patience
        return values

    def draw(self, record: Record | None) -> None:
        """Show samples of the task when the step asks for them (first process only)."""
        every = getattr(self.task, "picture_every", 0)
        if record is None or not every or self.step % every:
            return
        with self.looked_at() as model:
            picture = self.task.picture(model)  # type: ignore[attr-defined]  # of tasks with picture_every
        if picture is not None:
            record.show(self.step, picture)

    def _weights(self) -> dict[str, Tensor]:
        return {**self.trained, **self.buffers}

    def finish(self) -> TrainingReport:
        """Leave the final weights (best, or averaged, or last) in the task's model and report."""
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        self.frozen.restore()
        _copy_into(self._weights(), self.best or self.average)
        model.eval()
        return TrainingReport(
            self.step,
            self.mean_loss,
            self.seconds,
            self.resumed_from,
            self.stopped,
            self.best_step,
            self.best_values,
        )

    # --- state ----------------------------------------------------------------------------------------

    def state(self) -> TrainingState:
        """Collect all that is needed to go on."""
        tensors = {f"model/{name}": tensor for name, tensor in self._weights().items()}
        tensors.update({f"average/{name}": tensor for name, tensor in self.average.items()})
        tensors.update({f"best/{name}": tensor for name, tensor in self.best.items()})
        for name, p in self.trained.items():
            for key, moment in self.plain_optimizer.state.get(p, {}).items():
                tensors[f"optimizer/{key}/{name}"] = moment
        scaler = self.accelerator.scaler
        notes = {
            "seconds": self.seconds,
            "loss": self.mean_loss,
            "first_loss": self.first_loss,
            "best_step": self.best_step,
            "best_values": self.best_values,
            "bad_validations": self.bad_validations,
            "stopped": self.stopped,
            "scaler": scaler.state_dict() if scaler is not None else None,
        }
        return TrainingState(self.step, tensors, notes)

    def _what_is_kept(self) -> str:
        states = (
            "The last good state is"
            if any(self.state_dir.glob("step-*"))
            else "No state was saved yet, none is"
        )
        return f"{states} kept in {self.state_dir}. Check the data, or lower learning_rate."

    def save(self) -> None:
        """Write the state (first process only).

        Raises
        ------
        InputError : a weight is not finite, which the next loss would show; such a state is not kept
        """
        for name, p in self.trained.items():
            if not p.isfinite().all():
                raise InputError(
                    f"training, step {self.step}", f"NaN or infinite values in {name}", "finite weights",
                    self._what_is_kept(),
                )  # fmt: skip
        if self.accelerator.is_main_process:
            path = save_state(self.state_dir, self.state(), self.identity)
            log.info("state of step %d saved in %s", self.step, path)
        self.accelerator.wait_for_everyone()

    def resume(self) -> None:
        """Go on from the newest whole state of this training, if there is one."""
        state = load_state(self.state_dir, self.identity)
        if state is None:
            return
        kinds: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimizer": {}}
        for name, tensor in state.tensors.items():
            kind, rest = name.split("/", 1)
            kinds[kind][rest] = tensor
        _copy_into(self._weights(), kinds["model"])
        _copy_into(self.average, kinds["average"])
        self.best = kinds["best"]
        self._load_moments(kinds["optimizer"])
        notes = state.notes
        self.step = self.resumed_from = state.step
        self.seconds, self.mean_loss = notes["seconds"], notes["loss"]
        self.first_loss = notes["first_loss"]
        self.best_step, self.best_values = notes["best_step"], notes["best_values"]
        self.bad_validations, self.stopped = notes["bad_validations"], notes["stopped"]
        if notes["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(notes["scaler"])
        log.info("resuming from step %d", self.step)

    def _load_moments(self, moments: dict[str, Tensor]) -> None:
        names = {id(p): name for name, p in self.trained.items()}
        packed = self.plain_optimizer.state_dict()
        order = [p for group in self.plain_optimizer.param_groups for p in group["params"]]
        for index, p in enumerate(order):
            tensors = {
                key.split("/", 1)[0]: tensor
                for key, tensor in moments.items()
                if key.split("/", 1)[1] == names[id(p)]
            }
            if tensors:
                packed["state"][index] = tensors
        self.plain_optimizer.load_state_dict(packed)

    # --- the run --------------------------------------------------------------------------------------

    def decide(self, stop_asked: bool, last_save: float) -> int:
        """Return what to do after a step; all processes agree on the most urgent wish."""
        due = time.monotonic() - last_save >= 60 * self.settings.checkpoint_minutes
        wish = SAVE_AND_STOP if stop_asked else SAVE if due else GO_ON
        if self.accelerator.num_processes > 1:
            wishes = self.accelerator.gather(torch.tensor([wish], device=self.accelerator.device))
            wish = int(wishes.max())
        return wish

    def log_step(self, record: Record | None) -> None:
        """Check the losses, validate and write the log when the step asks for it."""
        every, last = self.settings.validate_every, self.step == self.settings.steps
        validation = every > 0 and (self.step % every == 0 or last)
        if not (validation or last or self.step % self.settings.log_every == 0):
            return
        values: dict[str, Any] = dict(self.check_losses())
        values["lr"] = self.plain_optimizer.param_groups[0]["lr"]
        values["seconds"] = round(self.seconds, 3)
        if validation:
            values["validation"] = self.validate()
        if record is not None:
            record.write(self.step, values)
            record.progress(self.step, self.mean_loss)

    def run(self, record: Record | None, stop: StopSignals) -> None:
        """Train to the last step, or until stopped early or by a signal (after saving: exit code 75)."""
        began = saved = time.monotonic()
        before, saved_step = self.seconds, self.step
        self.model.train()
        while self.step < self.settings.steps and not self.stopped:
            self.train_step()
            self.seconds = before + time.monotonic() - began
            self.log_step(record)
            self.draw(record)
            wish = self.decide(stop.asked, saved)
            if wish != GO_ON:
                self.check_losses()
                self.save()
                saved, saved_step = time.monotonic(), self.step
            if wish == SAVE_AND_STOP:
                log.info("stopped at step %d: run the same command again to resume", self.step)
                raise SystemExit(EXIT_TRY_AGAIN)
        self.seconds = before + time.monotonic() - began
        if self.step > saved_step:
            self.save()


def _copy_into(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Overwrite tensors in place by name."""
    with torch.no_grad():
        for name, value in values.items():
            targets[name].copy_(value)


def is_main_process() -> bool:
    """Say whether this process is the one that writes results (of several under ``accelerate launch``)."""
    return PartialState().is_main_process


def train(
    task: Task,
    settings: LoopSettings,
    seed: int,
    state_dir: Path,
    log_path: Path,
    what: str,
    *,
    identity: Any = None,
    device: str = "auto",
) -> TrainingReport:
    """Train ``task.model`` in place; go on from the state in ``state_dir`` when there is one.

    The final weights are those of the best validation if there were validations (and ``keep_best``), else
    the moving average if there is one, else the last. States stay on disk: call
    :func:`neurocine.train.checkpoint.finish_training` once the results are written.

    Parameters
    ----------
    task : model, data and loss
    settings : how long to train, how often to save, validate and log
    seed : root of all randomness of the training
    state_dir : directory of the resumable states, outside declared outputs of a workflow
    log_path : JSONL log; one line per ``log_every`` steps with loss, its parts, lr, seconds, validation
    what : name of the training in progress lines
    identity : JSON values (settings of the task, hashes of its data); a state made with others is not used
    device : "auto" (GPU if there is one), "cpu" or "cuda"

    Raises
    ------
    InputError : a loss is NaN or infinite (step and items are named, the last good state is kept), no GPU
        where one was asked for, a batch larger than the data
    SystemExit : code 75 after SIGTERM or SIGUSR1, with the state saved
    """
    stop = StopSignals()
    with stop.listening(), deterministic(settings.deterministic):
        trainer = Trainer(task, settings, seed, Path(state_dir), identity, device)
        trainer.resume()
        record = None
        if trainer.accelerator.is_main_process:
            record = Record(Path(log_path), trainer.step, settings.steps, what, settings.tensorboard)
        try:
            trainer.run(record, stop)
        finally:
            if record is not None:
                record.close()
    report = trainer.finish()
    log.info("%s: %d steps, loss %.4f, %.1f s", what, report.steps, report.loss, report.seconds)
    return report
