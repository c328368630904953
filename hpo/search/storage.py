"""Where Optuna keeps the study: a journal file on one machine, a database beyond it; and who is alive in it.

Everything of Optuna's that is internal is used here and nowhere else: giving a trial back under its own number
(`set_trial_state_values` to WAITING), and the heartbeats of its relational storage outside `Study.optimize`.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from core.errors import UserError
from hpo.search.journal import WholeLinesJournal

HOST, LOCK = "host", "lock"
"""User attributes: the machine that works on the trial, or did last, and the file that it holds locked meanwhile."""
HEARTBEAT_SECONDS = 20
GRACE_SECONDS = 90
"""On a server, a trial whose heart has not been heard for so long is dead. A machine may stall for less."""
CONNECT_SECONDS = 10
LOCK_FILE = "lock"
_SCHEMA_ERRORS = (RuntimeError, ProgrammingError)
"""What Optuna raises for tables of an older or newer version, and the database for those that are half there."""


class StudyStorage:
    """An open storage with the lock under which trials are handed out."""

    def __init__(self, url: str) -> None:
        """Opens a path (journal file), or an sqlite or postgresql URL. UserError where that cannot be done."""
        self._url = _database_url(url) if "://" in url else None
        self.is_server = self._url is not None and self._url.get_backend_name() == "postgresql"
        self._file = None if self.is_server else Path(url if self._url is None else str(self._url.database)).resolve()
        self.name = str(self._file) if self._url is None else self._url.render_as_string(hide_password=True)
        """For people and for comparison; without the password."""
        try:
            with self.lock():  # several processes that open an empty database at once would all create its tables
                self.backend = self._open(url)
        except _SCHEMA_ERRORS as error:
            raise UserError(
                f"The storage must have the tables of this Optuna, but {self.name} does not: {_first_line(error)} "
                "Nothing was changed; name another with --storage, or see the README on old databases."
            ) from error
        except (SQLAlchemyError, OSError, ValueError, optuna.exceptions.StorageInternalError) as error:
            reason = _first_line(error.__cause__ or error)
            raise UserError(
                f"The storage must be one that can be opened, but {self.name} cannot: {reason}. "
                f"{repair_of_connection(reason)}"
            ) from error

    def _open(self, url: str) -> BaseStorage:
        if self._url is None:
            return JournalStorage(WholeLinesJournal(url))
        if not self.is_server:
            return RDBStorage(self._url.render_as_string(hide_password=False))
        return RDBStorage(
            self._url.render_as_string(hide_password=False),
            engine_kwargs={"pool_pre_ping": True, "connect_args": {"connect_timeout": CONNECT_SECONDS}},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one process at a time, whichever folder or machine it works from. Freed when it dies."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.claims"):
                yield
            return
        assert self._url is not None
        engine = create_engine(self._url, connect_args={"connect_timeout": CONNECT_SECONDS})
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(hashtext('wavenet-study'))"))
                yield
        finally:
            engine.dispose()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def repair_of_connection(reason: str) -> str:
    """What to do about a database that turned us away, from the words it did so with."""
    if "password" in reason:
        return (
            "POSTGRES_PASSWORD in .env must be the password that the database was made with; set it there, or change "
            "the database's: docker compose exec postgres psql -U wavenet -d postgres -c '\\password'"
        )
    if reason.endswith("does not exist"):
        return "Make it (docker compose up -d does), or name another with --storage."
    return "Start the database (docker compose up -d does), or name another with --storage."


def _database_url(given: str) -> URL:
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"The storage must be a path to a journal file, or a sqlite:/// or postgresql:// URL, but got {given!r}."
        ) from error
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UserError(f"The storage's URL must begin with sqlite:/// or postgresql://, but got {kind}://.")
    if kind == "postgresql":  # the driver that the lock file has, whatever SQLAlchemy's default is this year
        return url.set(drivername="postgresql+psycopg2")
    if not url.database or url.database == ":memory:":
        raise UserError(f"The storage must be a file that lasts, but got {given!r}. Write sqlite:///path/to/file.db.")
    return url


class TrialLease:
    """A trial that is worked on: its lock is held, and on a server its heart beats."""

    def __init__(self, storage: StudyStorage, trial: optuna.Trial, directory: Path) -> None:
        """Raises filelock.Timeout where another process holds the lock."""
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(directory / LOCK_FILE, blocking=False)
        self._lock.acquire()
        self._ended = threading.Event()
        trial.set_user_attr(LOCK, str((directory / LOCK_FILE).resolve()))
        trial.set_user_attr(HOST, socket.gethostname())
        if storage.is_server:
            backend: Any = storage.backend
            backend.record_heartbeat(trial._trial_id)
            threading.Thread(target=self._beat, args=(backend, trial._trial_id), daemon=True).start()

    def _beat(self, backend: Any, trial_id: int) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                backend.record_heartbeat(trial_id)
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                continue  # the server is away; the training thread says so at its next report, or it comes back

    def release(self) -> None:
        self._ended.set()
        self._lock.release()


def give_back(storage: StudyStorage, trial_id: int) -> None:
    """A running trial waits again, under its own number, with its parameters and reports. An ended one stays ended."""
    if not storage.backend.get_trial(trial_id).state.is_finished():
        storage.backend.set_trial_state_values(trial_id, TrialState.WAITING)


def give_back_the_dead(storage: StudyStorage, study: optuna.Study) -> list[int]:
    """Gives back every running trial that nobody works on any more, and returns their numbers.

    To be called under the storage's lock. On one machine the operating system says who is alive: the lock of a dead
    process can be taken, and that of one that is merely paused cannot. On a server that holds for this machine's
    trials; another machine's are dead when their hearts have stopped.
    """
    backend: Any = storage.backend
    stale = set(backend._get_stale_trial_ids(study._study_id)) if storage.is_server else set()
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    dead = [trial for trial in running if _is_dead(trial, storage, trial._trial_id in stale)]
    for trial in dead:
        give_back(storage, trial._trial_id)
    return [trial.number for trial in dead]


def _is_dead(trial: FrozenTrial, storage: StudyStorage, is_stale: bool) -> bool:
    if HOST not in trial.user_attrs:  # its process died while it was handed out, under the lock that we hold now
        return True
    if storage.is_server and trial.user_attrs[HOST] != socket.gethostname():
        return is_stale
    return _lock_is_free(Path(trial.user_attrs[LOCK]))


def _lock_is_free(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        with FileLock(path, blocking=False):
            return True
    except Timeout:
        return False
