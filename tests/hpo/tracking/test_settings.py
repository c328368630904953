"""The order of the sources of a setting, and the tracking addresses that are refused before a connection."""

from pathlib import Path

import pytest

from core.errors import UserError
from core.project import MARKER
from hpo.tracking.settings import resolve_setting
from hpo.tracking.target import TrackingTarget, resolve_tracking_uri, tracking_target


def test_the_option_goes_before_the_environment_before_the_env_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(option: str | None = None) -> tuple[str, str]:
        return resolve_setting(option, variable="OPTUNA_STORAGE", project_root=tmp_path, default="journal")

    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    assert resolve() == ("journal", "default")
    (tmp_path / MARKER).touch()
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=secret\nOPTUNA_STORAGE='from file'\n")
    assert resolve() == ("from file", "OPTUNA_STORAGE in .env")
    monkeypatch.setenv("OPTUNA_STORAGE", "")
    assert resolve() == ("from file", "OPTUNA_STORAGE in .env")
    monkeypatch.setenv("OPTUNA_STORAGE", "from environment")
    assert resolve() == ("from environment", "OPTUNA_STORAGE in the environment")
    assert resolve("from option") == ("from option", "the command line")


def test_the_env_file_does_not_leak_into_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    (tmp_path / MARKER).touch()
    (tmp_path / ".env").write_text("OPTUNA_STORAGE=x\nPOSTGRES_PASSWORD_OF_TEST=secret\n")
    resolve_setting(None, variable="OPTUNA_STORAGE", project_root=tmp_path, default="")
    assert {"OPTUNA_STORAGE", "POSTGRES_PASSWORD_OF_TEST"}.isdisjoint(os.environ)


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:5000",
        "https://user:secret@mlflow.example.org/prefix",
        "sqlite:////data/mlflow.db",
        "postgresql+psycopg2://user:secret@db:5432/mlflow",
        "postgresql:///mlflow?host=/var/run/postgresql",
    ],
)
def test_a_good_address_is_taken_as_it_is(uri: str, tmp_path: Path) -> None:
    assert resolve_tracking_uri(uri, project_root=tmp_path).value == uri


def test_a_relative_database_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    default, source = resolve_tracking_uri(None, project_root=tmp_path)
    assert (default, source) == (f"sqlite:///{tmp_path}/runs/mlflow.db", "default")
    assert resolve_tracking_uri("sqlite:///x.db", project_root=tmp_path).value == f"sqlite:///{tmp_path}/x.db"


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("", "begin with"),
        ("localhost:5000", "begin with"),
        ("127.0.0.1", "begin with"),
        ("ftp://server/path", "begin with"),
        ("./mlruns", "begin with"),
        ("file:///data/mlruns", "begin with"),
        ("http:localhost", "begin with"),
        ("http://", "name a host"),
        ("http://:5000", "name a host"),
        ("http://my server:5000", "name a host"),
        ("postgresql:///mlflow", "name a host"),
        ("http://server:port", "port number"),
        ("http://server:99999", "port number"),
        ("http://[::1", "port number"),
        ("sqlite://", "name a file"),
        ("sqlite:///", "name a file"),
        ("sqlite:///:memory:", "name a file"),
    ],
)
def test_a_malformed_address_is_one_line_with_rule_value_and_repair(uri: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        resolve_tracking_uri(uri, project_root=tmp_path)
    message = str(error.value)
    assert rule in message
    assert f"but got {uri!r} from the command line" in message
    assert "Write for example http://localhost:5000" in message
    assert "\n" not in message


def test_no_message_shows_a_password(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        resolve_tracking_uri("postgresql://me:secret@host:port/x", project_root=tmp_path)
    assert "secret" not in str(error.value)
    assert TrackingTarget(uri="http://me:secret@host", experiment="x").safe_uri == "http://me:***@host"


def test_files_of_a_local_experiment_lie_under_runs_and_those_of_a_server_where_it_says(tmp_path: Path) -> None:
    local = tracking_target("sqlite:////x.db", experiment="quickstart", runs_directory=tmp_path / "my runs")
    assert local.artifact_location == f"file://{tmp_path}/my%20runs/mlartifacts/quickstart"
    assert tracking_target("http://x", experiment="quickstart", runs_directory=tmp_path).artifact_location is None
