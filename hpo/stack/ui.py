"""MLflow's pages and Optuna's dashboard on the local stores, on this machine alone: make ui

Both are ended together: by Ctrl-C, and by the end of either. A store that is not there yet is made empty, so that the
pages can be open before the first study.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, NoReturn

from core.errors import UserError
from hpo.search.storage import StudyStorage
from hpo.stack.health import check
from hpo.tracking.links import DASHBOARD_PORT, HOST, MLFLOW_PORT, charts_link
from hpo.tracking.saved_view import VIEW_TAG

ROOT = Path(__file__).resolve().parents[2]
PORTS_TRIED = 100
STUDIES_SHOWN = 5
SECONDS_TO_START = 120.0
SECONDS_TO_END = 10.0
SECONDS_BETWEEN_LOOKS = 0.5


class Page:
    """A server in a process group of its own: its children end with it, and Ctrl-C reaches this process alone."""

    def __init__(self, name: str, command: list[str], port: int) -> None:
        self.name, self.link = name, f"http://{HOST}:{port}"
        self._output: IO[str] = tempfile.TemporaryFile("a+")  # noqa: SIM115 (end() closes it)
        environment = {
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
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
        """What it has said so far."""
        self._output.seek(0)
        return self._output.read()

    def answers(self) -> bool:
        try:
            check(self.link)
        except OSError:
            return False
        return True

    def check_alive(self) -> None:
        """UserError with its last words where it has ended."""
        if not self.is_alive():
            code = self._process.returncode
            words = self.output().strip().splitlines() or ["nothing"]
            raise UserError(f"{self.name} must go on, but ended with exit code {code} and said: {words[-1]}.")

    def ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Waits for its end, and makes it end."""
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
            return  # all of it has ended


def free_port(first: int) -> int:
    """The first port from there on that nobody on this machine listens at. UserError where none is free."""
    for port in range(first, first + PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise UserError(
        f"A port of {HOST} must be free, but none of {first} to {first + PORTS_TRIED - 1} is. End a server."
    )


def make_missing_stores(runs: Path) -> None:
    """Says so in a line for each."""
    database, journal = runs / "mlflow.db", runs / "optuna.journal"
    if not database.exists():
        print(f"There is no {database} yet; it is made empty, and studies fill it.", flush=True)
        from hpo.tracking.mlflow import open_client  # here, because MLflow takes seconds to import

        open_client(f"sqlite:///{database}")
    if not journal.exists():
        print(f"There is no {journal} yet; it is made empty, and studies fill it.", flush=True)
        StudyStorage(str(journal))


def commands(runs: Path, *, mlflow_port: int, dashboard_port: int) -> tuple[list[str], list[str]]:
    """MLflow's and the dashboard's, of this Python's environment."""
    mlflow = [
        *(sys.executable, "-m", "mlflow", "server", "--workers=1", f"--host={HOST}", f"--port={mlflow_port}"),
        f"--backend-store-uri=sqlite:///{runs / 'mlflow.db'}",
        f"--artifacts-destination={(runs / 'mlartifacts').as_uri()}",
    ]
    program = str(Path(sys.executable).with_name("optuna-dashboard"))  # a package that cannot be run with -m
    return mlflow, [program, f"--host={HOST}", f"--port={dashboard_port}", str(runs / "optuna.journal")]


def serve(runs: Path) -> NoReturn:
    """Until Ctrl-C, or until one of them ends. UserError in the latter case."""
    make_missing_stores(runs)
    ports = free_port(MLFLOW_PORT), free_port(DASHBOARD_PORT)
    pages: list[Page] = []
    try:
        for name, command, port in zip(
            ("MLflow", "The Optuna dashboard"),
            commands(runs, mlflow_port=ports[0], dashboard_port=ports[1]),
            ports,
            strict=True,
        ):
            pages.append(Page(name, command, port))
        _wait_until_they_answer(pages)
        print(f"MLflow            {pages[0].link}\nOptuna dashboard  {pages[1].link}")
        print(*curves(pages[0].link), "Ctrl-C ends both.", sep="\n", flush=True)
        while True:
            for page in pages:
                page.check_alive()
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        for page in pages:
            page.ask_to_end()
        for page in pages:
            page.end()


def curves(mlflow: str) -> list[str]:
    """The pages of the latest studies' curves, a line each. Asked over HTTP, which saves importing MLflow."""
    question = json.dumps({"max_results": 100, "order_by": ["last_update_time DESC"]}).encode()
    request = urllib.request.Request(
        f"{mlflow}/api/2.0/mlflow/experiments/search", question, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_TO_START) as reply:
            found = json.load(reply).get("experiments", [])
    except OSError as error:  # the pages are there all the same, and show what is wrong
        return [f"  MLflow cannot say which studies it has: {error}"]
    studies = [each for each in found if any(tag["key"] == VIEW_TAG for tag in each.get("tags", []))]
    return [f"  {each['name']}: {charts_link(mlflow, each['experiment_id'])}" for each in studies[:STUDIES_SHOWN]]


def _wait_until_they_answer(pages: list[Page]) -> None:
    """UserError where one has ended, or does not answer in time."""
    deadline = time.monotonic() + SECONDS_TO_START
    waiting = list(pages)
    while waiting:
        for page in pages:
            page.check_alive()
        waiting = [page for page in waiting if not page.answers()]
        if waiting and time.monotonic() > deadline:
            raise UserError(f"{waiting[0].name} must answer within {SECONDS_TO_START:g} s, but does not. Try again.")
        time.sleep(SECONDS_BETWEEN_LOOKS if waiting else 0)


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        serve(ROOT / "runs")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()  # after the terminal's ^C
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
