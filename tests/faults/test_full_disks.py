"""A disk that is full, three ways: one line and exit code 2. When there is room the same command ends the study."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Found, MakeStudy
from tests.faults.harness.machines import why_no_machines
from tests.faults.harness.study import Study

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_no_machines()), reason=why_no_machines())]


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def resize(folder: Path, size_kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_kb}k", folder], check=True)


def fills_up(study: Study, folder: Path) -> None:
    process = study.start()
    process.expect(2)
    assert process.err.count("\n") == 1, process.said
    assert str(folder) in process.err, process.said
    resize(folder, 100_000)
    study.run_to_end()


@pytest.mark.parametrize("size_kb", [900, 2500])
def test_the_disk_of_runs(size_kb: int, make_study: MakeStudy, found: Found) -> None:
    study = make_study("journal", trials=4)
    with small_disk(study.project / "runs", size_kb):
        fills_up(study, study.project / "runs")
        findings = study.findings()
    found("a full disk: runs/", 1, findings)


@pytest.mark.parametrize("size_kb", [8, 24])
def test_the_disk_of_the_journal(size_kb: int, tmp_path: Path, make_study: MakeStudy, found: Found) -> None:
    folder = tmp_path / "journal"
    study = make_study("journal", trials=4, storage=str(folder / "optuna.journal"))
    with small_disk(folder, size_kb):
        fills_up(study, folder)
        findings = study.findings()
    found("a full disk: the journal's", 1, findings)


def test_the_disk_of_the_store(tmp_path: Path, make_study: MakeStudy, found: Found) -> None:
    folder = tmp_path / "store"
    study = make_study("journal", trials=2, options=("--store", str(folder)))
    with small_disk(folder, 60):
        fills_up(study, folder)
        findings = study.findings()
    found("a full disk: the store's", 1, findings)


def test_the_disk_of_mlflow(tmp_path: Path, make_study: MakeStudy, found: Found) -> None:
    """MLflow decides nothing: the study ends, says what it has not sent, and the next command sends it."""
    folder = tmp_path / "tracking"
    study = make_study("journal", trials=4, tracking=f"sqlite:///{folder}/mlflow.db")
    with ExitStack() as stack:
        stack.enter_context(small_disk(folder, 4000))
        make_study("journal", trials=1, tracking=study.tracking).run_to_end()  # lays out MLflow's tables
        resize(folder, used_kb(folder) + 8)
        process = study.run_to_end()
        assert "records have not reached" in process.out, process.said
        resize(folder, 100_000)
        study.run_to_end()
        findings = study.findings()
    found("a full disk: MLflow's", 1, findings)


def used_kb(folder: Path) -> int:
    words = subprocess.run(["df", "-k", "--output=used", folder], capture_output=True, text=True, check=True).stdout
    return int(words.split()[-1])
