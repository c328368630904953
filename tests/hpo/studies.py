"""For tests of the command: starts studies in real processes and reads the results from Optuna and MLflow."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from hpo.tracking.run_log import EVENTS_FILE_NAME, metrics_by_step

STUDY = "tiny-simulated"
SECONDS = 120

Command = Callable[..., str]


def start(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE")}
    return subprocess.Popen(
        [sys.executable, "hpo/run_study.py", "--study", "studies/tiny.toml", "--threads", "1", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {what} in {SECONDS} s"
        time.sleep(0.02)


def load(project: Path, name: str = STUDY) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(project / "runs/optuna.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def outline(project: Path, name: str = STUDY) -> list[object]:
    trials = load(project, name).get_trials(deepcopy=False)
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]


def tracked_runs(project: Path, uri: str | None = None) -> dict[str, Run]:
    client = MlflowClient(uri or f"sqlite:///{project}/runs/mlflow.db")
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "dilation_depth" in experiment.tags["mlflow.note.content"]
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found), "no run twice"
    return by_name


def assert_lands_whole(project: Path, runs: dict[str, Run], client: MlflowClient, num_trials: int) -> None:
    """Every trial of Optuna's is one run with the metrics of its local log, and its state."""
    trials = load(project).get_trials(deepcopy=False)
    assert len(trials) == num_trials
    assert len(runs) == num_trials + 1, sorted(runs)
    assert runs["study"].info.status == "FINISHED"
    for trial in trials:
        pruned = trial.state is TrialState.PRUNED
        run = runs[f"trial {trial.number:02d}{' pruned' if pruned else ''}"]
        assert run.info.status == ("KILLED" if pruned else "FINISHED")
        assert run.data.tags["optuna.state"] == trial.state.name
        assert run.data.tags["optuna.trial"] == str(trial.number)
        for name, value in trial.params.items():
            assert float(run.data.params[name]) == pytest.approx(value)
        rows = metrics_by_step(project / f"runs/{STUDY}/trials/{trial.number:04d}" / EVENTS_FILE_NAME)
        for name in ("train_loss", "test_loss", "val_f1", "test_f1", "val_auc", "lr"):
            history = client.get_metric_history(run.info.run_id, name)
            assert [(point.step, point.value) for point in history] == [(row["epoch"], row[name]) for row in rows]
