"""A trial whose run another machine has replaced: the run with the highest number counts, in any order of sending."""

from pathlib import Path
from typing import Any

import pytest

from hpo.tracking.errors import RunReplaced
from hpo.tracking.mlflow import RUN_KEY_TAG, MlflowExperiment
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.run_key import numbered_run_key, split_run_key
from hpo.tracking.run_log import RunLog, Started, last_run_key, metrics_by_step, read_events
from hpo.tracking.shipper import Shipper
from hpo.tracking.target import TrackingTarget, tracking_target


@pytest.fixture
def target(laid_out_store: Path, tmp_path: Path) -> TrackingTarget:
    store = tmp_path / "mlflow.db"
    store.write_bytes(laid_out_store.read_bytes())
    return tracking_target(f"sqlite:///{store}", experiment="replaced", runs_directory=tmp_path)


class Machine:
    """A folder with the events of trial 7 and of trial 70."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = RunLog(folder / "trials/0007/events.jsonl")

    def works(self, number: int, *, epochs: int, ends: bool = False) -> None:
        self.log.start(numbered_run_key("uid/7", number), "trial 07", {"optuna.trial": "7"}, {"lr": 0.1})
        for epoch in range(1, epochs + 1):
            self.log.metrics(epoch, {"val_auc": number + epoch / 10})
        if ends:
            self.log.end("FINISHED", name="trial 07")

    def ships(self, target: TrackingTarget) -> list[str]:
        """What it said."""
        said: list[str] = []
        shipper = Shipper(self.folder, target, warn=said.append)
        shipper.start()
        assert shipper.close(20).num_events_left == 0
        return said


def runs_of(target: TrackingTarget) -> list[tuple[str, str, str, dict[int, float]]]:
    """Key, stage, status and points of every run, by key."""
    client = open_client(target.uri)
    experiment = client.get_experiment_by_name(target.experiment)
    assert experiment is not None
    found: list[Any] = list(client.search_runs([experiment.experiment_id], run_view_type=3))
    return sorted(
        (
            run.data.tags[RUN_KEY_TAG],
            run.info.lifecycle_stage,
            run.info.status,
            {point.step: point.value for point in client.get_metric_history(run.info.run_id, "val_auc")},
        )
        for run in found
    )


REPLACED_BY_TWO = ("uid/7/2", "active", "FINISHED", {1: 2.1, 2: 2.2})


def test_a_key_is_read_back_and_other_keys_have_no_number() -> None:
    for number in (1, 2, 12):
        assert split_run_key(numbered_run_key("uid/7", number)) == ("uid/7", number)
    for key in ("uid/study", "uid/7", "uid/single/20261125-080000-ab12", "uid-finalists/3"):
        assert split_run_key(key) == (key, 1)


def test_a_second_run_replaces_the_first_and_another_trial_s_run_stays(target: TrackingTarget, tmp_path: Path) -> None:
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    seventy = RunLog(first.folder / "trials/0070/events.jsonl")
    seventy.start("uid/70", "trial 70", {"optuna.trial": "70"}, {})
    first.works(1, epochs=3)
    first.ships(target)
    second.works(2, epochs=2, ends=True)
    second.ships(target)
    one, two, other = runs_of(target)
    assert one[:2] == ("uid/7", "deleted")
    assert two == REPLACED_BY_TWO
    assert other[:3] == ("uid/70", "active", "RUNNING")


@pytest.mark.parametrize("num_sent", ["nothing", "its first epochs"])
def test_late_records_of_a_replaced_run_change_nothing_and_are_not_said(
    target: TrackingTarget, tmp_path: Path, num_sent: str
) -> None:
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    first.works(1, epochs=1)
    if num_sent != "nothing":
        first.ships(target)
    second.works(2, epochs=2, ends=True)
    second.ships(target)
    before = runs_of(target)
    first.works(1, epochs=5)
    assert first.ships(target) == []
    assert runs_of(target) == before
    assert [run for run in runs_of(target) if run[1] == "active"] == [REPLACED_BY_TWO]


def test_a_machine_that_takes_its_trial_back_starts_a_third_run(target: TrackingTarget, tmp_path: Path) -> None:
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    first.works(1, epochs=2)
    first.ships(target)
    second.works(2, epochs=1)
    second.ships(target)
    first.works(3, epochs=4, ends=True)
    assert last_run_key(first.log.path) == "uid/7/3"
    assert [row["val_auc"] for row in metrics_by_step(first.log.path)] == [3.1, 3.2, 3.3, 3.4]
    first.ships(target)
    second.works(2, epochs=3)
    second.ships(target)
    alive = [run for run in runs_of(target) if run[1] == "active"]
    assert alive == [("uid/7/3", "active", "FINISHED", {1: 3.1, 2: 3.2, 3: 3.3, 4: 3.4})]


def test_a_run_that_resumes_keeps_its_events(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.log.metrics(0, {"best": 1.0})  # of a worker, before the run starts
    machine.works(1, epochs=2)
    machine.works(1, epochs=3)
    assert [row["epoch"] for row in metrics_by_step(machine.log.path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("mine", [1, 2])
def test_of_two_machines_that_create_runs_at_once_the_higher_number_stays(
    target: TrackingTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: int
) -> None:
    """The other machine creates its run between this one's search and its creation."""
    starts: dict[int, Started] = {}
    for number in (1, 2):
        machine = Machine(tmp_path / str(number))
        machine.works(number, epochs=0)
        (start,) = read_events(machine.log.path)
        assert isinstance(start, Started)
        starts[number] = start
    experiment, other = MlflowExperiment(target), MlflowExperiment(target)
    create = MlflowExperiment._create_run

    def create_after_the_other(self: MlflowExperiment, started: Started) -> None:
        if self is experiment:
            create(other, starts[3 - mine])
        create(self, started)

    monkeypatch.setattr(MlflowExperiment, "_create_run", create_after_the_other)
    if mine == 1:
        with pytest.raises(RunReplaced):
            experiment.find_or_create_run(starts[1])
    else:
        experiment.find_or_create_run(starts[2])
    assert [run[0] for run in runs_of(target) if run[1] == "active"] == ["uid/7/2"]


@pytest.mark.parametrize("is_done", [False, True])
def test_of_two_machines_that_create_the_same_run_at_once_one_stays(
    target: TrackingTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    """One repairs the run of the other, which is paused between its search and its creation, and comes back."""
    machine = Machine(tmp_path / "one")
    machine.works(1, epochs=2, ends=True)
    start, *events = read_events(machine.log.path)
    assert isinstance(start, Started)
    repairs = MlflowExperiment(target)
    create = MlflowExperiment._create_run

    def create_after_the_other(self: MlflowExperiment, started: Started) -> None:
        if self is not repairs:
            run_id = repairs.find_or_create_run(started)
            for event in (start, *events) if is_done else ():
                repairs.send(run_id, [event], tmp_path)
        create(self, started)

    monkeypatch.setattr(MlflowExperiment, "_create_run", create_after_the_other)
    assert machine.ships(target) == []
    active = [run for run in runs_of(target) if run[1] == "active"]
    assert active == [("uid/7", "active", "FINISHED", {1: 1.1, 2: 1.2})]


def test_a_run_whose_double_was_kept_in_its_place_is_sent_to_that_from_the_start(
    target: TrackingTarget, tmp_path: Path
) -> None:
    """Another machine made a second run of the number, saw both, and deleted this machine's."""
    machine = Machine(tmp_path / "one")
    machine.works(1, epochs=1)
    machine.ships(target)
    client, experiment = open_client(target.uri), MlflowExperiment(target)
    (own,) = client.search_runs([experiment.experiment_id])
    start = next(event for event in read_events(machine.log.path) if isinstance(event, Started))
    experiment._create_run(start)
    experiment.delete_replaced([own])
    machine.log.metrics(2, {"val_auc": 1.2})
    artifact = machine.log.path.parent / "checkpoint"
    artifact.touch()
    machine.log.artifact(artifact)
    machine.log.end("FINISHED", name="trial 07")
    assert machine.ships(target) == []
    active = [run for run in runs_of(target) if run[1] == "active"]
    assert active == [("uid/7", "active", "FINISHED", {1: 1.1, 2: 1.2})]
    (kept,) = client.search_runs([experiment.experiment_id])
    assert [each.path for each in client.list_artifacts(kept.info.run_id)] == ["checkpoint"]
