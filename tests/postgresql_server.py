"""A real PostgreSQL server on loopback, from Debian's package, for tests that need one."""

import os
import pwd
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
needs_postgresql = pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed (Debian's package postgresql)")


def free_port() -> int:
    """Below the ports that the system gives to clients: one that keeps trying could connect to itself there."""
    for port in random.sample(range(15_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


class PostgresqlServer:
    """A PostgreSQL on loopback, in a folder that only this test uses. It refuses to run as root, so root gives the
    folder to the package's user."""

    def __init__(self, folder: Path) -> None:
        user = {"user": "postgres"} if os.getuid() == 0 else {}
        if user:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
        self._folder, self._port = folder, free_port()
        self._quiet: dict[str, Any] = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "cwd": folder,
            **user,
        }
        make = [PROGRAMS[-1] / "initdb", "-D", folder / "data", "-U", "study", "-A", "trust"]
        subprocess.run(make, check=True, **self._quiet)
        self.url = f"postgresql://study@127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        options = ["-D", self._folder / "data", "-p", str(self._port), "-c", "listen_addresses=127.0.0.1"]
        command = [PROGRAMS[-1] / "postgres", *options, "-k", self._folder]
        self._process = subprocess.Popen(command, **self._quiet)
        ready = [PROGRAMS[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port), "-q"]
        deadline = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline
            if self._process.poll() is not None:  # processes of the one that was stopped still end
                self._process = subprocess.Popen(command, **self._quiet)
            time.sleep(0.2)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every session; SIGQUIT is what a crash looks like to them."""
        self._process.send_signal(number)
        self._process.wait(timeout=30)


@contextmanager
def own_postgresql() -> Iterator[PostgresqlServer]:
    """Not in pytest's folder, which every other session of pytest closes to other users when it starts."""
    with TemporaryDirectory(prefix="postgresql-") as folder:
        server = PostgresqlServer(Path(folder))
        yield server
        server.stop()


def database(server: str, name: str) -> str:
    port = server.rsplit(":", 1)[1]
    subprocess.run([PROGRAMS[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "study", name], check=True)
    return f"{server}/{name}"
