"""The wheel: what it holds is enough, from a folder that knows nothing of the repository."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from core import __version__
from core.command_line import PYTHONS
from core.study_files import known_studies

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ("core", "hpo", "studies", "machine_listening.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, unpacked as pip does it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run([*command, "--wheel-dir", folder], cwd=folder / "source", check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def call(installed: Path, cwd: Path, *arguments: str) -> str:
    """The installed command's standard output."""
    command = [sys.executable, "-P", "-m", "machine_listening", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def test_the_wheel_has_every_module_and_every_study_file(installed: Path) -> None:
    for top in ("core", "hpo", "studies"):
        for path in (ROOT / top).rglob("*.*"):
            if path.suffix != ".pyc" and path.is_file():
                assert (installed / path.relative_to(ROOT)).is_file(), path
    assert (installed / "machine_listening.py").is_file()


def test_the_wheel_has_the_command_and_the_version(installed: Path, tmp_path: Path) -> None:
    (entries,) = installed.glob("*.dist-info/entry_points.txt")
    assert entries.read_text() == "[console_scripts]\nmachine-listening = hpo.subcommands:main\n"
    assert entries.parent.name == f"wavenet_machine_listening-{__version__}.dist-info"
    assert call(installed, tmp_path, "--version") == f"machine-listening {__version__}\n"


def test_study_files_are_found_by_name_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    help_text = " ".join(call(installed, tmp_path, "study", "--help").split())
    assert f"one of {', '.join(known_studies())}" in help_text
    assert "SIMULATED" in call(installed, tmp_path, "survey", "--study", "quickstart", "--no-store")


@pytest.mark.slow
def test_a_study_with_two_processes_runs_beside_other_modules_of_the_same_names(
    installed: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "tests/data/tiny.toml", tmp_path)
    (tmp_path / "core").mkdir()
    for name in ("core/__init__.py", "hpo.py"):
        (tmp_path / name).write_text("raise SystemExit('a module of another project')")
    said = call(installed, tmp_path, "study", "--study", "tiny.toml", "--trials", "2", "--workers", "2")
    assert "warning: Worker" not in said
    assert (tmp_path / "machine-listening.toml").is_file()
    assert (tmp_path / "runs/tiny-simulated/report.html").is_file()


def test_pyproject_allows_the_versions_of_python_that_the_commands_do() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (oldest, (major, newest)) = PYTHONS
    assert table["project"]["requires-python"] == f">={oldest[0]}.{oldest[1]},<{major}.{newest + 1}"
    fitting = " ".join(f"3.{minor}" for minor in range(oldest[1], newest + 1))
    assert f"FITTING := {fitting}\n" in (ROOT / "Makefile").read_text()
