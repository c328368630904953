"""A study on a real PostgreSQL server, from Debian's package: shared, killed, resumed, never past its total."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from core.errors import UserError
from hpo.search.storage import StudyStorage
from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed (Debian's package postgresql)"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own on loopback. It refuses to run as root, so root lends it to the package's user."""
    folder = tmp_path_factory.mktemp("postgresql")
    user = {"user": "postgres"} if os.getuid() == 0 else {}
    if user:
        for parent in (folder, *folder.parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(0o755)
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    port, data = free_port(), folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **user}
    subprocess.run([PROGRAMS[-1] / "initdb", "-D", data, "-U", "study", "-A", "trust"], check=True, **quiet)
    options = ["-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", folder]
    process = subprocess.Popen([PROGRAMS[-1] / "postgres", *options], **quiet)
    ready = [PROGRAMS[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(ready, check=False).returncode:
        assert process.poll() is None
        time.sleep(0.1)
    yield f"postgresql://study@127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("core", "hpo", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path / "studies/tiny.toml")
    return tmp_path


def database(server: str, name: str) -> str:
    port = server.rsplit(":", 1)[1]
    subprocess.run([PROGRAMS[-1] / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "study", name], check=True)
    return f"{server}/{name}"


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
