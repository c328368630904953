"""Many trials at once: further processes of the same command on one machine, which join the study as workers.

They share nothing but the study's storage and folder, so one that dies costs the trial's current epoch and no more.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

PARENT_VARIABLE = "WAVENET_STUDY_PARENT"
"""In a worker's environment: the process that started it, without which it does not go on."""
SECONDS_TO_END = 60.0
"""A worker that was asked to end finishes its step, gives its trial back and ships its records."""


class Workers:
    """So many processes beside this one, ended with it."""

    def __init__(self, count: int, command: Sequence[str], *, say: Callable[[str], None]) -> None:
        self._command = command
        self._count = count
        self._say = say
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # Their lines follow ours where lines are printed; beside progress bars they would tear them.
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
        """Lets workers end by themselves when all went well, and asks them to otherwise."""
        for process in self._processes:
            if kind is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                code = process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code and kind is None:
                self._say(f"warning: a worker ended with exit code {code}; the others did its work.")


def parent_is_gone() -> bool:
    """Whether this is somebody's worker whose parent has died."""
    parent = os.environ.get(PARENT_VARIABLE)
    return parent is not None and os.getppid() != int(parent)
