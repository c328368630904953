"""Many trials at once: further processes of the same command on one machine, which join the study as workers.

They share the study's storage and folder and nothing else, so one that dies costs the trial's current epoch at most. A
thread watches them and starts a new worker in the place of one that died.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PARENT_VARIABLE = "WAVENET_STUDY_PARENT"
"""In a worker's environment: the process that started it. A worker ends when that process has died."""
SECONDS_TO_END = 60.0
"""A worker that is asked to end finishes its training step, gives its trial back and ships its records."""
SECONDS_BETWEEN_LOOKS = 0.25
QUICK_SECONDS = 30.0
MAX_QUICK_DEATHS = 6
"""A worker is given up when its processes have died so often in a row, each within QUICK_SECONDS of its start. A trial
that kills its process stops after three deaths (hpo/search/lease.py)."""
SAID_THEIR_REASON = (0, 2, 130)
"""Exit codes that are no deaths: no more work, a user's mistake that the worker has printed, an interruption."""


@dataclass(kw_only=True)
class _Worker:
    """One place of a worker, with the process that has it now."""

    number: int
    """The process that starts the workers is number 1."""
    process: subprocess.Popen[bytes]
    started: float
    num_quick_deaths: int = 0
    """In a row."""
    is_over: bool = False
    """Whether its process has ended and no other follows."""

    def note_death(self) -> None:
        is_quick = time.monotonic() - self.started < QUICK_SECONDS
        self.num_quick_deaths = self.num_quick_deaths + 1 if is_quick else 0


class Workers:
    """`count` processes beside this one, which end with it. Those that die meanwhile are replaced."""

    def __init__(self, count: int, command: Sequence[str], *, say: Callable[[str], None]) -> None:
        """Calls `say` with single lines, in any thread."""
        self._command = command
        self._count = count
        self._say = say
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        """Held while a process is started, so that none is started after the end was asked for."""
        self._is_ending = threading.Event()
        self._is_terminated = False
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)

    def __enter__(self) -> Self:
        try:
            for number in range(2, self._count + 2):
                self._workers.append(_Worker(number=number, process=self._start(), started=time.monotonic()))
        except BaseException:
            self.terminate()
            raise
        if self._workers:
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the workers to end; asks them to where an error has ended this process's part."""
        self._stop_replacing()
        if kind is not None:
            self.terminate()
            if self.num_alive:
                self._say(f"Waiting for {self.num_alive} worker(s) to give their trials back.")
        if self._workers:
            self._watcher.join()
        for worker in self._workers:
            code = _end_of(worker.process)
            if code not in SAID_THEIR_REASON and not worker.is_over and not self._is_terminated:
                self._say(f"warning: Worker {worker.number} {death_words(code)}. The study had all its trials.")

    @property
    def num_alive(self) -> int:
        return sum(worker.process.poll() is None for worker in self._workers)

    def terminate(self) -> None:
        """Asks the workers to give their trials back and to end. Returns at once, and none is started afterwards."""
        self._stop_replacing()
        self._is_terminated = True
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)

    def _stop_replacing(self) -> None:
        with self._lock:
            self._is_ending.set()

    def _start(self) -> subprocess.Popen[bytes]:
        # Their lines follow ours where lines are printed. In a terminal they would tear the progress bars, which show
        # the workers' trials.
        out = subprocess.DEVNULL if sys.stdout.isatty() else None
        environment = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
        return subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=out, env=environment, start_new_session=True
        )

    def _watch(self) -> None:
        while not self._is_ending.wait(SECONDS_BETWEEN_LOOKS):
            for worker in self._workers:
                if not worker.is_over and worker.process.poll() is not None:
                    self._follow(worker)

    def _follow(self, worker: _Worker) -> None:
        """Says how the worker's process ended, and starts the next one where it died."""
        code = worker.process.wait()
        if code in SAID_THEIR_REASON:
            worker.is_over = True
            return
        worker.note_death()
        if worker.num_quick_deaths >= MAX_QUICK_DEATHS:
            worker.is_over = True
            end = f"It died {MAX_QUICK_DEATHS} times in a row soon after its start and is not replaced."
        else:
            end = self._replace(worker)
        if end:
            self._say(f"warning: Worker {worker.number} {death_words(code)}. {end}")

    def _replace(self, worker: _Worker) -> str:
        """Starts the worker's next process. Returns what it did, in words; "" where the end was asked for."""
        with self._lock:
            if self._is_ending.is_set():
                return ""
            worker.started = time.monotonic()
            try:
                worker.process = self._start()
            except OSError as error:  # no memory for another process, or too many of them
                return f"A new one could not be started ({error.strerror}), which is tried again."
        return "A new one takes its place."


def death_words(exit_code: int) -> str:
    """How a process ended, in words. A negative code is the number of the signal that killed it."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    known = signal.Signals.__members__.values()
    name = next((each.name for each in known if each == -exit_code), "unknown")
    return f"was killed by signal {-exit_code} ({name}{'; out of memory?' if name == 'SIGKILL' else ''})"


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Waits for the end of a process, which is killed after SECONDS_TO_END, and returns its exit code."""
    try:
        return process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def is_started_worker() -> bool:
    """Whether another process of the command started this one as a worker."""
    return PARENT_VARIABLE in os.environ


def is_parent_gone() -> bool:
    """Whether this is a worker whose parent has died."""
    return is_started_worker() and os.getppid() != int(os.environ[PARENT_VARIABLE])
