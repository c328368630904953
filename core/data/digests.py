"""Digests and headers of files, cached by path, size and modification time, so that a file is read for them once.

The inode's change time (ctime) is part of the key as well, because `cp -p` and archives restore the modification time,
and recordings of one length have one size. As in git's index, a file that changed within the last two seconds is not
cached, because it might change again within the resolution of the clock. The digest depends only on the bytes.

    {"/real/path": [size, modification time, change time, inode, digest, header]}
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection
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
        real_path, identity = self._identity(path)
        known = self._facts_of(real_path, identity)
        if known:
            return str(known[0])
        digest = digest_of(Path(real_path))
        self._remember(real_path, identity, [digest])
        return digest

    def header(
        self, path: Path, read: Callable[[], dict[str, int]], *, version: str, fields: Collection[str]
    ) -> dict[str, int]:
        """What `read` returned for this file and version before: these fields, all above 0. It is cached with the
        digest, which is asked first."""
        real_path, identity = self._identity(path)
        known = self._facts_of(real_path, identity)
        headers = known[1] if len(known) > 1 and isinstance(known[1], dict) else {}
        if _is_header(headers.get(version), fields):
            return dict(headers[version])
        header = read()
        if known:
            self._remember(real_path, identity, [known[0], {version: header}])
        return header

    def _identity(self, path: Path) -> tuple[str, list[int]]:
        """The real path, and what changes with the file. Raises OSError."""
        real_path = self._real_paths(path)
        status = os.stat(real_path)
        return real_path, [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]

    def _facts_of(self, real_path: str, identity: list[int]) -> list[Any]:
        """The digest, and the header where it is known; empty where the file is not known as it is now."""
        known = self._known.get(real_path)
        if not isinstance(known, list) or known[: len(identity)] != identity:
            return []
        facts = known[len(identity) :]
        return facts if facts and isinstance(facts[0], str) else []

    def _remember(self, real_path: str, identity: list[int], facts: list[Any]) -> None:
        _, modified_ns, changed_ns, _ = identity
        if time.time_ns() - max(modified_ns, changed_ns) > RACY_NS:
            self._known[real_path] = [*identity, *facts]
            self._is_changed = True

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


def _is_header(kept: Any, fields: Collection[str]) -> bool:
    if not isinstance(kept, dict) or kept.keys() != set(fields):
        return False
    return all(type(value) is int and value > 0 for value in kept.values())


def _read(memory: Path) -> dict[str, Any]:
    """The cached digests; empty if the file is missing or damaged, in which case files are read again."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
