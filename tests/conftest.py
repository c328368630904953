"""Fixtures of all tests. PyTorch has one thread, because results depend on their number to the bit, and hypothesis has
the same examples in every run. Tests of the command get a clone of the project, and run the command in this process."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from core.project import MARKER

ROOT = Path(__file__).resolve().parent.parent
Command = Callable[..., str]

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs so, and every process that they start would ignore Ctrl-C as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone with its own runs/, which no setting of this machine reaches."""
    shutil.copy(ROOT / MARKER, tmp_path)
    for name in ("core", "hpo", "studies"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path / "studies/tiny.toml")
    return tmp_path


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process, which saves the imports; returns its standard output, after exit code 0."""
    import hpo.run_study

    monkeypatch.setattr(hpo.run_study, "ROOT", project)
    monkeypatch.chdir(project)
    for name in ("MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> str:
        code = hpo.run_study.main(["--study", "studies/tiny.toml", "--threads", "1", *arguments])
        said = capsys.readouterr()
        assert code == 0, said
        return said.out

    return call
