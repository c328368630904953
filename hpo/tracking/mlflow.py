"""MLflow: turns the events of a run into calls to a tracking server.

This file and hpo/tracking/mlflow_client.py alone import mlflow. They do so when a server is first opened, because the
import takes 1.5 s. All calls may block for seconds, so hpo/tracking/shipper.py makes them in its own thread.
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpo.tracking.errors import ExperimentDeleted, Refused, RunDeleted, RunReplaced, TryLater, translated
from hpo.tracking.mlflow_client import DESCRIPTION_TAG, find_or_create_experiment, open_client
from hpo.tracking.run_key import split_run_key
from hpo.tracking.run_log import Attached, Ended, Event, Measured, Started
from hpo.tracking.target import NUMBER, TrackingTarget

RUN_KEY_TAG = "hpo.run_key"
REPLACED_TAG = "hpo.replaced"
"""Set on a run before it is deleted because another run of the trial has replaced it: another machine's, or the first
of two that machines made at once."""
TRIAL_TAG = "optuna.trial"
PROBE_TAG = "hpo.last_probe"


class MlflowExperiment:
    """The open experiment of one study. Every method raises TryLater when the server does not answer."""

    def __init__(self, target: TrackingTarget) -> None:
        """Finds or creates the experiment. Raises ExperimentDeleted."""
        with translated():
            self._client = open_client(target.uri)
            experiment = find_or_create_experiment(self._client, target)
        if experiment.lifecycle_stage == "deleted":
            raise ExperimentDeleted
        self._run_note = target.run_note
        self.experiment_id = str(experiment.experiment_id)
        self.identity = f"{experiment.experiment_id}@{experiment.creation_time}"
        """Changes when a server loses its database and numbers its experiments from 1 again."""

    def find_or_create_run(self, started: Started) -> str:
        """Returns the run's id. Looks for its key first: the reply to a creation may be lost.

        Deletes the runs of the same trial that this one replaces, and all but the first of its own number. Looks for
        them again after a creation: of two machines that create runs at once, at least one sees both. Raises RunDeleted
        and RunReplaced.
        """
        number = split_run_key(started.run_key)[1]
        runs = self._runs_by_number(started.run_key)
        if number not in runs and max(runs, default=0) < number:
            self._create_run(started)
            runs = self._runs_by_number(started.run_key)
        alive = {each: [run for run in runs[each] if run.info.lifecycle_stage == "active"] for each in runs}
        for each in alive:
            self.delete_replaced(alive[each][1 if each == max(runs) else 0 :])
        if max(runs) > number:
            raise RunReplaced
        if not alive[number]:
            self._raise_if_experiment_deleted()
            raise RunDeleted
        return str(alive[number][0].info.run_id)

    def send(self, run_id: str, events: Sequence[Event], folder: Path) -> list[str]:
        """Sends one event, or several Measured. Sending again adds nothing. Artifacts have paths relative to `folder`.

        Returns a line for each record that the server refuses for good; the others are sent. Infinities are sent as
        NaN: MLflow turns them into 1.8e308, which flattens every curve on its page. A run that resumes keeps its old
        end time until the new one, because MLflow cannot remove it. Raises RunDeleted, RunReplaced, ExperimentDeleted.
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
        """Whether the server accepts another write. If it does, the refused record itself is the cause."""
        try:
            with translated():
                self._client.set_experiment_tag(self.experiment_id, PROBE_TAG, os.urandom(8).hex())
        except TryLater:
            return False
        return True

    def _runs_by_number(self, key: str) -> dict[int, list[Any]]:
        """All runs of the key's trial, deleted ones too, by their number; those of a number in the order in which a
        trial's first run is found (hpo/results/tracked_trials.py)."""
        from mlflow.entities import ViewType

        trial_key = split_run_key(key)[0]
        runs: dict[int, list[Any]] = {}
        for condition in (f"= '{trial_key}'", f"LIKE '{trial_key}/%'"):
            with translated():
                found = self._client.search_runs(
                    [self.experiment_id],
                    f"tags.`{RUN_KEY_TAG}` {condition}",
                    run_view_type=ViewType.ALL,
                )
            for run in sorted(found, key=lambda run: (run.info.start_time, run.info.run_id)):
                runs.setdefault(split_run_key(run.data.tags[RUN_KEY_TAG])[1], []).append(run)
        return runs

    def delete_replaced(self, runs: Sequence[Any]) -> None:
        """MLflow takes nothing for a deleted run, so the machine that lost its trial adds nothing any more."""
        for run in runs:
            with translated():
                self._client.set_tag(run.info.run_id, REPLACED_TAG, "true")
                self._client.delete_run(run.info.run_id)

    def _create_run(self, started: Started) -> None:
        try:
            with translated():
                self._client.create_run(
                    self.experiment_id,
                    start_time=started.time_ms,
                    tags={RUN_KEY_TAG: started.run_key, **self._note(started)},
                    run_name=started.name,
                )
        except Refused:
            self._raise_if_experiment_deleted()
            raise

    def _note(self, started: Started) -> dict[str, str]:
        """The description of a new run. An existing one is kept, because people may have changed it."""
        number = started.tags.get(TRIAL_TAG)
        return {DESCRIPTION_TAG: self._run_note.replace(NUMBER, number)} if number and self._run_note else {}

    def _log(self, run_id: str, entities: Sequence[Any]) -> list[str]:
        """Makes one call. A refused call is split into halves, until only the bad value is refused."""
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
        self._raise_if_deleted(run_id)  # because MLflow accepts artifacts of a deleted run silently
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
            raise RunReplaced if self._is_replaced(run_id) else RunDeleted

    def _is_replaced(self, run_id: str) -> bool:
        try:
            with translated():
                return REPLACED_TAG in self._client.get_run(run_id).data.tags
        except Refused:  # deleted for good
            return False

    def _raise_if_experiment_deleted(self) -> None:
        if not _is_active(lambda: self._client.get_experiment(self.experiment_id)):
            raise ExperimentDeleted


def _is_active(get: Callable[[], Any]) -> bool:
    """False for what is deleted, whether it can be restored or not."""
    try:
        with translated():
            return bool(get().lifecycle_stage == "active")
    except Refused:
        return False


def _entities(event: Event) -> list[Any]:
    """The parts of the event that a log_batch call takes."""
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
