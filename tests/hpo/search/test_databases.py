"""Databases that are empty, unfinished, older or newer than the libraries: reported in one line and left unchanged."""

import socket
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from core.errors import UserError
from hpo.search.storage import StudyStorage, repair_of_connection
from hpo.search.study import open_study
from hpo.search.study_file import load_study_file
from hpo.stack.health import main as check_health
from hpo.stack.init_databases import look, main, migrations_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["mlflow", "optuna"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def database_with(path: Path, version: str | None) -> str:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE something (id INTEGER)")
        if version is not None:
            database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            database.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    return f"sqlite:///{path}"


def state_of(url: str, library: str) -> str:
    return look(make_url(url), migrations_of(library)).state


def test_a_database_is_seen_for_what_it_is(tmp_path: Path, library: str) -> None:
    wanted = look(make_url(f"sqlite:///{tmp_path}/empty.db"), migrations_of(library)).wanted
    oldest = {"mlflow": "451aebb31d03", "optuna": "v0.9.0.a"}[library]
    assert state_of(f"sqlite:///{tmp_path}/empty.db", library) == "empty"
    assert state_of(database_with(tmp_path / "half.db", None), library) == "unfinished"
    assert state_of(database_with(tmp_path / "now.db", wanted), library) == "current"
    assert state_of(database_with(tmp_path / "old.db", oldest), library) == "older"
    assert state_of(database_with(tmp_path / "new.db", "a-version-to-come"), library) == "newer"


@pytest.mark.parametrize("version", ["v2.6.0.a", "a-version-to-come"])
def test_a_storage_of_another_optuna_is_one_line_and_stays_as_it_is(tmp_path: Path, version: str) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    StudyStorage(url)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    with pytest.raises(UserError, match="must have the tables of this Optuna") as caught:
        StudyStorage(url)
    assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(version,)]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"folder must be one that can be written, but .*/runs/tiny.*WORKER_USER"):
        open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / "runs/tiny")


@pytest.mark.parametrize(
    ("reason", "repair"),
    [
        ("connection to server failed: fe_sendauth: no password supplied", "POSTGRES_PASSWORD in .env"),
        ('FATAL:  password authentication failed for user "wavenet"', "POSTGRES_PASSWORD in .env"),
        ('FATAL:  database "optuna" does not exist', "docker compose up -d"),
        ("connection to server failed: Connection refused", "Start the database"),
    ],
)
def test_what_to_do_about_a_database_that_turns_us_away(reason: str, repair: str) -> None:
    assert repair in repair_of_connection(reason)


def test_init_without_a_server_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DATABASE_SERVER", raising=False)
    assert main([]) == 2
    monkeypatch.setenv("DATABASE_SERVER", "postgresql://wavenet:secret@127.0.0.1:1")
    assert main([]) == 2
    not_named, not_there = capsys.readouterr().err.splitlines()
    assert "DATABASE_SERVER must be postgresql://" in not_named
    assert "Start the database" in not_there
    assert "secret" not in not_there


def test_health_is_whether_something_serves(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert check_health([f"http://127.0.0.1:{port}"]) == 1
    assert check_health([f"postgresql://nobody@127.0.0.1:{port}/none"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(str(port) in line for line in said)
