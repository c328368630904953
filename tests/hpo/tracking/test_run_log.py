"""The event file of one run: what is written is read back, however its writer ended."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.tracking.run_log import Attached, Ended, Measured, RunLog, Started, Tagged, metrics_by_step, read_events


def a_full_log(path: Path) -> RunLog:
    log = RunLog(path)
    params = {"learning_rate": 1e-3, "dilation_depth": 5, "score": "bits"}
    log.start("toy-1f0e-0007", "trial 07", {"optuna.trial": "7"}, params)
    log.metrics(1, {"val_loss": 3.5, "val_auc": 0.75})
    log.tags({"device": "cpu"})
    log.artifact(path.parent / "model" / "weights.safetensors", "model")
    log.end("KILLED", name="trial 07 pruned", tags={"optuna.state": "PRUNED"})
    return log


def test_every_kind_of_event_is_read_back(tmp_path: Path) -> None:
    before_ms = time.time_ns() // 1_000_000
    events = read_events(a_full_log(tmp_path / "events.jsonl").path)
    after_ms = time.time_ns() // 1_000_000
    started, measured, tagged, attached, ended = events
    assert isinstance(started, Started)
    assert (started.run_key, started.name, started.tags) == ("toy-1f0e-0007", "trial 07", {"optuna.trial": "7"})
    assert started.params == {"learning_rate": 1e-3, "dilation_depth": 5, "score": "bits"}
    assert isinstance(measured, Measured)
    assert (measured.step, measured.values) == (1, {"val_loss": 3.5, "val_auc": 0.75})
    assert isinstance(tagged, Tagged)
    assert tagged.values == {"device": "cpu"}
    assert isinstance(attached, Attached)
    assert (attached.path, attached.folder) == ("model/weights.safetensors", "model")
    assert isinstance(ended, Ended)
    assert (ended.status, ended.name, ended.tags) == ("KILLED", "trial 07 pruned", {"optuna.state": "PRUNED"})
    assert all(before_ms <= event.time_ms <= after_ms for event in events)


def test_nan_and_infinity_come_back_and_the_file_stays_json(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "events.jsonl")
    log.metrics(1, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1})

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(log.path.read_text(), parse_constant=refuse)
    (curve,) = metrics_by_step(log.path)
    assert math.isnan(curve["a"])
    assert (curve["b"], curve["c"], curve["d"]) == (math.inf, -math.inf, 0.1)


@pytest.mark.parametrize("torn_bytes", [2, 10, 40])
def test_a_line_torn_by_a_kill_costs_itself_alone(tmp_path: Path, torn_bytes: int) -> None:
    log = a_full_log(tmp_path / "events.jsonl")
    whole = read_events(log.path)
    log.path.write_bytes(log.path.read_bytes()[:-torn_bytes])
    assert read_events(log.path) == whole[:-1]
    log.metrics(2, {"val_loss": 3.0})
    *kept, added = read_events(log.path)
    assert kept == whole[:-1]
    assert isinstance(added, Measured)
    assert added.step == 2


def test_a_line_that_lost_its_end_alone_is_an_event_once_the_next_is_written(tmp_path: Path) -> None:
    log = a_full_log(tmp_path / "events.jsonl")
    whole = read_events(log.path)
    log.path.write_bytes(log.path.read_bytes()[:-1])
    assert read_events(log.path) == whole[:-1]
    log.metrics(2, {"val_loss": 3.0})
    assert read_events(log.path)[:-1] == whole


def test_a_metric_that_is_logged_twice_at_a_step_keeps_its_first_value(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "events.jsonl")
    log.metrics(1, {"val_loss": 5.0, "val_auc": 0.5})
    log.metrics(2, {"val_loss": 4.0})
    log.metrics(1, {"val_loss": 4.5})
    assert metrics_by_step(log.path) == [
        {"epoch": 1, "val_loss": 5.0, "val_auc": 0.5},
        {"epoch": 2, "val_loss": 4.0},
    ]


def test_no_file_is_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "events.jsonl") == []
    assert metrics_by_step(tmp_path / "events.jsonl") == []


WRITE_500_LINES = """
import sys
from pathlib import Path
from hpo.tracking.run_log import RunLog

log = RunLog(Path(sys.argv[1]))
for step in range(500):
    log.metrics(step, {f"writer_{sys.argv[2]}": float(step)})
"""


def test_lines_of_two_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", WRITE_500_LINES, str(path)]
    writers = [subprocess.Popen([*command, str(number)], cwd=root) for number in range(2)]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    assert len(read_events(path)) == 1000
    assert metrics_by_step(path) == [{"epoch": n, "writer_0": float(n), "writer_1": float(n)} for n in range(500)]


def test_an_artifact_is_found_from_the_log_wherever_the_study_is_moved(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "study" / "trials" / "0007" / "events.jsonl")
    log.artifact(tmp_path / "study" / "report.html")
    (event,) = read_events(log.path)
    assert isinstance(event, Attached)
    assert event.path == "../../report.html"


def test_an_epoch_costs_the_training_next_to_nothing(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "events.jsonl")
    values = {f"metric_{number}": number / 7 for number in range(10)}
    seconds = []
    for step in range(200):
        began = time.perf_counter()
        log.metrics(step, values)
        seconds.append(time.perf_counter() - began)
    assert sorted(seconds)[100] < 1e-3  # about 15 microseconds on an idle machine


def test_the_end_of_a_run_is_on_the_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lines before it, and the names of the file and of its folder: a power cut that follows loses nothing."""
    synced: list[tuple[int, int]] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        stat = os.fstat(descriptor)
        synced.append((stat.st_ino, stat.st_size))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    log = RunLog(tmp_path / "0007" / "events.jsonl")
    log.start("key", "trial 07", {}, {})
    log.metrics(1, {"val_auc": 0.5})
    assert synced == [], "training does not wait for the disk"
    log.end("FINISHED")
    file = log.path.stat()
    assert synced[0] == (file.st_ino, file.st_size)
    assert {inode for inode, _ in synced[1:]} == {log.path.parent.stat().st_ino, tmp_path.stat().st_ino}
