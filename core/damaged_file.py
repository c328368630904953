"""Files that a power cut, a full disk or a person has damaged: put aside, so that they are made again."""

import logging
from contextlib import suppress
from pathlib import Path

SUFFIX = ".damaged"


def put_aside(path: Path) -> None:
    """Renames the file and says so in one line on standard error. Does nothing where another process was quicker."""
    with suppress(FileNotFoundError):
        path.rename(path.with_name(path.name + SUFFIX))
        line = f"warning: {path} is damaged. It was renamed to {path.name}{SUFFIX} and is made again."
        logging.getLogger(__name__).warning(line)
