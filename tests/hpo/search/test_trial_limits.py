"""--trial-timeout and --keep-going: how one trial ends, and what its records say."""

import errno
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from optuna.trial import TrialState

import hpo.search.stopping
from core.data.data_config import DataConfig
from core.data.dataset import Dataset, prepare_dataset
from core.errors import UserError
from core.experiment import EpochResult
from core.sources import open_source
from core.thread_pool import ThreadPool
from hpo.results.finalists import open_finalists
from hpo.search.data_by_rate import Datasets
from hpo.search.server_storage import LeaseLost
from hpo.search.stopping import Stops
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.study_spec import StudySpec
from hpo.search.study_tables import FinalistsConfig
from hpo.search.trial_context import TrialContext, TrialEnd
from hpo.search.trial_record import STOPPED, trial_records
from hpo.search.work import work_on
from hpo.tracking.run_log import EVENTS_FILE_NAME, Ended, read_events

STEPS = 4
"""Batches of an epoch."""


class Listener:
    """Raises an error after the first epoch of trial 1."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    def epoch(self, number: int, _result: EpochResult) -> None:
        if number == 1 and self._error is not None:
            raise self._error


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    spec = load_study_file(Path(__file__).resolve().parents[2] / "data/tiny.toml")
    return replace(spec, finalists=FinalistsConfig(count=1, new_seeds=1))


@pytest.fixture(scope="module")
def dataset(spec: StudySpec) -> Dataset:
    options = {key: value for key, value in spec.data.items() if key != "source"}
    config = DataConfig(sample_rate_hz=4000, clips=spec.clips, split=spec.split)
    return prepare_dataset(open_source("simulated", options=options), config)


@pytest.fixture
def search(spec: StudySpec, tmp_path: Path) -> OpenStudy:
    storage = StudyStorage(str(tmp_path / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=tmp_path / "tiny")


def work(
    search: OpenStudy, dataset: Dataset, total: int, *, error: BaseException | None = None, minutes: float | None = None
) -> list[TrialEnd]:
    context = TrialContext(
        datasets=Datasets(lambda _: dataset, [4000]),
        device=torch.device("cpu"),
        pool=ThreadPool(1),
        tags={},
        progress=Listener(error),
        say=lambda _: None,
        stops=Stops(trial_minutes=minutes),
        keep_going=True,
    )
    return list(work_on(search, total, context, wait_for_others=False))


def slow_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read at the start of a trial and after each batch: a minute passes every time."""
    minutes = iter(range(10**6))
    clock = SimpleNamespace(monotonic=lambda: 60.0 * next(minutes), time=lambda: 0.0)
    monkeypatch.setattr(hpo.search.stopping, "time", clock)


def last_of(search: OpenStudy, number: int) -> Ended:
    ended = read_events(search.trial_directory(number) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    return ended


def test_a_trial_that_takes_too_long_is_pruned_and_says_why(
    search: OpenStudy, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_batches(monkeypatch)
    ends = work(search, dataset, 2, minutes=STEPS + 2)
    reason = f"--trial-timeout of {STEPS + 2} min after epoch 1"
    assert [(end.state, end.stopped) for end in ends] == [(TrialState.PRUNED, reason)] * 2
    for trial in search.study.trials:
        assert trial.user_attrs[STOPPED] == reason
        assert list(trial.intermediate_values) == [1]
        ended = last_of(search, trial.number)
        assert (ended.status, ended.tags[STOPPED], ended.tags["optuna.state"]) == ("KILLED", reason, "PRUNED")
    assert (search.trial_directory(0) / "checkpoint.safetensors").exists()


def test_a_trial_that_takes_too_long_for_one_epoch_fails_and_says_why(
    search: OpenStudy, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_batches(monkeypatch)
    (end,) = work(search, dataset, 1, minutes=2)
    reason = "--trial-timeout of 2 min before an epoch was judged"
    assert (end.state, end.failure) == (TrialState.FAIL, reason)
    assert trial_records(search.study)[0].failure == reason
    assert last_of(search, 0).tags["failure"] == reason


def test_a_finalist_that_takes_too_long_fails_because_the_mean_needs_whole_trainings(
    search: OpenStudy, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(search, dataset, 1)
    companion = open_finalists(search)
    assert companion is not None
    slow_batches(monkeypatch)
    (end,) = work(companion, dataset, 1, minutes=STEPS + 2)
    assert (end.state, end.failure) == (TrialState.FAIL, f"--trial-timeout of {STEPS + 2} min after epoch 1")
    assert companion.num_failed() == 1


def test_an_unexpected_error_is_printed_and_fails_one_trial(
    search: OpenStudy, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = work(search, dataset, 3, error=ZeroDivisionError("by\nzero"))
    assert [end.state is TrialState.FAIL for end in ends] == [False, True, False]
    assert ends[1].failure == trial_records(search.study)[1].failure == "ZeroDivisionError: by"
    assert (last_of(search, 1).status, last_of(search, 1).tags["failure"]) == ("FAILED", "ZeroDivisionError: by")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [UserError("a mistake"), OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()], ids=repr
)
def test_what_concerns_every_trial_ends_the_command(search: OpenStudy, dataset: Dataset, error: BaseException) -> None:
    with pytest.raises(type(error)):
        work(search, dataset, 3, error=error)
    assert [trial.state for trial in search.study.trials][1:] == [TrialState.WAITING]


def test_a_trial_that_was_lost_is_left_between_two_batches() -> None:
    def check_owner() -> None:
        raise LeaseLost

    stops, batches = Stops(), []

    def train() -> None:
        while True:
            with stops:
                batches.append("whole")

    stops.begin_trial(check_owner)
    with pytest.raises(LeaseLost):
        train()
    assert batches == ["whole"]
