"""The processes of the command `ui`: each serves pages on a port of this machine."""

import os
import signal
import socket
import subprocess
import tempfile
from typing import IO

from core.errors import UserError
from hpo.stack.health import check
from hpo.tracking.links import HOST

PORTS_TRIED = 100
SECONDS_TO_END = 10.0
NO_CAUSE = ("(Background on this error", "[SQL:", "[parameters:")
"""Lines of SQLAlchemy below the one that says what is wrong."""


class Page:
    """A server in its own process group: its children end with it, and Ctrl-C reaches only this process."""

    def __init__(self, name: str, command: list[str], port: int) -> None:
        self.name, self.link = name, f"http://{HOST}:{port}"
        self._output: IO[str] = tempfile.TemporaryFile("a+")  # noqa: SIM115 (end() closes it)
        environment = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONSAFEPATH": "1",  # or modules in the current folder would hide the server's
        }
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """What it has printed so far."""
        self._output.seek(0)
        return self._output.read()

    def answers(self) -> bool:
        try:
            check(self.link)
        except OSError:
            return False
        return True

    def check_alive(self) -> None:
        """UserError, with the last line that it printed, where it has ended."""
        if not self.is_alive():
            code = self._process.returncode
            lines = [line for line in self.output().splitlines() if line.strip() and not line.startswith(NO_CAUSE)]
            said = lines[-1].strip() if lines else "nothing"
            raise UserError(f"{self.name} must keep running, but ended with exit code {code} and said: {said}.")

    def ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Waits until it has ended, and kills it where that takes too long."""
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._signal(signal.SIGKILL)  # children that outlived it
        self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # the whole group has ended


def free_port(first: int) -> int:
    """The first free port of this machine from `first` on. UserError where none is free."""
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed is free
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise UserError(
        f"A port of {HOST} must be free, but none of {first} to {first + PORTS_TRIED - 1} is. End a server."
    )
