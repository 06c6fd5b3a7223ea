"""Signals by which a training is asked to save and stop."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

log = logging.getLogger(__name__)


class StopSignals:
    """Notes SIGTERM and SIGUSR1 (sent by Slurm before the time limit); the loop acts between two steps."""

    def __init__(self) -> None:
        self.asked = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        log.info("signal %s: saving after this step", signal.Signals(number).name)
        self.asked = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals for the time of the block; only a main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGUSR1)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
