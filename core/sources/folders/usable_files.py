"""Which files of a folder are audio with a label, and why the others are not used."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.audio_suffixes import LIBSNDFILE_SUFFIXES, LOOKS_LIKE_AUDIO, READABLE_SUFFIXES
from core.data.real_paths import RealPaths
from core.data.recordings import Skipped
from core.sources.audio_files import is_for_ffmpeg
from core.sources.folders.file_names import parse_path
from core.sources.folders.labels import EXAMPLES
from core.sources.folders.manifest import MANIFEST
from core.sources.walk import walk, why_unusable

HIDDEN_BY_WINDOWS = frozenset({"thumbs.db", "desktop.ini"})
UNLABELLED = "is in no folder named after a label"
WORKBOOKS = ("manifest.xlsx", "manifest.xls", "manifest.ods")


def usable_names(
    folder: Path, corpus_name: str, *, unlabelled_are_normal: bool = False
) -> tuple[list[str], list[Skipped]]:
    """Files below the folder that are audio with a label, and why each other audio file is not used.

    Hidden files and files that are no audio are only counted.
    """
    names: list[str] = []
    skipped: list[Skipped] = []
    counted: dict[str, list[str]] = {"hidden": [], "not audio": []}
    seen: set[str] = set()
    real_paths = RealPaths()
    files = list(walk(folder, folder))
    twins = {file.with_suffix("") for file in files if file.suffix.lower() in LIBSNDFILE_SUFFIXES}
    # Links last, so that of a file and a link to it the file is used.
    for file in sorted(files, key=os.path.islink):
        name = file.relative_to(folder).as_posix()
        if file.name.startswith(".") or file.name.lower() in HIDDEN_BY_WINDOWS:
            counted["hidden"].append(name)
        elif name.lower() in WORKBOOKS:
            skipped.append(Skipped(name=name, reason=f"{name!r} is a workbook; save it as {MANIFEST} to use it"))
        elif file.suffix.lower() not in LOOKS_LIKE_AUDIO and not file.is_dir():
            counted["not audio"].append(name)
        elif reason := _why_not(file, name, folder, seen, corpus_name, unlabelled_are_normal, real_paths):
            skipped.append(Skipped(name=name, reason=reason))
        elif is_for_ffmpeg(file) and file.with_suffix("") in twins:
            skipped.append(Skipped(name=name, reason=f"{name!r} has the name of another file, which was converted"))
        else:
            names.append(name)
    return sorted(names), [*skipped, *_counts(counted)]


def _why_not(
    file: Path,
    name: str,
    root: Path,
    seen: set[str],
    corpus_name: str,
    unlabelled_are_normal: bool,
    real_paths: RealPaths,
) -> str:
    """Why a file that looks like audio is not used, or an empty string."""
    if reason := why_unusable(file, name, root, suffixes=READABLE_SUFFIXES, real_paths=real_paths):
        return reason
    if parse_path(name, corpus_name=corpus_name, unlabelled_are_normal=unlabelled_are_normal) is None:
        return f"{name!r} {UNLABELLED} ({EXAMPLES}), and has no name as in DCASE"
    real_path = real_paths(file)
    if real_path in seen:
        return f"{name!r} is a link to a file that is already listed"
    seen.add(real_path)
    return ""


def _counts(names_by_kind: Mapping[str, Sequence[str]]) -> list[Skipped]:
    """One entry for each kind with its number of files."""
    return [
        Skipped(
            name=f"{kind} files",
            reason=f"{len(names)} {'file is' if len(names) == 1 else 'files are'} {kind}, such as {min(names)!r}",
        )
        for kind, names in names_by_kind.items()
        if names
    ]
