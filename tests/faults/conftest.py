"""Servers and studies for the tests under faults, and the table of what they found: `--fault-table FILE` writes it.

A test calls `found` with the name of the fault, how often it was tried, and what is lost, doubled or wrong after it.
The rows travel with the test's report, also from the workers of pytest-xdist.
"""

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hpo.results.audit import KINDS, Finding
from tests.faults.harness.servers import own_mlflow
from tests.faults.harness.study import NUM_FINALISTS, Study
from tests.postgresql_server import PROGRAMS, PostgresqlServer, database, own_postgresql

ROW = "fault"
HEAD = ("fault", "times", *KINDS)
Found = Callable[..., None]
MakeStudy = Callable[..., Study]
STORAGES = ("journal", "PostgreSQL")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-table", type=Path, metavar="FILE", help="write the table of faults as Markdown")
    parser.addoption("--fault-seed", type=int, metavar="N", help="the seed of random kills (default: drawn)")


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with own_mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    with own_postgresql() as server:
        yield server


@pytest.fixture
def project(project: Path) -> Path:
    """A clone whose small study trains finalists, too."""
    file = project / "studies/tiny.toml"
    file.write_text(file.read_text().replace("new_seeds = 0", f"count = {NUM_FINALISTS}\nnew_seeds = 1"))
    return project


@pytest.fixture
def make_study(project: Path, mlflow: str, request: pytest.FixtureRequest) -> MakeStudy:
    """Makes a study with a name of its own, in a journal or a new database, and with the real MLflow server."""

    def make(kind: str, *, trials: int, **changes: Any) -> Study:
        name = f"study-{uuid4().hex[:8]}"
        storage = str(project / "runs/optuna.journal")
        if kind == "PostgreSQL":
            storage = database(request.getfixturevalue("postgresql").url, name)
        study = Study(project=project, name=name, trials=trials, storage=storage, tracking=mlflow)
        return replace(study, **changes)

    return make


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Seeded and printed, so that a failure can be tried again with --fault-seed."""
    given = request.config.getoption("--fault-seed", default=None)
    seed = random.SystemRandom().randrange(10**6) if given is None else given
    print(f"--fault-seed {seed}")
    request.node.user_properties.append(("seed", seed))
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def found(request: pytest.FixtureRequest) -> Found:
    """Notes a row of the table, and asserts that nothing is lost, doubled or wrong."""

    def note(fault: str, times: int, findings: Sequence[Finding]) -> None:
        counts = [sum(finding.kind == kind for finding in findings) for kind in KINDS]
        request.node.user_properties.append((ROW, json.dumps([fault, times, *counts])))
        assert not findings, "\n".join(f"{each.kind}  {each.where}: {each.detail}" for each in findings)

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = [report for each in terminalreporter.stats.values() for report in each if hasattr(report, "when")]
    rows = _rows(reports)
    if not rows:
        return
    widths = [max(len(str(row[column])) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    terminalreporter.section("faults")
    for row in [HEAD, *rows]:
        terminalreporter.write_line("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))
    path = config.getoption("--fault-table", default=None)
    if path is not None:
        lines = [HEAD, ["---"] * len(HEAD), *rows]
        path.write_text("".join(f"| {' | '.join(map(str, line))} |\n" for line in lines), encoding="utf-8")


def _rows(reports: Sequence[Any]) -> list[Sequence[Any]]:
    """One row a fault, in the order of names: several tests may try the same fault. A test that fails without a finding
    counts as one that is wrong."""
    sums: dict[str, list[int]] = {}
    for report in reports:
        rows = [json.loads(value) for name, value in report.user_properties if name == ROW]
        if report.when == "call" and report.failed and not any(sum(row[2:]) for row in rows):
            rows = [[f"failed: {report.nodeid}", 1, 0, 0, 1]]
        for fault, *counts in rows if report.when == "call" else ():
            sums[fault] = [old + new for old, new in zip(sums.get(fault, [0] * len(counts)), counts, strict=True)]
    return [(fault, *sums[fault]) for fault in sorted(sums)]


def copied(project: Path, to: Path) -> Path:
    """Another clone."""
    return Path(shutil.copytree(project, to))
