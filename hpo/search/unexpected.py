"""--keep-going: which errors end one trial and not the command, and how they are named."""

import optuna
from sqlalchemy.exc import SQLAlchemyError

from core.errors import UserError
from core.full_disk import is_disk_full

NOT_OF_A_TRIAL = (UserError, SQLAlchemyError, optuna.exceptions.OptunaError)
"""What a person can repair, and errors of the storage, in which the end of the trial could not be recorded either."""


def is_of_trial(error: BaseException) -> bool:
    """Whether the next trial may be free of this error. A full disk and an interruption concern every trial."""
    return isinstance(error, Exception) and not isinstance(error, NOT_OF_A_TRIAL) and not is_disk_full(error)


def reason_of(error: BaseException) -> str:
    """The error in one line, as the traceback's last line begins: its type and the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
