"""MLflow is repaired from Optuna: real stores, damaged as a power cut, a lost server or a person would damage them.

The study is made without training: its trials are logged and told as hpo/search/objective.py does it.
"""

import json
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from optuna.trial import FrozenTrial, TrialState

import hpo.tracking.stored_runs
from core.decision.checkpoint import DETECTOR_FILE
from core.experiment import SCORES_FILE
from hpo.results.audit_study import audit_study
from hpo.results.expected_run import REBUILT_TAG
from hpo.results.finalists import ENTRY
from hpo.results.reconciliation import Reconciliation, counts_line
from hpo.results.sync_study import Synced, sync_study
from hpo.results.tracked_trials import load_companion, tracked_trials
from hpo.search.archive import ARCHIVED_FILE
from hpo.search.lease import HOST
from hpo.search.logged_run import LOGGED, LoggedRun
from hpo.search.storage import StudyStorage
from hpo.search.study import EXPERIMENT, STATE_TAG, STUDY_FILE, UID
from hpo.search.trial_record import EPOCHS, FACTS, FAILURE, RUN, run_key
from hpo.sync import main
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


@pytest.fixture(scope="module")
def laid_out_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes two seconds to lay out its tables; tests take copies."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowExperiment(TrackingTarget(uri=f"sqlite:///{path}", experiment="laid-out"))
    return path


@pytest.fixture
def toy(laid_out_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    toy = Toy(tmp_path)
    shutil.copy(laid_out_store, toy.runs / "mlflow.db")
    return toy


def take_fresh_server(toy: Toy, laid_out_store: Path) -> None:
    shutil.copy(laid_out_store, toy.runs / "fresh.db")
    toy.uri = f"sqlite:///{toy.runs}/fresh.db"


def cut(path: Path, num_lines: int, num_bytes: int = 7) -> None:
    """What a power cut leaves: the last lines are gone, and a part of the line before."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) - num_lines])[:-num_bytes])


def events_of(toy: Toy, number: int) -> Path:
    return toy.folder / "trials" / f"{number:04d}" / EVENTS_FILE_NAME


# Damages: each takes a study whose files are all here, and whose records MLflow may have.


def power_cut_before_the_end(toy: Toy) -> None:
    cut(events_of(toy, 0), 1)  # the end, and a part of an artifact
    cut(events_of(toy, 1), 3)  # artifacts, too, and the last figures
    cut(events_of(toy, 2), 1)  # the only epoch, too
    path = events_of(toy, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))  # a block in the middle: the second epoch
    toy.ship()


def wrong_states(toy: Toy) -> None:
    toy.ship()
    client = MlflowClient(toy.uri)
    client.set_terminated(toy.run_of(0).info.run_id, "RUNNING")
    client.set_tag(toy.run_of(1).info.run_id, STATE_TAG, "RUNNING")
    client.set_terminated(toy.run_of(3, "2").info.run_id, "FAILED")
    client.delete_tag(toy.run_of(3).info.run_id, "best_epoch")
    client.delete_tag(toy.run_of(3).info.run_id, "device")


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


def test_waiting_records_of_the_study_and_of_its_archived_ones_are_sent(toy: Toy) -> None:
    archived = toy.runs / "archive" / f"{NAME}-20261125-070000"
    shutil.copytree(toy.folder, archived)
    (archived / ARCHIVED_FILE).write_text(json.dumps({EXPERIMENT: "old-toy"}))
    assert toy.sync().num_sent == 2 * sum(len(read_events(path)) for path in toy.folder.rglob(EVENTS_FILE_NAME))
    experiment = MlflowClient(toy.uri).get_experiment_by_name("old-toy")
    assert experiment is not None
    assert len(MlflowClient(toy.uri).search_runs([experiment.experiment_id])) == 5


def test_the_command_says_what_it_did_and_ends_with_its_code(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_states(toy)
    assert main([NAME], toy.root) == 0
    assert main([NAME], toy.root) == 0
    for file in toy.folder.rglob(DETECTOR_FILE):
        file.unlink()
    for file in (toy.runs / "mlartifacts").rglob(DETECTOR_FILE):
        file.unlink()
    assert main([NAME], toy.root) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: 5 ended trials compared: repaired from Optuna: 3 ends, 1 parameter or tag"
    assert lines[1] == "toy: 5 ended trials compared: nothing differs"
    assert lines[3].startswith(f"  left       trial 00: artifact {DETECTOR_FILE} is not on this machine")


def test_a_mistake_is_one_line_and_makes_nothing(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.ship()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    before = sorted(toy.root.rglob("*"))
    for arguments in (
        ["nothing"],
        [NAME, "--storage", "runs/typo.journal"],
        [NAME, "--tracking-uri", "sqlite:///no/such/mlflow.db"],
        [NAME, "--tracking-uri", f"http://127.0.0.1:{port}"],
    ):
        assert main(arguments, toy.root) == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
        assert said.out == ""
    assert sorted(toy.root.rglob("*")) == before


def test_a_comparison_reads_all_runs_in_one_call_and_the_next_page_where_they_do_not_fit(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.ship()
    calls = []
    search = MlflowClient.search_runs
    monkeypatch.setattr(MlflowClient, "search_runs", lambda *a, **k: calls.append(1) or search(*a, **k))
    assert toy.reconciliation().differing() == []
    assert len(calls) == 1
    monkeypatch.setattr(hpo.tracking.stored_runs, "_RUNS_A_PAGE", 2)
    assert toy.reconciliation().differing() == []
    assert len(calls) == 1 + 3


def test_deleted_runs_are_read_too() -> None:
    assert hpo.tracking.stored_runs._ALL == ViewType.ALL
