"""A real MLflow server on loopback, for all tests of a session. PostgreSQL's is in tests/postgresql_server.py."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.harness.processes import wait_for
from tests.postgresql_server import free_port


@contextmanager
def own_mlflow(folder: Path) -> Iterator[str]:
    """The URL of a server that keeps its records in the folder."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(url), "MLflow server")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
