"""The project: the folder that holds `runs/`, the store of decoded audio and the project's own `.env`.

    project root  =  the nearest folder upwards with the file MARKER, else the current folder

The search ends at a git root, at the home folder, and below a folder that every user may write: a stranger may have put
the marker there. The first study makes the marker. Settings in `.env` are read only beside a marker that says so, so a
`.env` that belongs to another program is never read.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError

MARKER = "machine-listening.toml"
ENV_FILE = ".env"
STORE = Path("runs") / "store"
"""Where decoded audio is kept, below a project's root."""
_MARKER_TEXT = """\
# This folder is a project of machine-listening: runs/ lies beside this file.
# Whether .env of this folder holds settings for it (MLFLOW_TRACKING_URI, OPTUNA_STORAGE, ...):
read_env = {read_env}
"""
_READ_ENV = "read_env"
"""The marker's only key."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """The folder that a command works in."""

    root: Path
    is_marked: bool
    """Whether the marker is there. The first study makes it."""

    def __str__(self) -> str:
        why = f"it has {MARKER}" if self.is_marked else f"the current folder: no {MARKER} here or above"
        return f"{self.root} ({why})"


def find_project(start: Path | None = None) -> Project:
    """The project that `start` lies in; it defaults to the current folder. UserError for a marker that is wrong."""
    start = (start or Path.cwd()).resolve()
    for folder in _searched_folders(start):
        if (folder / MARKER).is_file():
            reads_env(folder)  # for its errors
            return Project(root=folder, is_marked=True)
    return Project(root=start, is_marked=False)


def _searched_folders(start: Path) -> Iterator[Path]:
    home = Path(os.path.expanduser("~")).resolve()  # unlike Path.home(), it fails for no user
    for folder in (start, *start.parents):
        if _is_open_to_all(folder):
            return
        yield folder
        if (folder / ".git").exists() or folder == home:
            return


def _is_open_to_all(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def check_project(root: Path) -> None:
    """UserError where `make_project` would raise it. Makes nothing."""
    runs, marker = root / "runs", root / MARKER
    for missing in (*([] if runs.is_dir() else [runs]), *([] if marker.exists() else [marker])):
        folder = next(each for each in (missing, *missing.parents) if each.exists())
        try:
            tempfile.TemporaryFile(dir=folder).close()  # the only way to know on every kind of disk
        except OSError as error:
            raise _unwritable(root, error) from error


def make_project(root: Path) -> None:
    """Makes `runs/` and the marker where they are missing. UserError where the folder cannot be written.

    A `.env` that is older than the marker belongs to another program: the new marker turns it off, and a line says so.
    """
    runs, marker = root / "runs", root / MARKER
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if marker.exists():
            return
        has_env = (root / ENV_FILE).exists()
        marker.write_text(_MARKER_TEXT.format(read_env="false" if has_env else "true"), encoding="utf-8")
    except OSError as error:
        raise _unwritable(root, error) from error
    if has_env:
        print(f"{root / ENV_FILE} is not read. Set read_env = true in {marker} if it is for this project.", flush=True)


def _unwritable(root: Path, error: OSError) -> UserError:
    return UserError(
        f"The project must be a folder that can be written, but {root} cannot: {error.strerror}. "
        "Start the command in a folder of yours."
    )


def reads_env(root: Path) -> bool:
    """Whether `.env` of this folder holds the project's settings. UserError for a marker that cannot be read, or has
    another key: a mistyped one would let a stranger's `.env` be read."""
    marker = root / MARKER
    if not marker.is_file():
        return False
    import tomllib  # here, because Python 3.10 has none, and gets as far as the line that says so

    try:
        table = tomllib.loads(marker.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{marker} must be a TOML file, but cannot be read: {error}.") from error
    for key in table:
        if key != _READ_ENV:
            raise UserError(f"{marker}: {key} must be a known key, but is not. Known here: {_READ_ENV}.")
    read_env = table.get(_READ_ENV, True)
    if not isinstance(read_env, bool):
        raise UserError(f"{_READ_ENV} in {marker} must be true or false, but got {read_env!r}.")
    return read_env
