"""Who owns a trial: a paused process keeps it, a dead one loses it, and one that kills its processes is given up."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from optuna.trial import TrialState

from hpo.search.lease import DEATHS, HOST, LEASE, LEASE_FILE, MAX_DEATHS, NOBODY, give_back_the_dead
from hpo.search.storage import StudyStorage
from hpo.search.study import OpenStudy, open_study
from hpo.search.study_file import load_study_file
from hpo.search.trial_record import trial_records
from hpo.tracking.run_log import EVENTS_FILE_NAME, Ended, read_events

ROOT = Path(__file__).resolve().parents[3]
CLAIM = """
import sys, time
from pathlib import Path
from tests.hpo.search.test_lease import opened
search = opened(Path(sys.argv[1]))
trial, lease = search.claim_trial(5)
for epoch in range(1, int(sys.argv[2]) + 1):
    trial.report(0.5, epoch)
print(trial.number, flush=True)
time.sleep(60)
"""


def opened(folder: Path) -> OpenStudy:
    spec = load_study_file(ROOT / "tests/data/tiny.toml")
    storage = StudyStorage(str(folder / "optuna.journal"))
    return open_study("tiny", spec, data_fingerprint="f00", storage=storage, directory=folder / "tiny")


def owner(folder: Path, *, epochs: int = 0) -> "subprocess.Popen[str]":
    """Another process that holds a trial; its number has been printed."""
    command = [sys.executable, "-c", CLAIM, str(folder), str(epochs)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_paused_owner_keeps_its_trial_and_a_dead_one_loses_it(tmp_path: Path) -> None:
    search, process = opened(tmp_path), owner(tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        claim = search.claim_trial(2)
        assert claim is not None
        assert claim[0].number == 1, "the paused one's trial is left alone"
        claim[1].release()
    finally:
        kill(process)
    again = search.claim_trial(2)
    assert again is not None
    assert again[0].number == 0
    again[1].release()


@pytest.mark.parametrize("has_lease", [True, False])
def test_on_a_server_another_folder_s_lock_is_no_evidence(tmp_path: Path, *, has_lease: bool) -> None:
    """Another machine of this one's name works on the trial, and its lock is not here: its heartbeat decides."""
    search = opened(tmp_path)
    claim = search.claim_trial(1)
    assert claim is not None
    claim[1].release()
    search.study._storage.set_trial_user_attr(claim[0]._trial_id, LEASE, "another token")
    if not has_lease:
        (search.trial_directory(0) / LEASE_FILE).unlink()
    stale: list[int] = []
    backend = SimpleNamespace(
        _get_stale_trial_ids=lambda _: stale,
        set_trial_user_attr=search.storage.backend.set_trial_user_attr,
        set_trial_state_values=search.storage.backend.set_trial_state_values,
        get_trial=search.storage.backend.get_trial,
    )
    server: Any = SimpleNamespace(is_server=True, backend=backend)
    assert search.study.trials[0].user_attrs[HOST] == socket.gethostname()
    assert give_back_the_dead(server, search.study, search.trials_directory) == []
    stale.append(claim[0]._trial_id)
    (dead,) = give_back_the_dead(server, search.study, search.trials_directory)
    assert (dead.number, dead.failure) == (0, None)
    assert search.study.trials[0].state is TrialState.WAITING


def test_on_a_server_a_process_that_died_between_claim_and_lease_is_dead_at_once(tmp_path: Path) -> None:
    """The trial was taken from a dead process before, whose heartbeat is still fresh."""
    search = opened(tmp_path)
    claim = search.claim_trial(1)
    assert claim is not None
    claim[1].release()
    search.study._storage.set_trial_user_attr(claim[0]._trial_id, LEASE, NOBODY)
    real = search.storage.backend
    backend = SimpleNamespace(
        _get_stale_trial_ids=lambda _: [],
        set_trial_user_attr=real.set_trial_user_attr,
        set_trial_state_values=real.set_trial_state_values,
        get_trial=real.get_trial,
    )
    server: Any = SimpleNamespace(is_server=True, backend=backend)
    (dead,) = give_back_the_dead(server, search.study, search.trials_directory)
    assert dead.number == 0


def test_a_trial_that_kills_its_process_three_times_fails_with_the_reason_everywhere(tmp_path: Path) -> None:
    search = opened(tmp_path)
    for _ in range(MAX_DEATHS):
        kill(owner(tmp_path))
    claim = search.claim_trial(5)
    assert claim is not None
    assert claim[0].number == 1, "no process is given the trial again"
    claim[1].release()
    (record, *_) = trial_records(search.study)
    assert search.study.trials[0].state is TrialState.FAIL
    assert record.failure is not None
    assert "killed its process 3 times after epoch 0" in record.failure
    ended = read_events(search.trial_directory(0) / EVENTS_FILE_NAME)[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.tags["failure"]) == ("FAILED", record.failure)


@pytest.mark.slow
def test_progress_between_deaths_starts_the_count_again(tmp_path: Path) -> None:
    """A laptop that is closed three times in a long trial has not been killed by it."""
    search = opened(tmp_path)
    for epochs in (1, 1, 2, 3):
        kill(owner(tmp_path, epochs=epochs))
    claim = search.claim_trial(5)
    assert claim is not None
    assert claim[0].number == 0
    assert search.study.trials[0].user_attrs[DEATHS] == {"epoch": 3, "count": 1}
    claim[1].release()


def test_a_trial_that_ended_after_it_was_read_is_not_given_back(tmp_path: Path) -> None:
    """Ending a trial takes no lock, so its owner can end it and free its lease while another process looks."""
    search = opened(tmp_path)
    claim = search.claim_trial(1)
    assert claim is not None
    trial, lease = claim
    read_before = search.study.get_trials(states=(TrialState.RUNNING,))
    search.tell(trial, 0.5, TrialState.COMPLETE)
    lease.release()
    stale = SimpleNamespace(_study_id=search.study._study_id, get_trials=lambda **_: read_before)
    given_back = give_back_the_dead(search.storage, cast(Any, stale), search.trials_directory)
    assert not given_back
    assert search.study.trials[0].state is TrialState.COMPLETE
