"""Opens MLflow's client, and finds or makes the experiment of a study."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from hpo.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

DESCRIPTION_TAG = "mlflow.note.content"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's pages guess the kind of an experiment that lacks this tag."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The shipper retries by itself. MLflow's retries block one call for 247 s.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Defaults: variables that the user has set are kept."""
_SECONDS_TO_OPEN_SQLITE = 60.0


def find_or_create_experiment(client: "MlflowClient", target: TrackingTarget) -> "Experiment":
    from mlflow.exceptions import MlflowException

    wanted = {**EXPERIMENT_TAGS, **target.tags}
    if target.description:
        wanted[DESCRIPTION_TAG] = target.description
    experiment = client.get_experiment_by_name(target.experiment)
    if experiment is None:
        try:
            client.create_experiment(target.experiment, target.artifact_location, wanted)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # Another process was faster; its experiment is used.
        experiment = client.get_experiment_by_name(target.experiment)
        assert experiment is not None
    if experiment.lifecycle_stage == "active":
        for key in wanted.keys() - experiment.tags.keys():  # changes that people made on the page are kept
            client.set_experiment_tag(experiment.experiment_id, key, wanted[key])
    return experiment


def open_client(uri: str) -> "MlflowClient":
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    if not uri.startswith("sqlite:"):
        return MlflowClient(tracking_uri=uri)
    path = Path(uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Several processes that open an empty database at once destroy it.
    with FileLock(f"{path}.opening.lock", timeout=_SECONDS_TO_OPEN_SQLITE):
        if not path.exists() or path.stat().st_size == 0:
            _create_sqlite(path)
        return MlflowClient(tracking_uri=uri)


def _create_sqlite(path: Path) -> None:
    """Creates it under another name and renames it. MLflow needs two seconds to create its tables, and a process that
    ends within them would leave a database that cannot be opened again."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = path.with_name(f"{path.name}.unfinished")
    for leftover in (unfinished, path.with_name(f"{unfinished.name}-journal")):
        leftover.unlink(missing_ok=True)
    artifacts = (path.parent / "mlartifacts").as_uri()
    store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)  # type: ignore[no-untyped-call]
    store.engine.dispose()
    unfinished.replace(path)
