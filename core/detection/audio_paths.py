"""The recordings that a command line names: files, folders, and patterns that the shell did not expand.

A folder is searched recursively. A pattern has the shell's `*`, `?` and `[...]`, and `**` for any number of folders:
'*.wav' or 'takes/**/*.flac'. Of a folder and of a pattern only audio files are taken. The others are passed over and
counted: files of other formats, hidden ones, and links that lead out of the folder (`core/sources/walk.py`).
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob, has_magic
from pathlib import Path

from core.audio_suffixes import READABLE_SUFFIXES
from core.errors import UserError
from core.sources.walk import walk, why_unusable

ANY_DEPTH = "**"


@dataclass(frozen=True, kw_only=True)
class AudioPaths:
    """The files to judge."""

    names: tuple[str, ...]
    """In the order of the arguments; those of one folder or pattern are sorted."""
    num_passed_over: int
    """Files of folders and patterns that are not audio."""


def find_audio(arguments: Sequence[str]) -> AudioPaths:
    """UserError for a folder or a pattern without audio. A name of any other kind is returned as it is."""
    names: list[str] = []
    num_passed_over = 0
    for argument in arguments:
        if os.path.isdir(argument):
            root = Path(os.path.realpath(argument))
            found = [(str(file), root) for file in walk(Path(argument), root)]
            kind = "A folder"
        elif has_magic(argument) and not os.path.lexists(argument):
            found = list(_matches(argument))
            kind = "A pattern"
        else:
            names.append(argument)
            continue
        audio = [name for name, root in found if not why_unusable(Path(name), name, root, suffixes=READABLE_SUFFIXES)]
        if not audio:
            others = f"none in {len(found)} files" if found else "no file"
            raise UserError(f"{kind} of recordings must hold audio, but {argument!r} has {others}.")
        names += audio
        num_passed_over += len(found) - len(audio)
    return AudioPaths(names=tuple(names), num_passed_over=num_passed_over)


def _matches(pattern: str) -> Iterator[tuple[str, Path]]:
    """Files that match, sorted, each with the folder that its links must not leave."""
    parts = Path(pattern).parts
    if ANY_DEPTH not in parts:
        root = _fixed_folder(parts)
        yield from ((name, root) for name in sorted(glob(pattern)) if not os.path.isdir(name))
        return
    # Not glob's own `**`, which follows links in a circle until the path is too long.
    depth = parts.index(ANY_DEPTH)
    start = str(Path(*parts[:depth]))
    for folder in sorted(glob(start)) if depth else ["."]:
        root = Path(os.path.realpath(folder))
        for file in walk(Path(folder), root) if os.path.isdir(folder) else ():
            if _fits(file.relative_to(folder).parts, parts[depth:]):
                yield str(file), root


def _fixed_folder(parts: Iterable[str]) -> Path:
    """The folder that the pattern names before its first wildcard, links resolved."""
    fixed = Path()
    for part in parts:
        if has_magic(part):
            break
        fixed /= part
    return Path(os.path.realpath(fixed))


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path fit those of a pattern. A last `**` fits any file."""
    if not pattern:
        return not names
    if pattern[0] == ANY_DEPTH:
        rest = pattern[1:] or ("*",)
        return any(_fits(names[i:], rest) for i in range(len(names)))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])
