"""Records of a study that is archived, and that MLflow does not have yet."""

import json
from collections.abc import Iterator
from pathlib import Path

from core.damaged_file import put_aside
from hpo.search.archive import ARCHIVED_FILE, note_experiment
from hpo.search.storage import StudyStorage
from hpo.search.study import EXPERIMENT
from hpo.tracking.target import TrackingTarget, tracking_target

ARCHIVE = "archive"


def archived_studies(
    runs: Path, uri: str, storage: StudyStorage, pattern: str = "*"
) -> Iterator[tuple[Path, TrackingTarget]]:
    """Folders of archived studies whose names match, each with its own experiment."""
    for file in sorted((runs / ARCHIVE).glob(f"{pattern}/{ARCHIVED_FILE}")):
        experiment = _experiment_of(file, storage)
        yield file.parent, tracking_target(uri, experiment=experiment, runs_directory=runs)


def _experiment_of(file: Path, storage: StudyStorage) -> str:
    """From the file; from the storage where it is damaged: the study there has the name of the folder."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))[EXPERIMENT])
    except (ValueError, TypeError, KeyError):
        put_aside(file)
        return note_experiment(file.parent, file.parent.name, storage)
