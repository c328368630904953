"""A process that lost its trial to another machine, on a real PostgreSQL server: it writes nothing more to it.

Two machines are two folders here, and a pause is a heartbeat that is set back.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import TrialState
from sqlalchemy import text

from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.experiment import EpochResult
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.results.audit import Auditor
from hpo.search import lease
from hpo.search.data_by_rate import Datasets
from hpo.search.lease import TrialLease, give_back_the_dead
from hpo.search.server_storage import LEASE, LeaseLost
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.trial_record import RUN
from hpo.search.work import work_on
from hpo.tracking.mlflow_client import open_client
from hpo.tracking.shipper import Shipper
from hpo.tracking.stored_runs import StoredRuns
from hpo.tracking.target import tracking_target
from tests.postgresql_server import PostgresqlServer, database, needs_postgresql, own_postgresql

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, needs_postgresql]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with own_postgresql() as server:
        yield server


@pytest.fixture
def url(server: PostgresqlServer, request: pytest.FixtureRequest) -> str:
    name = "".join(character for character in request.node.name.lower() if character.isalnum())
    return database(server.url, name[-50:])


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    return load_study_file(ROOT / "tests/data/tiny.toml")


@pytest.fixture(scope="module")
def dataset(spec: StudySpec) -> Dataset:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    config = DataConfig(sample_rate_hz=4000, clips=spec.clips, split=spec.split)
    dataset: Dataset = prepare_dataset(open_source("simulated", options=options), config)
    return dataset


def machine(url: str, folder: Path, spec: StudySpec) -> OpenStudy:
    return open_study("tiny", spec, data_fingerprint="f00", storage=StudyStorage(url), directory=folder / "runs/tiny")


def claimed(search: OpenStudy, total: int = 5) -> tuple[optuna.Trial, TrialLease]:
    claim = search.claim_trial(total)
    assert claim is not None
    return claim


def make_stale(search: OpenStudy) -> None:
    """As if no owner had sent a heartbeat for an hour."""
    backend: Any = search.storage.backend
    with backend.engine.begin() as connection:
        connection.execute(text("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'"))


WRITES: dict[str, Callable[[OpenStudy, optuna.Trial], object]] = {
    "report": lambda _, trial: trial.report(0.5, 1),
    "attribute": lambda _, trial: trial.set_user_attr("facts", {"val_f1": 0.0}),
    "parameter": lambda search, trial: search.storage.backend.set_trial_param(
        trial._trial_id, "another", 300.0, search.space.distributions["window_ms"]
    ),
    "tell": lambda search, trial: search.tell(trial, 0.5, TrialState.COMPLETE),
    "give back": lambda search, trial: search.give_back(trial),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("new_owner", ["none yet", "works", "has ended"])
def test_who_lost_a_trial_writes_nothing_to_it(
    url: str, spec: StudySpec, tmp_path: Path, write: str, new_owner: str
) -> None:
    first, second = (machine(url, tmp_path / name, spec) for name in ("first", "second"))
    trial, held = claimed(first)
    make_stale(first)
    if new_owner == "none yet":
        (dead,) = give_back_the_dead(second.storage, second.study, second.trials_directory)
        assert dead.number == trial.number
    else:
        again, _ = claimed(second)
        assert again.number == trial.number
        if new_owner == "has ended":
            second.study.tell(again, 0.75)
    before = second.storage.backend.get_trial(trial._trial_id)
    with suppress(LeaseLost) if (write, new_owner) == ("give back", "has ended") else pytest.raises(LeaseLost):
        WRITES[write](first, trial)
    assert second.storage.backend.get_trial(trial._trial_id) == before
    held.release()


def test_check_and_write_are_one_transaction(url: str, spec: StudySpec, tmp_path: Path) -> None:
    """A takeover waits for a write that has passed its check."""
    first, second = (machine(url, tmp_path / name, spec) for name in ("first", "second"))
    trial, _ = claimed(first)
    backend: Any = first.storage.backend
    backend.check_owner(trial._trial_id)
    taken = threading.Thread(
        target=lambda: second.storage.backend.set_trial_user_attr(trial._trial_id, LEASE, "another"), daemon=True
    )
    taken.start()
    taken.join(0.5)
    assert taken.is_alive(), "the token is locked"
    trial.report(0.5, 1)  # ends the transaction
    taken.join(10)
    assert not taken.is_alive()
    with pytest.raises(LeaseLost):
        trial.report(0.5, 2)
    assert second.study.trials[0].intermediate_values == {1: 0.5}


def test_who_lost_a_trial_sends_no_heartbeat_for_it(
    url: str, spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    first, second = (machine(url, tmp_path / name, spec) for name in ("first", "second"))
    _, held = claimed(first)
    backend: Any = first.storage.backend
    held.check()
    second.storage.backend.set_trial_user_attr(1, LEASE, "another")
    time.sleep(0.5)
    make_stale(first)
    time.sleep(0.5)
    assert backend._get_stale_trial_ids(first.study._study_id) == [1]
    with pytest.raises(LeaseLost):
        held.check()


class TakenOver:
    """Another machine takes trial 0 over and ends it, while the first one pauses in the middle."""

    def __init__(self, first: OpenStudy, second: OpenStudy, dataset: Dataset) -> None:
        self._first, self._second, self._dataset = first, second, dataset
        self.host = "old"
        self.said: list[str] = []
        self.ends: list[TrialEnd] = []

    def epoch(self, number: int, result: EpochResult) -> None:
        if number == 0 and result.epoch == 1 and not self.ends:
            make_stale(self._first)
            self.host = "new"
            others = work_on(self._second, 3, context_of(self._dataset, Silent(), self.said), wait_for_others=False)
            self.ends.append(next(others))
            self.host = "old"


class Silent:
    def epoch(self, number: int, result: EpochResult) -> None: ...


def context_of(dataset: Dataset, progress: Any, said: list[str]) -> TrialContext:
    return TrialContext(
        datasets=Datasets(lambda _: dataset, [4000]),
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        tags={},
        progress=progress,
        say=said.append,
    )


def ship(search: OpenStudy, folder: Path, uri: str) -> None:
    target = tracking_target(uri, experiment=search.experiment, runs_directory=folder)
    shipper = Shipper(search.directory, target, warn=print)
    shipper.start()
    assert shipper.close(60).num_events_left == 0


@pytest.mark.parametrize("order", ["the old owner ships first", "the new owner ships first"])
def test_a_trial_that_was_taken_over_in_the_middle_is_once_in_both_stores(
    url: str, spec: StudySpec, dataset: Dataset, tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (machine(url, tmp_path / name, spec) for name in ("first", "second"))
    uri, said = f"sqlite:///{tmp_path}/mlflow.db", list[str]()
    taken = TakenOver(first, second, dataset)
    monkeypatch.setattr(socket, "gethostname", lambda: taken.host)
    ends = list(work_on(first, 3, context_of(dataset, taken, said), wait_for_others=False))
    assert [end.number for end in ends] == [1, 2], "the old owner takes other trials"
    assert said == ["Trial 00 went to another process while this one was away. It takes another trial."]
    assert taken.said == ["Trial 00 was begun on old. With the files that are here it starts again at epoch 1."]
    assert taken.ends[0].state is TrialState.COMPLETE
    assert second.study.trials[0].user_attrs[RUN] == 2

    machines = [(first, tmp_path / "first"), (second, tmp_path / "second")]
    for search, folder in machines if order.startswith("the old") else reversed(machines):
        ship(search, folder, uri)
    client = open_client(uri)
    experiment = client.get_experiment_by_name(first.experiment)
    assert experiment is not None
    audit = Auditor(StoredRuns(client, experiment.experiment_id), first.study, None).audit()
    assert (audit.num_trials, audit.num_runs, list(audit.findings)) == (3, 3, [])
