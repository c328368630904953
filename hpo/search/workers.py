"""Many trials at once: further processes of the same command on one machine, which join the study as workers.

They share the study's storage and folder and nothing else, so one that dies costs the trial's current epoch at most.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

PARENT_VARIABLE = "WAVENET_STUDY_PARENT"
"""In a worker's environment: the process that started it. A worker ends when that process has died."""
SECONDS_TO_END = 60.0
"""A worker that is asked to end finishes its training step, gives its trial back and ships its records."""


class Workers:
    """`count` processes beside this one, which end with it."""

    def __init__(self, count: int, command: Sequence[str], *, say: Callable[[str], None]) -> None:
        self._command = command
        self._count = count
        self._say = say
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # Their lines follow ours where lines are printed. In a terminal they would tear the progress bars, which show
        # the workers' trials.
        out = subprocess.DEVNULL if sys.stdout.isatty() else None
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        for _ in range(max(0, self._count)):
            self._processes.append(
                subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=out, env=environment, start_new_session=True
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the workers to end; asks them to where an error has ended this process's part."""
        if kind is not None:
            self.terminate()
            num_alive = sum(process.poll() is None for process in self._processes)
            if num_alive:
                self._say(f"Waiting for {num_alive} worker(s) to give their trials back.")
        for process in self._processes:
            try:
                code = process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code and kind is None:
                self._say(f"warning: a worker ended with exit code {code}; the others did its work.")

    def terminate(self) -> None:
        """Asks the workers to give their trials back and to end. Returns at once."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def is_started_worker() -> bool:
    """Whether another process of the command started this one as a worker."""
    return PARENT_VARIABLE in os.environ


def is_parent_gone() -> bool:
    """Whether this is a worker whose parent has died."""
    return is_started_worker() and os.getppid() != int(os.environ[PARENT_VARIABLE])
