"""Text files that are never half written."""

import os
from pathlib import Path


def write_text(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes UTF-8 under another name and renames: a reader sees the old file or the new one. `errors` as in `open`."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8", errors=errors)
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)  # half a file takes room on a disk that may be full
        raise
