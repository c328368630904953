"""Digests of files, cached by path, size and modification time, so that a file is read for its digest once.

The inode's change time (ctime) is part of the key as well, because `cp -p` and archives restore the modification time,
and recordings of one length have one size. As in git's index, a file that changed within the last two seconds is not
cached, because it might change again within the resolution of the clock. The digest depends only on the bytes.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.data.real_paths import RealPaths

RACY_NS = 2_000_000_000


Digest = Callable[[Path], str]


def digest_of(path: Path) -> str:
    """Sixteen hex digits of the SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


class CachedDigests:
    """`digest_of` with a cache in a file, which is read at the beginning and written by `save`."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, Any] = _read(memory)
        self._is_changed = False
        self._real_paths = RealPaths()

    def __call__(self, path: Path) -> str:
        real_path = self._real_paths(path)
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
        """Writes the cache atomically. Entries that another process added meanwhile may be lost.

        Raises OSError if the file cannot be written.
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
    """The cached digests; empty if the file is missing or damaged, in which case files are read again."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
