"""SIGKILL at random times. The same command then ends the study, both stores hold every trial once, and the study is
one of one process that was not interrupted, to the bit."""

import random
import time
from dataclasses import replace

import pytest

from hpo.results.audit import Finding
from hpo.search.lease import DEATHS, MAX_DEATHS
from tests.faults.conftest import STORAGES, Found, MakeStudy
from tests.faults.harness.processes import StudyProcess, is_running, kill_by_id, wait_for
from tests.faults.harness.study import Study

pytestmark = pytest.mark.slow
TRIALS = 16
KILLS = 25
SECONDS = (2.0, 9.0)
"""After the start of a command: from the imports to the report."""


@pytest.mark.parametrize("storage", STORAGES)
def test_one_process(storage: str, make_study: MakeStudy, found: Found, dice: random.Random) -> None:
    findings: list[Finding] = []
    for kills in (KILLS // 2, KILLS - KILLS // 2):
        study = make_study(storage, trials=TRIALS)
        for _ in range(kills):
            process = study.start()
            time.sleep(dice.uniform(*SECONDS))
            process.kill()
        study.run_to_end()
        findings += [*study.findings(), *different_from_whole(study)]
    found(f"SIGKILL at a random time, one process, {storage}", KILLS, findings)


@pytest.mark.parametrize("storage", STORAGES)
def test_several_processes(storage: str, make_study: MakeStudy, found: Found, dice: random.Random) -> None:
    """A command with two workers, of which a random process is killed, and again while the rest of them works."""
    findings: list[Finding] = []
    for kills in (KILLS // 2, KILLS - KILLS // 2):
        study = make_study(storage, trials=2 * TRIALS, options=("--workers", "3"))
        seen = kill_repeatedly(study, kills, dice)
        study.run_to_end()
        wait_for(lambda seen=seen: not any(map(is_running, seen)), "end of the workers")  # type: ignore[misc]
        findings += [*study.findings(), *different_from_whole(study)]
    found(f"SIGKILL at a random time, one of three processes, {storage}", KILLS, findings)


def kill_repeatedly(study: Study, kills: int, dice: random.Random) -> set[int]:
    """Returns the ids of all workers. Those of a command that was killed end by themselves, a while after it."""
    seen: set[int] = set()
    process: StudyProcess | None = None
    for _ in range(kills):
        process = process if process and process.is_alive else study.start()
        time.sleep(dice.uniform(*SECONDS))
        workers = process.children()
        seen |= set(workers)
        victim = dice.choice([process.id, *workers])
        if victim == process.id:
            process.kill()
        else:
            kill_by_id(victim)
    if process and process.is_alive:
        process.expect(0)
    return seen


def different_from_whole(study: Study) -> list[Finding]:
    """Where it does not equal, to the bit, a study of one process that was not interrupted. One in which a trial was
    given up after its third death has no such equal."""
    whole = replace(study, name=f"{study.name}-whole", options=())
    whole.run_to_end()
    if any(trial.user_attrs.get(DEATHS, {}).get("count", 0) >= MAX_DEATHS for trial in study.load()):
        return []
    pairs = zip(study.outline(), whole.outline(), strict=True)
    return [
        Finding(kind="wrong", where=study.name, detail=f"{ours} instead of {theirs}")
        for ours, theirs in pairs
        if ours != theirs
    ]
