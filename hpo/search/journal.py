"""Optuna's journal file, kept whole where a disk fills up or a process is killed in the middle of a line.

Optuna appends a line with one buffered write. Where only a part of the line fits on the disk, the next line is glued to
it, and the journal cannot be read any more. This backend removes such a part.
"""

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import get_lock_file

TAIL_BYTES = 1 << 20
"""How far from the end of the file the last whole line is looked for; the longest lines take some kB."""


class WholeLinesJournal(JournalFileBackend):
    """Appends whole lines or nothing. Raises OSError where the file cannot be written."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        path = Path(self._file_path)
        with get_lock_file(self._lock):  # so no other process is writing
            _cut_off_part_of_line(path)
            size = path.stat().st_size
            try:
                with path.open("ab") as file:
                    file.write(lines)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                os.truncate(path, size)
                raise


def _cut_off_part_of_line(path: Path) -> None:
    """Removes the part of a line that a killed process wrote. To be called under the journal's lock."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
    if tail and not tail.endswith(b"\n"):
        os.truncate(path, size - len(tail) + tail.rfind(b"\n") + 1)
