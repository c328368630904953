"""Files that are written whole or not at all: a reader sees the old file or the new one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives another name beside the path, with its suffix, to write to. At the end the file gets its own name.

    It is synced first, because a power cut could otherwise leave an empty file under that name. After an error nothing
    is left: half a file takes room on a disk that may be full.
    """
    scratch = _scratch(path)
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises OSError where `whole_file` could not write here. Leaves nothing."""
    scratch = _scratch(path)
    scratch.touch()
    scratch.unlink()


def _scratch(path: Path) -> Path:
    return path.with_name(f".{os.getpid()}.{path.name}")


def write_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes a whole file of UTF-8. `errors` is that of `open`."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8", errors=errors)
