"""Where Optuna keeps the study, a journal file or a database, and the lock under which trials are claimed."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy import create_engine, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError

from core.errors import UserError
from hpo.search.journal import RepairingJournal
from hpo.search.patience import DEFAULT_PATIENCE_MINUTES, Patience
from hpo.search.server_lock import wait_for_lock
from hpo.search.server_storage import ServerStorage
from hpo.tracking.safe_url import safe_text, safe_url

HEARTBEAT_SECONDS = 20
GRACE_SECONDS = 90
"""On a server, the process of a trial without a heartbeat for this long is dead. A machine may stall for less."""
CONNECT_SECONDS = 10
HOLD_SECONDS = 120
"""A server takes the lock from a process that sends nothing for this long. Claiming takes a fraction of it."""
_SCHEMA_ERRORS = (RuntimeError, ProgrammingError)
"""Raised by Optuna for tables of an older or newer version, and by the database for incomplete tables."""


def _warn_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class StudyStorage:
    """An open storage with the lock under which trials are handed out."""

    def __init__(
        self,
        url: str,
        *,
        patience_minutes: float = DEFAULT_PATIENCE_MINUTES,
        warn: Callable[[str], None] = _warn_on_stderr,
    ) -> None:
        """Opens a path (journal file), or an sqlite or postgresql URL. UserError where that cannot be done.

        A server that is away later is waited for, as long as `patience_minutes`. `warn` gets a line about that, about
        another process that keeps the lock for long, and about a torn journal that was repaired.
        """
        self._given, self._warn = url, warn
        self.patience = Patience(minutes=patience_minutes, warn=lambda line: warn(safe_text(line, url=url)))
        self._url = database_url(url) if "://" in url else None
        self.is_server = self._url is not None and self._url.get_backend_name() == "postgresql"
        self._file = None if self.is_server else Path(url if self._url is None else str(self._url.database)).resolve()
        self.name = str(self._file) if self._url is None else _safe_name(url, self._url)
        """For people and for comparison; without the password."""
        try:
            with self.lock():  # several processes that open an empty database at once would all create its tables
                self.backend = self._open(url)
        except _SCHEMA_ERRORS as error:
            raise UserError(
                f"The storage must have the tables of this Optuna, but {self.name} does not: {self._reason(error)} "
                "Nothing was changed. Name another with --storage, or see the table of errors in docs/stack.md."
            ) from error
        except (SQLAlchemyError, OSError, ValueError, optuna.exceptions.StorageInternalError) as error:
            reason = self._reason(error.__cause__ or error)
            raise UserError(
                f"The storage must be one that can be opened, but {self.name} cannot: {reason}. "
                f"{repair_of_connection(reason)}"
            ) from error

    def _reason(self, error: BaseException) -> str:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        return safe_text(line, url=self._given)

    def _open(self, url: str) -> BaseStorage:
        if self._url is None:
            return JournalStorage(RepairingJournal(Path(url), warn=self._warn))
        if not self.is_server:
            return RDBStorage(self._url.render_as_string(hide_password=False))
        return ServerStorage(
            self._url.render_as_string(hide_password=False),
            patience=self.patience,
            engine_kwargs={"pool_pre_ping": True, "connect_args": _connect_args()},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one process at a time, in any folder and on any machine. Freed when the process dies, and on a server
        within a minute when its machine vanishes or it is paused for HOLD_SECONDS."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.claims"):
                yield
            return
        assert self._url is not None
        engine = create_engine(self._url, connect_args=_connect_args())
        try:
            with engine.connect() as connection:
                wait_for_lock(connection, warn=self._warn)
                yield
                connection.invalidate()  # the session's end frees the lock, also where the server is away just now
        finally:
            engine.dispose()


def _connect_args() -> dict[str, Any]:
    """The server notices within a minute that this machine is gone, and ends a session that holds the lock for long."""
    options = {
        "tcp_keepalives_idle": 20,
        "tcp_keepalives_interval": 10,
        "tcp_keepalives_count": 3,
        "idle_in_transaction_session_timeout": 1000 * HOLD_SECONDS,
    }
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": f"machine-listening {socket.gethostname()} process {os.getpid()}",
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
    }


def repair_of_connection(reason: str) -> str:
    """The repair for a database that refused the connection, chosen by the words of its error."""
    if "password" in reason:
        return (
            "POSTGRES_PASSWORD in .env must be the password that the database was made with; set it there, or change "
            "the database's: docker compose exec postgres psql -U wavenet -d postgres -c '\\password'"
        )
    if reason.endswith("does not exist"):
        return "Make it (docker compose up -d does), or name another with --storage."
    return "Start the database (docker compose up -d does), or name another with --storage."


def _safe_name(given: str, url: URL) -> str:
    """Made from the given text, because a parser may mistake a part of a password for the database's name."""
    return f"{url.drivername}://{safe_url(given).partition('://')[2]}"


def database_url(given: str) -> URL:
    """UserError for a URL of another kind. Connects to nothing."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            f"The storage must be a path to a journal file, or a sqlite:/// or postgresql:// URL, but got "
            f"{safe_url(given)!r}. Write special characters of a password as %40 (@), %2F (/), %3A (:)."
        ) from error
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UserError(f"The storage's URL must begin with sqlite:/// or postgresql://, but got {kind}://.")
    if kind == "postgresql":  # the driver in the lock file; SQLAlchemy's default driver may change
        return url.set(drivername="postgresql+psycopg2")
    if not url.database or url.database == ":memory:":
        raise UserError(
            f"The storage must be a file that lasts, but got {safe_url(given)!r}. Write sqlite:///path/to/file.db."
        )
    return url
