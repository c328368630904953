"""What reaches MLflow, read back through its own client: complete, once and in time, also when the server fails.

One real server on loopback for the whole file, reached through a relay that can cut the wire or lose a reply; where no
server is needed, a SQLite store.
"""

import email.utils
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import hpo.tracking.shipment
from hpo.stack.ui import curves
from hpo.tracking.links import charts_link
from hpo.tracking.mlflow import RUN_KEY_TAG, MlflowExperiment
from hpo.tracking.run_log import Measured, RunLog, read_events
from hpo.tracking.saved_view import saved_view
from hpo.tracking.shipper import Shipper, ShippingReport
from hpo.tracking.target import TrackingTarget, tracking_target

ROOT = Path(__file__).parents[3]
NOTHING_LEFT = ShippingReport(num_events_left=0, reason="", num_refused=0)


class Relay:
    """Passes TCP connections on to the server. `cut` makes it seem dead, `lose_reply_to` lets it do what it was asked
    and die before it answers, once. While it has `refusals`, a request gets the next of them for an answer."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.lose_reply_to: bytes | None = None
        self.is_cut = False
        self.refusals: list[bytes] = []
        self.refused_at: list[float] = []
        self._open: list[socket.socket] = []
        self._losing: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.is_cut = True
        for end in self._open:
            _hang_up(end)

    def restore(self) -> None:
        self.is_cut = False

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.server_port))
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._replies, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := _receive(client):
            if self.refusals:
                self.refused_at.append(time.monotonic())
                client.sendall(self.refusals.pop(0))
                break
            if self.lose_reply_to is not None and self.lose_reply_to in data:
                self.lose_reply_to = None
                self._losing.add(client)
            server.sendall(data)
        _hang_up(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        while (data := _receive(server)) and client not in self._losing:
            try:
                client.sendall(data)
            except OSError:
                break
        _hang_up(client)


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _hang_up(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


@pytest.fixture(scope="module", autouse=True)
def starting_server(laid_out_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port. It takes seconds to start, during which the tests that need no server are run."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(laid_out_store, folder / "mlflow.db")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *stores], env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server_port(starting_server: int) -> int:
    wait_for(lambda: _is_healthy(starting_server), seconds=90)
    return starting_server


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture
def relay(server_port: int) -> Iterator[Relay]:
    relay = Relay(server_port)
    yield relay
    relay.cut()  # an open connection would keep the server from ending


@pytest.fixture
def sqlite_uri(laid_out_store: Path, tmp_path: Path) -> str:
    shutil.copy(laid_out_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def target_of(uri: str, tmp_path: Path) -> TrackingTarget:
    return tracking_target(uri, experiment=tmp_path.name, runs_directory=tmp_path / "runs", description="Why *this*.")


def study_of(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "study"


def trial_log(tmp_path: Path, number: int = 7) -> RunLog:
    return RunLog(study_of(tmp_path) / "trials" / f"{number:04d}" / "events.jsonl")


def start(log: RunLog, tmp_path: Path, number: int = 7) -> None:
    tags, params = {"optuna.trial": str(number)}, {"lr": 1e-3, "depth": 5}
    log.start(f"{tmp_path.name}-{number}", f"trial {number:02d}", tags, params)


def log_whole_trial(tmp_path: Path, number: int = 7) -> RunLog:
    log = trial_log(tmp_path, number)
    start(log, tmp_path, number)
    for epoch in (1, 2, 3):
        log.metrics(epoch, {"val_loss": 4 - epoch / 2, "val_auc": 0.5 + epoch / 10})
    weights = log.path.parent / "weights.safetensors"
    weights.write_bytes(bytes(range(256)) * 40)
    log.artifact(weights, "model")
    log.tags({"device": "cpu"})
    log.end("KILLED", name=f"trial {number:02d} pruned", tags={"optuna.state": "PRUNED"})
    return log


def ship(uri: str, tmp_path: Path, said: list[str] | None = None) -> ShippingReport:
    """One shipper from start to end."""
    shipper = Shipper(study_of(tmp_path), target_of(uri, tmp_path), warn=[].append if said is None else said.append)
    shipper.start()
    return shipper.close(20)


def test_a_metric_that_is_logged_twice_is_one_point(sqlite_uri: str, tmp_path: Path) -> None:
    """By a process that was killed before it told Optuna, and by the one that resumed the trial, sent or not."""
    log = trial_log(tmp_path)
    start(log, tmp_path)
    log.metrics(1, {"objective": 0.5})
    log.metrics(1, {"objective": 0.5, "val_f1_best_postprocessing": 0.75})
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    first = read_events(log.path)[1]
    time.sleep(0.01)
    log.metrics(1, {"objective": 0.5, "val_f1_best_postprocessing": 0.75})
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    (run,) = runs_of(sqlite_uri, tmp_path)
    history = client_of(sqlite_uri).get_metric_history
    (objective,) = history(run.info.run_id, "objective")
    assert isinstance(first, Measured)
    assert objective.timestamp == first.time_ms
    assert len(history(run.info.run_id, "val_f1_best_postprocessing")) == 1


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def runs_of(uri: str, tmp_path: Path) -> list[Any]:
    """All runs of the test's experiment, also deleted ones, by key."""
    client = client_of(uri)
    experiment = client.get_experiment_by_name(tmp_path.name)
    runs = client.search_runs([experiment.experiment_id], run_view_type=3)
    return sorted(runs, key=lambda run: str(run.data.tags[RUN_KEY_TAG]))


def curves_of(uri: str, run: Any) -> dict[str, list[tuple[int, int, float]]]:
    """Every point: (step, time in ms, value)."""
    client = client_of(uri)
    return {
        key: [(point.step, point.timestamp, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }


def everything_of(uri: str, tmp_path: Path) -> list[Any]:
    return [(vars(run.info), run.data.params, run.data.tags, curves_of(uri, run)) for run in runs_of(uri, tmp_path)]


def assert_landed_whole_and_once(uri: str, tmp_path: Path, log: RunLog) -> None:

    events = read_events(log.path)
    points = [(event.step, event.time_ms, event.values["val_loss"]) for event in events if isinstance(event, Measured)]
    (run,) = runs_of(uri, tmp_path)
    assert (run.info.status, run.info.run_name) == ("KILLED", "trial 07 pruned")
    assert (run.info.start_time, run.info.end_time) == (events[0].time_ms, events[-1].time_ms)
    assert run.data.params == {"lr": "0.001", "depth": "5"}
    expected_tags = {
        RUN_KEY_TAG: f"{tmp_path.name}-7",
        "optuna.trial": "7",
        "optuna.state": "PRUNED",
        "device": "cpu",
        "mlflow.runName": "trial 07 pruned",
    }
    assert run.data.tags == expected_tags
    curves = curves_of(uri, run)
    assert sorted(curves) == ["val_auc", "val_loss"]
    assert curves["val_loss"] == points
    assert len(curves["val_auc"]) == 3
    client = client_of(uri)
    assert [file.path for file in client.list_artifacts(run.info.run_id, "model")] == ["model/weights.safetensors"]
    copy = Path(client.download_artifacts(run.info.run_id, "model/weights.safetensors", str(tmp_path)))
    assert copy.read_bytes() == bytes(range(256)) * 40


def test_two_shippers_at_once_on_a_store_that_does_not_exist_yet_create_one_run(tmp_path: Path) -> None:
    store = tmp_path / "stores" / "mlflow.db"
    log = log_whole_trial(tmp_path)
    said: list[str] = []
    target = target_of(f"sqlite:///{store}", tmp_path)
    shippers = [Shipper(study_of(tmp_path), target, warn=said.append) for _ in range(2)]
    for shipper in shippers:
        shipper.start()
    wait_for(store.exists)
    num_tables = _count_tables(store)
    assert [shipper.close(20) for shipper in shippers] == [NOTHING_LEFT, NOTHING_LEFT]
    assert said == []
    assert _count_tables(store) == num_tables, "the store could be seen before it was complete"
    assert_landed_whole_and_once(target.uri, tmp_path, log)


def _count_tables(store: Path) -> int:
    connection = sqlite3.connect(store)
    try:
        return int(connection.execute("select count(*) from sqlite_master").fetchone()[0])
    finally:
        connection.close()


def test_a_run_that_somebody_deleted_is_final(sqlite_uri: str, tmp_path: Path) -> None:
    log = trial_log(tmp_path)
    start(log, tmp_path)
    ship(sqlite_uri, tmp_path)
    (run,) = runs_of(sqlite_uri, tmp_path)
    client_of(sqlite_uri).delete_run(run.info.run_id)
    (log.path.parent / "late.bin").write_bytes(b"late")
    log.artifact(log.path.parent / "late.bin", "model")
    log_whole_trial(tmp_path)
    other = log_whole_trial(tmp_path, number=8)
    said: list[str] = []
    assert ship(sqlite_uri, tmp_path, said) == NOTHING_LEFT
    Path(f"{other.path}.shipped").unlink()
    assert ship(sqlite_uri, tmp_path, said) == NOTHING_LEFT
    assert said == ["Run 'trial 07' was deleted in MLflow: nothing more is sent for it."]
    deleted, kept = runs_of(sqlite_uri, tmp_path)
    assert (deleted.info.lifecycle_stage, deleted.data.metrics) == ("deleted", {})
    assert not list((tmp_path / "runs" / "mlartifacts").rglob("late.bin"))
    assert (kept.info.lifecycle_stage, kept.info.status) == ("active", "KILLED")


def test_a_deleted_run_is_found_by_its_key_when_the_bookmark_is_lost(sqlite_uri: str, tmp_path: Path) -> None:
    log = log_whole_trial(tmp_path)
    ship(sqlite_uri, tmp_path)
    (run,) = runs_of(sqlite_uri, tmp_path)
    client_of(sqlite_uri).delete_run(run.info.run_id)
    Path(f"{log.path}.shipped").unlink()
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    assert [run.info.lifecycle_stage for run in runs_of(sqlite_uri, tmp_path)] == ["deleted"]


def test_an_experiment_that_somebody_deleted_is_final_and_said_once(sqlite_uri: str, tmp_path: Path) -> None:
    start(trial_log(tmp_path), tmp_path)
    said: list[str] = []
    shipper = Shipper(study_of(tmp_path), target_of(sqlite_uri, tmp_path), warn=said.append)
    shipper.start()
    wait_for(lambda: Path(f"{trial_log(tmp_path).path}.shipped").exists())
    client = client_of(sqlite_uri)
    client.delete_experiment(client.get_experiment_by_name(tmp_path.name).experiment_id)
    for number in (7, 8, 9):
        log_whole_trial(tmp_path, number)
    report = shipper.close(20)
    assert report.num_events_left == 3 * 7
    assert "was deleted" in report.reason
    assert len(said) == 1
    assert tmp_path.name in said[0]
    assert len(runs_of(sqlite_uri, tmp_path)) == 1


def test_a_continued_run_is_the_same_run_and_runs_again(sqlite_uri: str, tmp_path: Path) -> None:
    log = trial_log(tmp_path)
    start(log, tmp_path)
    log.metrics(1, {"val_loss": 3.0})
    log.end("KILLED", name="trial 07 interrupted")
    ship(sqlite_uri, tmp_path)
    (interrupted,) = runs_of(sqlite_uri, tmp_path)
    assert (interrupted.info.status, interrupted.info.run_name) == ("KILLED", "trial 07 interrupted")
    start(log, tmp_path)
    log.metrics(2, {"val_loss": 2.0})
    ship(sqlite_uri, tmp_path)
    (running,) = runs_of(sqlite_uri, tmp_path)
    assert running.info.run_id == interrupted.info.run_id
    assert (running.info.status, running.info.run_name) == ("RUNNING", "trial 07")
    assert running.info.start_time == interrupted.info.start_time
    log.end("FINISHED")
    ship(sqlite_uri, tmp_path)
    (finished,) = runs_of(sqlite_uri, tmp_path)
    assert finished.info.status == "FINISHED"
    assert finished.info.end_time > interrupted.info.end_time
    assert [step for step, _, _ in curves_of(sqlite_uri, finished)["val_loss"]] == [1, 2]


def test_what_is_sent_is_on_the_disk(sqlite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave a file that is shorter than its bookmark says: new records would count as sent."""
    log = log_whole_trial(tmp_path)
    synced: dict[int, int] = {}
    sync = os.fsync

    def note(descriptor: int) -> None:
        synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    assert synced[log.path.stat().st_ino] == log.path.stat().st_size


def test_a_torn_last_line_waits_and_what_follows_it_lands(sqlite_uri: str, tmp_path: Path) -> None:
    log = trial_log(tmp_path)
    start(log, tmp_path)
    log.metrics(1, {"val_loss": 3.0})
    log.metrics(2, {"val_loss": 2.0})
    log.path.write_bytes(log.path.read_bytes()[:-9])
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    log.metrics(3, {"val_loss": 1.0})
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    (run,) = runs_of(sqlite_uri, tmp_path)
    assert [step for step, _, _ in curves_of(sqlite_uri, run)["val_loss"]] == [1, 3]


def test_what_the_server_refuses_is_named_and_costs_nothing_else(sqlite_uri: str, tmp_path: Path) -> None:
    log = trial_log(tmp_path)
    log.start("key", "trial 07", {}, {"lr": 0.001, "depth": 5})
    log.start("key", "trial 07", {"device": "cpu"}, {"lr": 0.002, "depth": 5, "window_ms": 64})
    log.metrics(1, {"val_loss": 3.0, "what?!": 1.0, "val_auc": 0.7})
    log.artifact(log.path.parent / "never-written.bin")
    log.end("FINISHED")
    said: list[str] = []
    report = ship(sqlite_uri, tmp_path, said)
    assert (report.num_events_left, report.num_refused) == (0, 3)
    param, metric, artifact = said
    assert "param lr" in param
    assert "metric what?!" in metric
    assert "never-written.bin: the file is gone" in artifact
    (run,) = runs_of(sqlite_uri, tmp_path)
    assert run.data.params == {"lr": "0.001", "depth": "5", "window_ms": "64"}
    assert run.data.tags["device"] == "cpu"
    assert run.data.metrics == {"val_loss": 3.0, "val_auc": 0.7}
    assert run.info.status == "FINISHED"


def test_nan_and_infinity_are_gaps_and_the_numbers_beside_them_stay(sqlite_uri: str, tmp_path: Path) -> None:
    log = trial_log(tmp_path)
    start(log, tmp_path)
    log.metrics(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5})
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    (run,) = runs_of(sqlite_uri, tmp_path)
    assert [math.isnan(run.data.metrics[key]) for key in "abc"] == [True] * 3
    assert run.data.metrics["d"] == 1.5


def test_an_artifact_that_cannot_be_stored_holds_up_nothing_and_arrives_when_it_can(
    sqlite_uri: str, tmp_path: Path
) -> None:
    store = tmp_path / "runs" / "mlartifacts"
    store.parent.mkdir()
    store.write_text("a file where a folder should be, as good as a full disk")
    log_whole_trial(tmp_path)
    start(trial_log(tmp_path, 8), tmp_path, 8)
    shipper = Shipper(study_of(tmp_path), target_of(sqlite_uri, tmp_path), warn=[].append)
    shipper.start()
    report = shipper.close(20, patience_seconds=0.5)
    assert report.num_events_left == 1
    assert "trial 07" in report.reason
    assert "weights.safetensors" in report.reason
    assert [run.info.status for run in runs_of(sqlite_uri, tmp_path)] == ["KILLED", "RUNNING"]
    store.unlink()
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    assert list(store.rglob("weights.safetensors"))


def test_one_stuck_event_holds_up_no_other_file_and_is_left_out_in_the_end(
    sqlite_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        choke = "BEFORE INSERT ON metrics WHEN NEW.key = 'poison' BEGIN SELECT RAISE(ABORT, 'choked'); END"
        database.execute(f"CREATE TRIGGER choke {choke}")
    stuck = trial_log(tmp_path)
    start(stuck, tmp_path)
    stuck.metrics(1, {"poison": 1.0})
    stuck.end("FINISHED")
    start(trial_log(tmp_path, 8), tmp_path, 8)
    shipper = Shipper(study_of(tmp_path), target_of(sqlite_uri, tmp_path), warn=[].append)
    shipper.start()
    report = shipper.close(20, patience_seconds=0.5)
    assert report.num_events_left == 2  # the metric, and what comes after it in the same file
    assert "trial 07" in report.reason
    assert [run.info.run_name for run in runs_of(sqlite_uri, tmp_path)] == ["trial 07", "trial 08"]
    monkeypatch.setattr(hpo.tracking.shipment, "_FAILURES_BEFORE_SKIPPING", 2)
    said: list[str] = []
    report = ship(sqlite_uri, tmp_path, said)
    assert (report.num_events_left, report.num_refused) == (0, 1)
    assert "metrics of step 1" in said[-1]
    assert [run.info.status for run in runs_of(sqlite_uri, tmp_path)] == ["FINISHED", "RUNNING"]


def test_a_study_that_only_workers_have_written_to_waits_for_its_start(sqlite_uri: str, tmp_path: Path) -> None:
    log = RunLog(study_of(tmp_path) / "events.jsonl")
    log.metrics(1, {"best_val_f1": 0.5})
    start(trial_log(tmp_path), tmp_path)
    said: list[str] = []
    assert ship(sqlite_uri, tmp_path, said) == NOTHING_LEFT
    assert len(runs_of(sqlite_uri, tmp_path)) == 1, "the trial alone"
    log.start(f"{tmp_path.name}-study", "study", {}, {})
    assert ship(sqlite_uri, tmp_path, said) == NOTHING_LEFT
    [study_run] = [run for run in runs_of(sqlite_uri, tmp_path) if run.info.run_name == "study"]
    assert study_run.data.metrics == {"best_val_f1": 0.5}
    assert said == []


def test_a_store_that_was_wiped_gets_everything_again(sqlite_uri: str, tmp_path: Path) -> None:
    log = log_whole_trial(tmp_path)
    ship(sqlite_uri, tmp_path)
    with sqlite3.connect(sqlite_uri.removeprefix("sqlite:///")) as connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs", "experiment_tags", "experiments"):
            connection.execute(f"delete from {table}")
    connection.close()
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    assert_landed_whole_and_once(sqlite_uri, tmp_path, log)


def test_a_file_that_another_process_ships_is_left_to_it(sqlite_uri: str, tmp_path: Path) -> None:
    log = log_whole_trial(tmp_path)
    with FileLock(f"{log.path}.lock"):
        shipper = Shipper(study_of(tmp_path), target_of(sqlite_uri, tmp_path), warn=[].append)
        shipper.start()
        assert shipper.close(0.3).num_events_left == 7
        assert runs_of(sqlite_uri, tmp_path) == []
    assert ship(sqlite_uri, tmp_path) == NOTHING_LEFT
    assert_landed_whole_and_once(sqlite_uri, tmp_path, log)


def test_passwords_stay_out_of_files_and_messages(tmp_path: Path) -> None:
    start(trial_log(tmp_path), tmp_path)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    target = target_of(f"http://me:secret@127.0.0.1:{port}", tmp_path)
    shipper = Shipper(study_of(tmp_path), target, warn=said.append)
    shipper.start()
    wait_for(lambda: bool(said))
    report = shipper.close(0.1)
    assert report.num_events_left == 1
    assert "secret" not in f"{said}{report}"


def test_importing_the_shipper_imports_no_mlflow() -> None:
    code = "import sys, hpo.tracking.shipper; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_server_that_comes_late_gets_all_of_it_once_and_training_never_waits(relay: Relay, tmp_path: Path) -> None:
    relay.cut()
    said: list[str] = []
    shipper = Shipper(study_of(tmp_path), target_of(relay.uri, tmp_path), warn=said.append)
    began = time.monotonic()
    shipper.start()
    log = log_whole_trial(tmp_path)
    shipper.poke()
    assert time.monotonic() - began < 0.5
    wait_for(lambda: bool(said))
    assert "cannot be used (no connection; is it running?)" in said[0]
    relay.restore()
    assert shipper.close(20) == NOTHING_LEFT
    assert_landed_whole_and_once(relay.uri, tmp_path, log)
    assert [line.split()[-1] for line in said] == ["can.", "again."]


def test_a_trial_s_run_has_its_note_and_what_people_make_of_either_note_or_view_stays(
    sqlite_uri: str, tmp_path: Path
) -> None:
    target = replace(target_of(sqlite_uri, tmp_path), run_note="It is {number}.", tags={"view": "ours"})
    opened: list[str] = []

    def ship_again() -> dict[Path, str]:
        shipper = Shipper(study_of(tmp_path), target, warn=pytest.fail, opened=opened.append)
        shipper.start()
        assert shipper.close(20) == NOTHING_LEFT
        assert shipper.experiment_id == opened[-1]
        return shipper.run_ids()

    log = log_whole_trial(tmp_path)
    RunLog(study_of(tmp_path) / "events.jsonl").start("the-study", "study", {"optuna.study": "x"}, {})
    known = ship_again()
    of_study, of_trial = sorted(runs_of(sqlite_uri, tmp_path), key=lambda run: str(run.info.run_name))
    assert known == {log.path.parent: of_trial.info.run_id, study_of(tmp_path): of_study.info.run_id}
    assert of_trial.data.tags["mlflow.note.content"] == "It is 7."
    assert "mlflow.note.content" not in of_study.data.tags
    client = client_of(sqlite_uri)
    assert client.get_experiment(opened[0]).tags["view"] == "ours"
    client.set_tag(of_trial.info.run_id, "mlflow.note.content", "mine")
    client.set_experiment_tag(opened[0], "view", "mine")
    start(log, tmp_path)
    assert ship_again() == known
    assert client.get_run(of_trial.info.run_id).data.tags["mlflow.note.content"] == "mine"
    assert client.get_experiment(opened[0]).tags["view"] == "mine"


def test_make_ui_names_the_studies_that_a_server_has_and_says_where_it_cannot(relay: Relay, tmp_path: Path) -> None:
    experiment = MlflowExperiment(replace(target_of(relay.uri, tmp_path), tags=saved_view([])))
    assert f"  {tmp_path.name}: {charts_link(relay.uri, experiment.experiment_id)}" in curves(relay.uri)
    relay.cut()
    (said,) = curves(relay.uri)
    assert "cannot say" in said


def test_an_experiment_says_what_it_is(relay: Relay, tmp_path: Path) -> None:
    assert ship(relay.uri, tmp_path) == NOTHING_LEFT
    tags = client_of(relay.uri).get_experiment_by_name(tmp_path.name).tags
    assert tags == {"mlflow.experimentKind": "custom_model_development", "mlflow.note.content": "Why *this*."}


def test_shipping_again_adds_nothing(relay: Relay, tmp_path: Path) -> None:
    log = log_whole_trial(tmp_path)
    assert ship(relay.uri, tmp_path) == NOTHING_LEFT
    before = everything_of(relay.uri, tmp_path)
    Path(f"{log.path}.shipped").unlink()
    assert ship(relay.uri, tmp_path) == NOTHING_LEFT
    assert everything_of(relay.uri, tmp_path) == before
    assert_landed_whole_and_once(relay.uri, tmp_path, log)


@pytest.mark.parametrize("call", [b"runs/create", b"runs/log-batch", b"runs/update", b"PUT /api/2.0/mlflow-artifacts"])
def test_a_reply_that_is_lost_costs_nothing_and_doubles_nothing(relay: Relay, tmp_path: Path, call: bytes) -> None:
    log = log_whole_trial(tmp_path)
    relay.lose_reply_to = call
    said: list[str] = []
    assert ship(relay.uri, tmp_path, said) == NOTHING_LEFT
    assert relay.lose_reply_to is None, "no such call was made"
    assert said == []
    assert_landed_whole_and_once(relay.uri, tmp_path, log)


def test_a_server_that_dies_in_mid_way_gets_the_rest_from_the_next_shipper(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hpo.tracking.shipment, "_FAILURES_BEFORE_SKIPPING", 2)  # an outage is not the event's fault
    log = trial_log(tmp_path)
    start(log, tmp_path)
    said: list[str] = []
    shipper = Shipper(study_of(tmp_path), target_of(relay.uri, tmp_path), warn=said.append)
    shipper.start()
    wait_for(lambda: Path(f"{log.path}.shipped").exists())
    relay.cut()
    log_whole_trial(tmp_path)
    report = shipper.close(1.5)
    assert (report.num_events_left, report.num_refused) == (7, 0)
    assert "no connection" in report.reason
    relay.restore()
    assert ship(relay.uri, tmp_path) == NOTHING_LEFT
    (run,) = runs_of(relay.uri, tmp_path)
    assert len(curves_of(relay.uri, run)["val_loss"]) == 3
    assert run.info.status == "KILLED"
    assert len(said) == 1


def limited(retry_after: str) -> bytes:
    lines = ["HTTP/1.1 429 Too Many Requests", f"Retry-After: {retry_after}", "Content-Length: 0", "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


def in_seconds(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.slow
def test_a_server_that_says_when_to_call_again_is_called_then_and_not_before(relay: Relay, tmp_path: Path) -> None:
    """In seconds, and as a date of whole seconds. The shipper's own pauses would be half a second and one second."""
    log = log_whole_trial(tmp_path)
    relay.refusals = [limited("2"), limited(in_seconds(5)), limited("1")]
    said: list[str] = []
    shipper = Shipper(study_of(tmp_path), target_of(relay.uri, tmp_path), warn=said.append)
    shipper.start()
    wait_for(lambda: len(relay.refused_at) == 1)
    assert shipper.close(30, patience_seconds=0.5) == NOTHING_LEFT, "closing waits, too, while it has the time"
    first, second, third = relay.refused_at
    assert 2 <= second - first <= 2.6
    assert 4 <= third - first <= 5.6
    assert_landed_whole_and_once(relay.uri, tmp_path, log)
    assert "it answers 429; it takes no more calls for now" in said[0]


def test_closing_does_not_wait_for_a_server_that_asks_for_more_time_than_is_left(relay: Relay, tmp_path: Path) -> None:
    log = log_whole_trial(tmp_path)
    relay.refusals = [limited("60")] * 2
    shipper = Shipper(study_of(tmp_path), target_of(relay.uri, tmp_path), warn=[].append)
    shipper.start()
    wait_for(lambda: len(relay.refused_at) == 1)
    began = time.monotonic()
    report = shipper.close(5)
    assert time.monotonic() - began < 1
    assert report.num_events_left == 7
    assert "429" in report.reason
    assert len(relay.refused_at) == 1, "it was not called again"
    relay.refusals = []
    assert ship(relay.uri, tmp_path) == NOTHING_LEFT
    assert_landed_whole_and_once(relay.uri, tmp_path, log)


@pytest.mark.parametrize("header", ["0", "soon", "-3"])
def test_a_server_that_asks_for_nothing_sensible_gets_the_usual_pauses(
    relay: Relay, tmp_path: Path, header: str
) -> None:
    log = log_whole_trial(tmp_path)
    relay.refusals = [limited(header)] * 2
    shipper = Shipper(study_of(tmp_path), target_of(relay.uri, tmp_path), warn=[].append)
    shipper.start()
    wait_for(lambda: len(relay.refused_at) == 2)
    assert relay.refused_at[1] - relay.refused_at[0] >= 0.5
    assert shipper.close(20) == NOTHING_LEFT
    assert_landed_whole_and_once(relay.uri, tmp_path, log)
