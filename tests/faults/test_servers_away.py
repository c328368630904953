"""A database that is away, a lock that is held, addresses with passwords: against real servers."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.conftest import Found, MakeStudy
from tests.faults.harness.plan import Plan
from tests.faults.harness.processes import wait_for
from tests.postgresql_server import PostgresqlServer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SPEAKS_SOON = Plan(constants={"hpo.search.server_lock:SECONDS_BEFORE_SAYING": 0.5})
HOLDS_BRIEFLY = Plan(constants={"hpo.search.storage:HOLD_SECONDS": 3})
HOLDER = """
import sys, time
from hpo.search.storage import StudyStorage
with StudyStorage(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""
SECRET = "hidden%40word"
SECRETS = ("hidden%40word", "hidden@word")


@contextmanager
def lock_held(url: str, plan: Plan) -> Iterator["subprocess.Popen[str]"]:
    """By another process, which lets go when its input ends."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, cwd=ROOT, env=plan.environment, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.send_signal(signal.SIGCONT)


def test_a_database_that_is_away_for_six_seconds(
    postgresql: PostgresqlServer, make_study: MakeStudy, found: Found
) -> None:
    study = make_study("PostgreSQL", trials=4)
    process = study.start()
    wait_for(lambda: study.has_epoch(1), "epoch of trial 1")
    postgresql.stop(signal.SIGQUIT)
    time.sleep(6)
    postgresql.start()
    process.expect(0)
    assert "The database does not answer" in process.said
    found("PostgreSQL away for six seconds", 1, study.findings())


def test_a_lock_that_is_held_says_by_whom(make_study: MakeStudy, found: Found) -> None:
    study = make_study("PostgreSQL", trials=2)
    with lock_held(study.storage, Plan()) as holder:
        process = study.start(plan=SPEAKS_SOON)
        wait_for(lambda: f"process {holder.pid}" in process.said, "line about the holder")
    process.expect(0)
    found("the database's lock is held", 1, study.findings())


def test_a_holder_that_was_paused_loses_the_lock(make_study: MakeStudy, found: Found) -> None:
    study = make_study("PostgreSQL", trials=2)
    with lock_held(study.storage, HOLDS_BRIEFLY) as holder:
        holder.send_signal(signal.SIGSTOP)
        study.run_to_end()
    found("the holder of the database's lock is paused", 1, study.findings())


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://study:{SECRET}@127.0.0.1:none/study",
        f"postgresql://127.0.0.1:1/study?password={SECRET}",
        "postgresql://study:hidden@word@127.0.0.1:1/study",
    ],
)
def test_passwords_of_a_storage_that_cannot_be_opened(address: str, make_study: MakeStudy, found: Found) -> None:
    study = make_study("journal", trials=1, storage=address)
    process = study.start()
    process.expect(2)
    assert not any(secret in process.said for secret in SECRETS), process.said
    assert not files_with_secrets(study.project)
    found("a password in an address", 1, [])


def test_passwords_of_addresses_that_work(make_study: MakeStudy, found: Found) -> None:
    study = make_study("PostgreSQL", trials=1)
    secret = replace(
        study,
        storage=study.storage.replace("study@", f"study:{SECRET}@"),
        tracking=study.tracking.replace("://", f"://user:{SECRET}@"),
    )
    process = secret.run_to_end()
    assert not any(each in process.said for each in SECRETS), process.said
    assert not files_with_secrets(study.project)
    found("a password in an address", 1, study.findings())


def files_with_secrets(project: Path) -> list[Path]:
    files = [path for path in (project / "runs").rglob("*") if path.is_file()]
    return [path for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
