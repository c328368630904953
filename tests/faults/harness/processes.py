"""The command in real processes: started with the real command line, killed, paused, resumed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from tests.faults.harness.plan import Plan

SECONDS = 240
"""The longest that a test waits for a process or for what it does."""


class StudyProcess:
    """One process of the command, and the workers that it starts."""

    def __init__(self, command: Sequence[str], *, folder: Path, plan: Plan) -> None:
        # Files instead of pipes: a worker that outlives a killed process keeps a pipe open.
        self._out, self._err = TemporaryFile(), TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            command, cwd=folder, env=plan.environment, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err
        )

    @property
    def id(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def out(self) -> str:
        self._out.seek(0)
        return self._out.read().decode()

    @property
    def err(self) -> str:
        self._err.seek(0)
        return self._err.read().decode()

    @property
    def said(self) -> str:
        return f"exit code {self._process.poll()}\n{self.out}\n{self.err}"

    def children(self) -> list[int]:
        """The ids of its workers."""
        path = Path(f"/proc/{self.id}/task/{self.id}/children")
        return [int(word) for word in path.read_text().split()] if self.is_alive else []

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait(SECONDS)

    def wait(self) -> int:
        """The exit code."""
        try:
            return self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGCONT)
            self.kill()
            raise AssertionError(f"the command does not end within {SECONDS} s\n{self.said}") from None

    def expect(self, code: int) -> None:
        """Waits for the end and asserts its exit code."""
        assert self.wait() == code, self.said
        assert code != 0 or "Traceback" not in self.err, self.said


def study_command(*arguments: str) -> list[str]:
    return [sys.executable, "hpo/run_study.py", "--study", "studies/tiny.toml", "--threads", "1", *arguments]


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {SECONDS} s"
        time.sleep(0.02)


def is_running(process_id: int) -> bool:
    """Whether a process that is no child of ours runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_by_id(process_id: int) -> None:
    try:
        os.kill(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return
