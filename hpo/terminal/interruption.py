"""Ctrl-C and SIGTERM: the first is answered at once, by a line; the second ends the process.

Python runs its own handlers between two steps of the main thread, which may be busy for seconds. The operating system
writes the signal's number into a pipe at once, and a thread reads it there. The KeyboardInterrupt that the first signal
raises gives the trial back and puts everything on record. After the second signal the next call of the command does so.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h\r\n"
"""Bars hide the terminal's cursor."""


class InterruptionNotice:
    """While it is entered, the first signal calls `announce` and the second ends the process with exit code 130."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce = announce
        self._before_end: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None

    def before_end(self, action: Callable[[], None]) -> None:
        """`action` is called before the second signal ends the process. It must be quick."""
        self._before_end.append(action)

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals reach the main thread alone
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        self._previous = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        signal.set_wakeup_fd(self._previous)
        os.close(self._write_end)
        self._thread.join()
        os.close(self._read_end)

    def _listen(self) -> None:
        num_signals = 0
        while number := os.read(self._read_end, 1):
            if number[0] not in SIGNALS:
                continue
            num_signals += 1
            if num_signals > 1:
                self._end_at_once()
            self._announce()

    def _end_at_once(self) -> None:
        for action in self._before_end:
            with suppress(Exception):  # the process ends in any case
                action()
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), SHOW_CURSOR)
        os._exit(EXIT_CODE)
