"""What all commands share: their exit codes, and one line where the environment is missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.command_line import SOURCES, Parser, environment, run_command
from core.errors import UserError
from core.sources import KINDS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    ("hpo/run_study.py", "--trials", "1"),
    ("-m", "core.survey", "simulated"),
    ("-m", "core.detect", "winner", "clip.wav"),
    ("-m", "core.store"),
    ("-m", "hpo.stack.ui"),
    ("-m", "hpo.audit", "quickstart"),
    ("-m", "hpo.stack.init_databases"),
    ("-m", "machine_listening", "detect", "winner", "clip.wav"),
    ("-m", "machine_listening", "audit", "quickstart"),
    *(("-m", "machine_listening", name) for name in ("study", "survey", "ui", "store")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_outside_the_environment_every_command_ends_with_one_line(command: tuple[str, ...]) -> None:
    # With -E and -S Python has no libraries but its own.
    done = subprocess.run([sys.executable, "-E", "-S", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    assert re.fullmatch(
        r"error: Python must be 3\.11 to 3\.13 with the libraries, but \S+ has no \w+\. [^\n]*\.\n", done.stderr
    )


@pytest.mark.parametrize("version", ["8", "9", "10"])
def test_an_older_python_is_named_in_one_line(version: str) -> None:
    found = sorted(
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/3.{version}.*/bin/python")
    )
    if not found:
        pytest.skip(f"Python 3.{version} is not installed on this machine")
    done = subprocess.run([found[0], "hpo/run_study.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: Python must be [^\n]* but \S+ is 3\.{version}\. [^\n]*\.\n", done.stderr)


def test_a_missing_module_of_the_project_is_a_bug_with_a_traceback() -> None:
    with pytest.raises(ModuleNotFoundError), environment():
        import core.no_such_module  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.parametrize(("error", "code"), [(UserError("It must be so."), 2), (KeyboardInterrupt(), 130)])
def test_the_exit_code_says_how_a_command_ended(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> int:
        raise error

    assert run_command(command) == code
    assert run_command(lambda: 7) == 7
    assert capsys.readouterr().err == ("error: It must be so.\n" if code == 2 else "")


def test_help_ends_with_the_examples_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Parser(prog="it", examples=("it  --now    # at once", "it")).parse_args(["--help"])
    assert capsys.readouterr().out.endswith("examples:\n  it  --now    # at once\n  it\n")


def test_help_names_every_kind_of_source() -> None:
    assert SOURCES.split(", ") == list(KINDS)
