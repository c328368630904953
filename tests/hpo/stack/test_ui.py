"""make ui: both pages answer on loopback, on free ports, and end together."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from core.errors import UserError
from hpo.stack.page_server import Page, free_port
from hpo.stack.ui import HOST, check_database, make_missing_databases, serve

ROOT = Path(__file__).resolve().parents[3]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_port_that_is_taken_is_passed_over(taken: int) -> None:
    assert free_port(taken) > taken


def test_no_free_port_at_all_is_one_line(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.stack.page_server.PORTS_TRIED", 1)
    with pytest.raises(UserError, match=f"none of {taken} to {taken} is"):
        free_port(taken)


def test_a_page_ends_with_its_children() -> None:
    code = f"import subprocess, sys; print(subprocess.Popen({SLEEP!r}).pid, flush=True); sys.stdin.read()"
    page = Page("It", [sys.executable, "-c", f"{code}; import time; time.sleep(600)"], 1)
    page.check_alive()
    wait_until(lambda: page.output().strip().isdigit())
    child = int(page.output())
    page.ask_to_end()
    page.end()
    wait_until(lambda: not is_alive(child))


def test_when_one_page_ends_so_does_the_other_and_its_last_words_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[Page] = []

    class Kept(Page):
        def __init__(self, name: str, command: list[str], port: int) -> None:
            super().__init__(name, command, port)
            pages.append(self)

    dies = [sys.executable, "-c", "print('noise'); print('the database is gone'); raise SystemExit(3)"]
    monkeypatch.setattr("hpo.stack.ui.Page", Kept)
    monkeypatch.setattr("hpo.stack.ui.make_missing_databases", lambda _: None)
    monkeypatch.setattr("hpo.stack.ui.commands", lambda _, **_ports: (SLEEP, dies))
    with pytest.raises(UserError, match=r"dashboard must keep running.*exit code 3 and said: the database is gone"):
        serve(tmp_path)
    assert len(pages) == 2
    assert not any(page.is_alive() for page in pages)


def test_the_last_words_of_a_database_are_those_that_name_the_cause() -> None:
    words = (
        "DatabaseError: no such table\\n[SQL: SELECT x]\\n(Background on this error at: https://sqlalche.me/e/21/4xp6)"
    )
    page = Page("It", [sys.executable, "-c", f"print('{words}')"], 1)
    wait_until(lambda: not page.is_alive())
    with pytest.raises(UserError, match=r"ended with exit code 0 and said: DatabaseError: no such table\.$"):
        page.check_alive()
    page.end()


def test_a_damaged_database_is_named_with_its_cause_before_a_server_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.stack.ui.Page", pytest.fail)
    (tmp_path / "optuna.journal").touch()
    (tmp_path / "mlflow.db").write_text("garbage\n")
    with pytest.raises(UserError, match=rf"but {tmp_path}/mlflow\.db cannot: file is not a database\. Restore"):
        serve(tmp_path)


def test_a_database_that_another_process_has_locked_is_not_damaged(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        connection.execute("CREATE TABLE x (y)")
        connection.execute("BEGIN IMMEDIATE")
        check_database(tmp_path / "x.db")


@pytest.mark.parametrize("kind", ["read-only", "a file"])
def test_a_folder_that_cannot_be_written_is_one_line(kind: str) -> None:
    with as_another_user(), tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        runs.touch() if kind == "a file" else runs.mkdir(0o555)
        with pytest.raises(UserError, match=r"^runs/ must be a folder that can be written, but [^\n]*\. Ask [^\n]*$"):
            make_missing_databases(runs)


@contextmanager
def as_another_user() -> Iterator[None]:
    """Root may write everywhere: it becomes nobody."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.slow
def test_both_pages_answer_before_any_study_and_end_with_ctrl_c(tmp_path: Path) -> None:
    code = f"from hpo.stack import ui; import pathlib, sys; sys.exit(ui.main([], pathlib.Path({str(tmp_path)!r})))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    links = [word for line in lines for word in line.split() if word.startswith("http://")]
    assert len(links) == 2, lines
    assert "mlflow.db" in lines[0]
    assert "optuna.journal" in lines[1]
    for link in links:
        assert link.startswith(f"http://{HOST}:")
        with urllib.request.urlopen(link, timeout=30) as reply:
            assert reply.status == 200
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    for link in links:
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(link, timeout=5)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody has asked about yet does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


def wait_until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
