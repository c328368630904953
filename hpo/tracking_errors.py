"""What can go wrong between here and a tracking server: later, never, the run is deleted, the experiment is."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.tracking_target import without_password

_FINAL_ERROR_CODES = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""BAD_REQUEST is none of them: a server says it when it has lost its own database, too."""
_PASSING_HTTP_STATUS = {401, 403, 408, 429}
"""Refusals that somebody can lift without a change to what is sent."""
_FINAL_ERRNO = {errno.EACCES, errno.EPERM, errno.EROFS}
_REASON_CHARACTERS = 200


class TryLater(Exception):
    """The server cannot take this now: it is away, overloaded, or turns us away at the door."""


class Refused(TryLater):
    """The server will not take this, now or later. Whoever cannot go on without it can only try again."""


class RunDeleted(Exception):
    """Somebody deleted the run."""


class ExperimentDeleted(Exception):
    """Somebody deleted the experiment, and its runs with it."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns whatever MLflow and the libraries under it raise into Refused or TryLater, with the reason in one line."""
    try:
        yield
    except Exception as error:
        kind = Refused if _is_final(error) else TryLater
        raise kind(_reason(error)) from error


def _is_final(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    if code is not None:
        return code in _FINAL_ERROR_CODES
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return 400 <= status < 500 and status not in _PASSING_HTTP_STATUS
    # Artifacts go to a store whose library is not installed here, or to a folder that is not ours.
    return isinstance(error, ImportError) or getattr(error, "errno", None) in _FINAL_ERRNO


def _reason(error: Exception) -> str:
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    for cause in (error, error.__context__):
        if isinstance(cause, Timeout):
            return "no answer in time"
        if isinstance(cause, NoConnection):
            return "no connection"
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return without_password(first_line)[:_REASON_CHARACTERS]
