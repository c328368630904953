"""A study without training: its trials are logged and told as hpo/search/objective.py does it."""

import json
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.entities import ViewType
from optuna.trial import FrozenTrial, TrialState

from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE
from hpo.results.audit_study import audit_study
from hpo.results.finalists import ENTRY
from hpo.results.reconciliation import Reconciliation
from hpo.results.sync_study import Synced, sync_study
from hpo.results.tracked_trials import load_companion, tracked_trials
from hpo.search.lease import HOST
from hpo.search.logged_run import LOGGED, LoggedRun
from hpo.search.storage import StudyStorage
from hpo.search.study import EXPERIMENT, STATE_TAG, UID
from hpo.search.study_folder import STUDY_FILE
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE, RUN, run_key
from hpo.tracking.mlflow import RUN_KEY_TAG, MlflowExperiment
from hpo.tracking.run_log import EVENTS_FILE_NAME, RunLog, RunStatus, Started, read_events
from hpo.tracking.shipper import Shipper
from hpo.tracking.stored_runs import StoredRuns
from hpo.tracking.target import TrackingTarget, tracking_target

NAME, THE_UID = "toy", "0f1e2d3c4b5a"
ENDS: dict[TrialState, tuple[RunStatus, str]] = {
    TrialState.COMPLETE: ("FINISHED", ""),
    TrialState.PRUNED: ("KILLED", " pruned"),
    TrialState.FAIL: ("FAILED", " failed"),
}


class Toy:
    """A project with a study of four trials and one finalist's training; the first is number 0."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs, self.folder = root, root / "runs", root / "runs" / NAME
        self.uri = f"sqlite:///{self.runs}/mlflow.db"
        self.folder.mkdir(parents=True)
        backend = StudyStorage(str(self.runs / "optuna.journal")).backend
        self.study = optuna.create_study(study_name=NAME, storage=backend, direction="maximize")
        self.study.set_user_attr(UID, THE_UID)
        self.study.set_user_attr(EXPERIMENT, NAME)
        self.companion = optuna.create_study(study_name=f"{NAME}-finalists", storage=backend, direction="maximize")
        self.companion.set_user_attr(UID, f"{THE_UID}-finalists")
        (self.folder / STUDY_FILE).write_text(json.dumps({"storage": "", "uid": THE_UID}))
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE):
            self.end(self.start(), state)
        self.companion.enqueue_trial({"lr": 0.5}, user_attrs={ENTRY: {"trial": 3, "seed": 2, "epochs": 3}})
        self.end(self.start(self.companion), TrialState.COMPLETE)

    def log(self, trial: optuna.Trial | FrozenTrial, study: optuna.Study) -> RunLog:
        parent = self.folder if study is self.study else self.folder / "finalists"
        return RunLog(parent / "trials" / f"{trial.number:04d}" / EVENTS_FILE_NAME)

    def start(self, study: optuna.Study | None = None, *, run: int = 1) -> optuna.Trial:
        study = study or self.study
        trial = study.ask()
        trial.suggest_float("lr", 0, 1)
        trial.set_user_attr(HOST, socket.gethostname())
        if run > 1:
            trial.set_user_attr(RUN, run)
        self.log_start(trial, study)
        return trial

    def log_start(self, trial: optuna.Trial, study: optuna.Study) -> None:
        entry = trial.user_attrs.get(ENTRY)
        number, seed = (entry["trial"], {"seed": str(entry["seed"])}) if entry else (trial.number, {})
        self.log(trial, study).start(
            run_key(study.user_attrs[UID], trial),
            f"trial {number:02d}" + (f" seed {entry['seed']}" if entry else ""),
            {"optuna.study": NAME, "optuna.trial": str(number), **seed, STATE_TAG: "RUNNING", "device": "cpu"},
            {"lr": trial.params["lr"], "num_layers": 5},
        )

    def end(self, trial: optuna.Trial, state: TrialState, *, keeps_times: bool = True) -> None:
        """Three epochs, one where it failed, and the end. An earlier version did not keep the times in Optuna."""
        study = self.study if trial.study.study_name == NAME else self.companion
        log = self.log(trial, study)
        failed = state is TrialState.FAIL
        epochs = (1,) if failed else (1, 2, 3)
        rows = [{"epoch": epoch, "val_auc": 0.5 + epoch / 10, "loss": 3.0 - epoch} for epoch in epochs]
        for row in rows:
            log.metrics(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})
            trial.report(row["val_auc"], int(row["epoch"]))
        if not failed:
            last = {"objective": 0.75} if state is TrialState.COMPLETE else {}
            log.metrics(3, {**last, "val_f1_best_postprocessing": 0.875})
            for name in (DETECTOR_FILE, SCORES_FILE):
                (log.path.parent / name).write_bytes(b"of " + name.encode())
                log.artifact(log.path.parent / name)
        tags = {"failure": "it diverged"} if failed else {"best_epoch": "3"}
        status, suffix = ENDS[state]
        started = next(event for event in read_events(log.path) if isinstance(event, Started))
        log.end(status, name=f"{started.name}{suffix}", tags={STATE_TAG: state.name, **tags})
        trial.set_user_attr(EPOCHS, rows)
        if failed:
            trial.set_user_attr(FAILURE, "it diverged")
        facts: Mapping[str, float] = {} if failed else {"best_epoch": 3, "val_f1_best_postprocessing": 0.875}
        trial.set_user_attr(FACTS, {"num_layers": 5, **facts})
        logged = LoggedRun.of_events(read_events(log.path), end_ms=0)
        assert logged is not None
        if keeps_times:
            trial.set_user_attr(LOGGED, logged.as_attribute())
        study.tell(trial, 0.75 if state is TrialState.COMPLETE else None, state=state)

    @property
    def target(self) -> TrackingTarget:
        return tracking_target(self.uri, experiment=NAME, runs_directory=self.runs)

    def ship(self, folder: Path | None = None) -> None:
        shipper = Shipper(folder or self.folder, self.target, warn=print)
        shipper.start()
        assert shipper.close(20).num_events_left == 0

    def sync(self) -> Synced:
        return sync_study(NAME, storage=None, tracking_uri=self.uri, root=self.root, warn=print)

    def audit(self) -> list[tuple[str, str]]:
        audit = audit_study(NAME, storage=None, tracking_uri=self.uri, root=self.root)
        return [(finding.kind, finding.where) for finding in audit.findings]

    def everything(self, *, with_ids: bool = True) -> list[Any]:
        """All that MLflow has of the experiment, points with their times and artifacts included."""
        client = MlflowClient(self.uri)
        return [
            (
                run.info.run_id if with_ids else "",
                (run.info.run_name, run.info.status, run.info.lifecycle_stage, run.info.start_time, run.info.end_time),
                run.data.params,
                run.data.tags,
                {
                    name: sorted(
                        (p.step, p.timestamp, p.value) for p in client.get_metric_history(run.info.run_id, name)
                    )
                    for name in run.data.metrics
                },
                sorted(file.path for file in client.list_artifacts(run.info.run_id)),
            )
            for run in sorted(self.found(), key=lambda run: str(run.data.tags[RUN_KEY_TAG]))
        ]

    def found(self) -> list[Any]:
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name(NAME)
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL))

    def run_of(self, number: int, seed: str | None = None) -> Any:
        tags = [run for run in self.found() if run.data.tags["optuna.trial"] == str(number)]
        (run,) = [run for run in tags if run.data.tags.get("seed") == seed]
        return run

    def reconciliation(self) -> Reconciliation:
        experiment = MlflowExperiment(self.target)
        stored = StoredRuns(MlflowClient(self.uri), experiment.experiment_id)
        return Reconciliation(tracked_trials(self.study, load_companion(self.study)), stored, experiment)


def take_fresh_server(toy: Toy, laid_out_store: Path) -> None:
    shutil.copy(laid_out_store, toy.runs / "fresh.db")
    toy.uri = f"sqlite:///{toy.runs}/fresh.db"


def cut(path: Path, num_lines: int, num_bytes: int = 7) -> None:
    """What a power cut leaves: the last lines are gone, and a part of the line before."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) - num_lines])[:-num_bytes])


def events_of(toy: Toy, number: int) -> Path:
    return toy.folder / "trials" / f"{number:04d}" / EVENTS_FILE_NAME


def wrong_states(toy: Toy) -> None:
    toy.ship()
    client = MlflowClient(toy.uri)
    client.set_terminated(toy.run_of(0).info.run_id, "RUNNING")
    client.set_tag(toy.run_of(1).info.run_id, STATE_TAG, "RUNNING")
    client.set_terminated(toy.run_of(3, "2").info.run_id, "FAILED")
    client.delete_tag(toy.run_of(3).info.run_id, "best_epoch")
    client.delete_tag(toy.run_of(3).info.run_id, "device")
