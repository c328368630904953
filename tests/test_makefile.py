"""The Makefile: the check of Python's version, an installation that was interrupted, and Ctrl-C. With a stand-in for
Python, since the real installation takes minutes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = """\
#!/bin/sh
case "$*" in
    "-c "*version_info*) echo VERSION ;;
    "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    "-m pip "*) echo "pip ran"; exit PIP_CODE ;;
    *) exec PYTHON -c "
import sys, time
print('started', flush=True)
try:
    time.sleep(30)
except KeyboardInterrupt:
    sys.exit(130)" ;;
esac
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "requirements-torch.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def stand_in(folder: Path, *, version: str = "3.11", pip_code: int = 0) -> Path:
    path = folder / "stand-in-python"
    path.write_text(
        STAND_IN.replace("VERSION", version).replace("PIP_CODE", str(pip_code)).replace("PYTHON", sys.executable)
    )
    path.chmod(0o755)
    return path


def variables() -> dict[str, str]:
    """Without those by which `make test` would tell a make in a test that it is its child."""
    return {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def make(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["make", "-C", str(folder), "--no-print-directory", *map(str, arguments)]
    return subprocess.run(command, env=variables(), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("python", "found"), [("3.10", "is 3.10"), ("3.14", "is 3.14"), (None, "is not installed")])
def test_another_version_of_python_is_one_line_that_names_one_which_fits(
    folder: Path, python: str | None, found: str
) -> None:
    path = stand_in(folder, version=python) if python else folder / "nowhere"
    before = sorted(folder.rglob("*"))
    done = make(folder, "study", f"PYTHON={path}")
    assert done.returncode == 2
    assert re.fullmatch(
        rf"Makefile:\d+: \*\*\* Python must be 3\.11 to 3\.13, but \S+ {re.escape(found)}\. "
        r"Name another: make study PYTHON=python3\.1[123]\.  Stop\.\n",
        done.stderr,
    )
    assert done.stdout == ""
    assert sorted(folder.rglob("*")) == before


def test_the_installation_says_what_it_does(folder: Path) -> None:
    done = make(folder, ".venv/ready", f"PYTHON={stand_in(folder)}")
    steps = [line for line in done.stdout.splitlines() if line != "pip ran"]
    assert [line.split(":")[0] for line in steps[1:-1]] == ["1 of 3", "2 of 3", "3 of 3"]
    assert "takes minutes" in steps[0]
    assert done.stdout.count("pip ran") == 3
    assert (folder / ".venv/ready").exists()


def test_an_installation_that_did_not_end_is_done_again(folder: Path) -> None:
    failed = make(folder, ".venv/ready", f"PYTHON={stand_in(folder, pip_code=1)}")
    assert failed.returncode == 2
    assert not (folder / ".venv/ready").exists()
    assert "pip ran" in make(folder, ".venv/ready", f"PYTHON={stand_in(folder)}").stdout
    assert make(folder, ".venv/ready", f"PYTHON={stand_in(folder)}").stdout.endswith("is up to date.\n")


@pytest.mark.parametrize("target", ["study", "ui"])
def test_ctrl_c_ends_without_an_error_of_make(folder: Path, target: str) -> None:
    assert make(folder, ".venv/ready", f"PYTHON={stand_in(folder)}").returncode == 0
    process = subprocess.Popen(
        ["make", target],
        cwd=folder,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all of them
    _, said = process.communicate(timeout=20)
    assert "***" not in said
    assert process.returncode in (0, -signal.SIGINT)


def test_a_failure_is_still_one(folder: Path) -> None:
    assert make(folder, ".venv/ready", f"PYTHON={stand_in(folder)}").returncode == 0
    (folder / ".venv/bin/ruff").write_text("#!/bin/sh\nexit 1\n")
    (folder / ".venv/bin/ruff").chmod(0o755)
    (folder / ".venv/bin/python").write_text("#!/bin/sh\nexit 2\n")
    (folder / ".venv/ready").touch()
    for target in ("test", "study", "ui"):
        assert make(folder, target).returncode == 2


def test_make_test_says_why_tests_are_skipped() -> None:
    recipes = re.findall(r"^\t.*pytest .*$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert len(recipes) == 4
    assert all("-rs" in recipe.split() for recipe in recipes)
