"""Records of a study that is archived, and that MLflow does not have yet."""

import json
from collections.abc import Iterator
from pathlib import Path

from hpo.search.study import ARCHIVED_FILE, EXPERIMENT
from hpo.tracking.target import TrackingTarget, tracking_target

ARCHIVE = "archive"


def archived_studies(runs: Path, uri: str, pattern: str = "*") -> Iterator[tuple[Path, TrackingTarget]]:
    """Folders of archived studies whose names match, each with its own experiment."""
    for file in sorted((runs / ARCHIVE).glob(f"{pattern}/{ARCHIVED_FILE}")):
        experiment = str(json.loads(file.read_text(encoding="utf-8"))[EXPERIMENT])
        yield file.parent, tracking_target(uri, experiment=experiment, runs_directory=runs)
