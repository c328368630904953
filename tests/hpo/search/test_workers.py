"""A worker that dies is replaced while the study runs, and said at once; an end that was asked for is final."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

import hpo.search.workers
from hpo.search.lease import MAX_DEATHS
from hpo.search.workers import MAX_QUICK_DEATHS, Workers, death_words
from tests.hpo.studies import load

PYTHON = sys.executable
SLEEP = [PYTHON, "-c", "import time; time.sleep(60)"]


def pids_of(workers: Workers) -> list[int]:
    return [worker.process.pid for worker in workers._workers]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_killed_worker_is_replaced_within_a_second_and_said_in_one_line() -> None:
    said: list[str] = []
    with Workers(2, SLEEP, say=said.append) as workers:
        first, second = (worker.process for worker in workers._workers)
        second.kill()
        began = time.monotonic()
        wait_for(lambda: len(said) == 1)
        assert time.monotonic() - began < 1
        line = "warning: Worker 3 was killed by signal 9 (SIGKILL; out of memory?). A new one takes its place."
        assert said == [line]
        assert workers.num_alive == 2
        assert first.pid in pids_of(workers)
        assert second.pid not in pids_of(workers)
        workers.terminate()
    assert workers.num_alive == 0, "the new one is ended, too"
    assert said == [line]


@pytest.mark.parametrize("code", [0, 2, 130])
def test_a_worker_that_has_said_why_it_ends_is_not_replaced(code: int) -> None:
    said: list[str] = []
    with Workers(1, [PYTHON, "-c", f"raise SystemExit({code})"], say=said.append) as workers:
        pids = pids_of(workers)
        wait_for(lambda: workers._workers[0].is_over)
        assert pids_of(workers) == pids
    assert said == []


def test_a_worker_that_dies_at_every_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.search.workers, "SECONDS_BETWEEN_LOOKS", 0.01)
    said: list[str] = []
    with Workers(1, [PYTHON, "-S", "-c", "raise SystemExit(1)"], say=said.append) as workers:
        wait_for(lambda: workers._workers[0].is_over)
    assert len(said) == MAX_QUICK_DEATHS
    assert set(said[:-1]) == {"warning: Worker 2 ended with exit code 1. A new one takes its place."}
    assert said[-1].endswith("6 times in a row soon after its start and is not replaced.")


def test_deaths_that_are_far_between_are_not_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.search.workers, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(hpo.search.workers, "QUICK_SECONDS", 0.0)
    said: list[str] = []
    with Workers(1, [PYTHON, "-S", "-c", "raise SystemExit(1)"], say=said.append):
        wait_for(lambda: len(said) > MAX_QUICK_DEATHS)
    assert all("takes its place" in line for line in said[:-1])


class CountedWorkers(Workers):
    """Workers that remember all processes that they started."""

    def _start(self) -> "subprocess.Popen[bytes]":
        process = super()._start()
        self.__dict__.setdefault("started", []).append(process)
        return process


@pytest.mark.parametrize("delay_s", [0.0, 0.001, 0.003, 0.005, 0.01])
def test_nothing_is_started_after_the_end_was_asked_for(delay_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is going on while `terminate` is called is waited for, and that process is ended, too."""
    monkeypatch.setattr(hpo.search.workers, "SECONDS_BETWEEN_LOOKS", 0.001)
    with CountedWorkers(3, SLEEP, say=[].append) as workers:
        for worker in workers._workers:
            worker.process.kill()
        time.sleep(delay_s)
        workers.terminate()
        num_started = len(workers.__dict__["started"])
        time.sleep(0.05)
    started = workers.__dict__["started"]
    assert len(started) == num_started
    assert {process.poll() for process in started} <= {-signal.SIGKILL, -signal.SIGTERM}


def test_death_is_said_in_words() -> None:
    assert death_words(1) == "ended with exit code 1"
    assert death_words(-11) == "was killed by signal 11 (SIGSEGV)"
    assert death_words(-99) == "was killed by signal 99 (unknown)"


KILLER = """
import os, runpy, signal, sys
import hpo.search.objective as objective

run_experiment = objective.run_experiment

def deadly(config, dataset, directory, **rest):
    for result in run_experiment(config, dataset, directory, **rest):
        yield result
        if directory.name == "0001":
            os.kill(os.getpid(), signal.SIGKILL)

objective.run_experiment = deadly
sys.argv = ["run_study.py", *sys.argv[1:]]
runpy.run_path("hpo/run_study.py", run_name="__main__")
"""


@pytest.mark.slow
def test_a_trial_that_kills_its_process_fails_and_costs_no_worker(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("PYTHONPATH", str(project))
    arguments = ["--study", "studies/tiny.toml", "--threads", "1", "--trials", "4", "--worker"]
    said: list[str] = []
    command = [PYTHON, "-c", KILLER, *arguments]
    with Workers(2, command, say=said.append) as workers:
        wait_for(lambda: all(worker.is_over for worker in workers._workers), seconds=90)
        assert [worker.process.returncode for worker in workers._workers] == [0, 0], "both worked to the end"
    trials = load(project).trials
    assert [trial.state.is_finished() for trial in trials] == [True] * 4
    failed = [trial for trial in trials if trial.state is TrialState.FAIL]
    assert [trial.number for trial in failed] == [1]
    assert f"killed its process {MAX_DEATHS} times" in failed[0].user_attrs["failure"]
    assert len(said) == MAX_DEATHS
    assert all("was killed by signal 9" in line and "takes its place" in line for line in said)
