"""A study on a real PostgreSQL server, from Debian's package: shared, killed, resumed, never past its total."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from core.errors import UserError
from hpo.search.storage import StudyStorage
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step
from tests.postgresql_server import PostgresqlServer, database, free_port, needs_postgresql, own_postgresql

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, needs_postgresql]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresqlServer]:
    with own_postgresql() as server:
        yield server


@pytest.fixture
def server(own_server: PostgresqlServer) -> str:
    return own_server.url


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("core", "hpo", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path / "studies/tiny.toml")
    return tmp_path


def start(project: Path, url: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "hpo/run_study.py", "--study", "studies/tiny.toml", "--threads", "1", "--storage", url]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *arguments], cwd=project, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_on_an_empty_database_share_a_study_and_one_of_them_dies(server: str, project: Path) -> None:
    url = database(server, "shared")
    first, second = (start(project, url, "--trials", "8", *extra) for extra in ((), ("--worker",)))
    log = project / "runs/tiny-simulated/trials/0002" / EVENTS_FILE_NAME
    while not metrics_by_step(log):
        assert first.poll() is None
        time.sleep(0.02)
    second.kill()
    second.communicate(timeout=60)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, out + err
    storage = StudyStorage(url)
    study = optuna.load_study(study_name="tiny-simulated", storage=storage.backend)
    assert [trial.number for trial in study.trials] == list(range(8))
    assert all(trial.state.is_finished() for trial in study.trials), "what died was taken over, at once on its machine"


def test_a_server_that_is_not_there_is_one_line() -> None:
    url = f"postgresql://study:secret@127.0.0.1:{free_port()}/nowhere"
    with pytest.raises(UserError) as caught:
        StudyStorage(url)
    message = str(caught.value)
    assert "127.0.0.1" in message
    assert "secret" not in message
    assert "\n" not in message


def test_a_server_under_another_name_is_the_same_storage_and_another_database_is_not(
    server: str, project: Path
) -> None:
    """As a container and its host name it, which share the study's folder."""
    url = database(server, "renamed")
    for address in (url, url.replace("127.0.0.1", "localhost")):
        process = start(project, address, "--trials", "1")
        assert process.wait(timeout=120) == 0, process.communicate()
    other = start(project, database(server, "other"), "--trials", "1")
    assert "must be the one it was made with" in other.communicate(timeout=120)[1]
    assert other.returncode == 2


def test_a_server_that_is_away_for_six_seconds_costs_delay_alone(own_server: PostgresqlServer, project: Path) -> None:
    url = database(own_server.url, "restarted")
    process = start(project, url, "--trials", "3")
    log = project / "runs/tiny-simulated/trials/0001" / EVENTS_FILE_NAME
    while not metrics_by_step(log):
        assert process.poll() is None
        time.sleep(0.02)
    own_server.stop(signal.SIGQUIT)
    time.sleep(6)
    own_server.start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    said = out + err
    assert said.count("The database does not answer") == said.count("The database answers again") == 1
    study = optuna.load_study(study_name="tiny-simulated", storage=StudyStorage(url).backend)
    assert [trial.number for trial in study.trials] == [0, 1, 2]
    assert all(trial.state.is_finished() for trial in study.trials)


def test_a_server_that_stays_away_ends_the_command_with_one_line(own_server: PostgresqlServer) -> None:
    said: list[str] = []
    storage = StudyStorage(database(own_server.url, "gone"), patience_minutes=0.02, warn=said.append)
    own_server.stop(signal.SIGQUIT)
    try:
        for _ in range(2):
            with pytest.raises(UserError, match=r"must answer within 0.02 min .*--patience") as caught:
                storage.backend.get_all_studies()
            assert "\n" not in str(caught.value)
    finally:
        own_server.start()
    assert len(said) == 1


def test_waiting_for_the_lock_says_who_holds_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.search.server_lock.SECONDS_BEFORE_SAYING", 0.5)
    said: list[str] = []
    url = database(server, "locked")
    holder, other = StudyStorage(url), StudyStorage(url, warn=said.append)
    waiting = threading.Thread(target=lambda: other.lock().__enter__(), daemon=True)
    with holder.lock():
        waiting.start()
        time.sleep(2)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    (line,) = said
    assert f"machine-listening {socket.gethostname()} process {os.getpid()} at 127.0.0.1 has held for" in line


def test_a_holder_that_is_paused_for_long_loses_the_lock(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.search.storage.HOLD_SECONDS", 2)
    url = database(server, "paused")
    holder, other = StudyStorage(url), StudyStorage(url)
    begun = time.monotonic()
    with holder.lock(), other.lock():  # a process that is stopped here would say nothing to the server either
        assert 1 < time.monotonic() - begun < 20
