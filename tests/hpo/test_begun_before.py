"""A study that was begun at commit cf29bb1, and killed in its third trial, is resumed by the code of today.

`tests/data/study_of_cf29bb1.tar.xz` holds its `runs/`: `studies/tiny.toml` with four trials, one thread and one worker,
SIGKILL after the first epoch of trial 2. The store, MLflow's artifacts and the ended trials' trainings are left out.
"""

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from tests.hpo.studies import STUDY, Command, assert_lands_whole, load, outline, tracked_runs

ARCHIVE = Path(__file__).resolve().parents[1] / "data/study_of_cf29bb1.tar.xz"
WRITTEN_AT = "/tmp/base"
"""The project's root in the archive; a study knows its storage and its artifacts by their whole paths."""


@pytest.fixture
def begun(project: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(project, filter="data")
    file = project / f"runs/{STUDY}/study.json"
    file.write_text(file.read_text().replace(WRITTEN_AT, str(project)))
    database = sqlite3.connect(project / "runs/mlflow.db")
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (WRITTEN_AT, str(project)))
    database.commit()
    database.close()
    return project


def test_it_is_resumed_with_the_trials_that_it_would_have_had(begun: Path, run: Command) -> None:
    before = load(begun).get_trials(deepcopy=False)
    assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    trainings = {path: path.stat().st_mtime_ns for path in begun.glob(f"runs/{STUDY}/trainings/*/epoch_0001.*")}
    assert len(trainings) == 1
    run("--trials", "4")
    after = outline(begun)
    assert after[:2] == outline_of(before[:2])
    assert [trial.params for trial in load(begun).trials[:3]] == [trial.params for trial in before]
    assert all(trial.state.is_finished() for trial in load(begun).trials)
    kept = {path: path.stat().st_mtime_ns for path in trainings}
    assert kept == trainings, "the interrupted training has the key that it had, and its epoch is not trained again"
    client = MlflowClient(f"sqlite:///{begun}/runs/mlflow.db")
    assert_lands_whole(begun, tracked_runs(begun), client, 4)
    run("--trials", "4")
    assert outline(begun) == after


def test_the_same_seed_proposes_the_same_trials(begun: Path, project: Path, run: Command) -> None:
    expected = json.loads((ARCHIVE.parent / "trials_of_cf29bb1.json").read_text())
    run("--trials", "4", "--name", "again")
    trials = load(project, "again").trials
    assert begun == project
    assert [trial.params for trial in trials] == [each["params"] for each in expected]
    # Rounding differs between processors, so losses and not bits are compared here.
    losses = [[row["val_loss"] for row in trial.user_attrs["epochs"]] for trial in trials]
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours == pytest.approx(theirs["val_losses"], rel=1e-3)


def outline_of(trials: list) -> list[object]:
    return [(t.number, t.state, t.params, t.values, t.intermediate_values) for t in trials]
