"""Processes that hold or lose a trial: a trial that kills its processes, a paused container, a stray of a race."""

import signal
import time

import optuna
import pytest
from optuna.trial import TrialState

from hpo.results.finalists import ENTRY
from hpo.search.storage import StudyStorage
from hpo.search.study import FINALISTS_SUFFIX
from hpo.search.trial_record import FAILURE
from tests.faults.conftest import STORAGES, Found, MakeStudy
from tests.faults.harness.machines import Machine, machines, why_no_machines
from tests.faults.harness.plan import Place, Plan
from tests.faults.harness.processes import wait_for
from tests.faults.test_two_machines import GRACE_SECONDS, PLAN

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("storage", STORAGES)
def test_a_trial_that_kills_its_process(storage: str, make_study: MakeStudy, found: Found) -> None:
    """Three times, then it has failed with the reason, and the study goes on."""
    study = make_study(storage, trials=4)
    first_metrics = Place(at="os:write", path=f"{study.name}/trials/0001/events.jsonl", call=2)
    plan = Plan(place=first_metrics, constants=PLAN.constants)
    for _ in range(3):
        assert study.start(plan=plan).wait() == -9
    study.run_to_end(plan=plan)
    (failed,) = (trial for trial in study.load() if trial.state is TrialState.FAIL)
    assert failed.number == 1
    assert failed.user_attrs[FAILURE].startswith("it killed its process 3 times after epoch 0")
    found(f"a trial that kills its process, {storage}", 1, study.findings())


@pytest.mark.skipif(bool(why_no_machines()), reason=why_no_machines())
def test_a_paused_container_that_shares_runs(make_study: MakeStudy, found: Found) -> None:
    """It keeps its trial, because it holds the lock; the other does the rest, of which no trial learns from that one,
    waits, and stops nothing."""
    study = make_study("PostgreSQL", trials=4)
    ports = [int(url.partition("127.0.0.1:")[2].partition("/")[0]) for url in (study.storage, study.tracking)]
    with machines(Machine("first", ports=ports), Machine("second", ports=ports)) as (first, second):
        paused = study.start("--worker", plan=PLAN, machine=first)
        wait_for(lambda: study.has_epoch(1), "epoch of trial 1")
        paused.send(signal.SIGSTOP)
        other = study.start(plan=PLAN, machine=second)
        wait_for(lambda: sum(trial.state.is_finished() for trial in study.load()) >= study.trials - 1, "the others")
        time.sleep(GRACE_SECONDS + 2)
        assert other.is_alive, other.said
        paused.send(signal.SIGCONT)
        for process in (paused, other):
            process.expect(0)
    found("a container that shares runs/, paused beyond the grace", 1, study.findings())


@pytest.mark.parametrize("storage", STORAGES)
def test_a_stray_trial_among_the_finalists(storage: str, make_study: MakeStudy, found: Found) -> None:
    """As a race of an earlier version left it: never queued, and running."""
    study = make_study(storage, trials=2)
    study.run_to_end()
    backend = StudyStorage(study.storage).backend
    companion = optuna.load_study(study_name=study.name + FINALISTS_SUFFIX, storage=backend)
    assert ENTRY not in companion.ask().user_attrs
    study.run_to_end()
    found(f"a stray trial among the finalists, {storage}", 1, study.findings())
