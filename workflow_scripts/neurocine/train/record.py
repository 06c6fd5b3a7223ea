"""What a training tells: JSONL lines, TensorBoard scalars, progress on the terminal or in the log."""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from neurocine.cli import PROGRESS_SECONDS
from neurocine.pictures import write_picture

log = logging.getLogger("progress")


class Record:
    """Writes the log of one training; a resumed training drops the lines it will write again.

    Parameters
    ----------
    path : the JSONL file; TensorBoard's events go to ``tensorboard/`` beside it
    start : steps already done
    steps : steps of the whole training
    what : name of the training in progress lines
    tensorboard : write TensorBoard scalars too
    """

    def __init__(self, path: Path, start: int, steps: int, what: str, tensorboard: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        if start and path.is_file():
            lines = [line for line in path.read_text().splitlines() if _step_of(line) <= start]
        path.write_text("".join(line + "\n" for line in lines))
        self.path, self.start, self.steps, self.what = path, start, steps, what
        self.began = self.last = time.monotonic()
        self.writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # takes a second: only when wanted

            self.writer = SummaryWriter(str(path.parent / "tensorboard"), purge_step=start)
        self.bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=steps, initial=start, desc=what)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one line ``{"step": step, ...}``; nested values become ``group/name`` in TensorBoard."""
        with open(self.path, "a") as handle:
            handle.write(json.dumps({"step": step, **values}) + "\n")
        if self.writer is None:
            return
        for name, value in values.items():
            for inner, number in value.items() if isinstance(value, dict) else [("", value)]:
                self.writer.add_scalar(f"{name}/{inner}" if inner else name, number, step)

    def show(self, step: int, picture: np.ndarray) -> None:
        """Put a picture (height, width, 3) u8 into TensorBoard, and the newest one beside the log."""
        path = self.path.with_name("samples.png")
        write_picture(path, picture, smallest=False)
        log.info("step %d: samples drawn in %s", step, path)
        if self.writer is not None:
            self.writer.add_image("samples", picture, step, dataformats="HWC")

    def progress(self, step: int, loss: float) -> None:
        """Show how far the training is: a bar on a terminal, a line every 15 s in a log."""
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self.bar.update(step - self.bar.n)
            return
        now = time.monotonic()
        if now - self.last >= PROGRESS_SECONDS:
            self.last = now
            left = (now - self.began) / max(step - self.start, 1) * (self.steps - step)
            log.info("%s step %d/%d, loss %.4f, about %.0f s left", self.what, step, self.steps, loss, left)

    def close(self) -> None:
        """Flush and close the files."""
        if self.writer is not None:
            self.writer.close()
        if self.bar is not None:
            self.bar.close()


def _step_of(line: str) -> float:
    """Return the step of a log line; a line cut by a crash counts as the future and is dropped."""
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")
