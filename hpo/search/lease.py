"""Which process owns a trial, how its death is noticed, and when its trial is given to another process.

A lease is a random token, drawn when a process claims a trial. It is written to the storage and, beside a lock that the
process holds, to the trial's folder. Whether the owner lives is judged in this order:

    the trial's folder here holds this token    the lock says it: the operating system frees it when a process dies,
                                                and keeps it while a process is merely paused
    a server is the storage                     its heartbeat says it: no beat for GRACE_SECONDS is death
    a file is the storage                       the owner lives unless it ran on this machine

So a lock file that is missing, or that another machine has left, is no evidence. An owner on a server that is paused or
cut off for longer may come back after its trial was given away: it has lost the trial, the storage refuses what it
writes (hpo/search/server_storage.py), and it takes another one. Giving a trial back under its own number
(`set_trial_state_values` to WAITING) and heartbeats outside `Study.optimize` are internal to Optuna, and used here
alone.
"""

import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from core.whole_file import write_text
from hpo.search.server_storage import LEASE, LeaseLost, ServerStorage
from hpo.search.storage import HEARTBEAT_SECONDS, StudyStorage
from hpo.search.trial_record import FAILURE

HOST, LOCK = "host", "lock"
"""User attributes: the machine that works on the trial, or did last, and the file that it holds locked."""
NOBODY = ""
"""The token of a trial that was taken from a dead process."""
DEATHS = "deaths"
"""User attribute: how often in a row processes have died with the trial at the same epoch."""
MAX_DEATHS = 3
LEASE_FILE = "lease"
LOCK_PREFIX = "lock-"
"""Each lease has its own lock file, because a paused process may still hold the previous one."""


@dataclass(frozen=True, kw_only=True)
class DeadTrial:
    """A trial whose process has died."""

    number: int
    failure: str | None
    """Why it is not tried again; None where it waits to be resumed."""


class TrialLease:
    """A trial that this process owns: its lock is held, and a server gets heartbeats."""

    def __init__(self, storage: StudyStorage, trial: optuna.Trial, directory: Path) -> None:
        """To be called under the storage's lock."""
        directory.mkdir(parents=True, exist_ok=True)
        token = uuid.uuid4().hex
        self.previous_host: str | None = trial.user_attrs.get(HOST)
        """The machine that worked on the trial before; None where none did."""
        self._path = _lock_path(directory, token).resolve()
        self._lock = FileLock(self._path)
        self._lock.acquire()
        self._ended, self._lost = threading.Event(), threading.Event()
        write_text(directory / LEASE_FILE, token)
        trial.set_user_attr(LEASE, token)
        trial.set_user_attr(LOCK, str(self._path))
        trial.set_user_attr(HOST, socket.gethostname())
        self._server = storage.backend if isinstance(storage.backend, ServerStorage) else None
        self._trial_id, self._token = trial._trial_id, token
        if self._server:
            self._server.tokens[self._trial_id] = token
            self._server.record_heartbeat(self._trial_id)
            threading.Thread(target=self._beat, args=(self._server,), daemon=True).start()

    def _beat(self, server: ServerStorage) -> None:
        """Ends with the lease, also with one that was lost: a heartbeat would keep the trial of its new owner alive."""
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                if not server.is_owner(self._trial_id, self._token):
                    self._lost.set()
                    return
                server.record_heartbeat(self._trial_id)
            except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                continue  # the server is away; if it stays away, the training thread reports that

    def check(self) -> None:
        """Raises LeaseLost where another process has taken the trial over, as far as this one knows. Costs no call."""
        if self._lost.is_set():
            raise LeaseLost

    def release(self) -> None:
        self._ended.set()
        if self._server:
            self._server.tokens.pop(self._trial_id, None)
        self._path.unlink(missing_ok=True)
        self._lock.release()


def give_back(storage: StudyStorage, trial_id: int) -> None:
    """Sets a running trial to WAITING. It keeps its number, parameters and reports. An ended trial stays as it is."""
    if not storage.backend.get_trial(trial_id).state.is_finished():
        storage.backend.set_trial_state_values(trial_id, TrialState.WAITING)


def give_back_the_dead(storage: StudyStorage, study: optuna.Study, trials_directory: Path) -> list[DeadTrial]:
    """Gives back every running trial whose process has died, or fails it where it has killed MAX_DEATHS processes in a
    row at the same epoch. To be called under the storage's lock."""
    backend: Any = storage.backend
    stale = set(backend._get_stale_trial_ids(study._study_id)) if storage.is_server else set()
    dead = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial, storage, trials_directory / f"{trial.number:04d}", is_stale=trial._trial_id in stale):
            # A process ends its trial without the storage's lock, perhaps after the trials were read.
            with suppress(UpdateFinishedTrialError):
                dead.append(_after_death(storage, trial))
    return dead


def _is_dead(trial: FrozenTrial, storage: StudyStorage, directory: Path, *, is_stale: bool) -> bool:
    # A lease is written under the lock that the caller holds: without one, the process died between claim and lease.
    if HOST not in trial.user_attrs or trial.user_attrs.get(LEASE) == NOBODY:
        return True
    if LEASE in trial.user_attrs and _token_in(directory) == trial.user_attrs[LEASE]:
        return _is_free(_lock_path(directory, trial.user_attrs[LEASE]))
    if storage.is_server:
        return is_stale
    return bool(trial.user_attrs[HOST] == socket.gethostname()) and _is_free(Path(trial.user_attrs[LOCK]))


def _after_death(storage: StudyStorage, trial: FrozenTrial) -> DeadTrial:
    backend, epoch = storage.backend, max(trial.intermediate_values, default=0)
    before = trial.user_attrs.get(DEATHS, {"epoch": -1, "count": 0})
    count = before["count"] + 1 if before["epoch"] == epoch else 1
    backend.set_trial_user_attr(trial._trial_id, LEASE, NOBODY)  # first: from here on its owner writes nothing
    backend.set_trial_user_attr(trial._trial_id, DEATHS, {"epoch": epoch, "count": count})
    if count < MAX_DEATHS:
        give_back(storage, trial._trial_id)
        return DeadTrial(number=trial.number, failure=None)
    failure = f"it killed its process {count} times after epoch {epoch} (out of memory, or a driver)"
    backend.set_trial_user_attr(trial._trial_id, FAILURE, failure)
    backend.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    return DeadTrial(number=trial.number, failure=failure)


def _lock_path(directory: Path, token: str) -> Path:
    return directory / f"{LOCK_PREFIX}{token[:8]}"


def _token_in(directory: Path) -> str | None:
    try:
        return (directory / LEASE_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _is_free(path: Path) -> bool:
    if not path.exists():
        return True
    try:
        with FileLock(path, blocking=False):
            return True
    except Timeout:
        return False
