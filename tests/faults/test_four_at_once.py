"""Four processes at once on an empty store: exactly the trials asked for, none twice, and the finalists open."""

import pytest

from hpo.results.audit import Finding
from tests.faults.conftest import STORAGES, Found, MakeStudy
from tests.faults.harness.study import Study

TIMES = 10
TRIALS = 5


@pytest.mark.slow
@pytest.mark.parametrize("storage", STORAGES)
def test_four_commands(storage: str, make_study: MakeStudy, found: Found) -> None:
    findings: list[Finding] = []
    for time in range(TIMES):
        study = make_study(storage, trials=TRIALS)
        workers = ("--worker",) * (time % 4)  # from four that make the report to one that does
        end_together(study, [(), *((word,) for word in workers), *((),) * (3 - len(workers))])
        findings += study.findings()
    found(f"four processes at once on an empty store, {storage}", TIMES, findings)


def end_together(study: Study, commands: list[tuple[str, ...]]) -> None:
    processes = [study.start(*options) for options in commands]
    for process in processes:
        process.expect(0)
