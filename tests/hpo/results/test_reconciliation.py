"""MLflow is repaired from Optuna: real stores, damaged as a power cut, a lost server or a person would damage them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE
from hpo.results.audit_study import audit_study
from hpo.results.expected_run import REBUILT_TAG
from hpo.results.reconciliation import counts_line
from hpo.search.study import STATE_TAG
from hpo.search.trial_record import RUN
from hpo.tracking.mlflow import REPLACED_TAG, RUN_KEY_TAG
from tests.toy_study import NAME, THE_UID, Toy, cut, events_of, take_fresh_server, wrong_states

# Damages: each takes a study whose files are all here, and whose records MLflow may have.


def power_cut_before_the_end(toy: Toy) -> None:
    cut(events_of(toy, 0), 1)  # the end, and a part of an artifact
    cut(events_of(toy, 1), 3)  # artifacts, too, and the last figures
    cut(events_of(toy, 2), 1)  # the only epoch, too
    path = events_of(toy, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))  # a block in the middle: the second epoch
    toy.ship()


def lost_runs_and_artifacts(toy: Toy) -> None:
    toy.ship()
    client = MlflowClient(toy.uri)
    for file in (toy.runs / "mlartifacts").rglob(SCORES_FILE):
        file.unlink()
    for run in (toy.run_of(1), toy.run_of(3, "2")):
        client._tracking_client.store._hard_delete_run(run.info.run_id)
        shutil.rmtree(run.info.artifact_uri.removeprefix("file://"))


def superseded_runs(toy: Toy) -> None:
    """Two of machines that have lost a trial, and one that two processes made at once."""
    toy.end(toy.start(run=3), TrialState.COMPLETE)
    toy.ship()
    client, run = MlflowClient(toy.uri), toy.run_of(4)
    for key in (f"{THE_UID}/4", f"{THE_UID}/4/2"):
        client.create_run(run.info.experiment_id, tags={RUN_KEY_TAG: key, "optuna.trial": "4"}, run_name="trial 04")
    tags = {RUN_KEY_TAG: f"{THE_UID}/0", "optuna.trial": "0"}
    client.create_run(run.info.experiment_id, start_time=run.info.start_time + 1, tags=tags)


DAMAGES = [
    (power_cut_before_the_end, "3 ends, 5 points, 3 artifacts"),
    (wrong_states, "3 ends, 1 parameter or tag"),
    (lost_runs_and_artifacts, "2 runs, 15 points, 6 artifacts"),
    (superseded_runs, "3 superseded runs"),
]


@pytest.mark.parametrize(("damage", "repaired"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_what_differs_is_repaired_once(toy: Toy, damage: Callable[[Toy], None], repaired: str) -> None:
    damage(toy)
    assert toy.audit()
    first = toy.sync()
    assert counts_line(first.repairs) == repaired
    assert not first.has_left
    assert toy.audit() == []
    assert toy.reconciliation().differing() == []
    after = toy.everything()
    second = toy.sync()
    assert (second.num_sent, counts_line(second.repairs), second.has_left) == (0, "", False)
    assert toy.everything() == after, "a second sync changes nothing"
    assert all(run.info.status != "RUNNING" for run in toy.found() if run.info.lifecycle_stage == "active")


def test_a_fresh_server_gets_from_optuna_alone_what_the_first_one_had(toy: Toy, laid_out_store: Path) -> None:
    """And records that arrive afterwards, from the machine that has the files, add nothing."""
    toy.ship()
    before = toy.everything(with_ids=False)
    shutil.move(toy.folder, toy.root / "other machine")
    take_fresh_server(toy, laid_out_store)
    synced = toy.sync()
    assert counts_line(synced.repairs) == "5 runs, 33 points"
    assert len(synced.repairs.left) == 8
    assert f"trial 00: artifact {DETECTOR_FILE} is not on this machine" in synced.repairs.left[0]
    assert synced.has_left
    rebuilt = toy.everything(with_ids=False)
    assert [each[:-1] for each in rebuilt] == [each[:-1] for each in before]
    toy.ship(toy.root / "other machine")
    assert toy.everything(with_ids=False) == before


def test_a_fresh_server_gets_everything_where_the_files_are(toy: Toy, laid_out_store: Path) -> None:
    toy.ship()
    before = toy.everything(with_ids=False)
    take_fresh_server(toy, laid_out_store)
    synced = toy.sync()
    assert synced.num_sent > 0
    assert not synced.has_left
    assert toy.everything(with_ids=False) == before


def test_a_run_that_a_person_has_deleted_stays_deleted(toy: Toy) -> None:
    toy.ship()
    MlflowClient(toy.uri).delete_run(toy.run_of(1).info.run_id)
    before = toy.everything()
    assert not toy.sync().has_left
    assert toy.everything() == before
    assert audit_study(NAME, storage=None, tracking_uri=None, root=toy.root).deleted == ["trial 01"]
    for file in toy.folder.rglob("*.shipped"):
        file.unlink()
    assert not toy.sync().has_left
    assert toy.everything() == before


def test_a_machine_whose_run_was_superseded_sends_everything_to_the_one_that_is_left(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of one number, the machine's own the second, from which it has sent half."""
    path = events_of(toy, 0)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    toy.ship()
    client, run = MlflowClient(toy.uri), toy.run_of(0)
    tags = {RUN_KEY_TAG: f"{THE_UID}/0", "optuna.trial": "0"}
    client.create_run(run.info.experiment_id, start_time=run.info.start_time - 1, tags=tags, run_name="trial 00")
    reconciliation = toy.reconciliation()
    reconciliation.repair(reconciliation.all_ended(), toy.folder)
    path.write_bytes(whole)
    toy.ship()
    assert "nothing more is sent" not in capsys.readouterr().out
    assert toy.audit() == []


def test_a_run_that_its_own_machine_replaces_meanwhile_is_left_to_it(toy: Toy) -> None:
    """The others are repaired all the same."""
    power_cut_before_the_end(toy)
    client, reconciliation, run = MlflowClient(toy.uri), toy.reconciliation(), toy.run_of(0)
    client.set_tag(run.info.run_id, REPLACED_TAG, "true")
    client.delete_run(run.info.run_id)
    tags = {RUN_KEY_TAG: f"{THE_UID}/0", "optuna.trial": "0"}
    run_id = client.create_run(run.info.experiment_id, tags=tags, run_name="trial 00").info.run_id
    its_own = client.get_run(run_id).to_dictionary()
    repairs = reconciliation.repair(reconciliation.all_ended(), toy.folder)
    assert len(repairs.trials) == 3
    assert client.get_run(run_id).to_dictionary() == its_own
    assert [trial.name for trial in toy.reconciliation().differing()] == ["trial 00"]


def test_a_trial_that_has_not_ended_is_left_alone(toy: Toy) -> None:
    running = toy.start()
    toy.ship()
    toy.log(running, toy.study).end("KILLED", tags={STATE_TAG: "INTERRUPTED"})
    shutil.rmtree(toy.log(running, toy.study).path.parent)
    client, run = MlflowClient(toy.uri), toy.run_of(4)
    for key in (f"{THE_UID}/4/2", f"{THE_UID}/4"):
        client.create_run(run.info.experiment_id, tags={RUN_KEY_TAG: key, "optuna.trial": "4"}, run_name="trial 04")
    before = toy.everything()
    assert toy.reconciliation().differing() == []
    assert counts_line(toy.sync().repairs) == ""
    assert toy.everything() == before


def test_files_of_a_machine_that_had_lost_the_trial_are_not_its_artifacts(toy: Toy, laid_out_store: Path) -> None:
    """The checkpoint in its folder is of an early epoch, or of another training."""
    trial = toy.start()
    log = toy.log(trial, toy.study)
    log.metrics(1, {"val_auc": 0.6, "loss": 2.0})
    other = toy.root / "other machine"
    shutil.move(log.path.parent, other)
    trial.set_user_attr(RUN, 2)
    toy.log_start(trial, toy.study)
    toy.end(trial, TrialState.COMPLETE)
    shutil.rmtree(log.path.parent)
    shutil.move(other, log.path.parent)
    (log.path.parent / DETECTOR_FILE).write_bytes(b"of the first epoch")
    take_fresh_server(toy, laid_out_store)
    synced = toy.sync()
    assert [line.partition(" (")[0] for line in synced.repairs.left] == [
        f"trial 04: artifact {name} is not on this machine" for name in (DETECTOR_FILE, SCORES_FILE)
    ]
    assert toy.audit() == [("lost", "trial 04")] * 2


def test_a_trial_that_ended_a_moment_ago_is_left_to_its_machine(toy: Toy) -> None:
    toy.ship()
    trial = toy.study.ask()
    trial.suggest_float("lr", 0, 1)
    trial.report(0.625, 1)
    toy.study.tell(trial, state=TrialState.FAIL)
    reconciliation = toy.reconciliation()
    (differing,) = reconciliation.differing()
    left = reconciliation.repair([differing], toy.folder, only_known_times=True, keep_going=lambda: True)
    assert (left.trials, left.left) == (
        [],
        ["trial 04: ended a moment ago on another machine, which may be sending it"],
    )


def test_a_trial_of_an_earlier_version_is_rebuilt_by_sync_alone_and_with_a_mark(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.results.reconciliation.SECONDS_FOR_ITS_MACHINE", 0)
    trial = toy.study.ask()
    trial.suggest_float("lr", 0, 1)
    for epoch in (1, 2):
        trial.report(0.5 + epoch / 8, epoch)
    toy.study.tell(trial, state=TrialState.FAIL)
    toy.ship()
    reconciliation = toy.reconciliation()
    left = reconciliation.repair(reconciliation.differing(), toy.folder, only_known_times=True)
    assert left.left == ["trial 04: its records are on another machine (unknown)"]
    assert not toy.sync().has_left
    run = toy.run_of(4)
    assert REBUILT_TAG in run.data.tags
    assert run.data.params == {"lr": str(trial.params["lr"])}
    points = MlflowClient(toy.uri).get_metric_history(run.info.run_id, "val_auc")
    assert [(point.step, point.value) for point in points] == [(1, 0.625), (2, 0.75)]
    assert counts_line(toy.sync().repairs) == ""


def test_a_whole_run_of_an_earlier_version_stays_as_it_is(toy: Toy) -> None:
    toy.end(toy.start(), TrialState.COMPLETE, keeps_times=False)
    toy.ship()
    shutil.rmtree(toy.folder)
    before = toy.everything()
    assert not toy.sync().has_left
    assert toy.everything() == before
