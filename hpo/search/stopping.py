"""What ends a training between two batches: a signal, a deadline of the study or of a trial, or the loss of the trial.

Within a batch the weights are half changed, so nothing is raised there. A signal that arrives within a batch is
remembered, and raised when the batch has ended; then the epoch is saved so far (core/model/partial_epoch.py). A signal
that arrives at any other time raises KeyboardInterrupt at once, also in a wait for a stream, a lock or a server.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from hpo.search.held_signals import SIGNALS


class StudyTimeout(Exception):
    """The deadline of the study has passed. The trial is given back, as after an interruption."""


class TrialTimeout(Exception):
    """A trial has taken its time. The message is the reason."""


def is_past(deadline: float | None) -> bool:
    """Whether a time in seconds since 1970 has passed; None never has."""
    return deadline is not None and time.time() >= deadline


class Stops:
    """Is entered around every batch, and raises between two batches what has become due.

    One object serves all trials of a process, whose main thread trains.
    """

    def __init__(self, *, deadline: float | None = None, trial_minutes: float | None = None) -> None:
        """`deadline` of the study in seconds since 1970, so that all processes have the same; `trial_minutes` from the
        start of a trial, or from its resumption, in this process."""
        self._deadline, self._trial_minutes = deadline, trial_minutes
        self._trial_deadline: float | None = None
        self._check_owner: Callable[[], None] = lambda: None
        self._is_in_batch = self._is_interrupted = False

    @property
    def is_over(self) -> bool:
        """Whether the deadline of the study has passed."""
        return is_past(self._deadline)

    def begin_trial(self, check_owner: Callable[[], None]) -> None:
        """The time of a trial counts from now. `check_owner` raises where this process has lost the trial."""
        self._check_owner = check_owner
        if self._trial_minutes is not None:
            self._trial_deadline = time.monotonic() + 60 * self._trial_minutes

    def check_study(self) -> None:
        """StudyTimeout after the deadline of the study."""
        if self.is_over:
            raise StudyTimeout

    def __enter__(self) -> None:
        self._is_in_batch = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_in_batch = False
        if self._is_interrupted:  # also after an error within the batch, which becomes its context
            raise KeyboardInterrupt
        if kind is None:
            self.check_study()
            self._check_owner()
            if self._trial_deadline is not None and time.monotonic() >= self._trial_deadline:
                raise TrialTimeout(f"--trial-timeout of {self._trial_minutes:g} min")

    @contextmanager
    def handling_signals(self) -> Iterator[None]:
        """While it is entered, SIGINT and SIGTERM wait for the end of a batch. In another thread than the main one,
        which gets no signals, it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # A shell's background job ignores SIGINT, and so does its study.
        numbers = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._interrupt) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: object) -> None:
        if not self._is_in_batch:
            raise KeyboardInterrupt
        self._is_interrupted = True
