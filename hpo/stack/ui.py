"""The command `ui`: serves MLflow's pages and the Optuna dashboard for the local studies, on this machine only.

Ctrl-C ends both servers, and the end of either ends the other. Databases that are missing are made empty, so that the
pages can be open before the first study.
"""

import argparse
import json
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from core.command_line import Parser, run_command
from core.errors import UserError
from core.project import find_project
from hpo.stack.page_server import Page, free_port
from hpo.tracking.links import DASHBOARD_PORT, HOST, MLFLOW_PORT, charts_link
from hpo.tracking.saved_view import VIEW_TAG

EXAMPLES = ("machine-listening ui    # then open the links that it prints",)
RUN_DASHBOARD = """\
from importlib.metadata import entry_points
(script,) = entry_points(group="console_scripts", name="optuna-dashboard")
script.load()()
"""
"""The package cannot be run with -m, and its script need not lie beside this Python."""
STUDIES_SHOWN = 5
SECONDS_TO_START = 120.0
SECONDS_BETWEEN_LOOKS = 0.5


def check_servers_installed() -> None:
    """ModuleNotFoundError where this Python cannot start them."""
    for name in ("mlflow", "optuna_dashboard"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def make_missing_databases(runs: Path) -> None:
    """Makes MLflow's database and Optuna's journal where they are missing, and prints a line for each.

    UserError where the folder cannot be written: the servers write into both, even to show them.
    """
    try:
        runs.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=runs).close()
    except OSError as error:
        raise UserError(
            f"runs/ must be a folder that can be written, but {runs} cannot: {error.strerror}. "
            "Ask its owner, or start the command in another project."
        ) from error
    database, journal = runs / "mlflow.db", runs / "optuna.journal"
    if not database.exists():
        print(f"{database} does not exist yet; it is made empty, and studies fill it.", flush=True)
        from hpo.tracking.mlflow_client import open_client  # here, because MLflow takes seconds to import

        open_client(f"sqlite:///{database}")
    if not journal.exists():
        print(f"{journal} does not exist yet; it is made empty, and studies fill it.", flush=True)
        from hpo.search.storage import StudyStorage  # here, because --help should not wait for Optuna

        StudyStorage(str(journal))


def check_database(database: Path) -> None:
    """UserError for a file that SQLite cannot read. One that another process has locked is none of these."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        return
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"MLflow's database must be one that can be read, but {database} cannot: {error}. Restore the file, or "
            "rename it: a new one is made, and machine-listening sync STUDY fills it."
        ) from error


def commands(runs: Path, *, mlflow_port: int, dashboard_port: int) -> tuple[list[str], list[str]]:
    """The command lines of MLflow and of the dashboard, from this Python's environment."""
    mlflow = [
        *(sys.executable, "-m", "mlflow", "server", "--workers=1", f"--host={HOST}", f"--port={mlflow_port}"),
        f"--backend-store-uri=sqlite:///{runs / 'mlflow.db'}",
        f"--artifacts-destination={(runs / 'mlartifacts').as_uri()}",
    ]
    dashboard = [sys.executable, "-c", RUN_DASHBOARD, f"--host={HOST}", f"--port={dashboard_port}"]
    return mlflow, [*dashboard, str(runs / "optuna.journal")]


def serve(runs: Path) -> NoReturn:
    """Serves until Ctrl-C. UserError when one of the servers ends."""
    make_missing_databases(runs)
    check_database(runs / "mlflow.db")
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
    """A line for each of the latest studies, with the link to its curves. HTTP saves the import of MLflow."""
    question = json.dumps({"max_results": 100, "order_by": ["last_update_time DESC"]}).encode()
    request = urllib.request.Request(
        f"{mlflow}/api/2.0/mlflow/experiments/search", question, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_TO_START) as reply:
            found = json.load(reply).get("experiments", [])
    except OSError as error:  # the pages are served nevertheless, and show what is wrong
        return [f"  MLflow cannot say which studies it has: {error}"]
    studies = [each for each in found if any(tag["key"] == VIEW_TAG for tag in each.get("tags", []))]
    return [f"  {each['name']}: {charts_link(mlflow, each['experiment_id'])}" for each in studies[:STUDIES_SHOWN]]


def _wait_until_they_answer(pages: list[Page]) -> None:
    """UserError where a server has ended, or does not answer in time."""
    deadline = time.monotonic() + SECONDS_TO_START
    waiting = list(pages)
    while waiting:
        for page in pages:
            page.check_alive()
        waiting = [page for page in waiting if not page.answers()]
        if waiting and time.monotonic() > deadline:
            raise UserError(f"{waiting[0].name} must answer within {SECONDS_TO_START:g} s, but does not. Try again.")
        time.sleep(SECONDS_BETWEEN_LOOKS if waiting else 0)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="machine-listening ui",
        description="Serve MLflow's pages and the Optuna dashboard for the project's studies, until Ctrl-C.",
        examples=EXAMPLES,
    )
    return parser.parse_args(arguments)


def main(arguments: list[str], root: Path | None = None) -> int:
    """`root` is the project's folder; by default `find_project` finds it. Ctrl-C is the usual end: exit code 0."""

    def command() -> int:
        parse(arguments)
        check_servers_installed()
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            serve((root or find_project().root) / "runs")
        except KeyboardInterrupt:
            print()  # after the terminal's ^C
            return 0

    return run_command(command)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
