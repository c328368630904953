"""The folder of a study, and what it remembers: which storage holds the study."""

import json
from pathlib import Path

from core.damaged_file import put_aside, say_missing
from core.errors import UserError

STUDY_FILE = "study.json"
"""In the study's folder: the storage that holds it, and its unique key there."""
TRIALS_DIRECTORY = "trials"


def remembered_of(directory: Path) -> dict[str, str]:
    """The content of STUDY_FILE; empty where the folder has none, or a damaged one."""
    path = directory / STUDY_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        if (directory / TRIALS_DIRECTORY).is_dir():
            say_missing(path)
        return {}
    except (ValueError, TypeError):
        put_aside(path)
        return {}


def left_by_another(directory: Path) -> UserError:
    return UserError(
        f"{directory} must belong to the study in the storage, but another study of its name has left it, "
        "which the storage no longer holds. Archive the folder with --fresh, or take another --name."
    )


def make_folder(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The study's folder must be one that can be written, but {directory} cannot be made ({error.strerror}). "
            f"Give {directory.parent} to the user who runs this; in a container that is WORKER_USER of .env."
        ) from error
