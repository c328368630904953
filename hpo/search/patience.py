"""Waiting for a database that is away: a restart, a cut connection, a network that is gone for minutes.

Every call of Optuna's storage is repeated until the database answers, with one line when the waiting begins and one
when it ends. Two calls are not repeated by themselves, because the database may have done them before its answer was
lost: making a trial and making a study. `OpenStudy.claim_trial` is repeated as a whole instead.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from core.errors import UserError

DEFAULT_PATIENCE_MINUTES = 10.0
LONGEST_PAUSE_SECONDS = 5.0
_REPEATED = (
    "check_trial_is_updatable", "get_all_studies", "get_all_trials", "get_n_trials", "get_study_directions",
    "get_study_id_from_name", "get_study_name_from_id", "get_study_system_attrs", "get_study_user_attrs", "get_trial",
    "get_trial_id_from_study_id_trial_number", "set_study_system_attr", "set_study_user_attr",
    "set_trial_intermediate_value", "set_trial_param", "set_trial_state_values", "set_trial_system_attr",
    "set_trial_user_attr", "_get_trials", "_get_stale_trial_ids",
)  # fmt: skip

Result = TypeVar("Result")


class Patience:
    """Repeats calls while the database is away."""

    def __init__(self, *, minutes: float, warn: Callable[[str], None]) -> None:
        self._minutes, self._warn = minutes, warn
        self._left_minutes = minutes
        """0 after it has run out, so that the calls that end the process do not wait again."""
        self._is_waiting = threading.local()

    def call(self, function: Callable[[], Result]) -> Result:
        """The function's result. UserError where the database stays away for longer than the patience."""
        if getattr(self._is_waiting, "value", False):  # the outermost call repeats all of it
            return function()
        with self._marked():
            attempts = Retrying(
                retry=retry_if_exception(is_outage),
                stop=stop_after_delay(60 * self._left_minutes),
                wait=wait_exponential(multiplier=0.2, max=LONGEST_PAUSE_SECONDS),
                before_sleep=self._say_waiting,
                reraise=True,
            )
            try:
                result = attempts(function)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._left_minutes = 0.0
                raise UserError(
                    f"The database must answer within {self._minutes:g} min (--patience), but did not: "
                    f"{_reason(error)}. The same command resumes the study when the database is back."
                ) from error
            if attempts.statistics["attempt_number"] > 1:
                self._warn("The database answers again.")
            return result

    @contextmanager
    def _marked(self) -> Iterator[None]:
        self._is_waiting.value = True
        try:
            yield
        finally:
            self._is_waiting.value = False

    def _say_waiting(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        if state.attempt_number == 1:
            error = state.outcome.exception()
            self._warn(f"The database does not answer ({_reason(error)}). Waiting up to {self._minutes:g} min.")


def is_outage(error: BaseException | None) -> bool:
    """Whether the connection failed, and not what was asked."""
    if isinstance(error, StorageInternalError):
        error = error.__cause__
    return isinstance(error, OperationalError | InterfaceError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _reason(error: BaseException | None) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    original = getattr(cause, "orig", None) or cause
    return (str(original).splitlines() or ["no reason given"])[0]


def _repeated(name: str) -> Callable[..., Any]:
    method = getattr(RDBStorage, name)

    @wraps(method)
    def call(self: "PatientRDBStorage", *arguments: Any, **options: Any) -> Any:
        num_calls = 0

        def once() -> Any:
            nonlocal num_calls
            num_calls += 1
            try:
                return method(self, *arguments, **options)
            except UpdateFinishedTrialError:
                if num_calls == 1 or name != "set_trial_state_values":
                    raise
                return True  # the first call ended the trial, and its answer was lost

        return self.patience.call(once)

    return call


class PatientRDBStorage(RDBStorage):
    """Optuna's storage in a database, which waits for a database that is away."""

    def __init__(self, url: str, *, patience: Patience, **options: Any) -> None:
        self.patience = patience
        super().__init__(url, **options)


for _name in _REPEATED:
    setattr(PatientRDBStorage, _name, _repeated(_name))
