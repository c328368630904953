"""Digests of files, remembered by path, size and time of change, so that a file is read for its digest once.

The system's own time of change counts, too: the other one is set back by `cp -p` and archives, and recordings of one
length are of one size. As with git's index, a file that changed within the last two seconds is not remembered: it might
change once more without its time being seen to. The digest itself depends on the bytes alone.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RACY_NS = 2_000_000_000


Digest = Callable[[Path], str]


def digest_of(path: Path) -> str:
    """Sixteen hex digits of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


class RememberedDigests:
    """`digest_of` with a memory in a file, which is read at the beginning and written by `save`."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, Any] = _read(memory)
        self._is_changed = False

    def __call__(self, path: Path) -> str:
        real_path = os.path.realpath(path)
        status = os.stat(real_path)
        identity = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        known = self._known.get(real_path)
        if isinstance(known, list) and known[:-1] == identity:
            return str(known[-1])
        digest = digest_of(path)
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > RACY_NS:
            self._known[real_path] = [*identity, digest]
            self._is_changed = True
        return digest

    def save(self) -> None:
        """Keeps what was learned, whole or not at all; what another process learned at the same time may be lost.

        Raises OSError where the memory cannot be written.
        """
        if not self._is_changed:
            return
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._memory.with_name(f".{os.getpid()}.{self._memory.name}")
        try:
            scratch.write_text(json.dumps(self._known), encoding="utf-8")
            os.replace(scratch, self._memory)
        except OSError:
            scratch.unlink(missing_ok=True)
            raise
        self._is_changed = False


def _read(memory: Path) -> dict[str, Any]:
    """What was remembered; nothing where there is no such file, or a torn one, which costs a new reading."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
