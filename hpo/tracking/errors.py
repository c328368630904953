"""Errors of a tracking server: retry later, refused for good, run deleted, experiment deleted."""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpo.tracking.safe_url import safe_text

_FINAL_ERROR_CODES = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""BAD_REQUEST is not among them, because a server that lost its database also returns it."""
_PASSING_HTTP_STATUS = {401, 403, 408, 429}
"""Refusals that an administrator can lift while the records stay the same."""
_FINAL_ERRNO = {errno.EACCES, errno.EPERM, errno.EROFS}
_REASON_CHARACTERS = 200
_STATUS = re.compile(r"error code (\d{3})|too many (\d{3}) error responses")
"""The words of MLflow's client for a refusal, and those of the library below it for an error of the server."""
_REPAIRS = {
    "401": "it wants a name and a password: write http://NAME:PASSWORD@HOST into MLFLOW_TRACKING_URI",
    "403": "it turns this user or this address away: name the address in the server's --allowed-hosts",
    "404": "something else than MLflow answers there: look at the address",
    "429": "it takes no more calls for now",
    "500": "the server's own log says why: docker compose logs mlflow",
}
"""The repair for each HTTP status. A status that begins with 5 is an error of the server."""


class TryLater(Exception):
    """The server cannot take this now: it is away, overloaded, or refuses the connection."""

    wait_seconds: float | None = None
    """How long the server asks to wait before the next call (`Retry-After`). None where it does not say."""


class Refused(TryLater):
    """The server refuses this for good. A caller that needs it can only retry."""


class RunDeleted(Exception):
    """The run was deleted in MLflow."""


class RunReplaced(Exception):
    """Another run has replaced this one: another machine has taken the trial over, or both made a run at once."""


class ExperimentDeleted(Exception):
    """The experiment was deleted in MLflow, with its runs."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns errors of MLflow and of the libraries below it into Refused or TryLater, with the reason in one line."""
    try:
        yield
    except Exception as error:
        trouble = (Refused if _is_final(error) else TryLater)(_reason(error))
        trouble.wait_seconds = _wait_seconds(error)
        raise trouble from error


def _is_final(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    if code is not None:
        return code in _FINAL_ERROR_CODES
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return 400 <= status < 500 and status not in _PASSING_HTTP_STATUS
    # The library of the artifact store is not installed, or its folder may not be written.
    return isinstance(error, ImportError) or getattr(error, "errno", None) in _FINAL_ERRNO


def _reason(error: Exception) -> str:
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    text = str(error)
    for cause in (error, error.__context__):
        if isinstance(cause, Timeout) or "timed out" in text:
            return "no answer in time"
        if isinstance(cause, NoConnection):
            return "no connection; is it running?"
    first_line = (text.strip() or type(error).__name__).splitlines()[0]
    if status := _STATUS.search(text):
        number = status[1] or status[2]
        repair = _REPAIRS.get("500" if number.startswith("5") else number)
        if repair:
            return f"it answers {number}; {repair}"
    return safe_text(first_line)[:_REASON_CHARACTERS]


def _wait_seconds(error: BaseException) -> float | None:
    """What a reply's `Retry-After` says, in seconds or as a date. None without it, or where it is 0 or of another form.

    MLflow raises an error that does not hold the reply. The frames in which the error was raised do: those of urllib3,
    at the end of the chain.
    """
    from urllib3 import BaseHTTPResponse, Retry
    from urllib3.exceptions import InvalidHeader

    for value in _locals_of(error):
        if isinstance(value, BaseHTTPResponse):
            try:
                return Retry().get_retry_after(value) or None
            except InvalidHeader:
                return None
    return None


def _locals_of(error: BaseException | None) -> Iterator[Any]:
    """The local variables of all frames that an error and its causes passed, the innermost frame of each first."""
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        for frame in reversed(frames):
            yield from frame.f_locals.values()
        error = error.__cause__ or error.__context__
