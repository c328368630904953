"""Lists the files of a folder: each file once, and no link is followed out of the folder."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from core.data.real_paths import RealPaths
from core.errors import UserError


def is_within(path: Path, root: Path) -> bool:
    """Whether `path` lies below `root` once links are resolved; loops are no problem. `root` is resolved already."""
    return _is_below(os.path.realpath(path), root)


def _is_below(real_path: str, root: Path) -> bool:
    return real_path == str(root) or real_path.startswith(os.path.join(root, ""))


def walk(folder: Path, root: Path) -> Iterator[Path]:
    """All files of any kind below `folder`, sorted, without those in hidden folders.

    Follows a link to a folder once, and only within `root`, which must be resolved already. A link that leads out of
    `root`, or to a folder that was listed before, is yielded itself. Raises UserError for a folder that cannot be
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


def why_unusable(
    file: Path, name: str, root: Path, *, suffixes: Collection[str], real_paths: RealPaths | None = None
) -> str:
    """Why a file that `walk` yielded cannot be used, or an empty string. `suffixes` are those that can be read."""
    if file.name.startswith("."):
        return f"{name!r} is hidden"
    if not _is_below((real_paths or os.path.realpath)(file), root):
        return f"{name!r} is a link that leads out of the folder"
    if file.is_dir():
        return f"{name!r} is a folder that is listed already, by another name"
    if not file.is_file():
        return f"{name!r} is a broken link or no plain file"
    if file.suffix.lower() not in suffixes:
        return f"{name!r} has a format that is not read here; convert it to wav, for example with ffmpeg"
    if not name.isprintable():
        return f"{name!r} has a name with characters that cannot be printed"
    return ""
