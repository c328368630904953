"""Files that a power cut, a full disk or a person has damaged or deleted: each is said in a line, and made again."""

import logging
from contextlib import suppress
from pathlib import Path

SUFFIX = ".damaged"
MADE_AGAIN = "is made again"


def put_aside(path: Path, *, what_follows: str = MADE_AGAIN) -> None:
    """Renames the file and says so in one line on standard error. Does nothing where another process was quicker."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(path.name + SUFFIX))
        _say(f"{path} is damaged. It was renamed to {path.name}{SUFFIX} and {what_follows}.")


def say_missing(path: Path, *, what_follows: str = MADE_AGAIN) -> None:
    """Says in one line on standard error that a file is missing."""
    _say(f"{path} is missing. It {what_follows}.")


def _say(line: str) -> None:
    logging.getLogger(__name__).warning(f"warning: {line}")
