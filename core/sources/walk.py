"""Folders of somebody else's files: each file once, no link followed out of the folder, and why a file is no use."""

import os
from collections.abc import Iterator
from pathlib import Path

from core.errors import UserError
from core.sources.audio_files import READABLE_SUFFIXES, is_within


def walk(folder: Path, root: Path) -> Iterator[Path]:
    """All files below `folder`, sorted, hidden folders left out, whatever their kind.

    Links to folders are followed once, and only within `root`, which must be resolved already; one that leads out, or
    to a folder that was listed before, as in a loop, is yielded itself. Raises UserError for a folder that cannot be
    listed.
    """
    yield from _walk(folder, root, set())


def _walk(folder: Path, root: Path, seen: set[str]) -> Iterator[Path]:
    seen.add(os.path.realpath(folder))
    for entry in _entries(folder):
        if not entry.is_dir():
            yield entry
        elif entry.name.startswith("."):
            continue
        elif is_within(entry, root) and os.path.realpath(entry) not in seen:
            yield from _walk(entry, root, seen)
        else:
            yield entry


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"Data folder {folder.name!r} must be readable, but got {error.strerror!r}. Change its permissions."
        ) from error


def why_unusable(file: Path, name: str, root: Path) -> str:
    """Why a file that `walk` yielded cannot be audio from this folder; empty when it may be."""
    if file.name.startswith("."):
        return f"{name!r} is hidden"
    if not is_within(file, root):
        return f"{name!r} is a link that leads out of the folder"
    if file.is_dir():
        return f"{name!r} is a folder that is listed already, by another name"
    if not file.is_file():
        return f"{name!r} is a broken link or no plain file"
    if file.suffix.lower() not in READABLE_SUFFIXES:
        return f"{name!r} is not wav, flac, ogg or mp3"
    if not name.isprintable():
        return f"{name!r} has a name with characters that cannot be printed"
    return ""
