"""A full disk: recognises it in the errors of all libraries that write, and says it in one line."""

import errno
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import UserError

FULL_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, quota exceeded, file too large."""
FULL_DISK_WORDS = ("no space left", "disk is full", "storagefull", "quota exceeded", "file too large")
"""In the messages of libraries that do not raise OSError: safetensors, SQLite, and what wraps them."""


def is_disk_full(error: BaseException) -> bool:
    """Whether a full disk is the error, its cause, or what was handled when it was raised."""
    return any(
        getattr(each, "errno", None) in FULL_DISK_ERRNOS or any(word in str(each).lower() for word in FULL_DISK_WORDS)
        for each in _chain(error)
    )


def full_disk_error(error: BaseException, folders: Sequence[Path]) -> UserError:
    """The line for a person. Names the folder of the file that could not be written; where no error of the chain names
    a file, the one of `folders` whose disk has the least room."""
    named = next((each.filename for each in _chain(error) if isinstance(each, OSError) and each.filename), None)
    folder = Path(named).parent if named is not None else min(filter(Path.exists, folders), key=_free_bytes)
    return UserError(
        f"The disk must have room for what a study writes, but the disk of {folder} is full. Free some space there and "
        "run the same command again: it resumes the study."
    )


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from or during, and so on."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__
