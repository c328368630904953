"""Which names a study may have: its folder is runs/<name>, beside other things that must not be overwritten."""

import errno
import os
import re
from pathlib import Path

from core.errors import UserError
from hpo.search.identity import FOLD_INFIX
from hpo.search.study import COMPANION_SUFFIXES
from hpo.search.study_folder import STUDY_FILE, TRIALS_DIRECTORY

NAME_PATTERN = r"\w[\w.-]*"
RESERVED_NAMES = ("archive", "mlartifacts", "mlruns", "store")
"""Folders of runs/ that are no studies, whether or not they are there."""
DATABASES = ("mlflow.db", "optuna.journal")
"""Files of runs/. Their locks and write-ahead logs have names that begin with theirs."""
MAX_LENGTH = 150
"""Of a name: what is added to it must fit into the 255 bytes that a file's name may have."""


def fold_name(name: str, fold: int) -> str:
    """The name of the study of one fold; folds count from 1."""
    return f"{name}{FOLD_INFIX}{fold}"


def check_name(name: str, *, runs: Path) -> None:
    """UserError where no study may have this name, or something else is at its place in `runs`."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(
            "A study's name must be of letters, digits, '.', '_' and '-' and begin with a letter or digit, but got "
            f"{name!r}. Give it another with --name."
        )
    if len(name.encode()) > MAX_LENGTH:
        raise UserError(
            f"A study's name must have at most {MAX_LENGTH} bytes, but {name[:30] + '...'!r} has {len(name.encode())}. "
            "Give it another with --name."
        )
    if name.lower() in RESERVED_NAMES or name.lower().startswith(DATABASES):
        raise UserError(
            f"A study's name must not be that of another thing in {runs.name}/ ({', '.join(RESERVED_NAMES)}, "
            f"{', '.join(DATABASES)} and their companions), but got {name!r}. Give it another with --name."
        )
    if name.endswith(COMPANION_SUFFIXES):
        raise UserError(
            f"A study's name must not end with {' or '.join(COMPANION_SUFFIXES)}, which names studies that belong to "
            f"another one, but got {name!r}. Give it another with --name."
        )
    if _is_taken(runs / name):
        raise UserError(
            f"A study's name must not be that of another thing in {runs.name}/, but {runs / name} is there and is no "
            "study's folder. Give the study another with --name, or move that away."
        )


def _is_taken(path: Path) -> bool:
    """Whether a file, or a folder with something in it that no study has made, is at a study's place.

    A folder is listed once, because another process may be making it: STUDY_FILE has another name, which ends with its
    own, while it is written.
    """
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return path.is_symlink()
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        return True
    is_study = any(name.endswith(STUDY_FILE) for name in names) or (path / TRIALS_DIRECTORY).is_dir()
    return bool(names) and not is_study
