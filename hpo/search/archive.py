"""--fresh: renames a study, with its companions, and moves its folder to the archive. Nothing is deleted."""

import json
import time
from pathlib import Path

import optuna
from optuna.trial import TrialState

from core.errors import UserError
from core.whole_file import write_text
from hpo.search.lease import give_back_the_dead
from hpo.search.storage import StudyStorage
from hpo.search.study import (
    COMPANION_SUFFIXES,
    EXPERIMENT,
    FINALISTS_DIRECTORY,
    FINALISTS_SUFFIX,
    POST_OF,
    POST_SUFFIX,
    UID,
)
from hpo.search.study_folder import STUDY_FILE, TRIALS_DIRECTORY

ARCHIVED_FILE = "archived.json"
"""In an archived study's folder: its experiment in MLflow."""


def archive_study(name: str, *, storage: StudyStorage, directory: Path, archive: Path) -> str | None:
    """Renames a study and moves its folder to the archive. Returns the new name, or None where there is no study.

    Nothing is deleted, and the MLflow experiment stays. UserError while a process works on the study.
    """
    with storage.lock():
        known = {summary.study_name for summary in optuna.get_all_study_summaries(storage.backend)}
        suffixes = [suffix for suffix in (*COMPANION_SUFFIXES, "") if name + suffix in known]
        if POST_SUFFIX in suffixes and not is_companion(name + POST_SUFFIX, storage):
            suffixes.remove(POST_SUFFIX)  # a main study, from a version that allowed such names
        for suffix in suffixes:
            folder = directory / FINALISTS_DIRECTORY if suffix == FINALISTS_SUFFIX else directory
            _check_at_rest(name + suffix, storage, folder)
        archived = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        if directory.exists():  # first the folder: the next study of the name would take it for its own
            archive.mkdir(parents=True, exist_ok=True)
            directory.rename(archive / archived)
        elif not suffixes:
            return None
        elif "" in suffixes:
            archived = _moved_before(name, storage, archive) or archived
        if "" in suffixes and (archive / archived).exists():
            note_experiment(archive / archived, name, storage)
        for suffix in suffixes:  # the main study comes last: while it is there, the same command goes on
            _rename(name + suffix, archived + suffix, storage)
    return archived


def _moved_before(name: str, storage: StudyStorage, archive: Path) -> str | None:
    """The archived folder of the study where a process has moved it and died before it renamed the study."""
    uid = optuna.load_study(study_name=name, storage=storage.backend).user_attrs.get(UID)
    folders = (file.parent for file in sorted(archive.glob(f"{name}-*/{STUDY_FILE}")))
    return next((folder.name for folder in folders if f'"{uid}"' in (folder / STUDY_FILE).read_text()), None)


def note_experiment(folder: Path, name: str, storage: StudyStorage) -> str:
    """Writes and returns the study's experiment, for the records in the archived folder that have not reached MLflow:
    they are sent later (hpo/session/shipping.py)."""
    study = optuna.load_study(study_name=name, storage=storage.backend)
    experiment = str(study.user_attrs.get(EXPERIMENT, name))
    write_text(folder / ARCHIVED_FILE, json.dumps({EXPERIMENT: experiment}) + "\n")
    return experiment


def is_companion(name: str, storage: StudyStorage) -> bool:
    """Whether a study of the storage is the companion of another study."""
    return POST_OF in optuna.load_study(study_name=name, storage=storage.backend).user_attrs


def _check_at_rest(name: str, storage: StudyStorage, directory: Path) -> None:
    study = optuna.load_study(study_name=name, storage=storage.backend)
    give_back_the_dead(storage, study, directory / TRIALS_DIRECTORY)
    alive = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    if alive:
        raise UserError(
            f"Study {name!r} must be at rest to be archived, but trial {alive[0].number} is running. "
            "End its process first."
        )


def _rename(name: str, new_name: str, storage: StudyStorage) -> None:
    backend = storage.backend
    if new_name in {summary.study_name for summary in optuna.get_all_study_summaries(backend)}:
        optuna.delete_study(study_name=new_name, storage=backend)  # half a copy, by a process that died
    optuna.copy_study(from_study_name=name, from_storage=backend, to_storage=backend, to_study_name=new_name)
    optuna.delete_study(study_name=name, storage=backend)
