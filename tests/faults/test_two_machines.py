"""Two machines without a shared runs/: each has its own files, network and host name, and both reach the servers.

The first one is killed, is paused beyond the grace, or comes back with records that it could not send. The grace is
four seconds here.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hpo.results.audit import Finding
from tests.faults.conftest import Found, MakeStudy
from tests.faults.harness.machines import Machine, machines, why_no_machines
from tests.faults.harness.plan import Plan
from tests.faults.harness.processes import StudyProcess, wait_for
from tests.faults.harness.study import Study

TIMES = 5
TRIALS = 6
GRACE_SECONDS = 4
PLAN = Plan(
    constants={
        "hpo.search.storage:HEARTBEAT_SECONDS": 0.5,
        "hpo.search.storage:GRACE_SECONDS": GRACE_SECONDS,
        "hpo.search.storage:HOLD_SECONDS": GRACE_SECONDS,
    }
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_no_machines()), reason=why_no_machines())]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two machines with the study of both, and the folder that the first shows at the project's path."""

    study: Study
    first: Machine
    second: Machine
    folder: Path

    @property
    def mlflow_port(self) -> int:
        return int(self.study.tracking.rsplit(":", 1)[1])

    def start_first(self) -> StudyProcess:
        return self.study.start("--worker", plan=PLAN, machine=self.first)

    def start_second(self) -> StudyProcess:
        return self.study.start(plan=PLAN, machine=self.second)

    def end_second(self) -> None:
        self.start_second().expect(0)

    def come_back(self) -> None:
        """The first machine runs the command itself, and no worker."""
        self.study.start(plan=PLAN, machine=self.first).expect(0)

    def wait_for_epoch(self, number: int) -> None:
        wait_for(lambda: self.study.has_epoch(number, self.folder / "runs" / self.study.name), f"epoch of {number}")


@contextmanager
def pair(study: Study) -> Iterator[Pair]:
    """The second machine has the project's own folder."""
    folder = study.project.with_name(f"first-{study.name}")
    shutil.copytree(study.project, folder, ignore=shutil.ignore_patterns("runs"))
    ports = [int(url.partition("127.0.0.1:")[2].partition("/")[0]) for url in (study.storage, study.tracking)]
    first = Machine("first", ports=ports, own_folder=folder, at=study.project)
    second = Machine("second", ports=ports)
    with machines(first, second):
        yield Pair(study=study, first=first, second=second, folder=folder)


def killed(on: Pair) -> None:
    """In its second trial. It comes back when the study has ended."""
    first = on.start_first()
    on.wait_for_epoch(1)
    first.kill()
    on.end_second()
    on.come_back()


def killed_while_the_other_works(on: Pair) -> None:
    """It comes back when the study has ended, and sends what it had not sent."""
    first = on.start_first()
    on.wait_for_epoch(0)
    second = on.start_second()
    on.wait_for_epoch(1)
    first.kill()
    second.expect(0)
    on.come_back()


def paused(on: Pair) -> None:
    """Beyond the grace. It goes on when the study has ended."""
    first = on.start_first()
    on.wait_for_epoch(1)
    first.send(signal.SIGSTOP)
    on.end_second()
    first.send(signal.SIGCONT)
    first.expect(0)


def paused_while_the_other_works(on: Pair) -> None:
    """Beyond the grace. It goes on while the other one trains what it had."""
    study = on.study
    first = on.start_first()
    on.wait_for_epoch(1)
    first.send(signal.SIGSTOP)
    time.sleep(GRACE_SECONDS + 1)
    second = on.start_second()
    wait_for(lambda: study.has_epoch(1), "takeover")
    first.send(signal.SIGCONT)
    first.expect(0)
    second.expect(0)


def with_unsent_records(on: Pair) -> None:
    """MLflow cannot be reached from the first machine, which is killed, and comes back when the study has ended."""
    relay = on.first.relays[on.mlflow_port]
    relay.cut()
    first = on.start_first()
    on.wait_for_epoch(2)
    first.kill()
    on.end_second()
    relay.restore()
    on.come_back()


@pytest.mark.parametrize(
    ("fault", "scenarios"),
    [
        ("two machines, one killed", [killed, killed_while_the_other_works]),
        ("two machines, one paused beyond the grace", [paused, paused_while_the_other_works]),
        ("two machines, one comes back with unsent records", [with_unsent_records]),
    ],
)
def test_two_machines(fault: str, scenarios: list[Callable[[Pair], None]], make_study: MakeStudy, found: Found) -> None:
    findings: list[Finding] = []
    for number in range(TIMES):
        scenario = scenarios[number % len(scenarios)]
        study = make_study("PostgreSQL", trials=TRIALS)
        with pair(study) as on:
            scenario(on)
        findings += [replace(each, where=f"{scenario.__name__}, {each.where}") for each in study.findings()]
    found(fault, TIMES, findings)


def test_a_machine_has_its_own_name_network_and_files(tmp_path: Path) -> None:
    """Else the tests above would try something else."""
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir()
    shared.mkdir()
    (own / "here").touch()
    with machines(Machine("first", ports=[], own_folder=own, at=shared)) as (machine,):
        script = "hostname; ls; cat /proc/net/dev | wc -l"
        command = [*machine.prefix(shared), "sh", "-c", script]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["first", "here", "3"], "two lines of head and the loopback"
    assert not list(shared.iterdir())
