"""Waiting for a database that is away: a restart, a cut connection, a network that is gone for minutes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from core.errors import UserError

DEFAULT_PATIENCE_MINUTES = 10.0
LONGEST_PAUSE_SECONDS = 5.0
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
    """Whether the connection failed, and not what was asked. Optuna catches the first error of a read and asks again on
    the same connection, which then wants to be rolled back."""
    if isinstance(error, StorageInternalError):
        error = error.__cause__
    return isinstance(error, OperationalError | InterfaceError | PendingRollbackError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _reason(error: BaseException | None) -> str:
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    original = getattr(cause, "orig", None) or cause
    return (str(original).splitlines() or ["no reason given"])[0]
