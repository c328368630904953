"""MLflow: how the events of a run become calls to a tracking server.

The only file that imports mlflow, and it does so when a server is first opened, never at import (1.5 s). Everything
here may block for seconds: hpo/tracking/shipper.py calls it from a thread of its own.
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from hpo.tracking.errors import ExperimentDeleted, Refused, RunDeleted, TryLater, translated
from hpo.tracking.run_log import Attached, Ended, Event, Measured, Started
from hpo.tracking.target import NUMBER, TrackingTarget

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

RUN_KEY_TAG = "hpo.run_key"
TRIAL_TAG = "optuna.trial"
PROBE_TAG = "hpo.last_probe"
DESCRIPTION_TAG = "mlflow.note.content"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it MLflow's pages guess what kind of experiment this is."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # The shipper has its own patience; MLflow's holds one call for 247 s.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""What the user has set stays."""
_SECONDS_TO_OPEN_SQLITE = 60.0


class MlflowExperiment:
    """The experiment of one study, open. Every method raises TryLater when the server does not serve."""

    def __init__(self, target: TrackingTarget) -> None:
        """Finds the experiment or creates it. Raises ExperimentDeleted."""
        with translated():
            self._client = open_client(target.uri)
            experiment = _find_or_create_experiment(self._client, target)
        if experiment.lifecycle_stage == "deleted":
            raise ExperimentDeleted
        self._run_note = target.run_note
        self.experiment_id = str(experiment.experiment_id)
        self.identity = f"{experiment.experiment_id}@{experiment.creation_time}"
        """Differs once a wiped store has been filled anew, though its numbers start at 1 again."""

    def find_or_create_run(self, started: Started) -> str:
        """The run's id. Looked up by its key first, because the reply to a creation may have been lost. RunDeleted."""
        from mlflow.entities import ViewType

        with translated():
            found = self._client.search_runs(
                [self.experiment_id],
                f"tags.`{RUN_KEY_TAG}` = '{started.run_key}'",
                run_view_type=ViewType.ALL,
                order_by=["attributes.start_time ASC"],
            )
        alive = [run for run in found if run.info.lifecycle_stage == "active"]
        if found and not alive:
            self._raise_if_experiment_deleted()
            raise RunDeleted
        return str(alive[0].info.run_id) if alive else self._create_run(started)

    def send(self, run_id: str, events: Sequence[Event], folder: Path) -> list[str]:
        """Sends one event, or several Measured; sending again adds nothing. Artifacts are looked for from `folder`.

        Returns, a line each, what the server will never take; the rest is sent. MLflow keeps NaN, but turns an infinity
        into 1.8e308, which flattens every curve on its page: infinities are sent as NaN. A run that goes on keeps its
        old end until the new one, because MLflow cannot take an end time back. RunDeleted, ExperimentDeleted.
        """
        event = events[0]
        assert len(events) == 1 or all(isinstance(each, Measured) for each in events)
        if isinstance(event, Attached):
            return self._attach(run_id, event, folder)
        refused = self._log(run_id, [entity for each in events for entity in _entities(each)])
        if isinstance(event, Started):
            refused += self._update(run_id, status="RUNNING", name=event.name)
        if isinstance(event, Ended):
            refused += self._update(run_id, name=event.name)
            end = self._client.set_terminated
            refused += self._attempt(run_id, "status", lambda: end(run_id, event.status, event.time_ms))
        return refused

    def takes_writes(self) -> bool:
        """Tells a server in trouble from one that chokes on what it was sent."""
        try:
            with translated():
                self._client.set_experiment_tag(self.experiment_id, PROBE_TAG, os.urandom(8).hex())
        except TryLater:
            return False
        return True

    def _create_run(self, started: Started) -> str:
        try:
            with translated():
                run = self._client.create_run(
                    self.experiment_id,
                    start_time=started.time_ms,
                    tags={RUN_KEY_TAG: started.run_key, **self._note(started)},
                    run_name=started.name,
                )
        except Refused:
            self._raise_if_experiment_deleted()
            raise
        return str(run.info.run_id)

    def _note(self, started: Started) -> dict[str, str]:
        """For a new run alone: what people make of it stays."""
        number = started.tags.get(TRIAL_TAG)
        return {DESCRIPTION_TAG: self._run_note.replace(NUMBER, number)} if number and self._run_note else {}

    def _log(self, run_id: str, entities: Sequence[Any]) -> list[str]:
        """One call. When it is refused, halves of it, so that the one bad value costs no other."""
        from mlflow.entities import Metric, Param, RunTag

        def log() -> None:
            self._client.log_batch(
                run_id,
                metrics=[entity for entity in entities if isinstance(entity, Metric)],
                params=[entity for entity in entities if isinstance(entity, Param)],
                tags=[entity for entity in entities if isinstance(entity, RunTag)],
            )

        refused = self._attempt(run_id, _names(entities), log) if entities else []
        if not refused or len(entities) == 1:
            return refused
        middle = len(entities) // 2
        return self._log(run_id, entities[:middle]) + self._log(run_id, entities[middle:])

    def _update(self, run_id: str, *, name: str | None, status: str | None = None) -> list[str]:
        return self._attempt(run_id, "name", lambda: self._client.update_run(run_id, status=status, name=name))

    def _attach(self, run_id: str, event: Attached, folder: Path) -> list[str]:
        path = (folder / event.path).resolve()
        if not path.is_file():
            return [f"artifact {path}: the file is gone"]
        self._raise_if_deleted(run_id)  # because MLflow takes a deleted run's artifacts without a word
        return self._attempt(
            run_id,
            f"artifact {path}",
            lambda: self._client.log_artifact(run_id, str(path), event.folder or None),
        )

    def _attempt(self, run_id: str, what: str, call: Callable[[], object]) -> list[str]:
        try:
            with translated():
                call()
        except Refused as refusal:
            self._raise_if_deleted(run_id)
            return [f"{what}: {refusal}"]
        return []

    def _raise_if_deleted(self, run_id: str) -> None:
        self._raise_if_experiment_deleted()
        if not _is_active(lambda: self._client.get_run(run_id).info):
            raise RunDeleted

    def _raise_if_experiment_deleted(self) -> None:
        if not _is_active(lambda: self._client.get_experiment(self.experiment_id)):
            raise ExperimentDeleted


def _is_active(get: Callable[[], Any]) -> bool:
    """False for what is deleted, and for what is not even in the bin any more."""
    try:
        with translated():
            return bool(get().lifecycle_stage == "active")
    except Refused:
        return False


def _entities(event: Event) -> list[Any]:
    """What of the event goes into a log_batch call."""
    from mlflow.entities import Metric, Param, RunTag

    if isinstance(event, Attached):
        return []
    if isinstance(event, Measured):
        values = {key: value if math.isfinite(value) else math.nan for key, value in event.values.items()}
        return [Metric(key, value, event.time_ms, event.step) for key, value in values.items()]
    tags = event.tags if isinstance(event, Started | Ended) else event.values
    params = event.params if isinstance(event, Started) else {}
    return [Param(key, str(value)) for key, value in params.items()] + [RunTag(*pair) for pair in tags.items()]


def _names(entities: Sequence[Any]) -> str:
    return ", ".join(dict.fromkeys(f"{type(entity).__name__.lower()} {entity.key}" for entity in entities))


def _find_or_create_experiment(client: "MlflowClient", target: TrackingTarget) -> "Experiment":
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
            # Another process was quicker; its experiment is as good.
        experiment = client.get_experiment_by_name(target.experiment)
        assert experiment is not None
    if experiment.lifecycle_stage == "active":
        for key in wanted.keys() - experiment.tags.keys():  # what people changed on the page stays
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
    # Several processes that open an empty database at once spoil it for good.
    with FileLock(f"{path}.opening.lock", timeout=_SECONDS_TO_OPEN_SQLITE):
        if not path.exists() or path.stat().st_size == 0:
            _create_sqlite(path)
        return MlflowClient(tracking_uri=uri)


def _create_sqlite(path: Path) -> None:
    """Under another name first: a process that ends within the two seconds that MLflow takes to lay out its tables (a
    study that stops at once) would leave a database that nothing can open again."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    unfinished = path.with_name(f"{path.name}.unfinished")
    for leftover in (unfinished, path.with_name(f"{unfinished.name}-journal")):
        leftover.unlink(missing_ok=True)
    artifacts = (path.parent / "mlartifacts").as_uri()
    store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)  # type: ignore[no-untyped-call]
    store.engine.dispose()
    unfinished.replace(path)
