"""Files that a power cut, a full disk or a crash has damaged. The same command makes them again and ends the study."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.tracking.run_log import EVENTS_FILE_NAME
from tests.faults.conftest import Found, MakeStudy
from tests.faults.harness.plan import Place, Plan
from tests.faults.harness.study import Study
from tests.postgresql_server import free_port

pytestmark = pytest.mark.slow
IN_TRIAL_1 = Plan(place=Place(at="hpo.search.objective:TrialRun._report", call=5))
"""Trial 0 has three epochs, so trial 1 has the state of one epoch, and the file of a second."""
AFTER_A_BOOKMARK = Plan(place=Place(at="os:replace", when="after", path="trials/0000/events.jsonl.shipped"))
"""Records are sent while trials run, and late on a busy machine."""


def halve(path: Path) -> None:
    assert path.stat().st_size > 1, path
    os.truncate(path, path.stat().st_size // 2)


def unsent(study: Study) -> Study:
    """The study with an MLflow server that is not there."""
    return replace(study, tracking=f"http://127.0.0.1:{free_port()}")


def cut(journal: Path) -> None:
    os.truncate(journal, journal.stat().st_size - 20)


def append_zeros(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b"\0" * 4096)


def append_to_torn(journal: Path) -> None:
    """As a version did that appended to a torn line."""
    whole = journal.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
    cut(journal)
    with journal.open("ab") as file:
        file.write(whole + b"\n")


@pytest.mark.parametrize("damage", [cut, append_zeros, append_to_torn])
def test_a_torn_journal(damage: Callable[[Path], None], make_study: MakeStudy, found: Found) -> None:
    study = make_study("journal", trials=3)
    assert study.start(plan=IN_TRIAL_1).wait() == -9
    damage(Path(study.storage))
    process = study.run_to_end()
    assert process.err.count("bytes of a torn record") == 1, process.said
    found("a torn journal", 1, study.findings())


@pytest.mark.parametrize(
    ("pattern", "plan"),
    [
        ("trainings/*/state.safetensors", IN_TRIAL_1),
        ("trainings/*/epoch_0001.safetensors", IN_TRIAL_1),
        ("trials/0000/checkpoint.safetensors", IN_TRIAL_1),
        ("trials/0000/frame_scores.npz", IN_TRIAL_1),
        ("study.json", IN_TRIAL_1),
        ("trials/*/events.jsonl.shipped", AFTER_A_BOOKMARK),
    ],
)
def test_a_file_of_a_study(pattern: str, plan: Plan, make_study: MakeStudy, found: Found) -> None:
    """Damaged after a kill in the middle of a search."""
    study = make_study("journal", trials=3)
    assert study.start(plan=plan).wait() == -9
    damaged = sorted(study.folder.glob(pattern))
    assert damaged
    for path in damaged:
        halve(path)
    study.run_to_end()
    found(f"half of {pattern.rpartition('/')[2]}", 1, study.findings())


def test_the_end_of_a_trial_that_never_reached_the_disk(make_study: MakeStudy, found: Found) -> None:
    """A power cut takes the last line of a log that was not sent. The trial has ended in the storage."""
    study = make_study("journal", trials=2)
    unsent(study).run_to_end()
    path = study.folder / "trials/0000" / EVENTS_FILE_NAME
    lines = path.read_text().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if json.loads(line)["kind"] == "end")
    path.write_text("".join(lines[:last]))
    study.run_to_end()
    found("a power cut takes the end of a log", 1, study.findings())


def test_a_study_that_is_archived_with_unsent_records(make_study: MakeStudy, found: Found) -> None:
    study = make_study("journal", trials=2)
    unsent(study).run_to_end()
    study.run_to_end("--fresh")
    (archived,) = (study.project / "runs/archive").glob(f"{study.name}-*")
    findings = [*study.findings(), *replace(study, name=archived.name).findings()]
    found("--fresh with unsent records", 1, findings)
