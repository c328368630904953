"""A study on a disk that fills up: one line, exit code 2, and the same command resumes it when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hpo.studies import SECONDS, STUDY, load, start

SIZES_KB = (700, pytest.param(2500, marks=pytest.mark.slow))
"""The first has room for the recordings and one training, the second for the trials and not for the report."""


@pytest.fixture
def small_disk(project: Path) -> Iterator[Path]:
    """The project, with runs/ on a disk of its own; `resize` makes it larger."""
    runs = project / "runs"
    runs.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", runs], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.decode().strip()}")
    try:
        yield project
    finally:
        subprocess.run(["umount", "--lazy", runs], check=True)


def resize(project: Path, size_kb: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_kb}k", project / "runs"], check=True)


@pytest.mark.parametrize("size_kb", SIZES_KB)
def test_it_is_one_line_and_the_study_is_resumed(small_disk: Path, size_kb: int, tmp_path: Path) -> None:
    resize(small_disk, size_kb)
    options = ("--trials", "2", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    process = start(small_disk, *options)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, out + err
    assert err.count("\n") == 1, err
    assert f"the disk of {small_disk}/runs" in err
    before = [trial.params for trial in load(small_disk).trials]
    resize(small_disk, 100_000)
    process = start(small_disk, *options)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out + err
    trials = load(small_disk).trials
    assert [trial.number for trial in trials] == [0, 1]
    assert all(trial.state.is_finished() for trial in trials)
    assert [trial.params for trial in trials][: len(before)] == before
    assert (small_disk / f"runs/{STUDY}/report.html").exists()
    assert not list((small_disk / "runs").rglob(".*.[0-9]*")), "no half-written file stays"


@pytest.mark.slow
def test_the_search_goes_on_while_there_are_trainings_to_drop(small_disk: Path, tmp_path: Path) -> None:
    """Room for four trials with their trainings of 0.3 MB. The report does not fit in any case."""
    resize(small_disk, 2200)
    process = start(small_disk, "--trials", "6", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    out, err = process.communicate(timeout=SECONDS)
    assert "warning: The disk was full. Dropped " in out, out + err
    trials = load(small_disk).trials
    assert [trial.state.is_finished() for trial in trials] == [True] * 6, out + err
    assert process.returncode == 2, out + err
    assert err.count("\n") == 1, err
    assert (small_disk / f"runs/{STUDY}/trials/0005/checkpoint.safetensors").exists()
