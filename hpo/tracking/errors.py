"""What can go wrong between here and a tracking server: later, never, the run is deleted, the experiment is."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hpo.tracking.safe_url import safe_text

_FINAL_ERROR_CODES = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}
"""BAD_REQUEST is none of them: a server says it when it has lost its own database, too."""
_PASSING_HTTP_STATUS = {401, 403, 408, 429}
"""Refusals that somebody can lift without a change to what is sent."""
_FINAL_ERRNO = {errno.EACCES, errno.EPERM, errno.EROFS}
_REASON_CHARACTERS = 200
_STATUS = re.compile(r"error code (\d{3})|too many (\d{3}) error responses")
"""How MLflow's client words a refusal, and how the library under it words a server's own trouble."""
_REPAIRS = {
    "401": "it wants a name and a password: write http://NAME:PASSWORD@HOST into MLFLOW_TRACKING_URI",
    "403": "it turns this user or this address away: name the address in the server's --allowed-hosts",
    "404": "something else than MLflow answers there: look at the address",
    "500": "the server's own log says why: docker compose logs mlflow",
}
"""What to do about a status. What begins with 5 is the server's own trouble."""


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
