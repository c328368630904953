"""Four processes at once on an empty store: exactly the trials asked for, none twice, and the finalists open."""

import pytest

from hpo.results.audit import Finding
from tests.faults.conftest import STORAGES, Found, MakeStudy
from tests.faults.harness.study import Study

pytestmark = pytest.mark.slow
TIMES = 10
TRIALS = 4


@pytest.mark.parametrize("storage", STORAGES)
def test_four_commands(storage: str, make_study: MakeStudy, found: Found) -> None:
    findings: list[Finding] = []
    for time in range(TIMES):
        study = make_study(storage, trials=TRIALS)
        others: tuple[str, ...] = () if time % 5 == 0 else ("--worker",)  # now and then all of them make the report
        end_together(study, [(), others, others, others])
        findings += study.findings()
    found(f"four processes at once on an empty store, {storage}", TIMES, findings)


def end_together(study: Study, commands: list[tuple[str, ...]]) -> None:
    processes = [study.start(*options) for options in commands]
    for process in processes:
        process.expect(0)
