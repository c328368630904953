"""Optuna's journal file, repaired where a full disk, a power cut or a crash has left part of a record.

Every record is a JSON object on its own line. Optuna appends to whatever the file ends with, and refuses to open a file
that has a line without a record. So a file is repaired when it is opened, and its end is checked before every append:

    {"op_code":5,...}\n{"op_co                       the torn end is cut off
    {"op_code":5,...}\n{"op_co{"op_code":7,...}\n    a torn record in the middle becomes spaces, which JSON ignores

Cut bytes are kept in a file beside the journal. Records keep their places, so other processes may have the file open.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file

from hpo.search.held_signals import held_signals

RECORD_START = b'{"op_code"'


class RepairingJournal(JournalFileBackend):
    """A journal file that opens after a torn write, and never appends to a torn record."""

    def __init__(self, path: Path, *, warn: Callable[[str], None]) -> None:
        """Makes the file where there is none. `warn` gets one line for every repair."""
        super().__init__(str(path))
        self._path, self._warn = path, warn
        with held_signals(), get_lock_file(self._lock):
            self._repair()

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends whole records or, where the disk is full, none: then OSError."""
        lines = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        with held_signals(), get_lock_file(self._lock), self._path.open("r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size and self._last_byte(file, size) != b"\n":
                self._repair()
                size = file.seek(0, os.SEEK_END)
            try:
                left = memoryview(lines)
                while left:  # the kernel writes what fits, and names the reason only when it is asked again
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError as error:
                file.truncate(size)
                raise OSError(error.errno, error.strerror, str(self._path)) from error

    @staticmethod
    def _last_byte(file: Any, size: int) -> bytes:
        file.seek(size - 1)
        byte: bytes = file.read(1)
        return byte

    def _repair(self) -> None:
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n") and _is_record(content[content.rfind(b"\n") + 1 :]):
            content += b"\n"  # the last record is whole and lacks its end of line alone
            with self._path.open("ab") as file:
                file.write(b"\n")
        damaged = list(_damaged_parts(content))
        if not damaged:
            return
        aside = self._path.with_name(f"{self._path.name}.torn-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        aside.write_bytes(b"\n".join(content[first:end] for first, end in damaged))
        with self._path.open("r+b") as file:
            for first, end in damaged:
                file.seek(first)
                if end == len(content):
                    file.truncate()
                else:
                    file.write(b" " * (end - first))
            file.flush()
            os.fsync(file.fileno())
        num_bytes = sum(end - first for first, end in damaged)
        self._warn(
            f"warning: {self._path} held {num_bytes} bytes of a torn record, which a full disk or a power cut leaves. "
            f"They were moved to {aside.name}. The trial that they belonged to is resumed."
        )


def _damaged_parts(content: bytes) -> Iterator[tuple[int, int]]:
    """Byte ranges that hold no record, in order; the last one reaches the end where no record follows it."""
    damaged_from: int | None = None
    first = 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+$", content):
        start = _record_start(line)
        if start is None:
            damaged_from = first if damaged_from is None else damaged_from
        else:
            if damaged_from is not None or start > 0:
                yield (first if damaged_from is None else damaged_from), first + start
            damaged_from = None
        first += len(line)
    if damaged_from is not None:
        yield damaged_from, len(content)


def _record_start(line: bytes) -> int | None:
    """Where the whole record begins that the line ends with: 0 for a sound line, None where there is no record."""
    if not line.endswith(b"\n"):
        return None
    if _is_record(line):
        return 0
    start = line.find(RECORD_START, 1)
    while start >= 0 and not _is_record(line[start:]):
        start = line.find(RECORD_START, start + 1)
    return start if start >= 0 else None


def _is_record(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
