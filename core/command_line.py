"""What all commands share: arguments, exit codes, and one line for every error that the user can repair."""

from __future__ import annotations  # so that an older Python gets as far as the line that says what it must be

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from core.errors import UserError, did_you_mean

SOURCES = "simulated, folder:PATH, toyadmos:PATH, hub:OWNER/NAME, hub:./PATH"
"""For --help, which must not wait for the import of core.sources."""
PYTHONS = ((3, 11), (3, 13))
"""The oldest and the newest version of Python that the lock file covers."""
OUR_MODULES = ("core", "hpo", "machine_listening")
INSTALLED_PROGRAM = "machine-listening"
"""The command that an installed package has. Its first argument says what it does."""
INSTALLED_MODULE = "machine_listening"
PROGRAMS = {
    "study": "python hpo/run_study.py",
    "survey": "python -m core.survey",
    "detect": "python -m core.detect",
    "store": "python -m core.store",
    "ui": "make ui",
}
"""The same from a checkout."""


def program_of(command: str) -> str:
    """How a person calls one of PROGRAMS: by the name that this process was called by."""
    called = Path(sys.argv[0]).stem
    if called == INSTALLED_PROGRAM:
        return f"{INSTALLED_PROGRAM} {command}"
    return f"python -m {called} {command}" if called == INSTALLED_MODULE else PROGRAMS[command]


class Parser(argparse.ArgumentParser):
    """Raises UserError for wrong arguments, where argparse prints its usage and exits."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        """`examples` are command lines, which end the text of --help; `options` are argparse's."""
        super().__init__(
            epilog="\n".join(("examples:", *(f"  {line}" for line in examples))) if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **{"allow_abbrev": False, **options},
        )

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").partition(" ")[0].partition("=")[0]
        near = did_you_mean(unknown, self._option_string_actions)
        raise UserError(f"The command line must be right, but {message}.{near} See --help.")


def printable(text: str) -> str:
    """The text, quoted where it holds characters that would control a terminal."""
    return text if text.isprintable() else repr(text)


def counted(number: int, noun: str) -> str:
    """`1 file` or `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say_error(error: Exception) -> None:
    """One line on standard error."""
    print(f"error: {printable(str(error))}", file=sys.stderr, flush=True)


def run_command(command: Callable[[], int]) -> int:
    """Returns the exit code: the command's own, 2 after a UserError (one line), 130 after Ctrl-C, 0 where the reader of
    a pipe, such as `head`, has ended."""
    try:
        with environment():
            return command()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        say_error(error)
        return 2
    except KeyboardInterrupt:
        return 130


@contextmanager
def environment() -> Iterator[None]:
    """Around imports of libraries: exits with code 2 and one line where this Python or its libraries do not fit."""
    try:
        if not PYTHONS[0] <= sys.version_info[:2]:
            raise _no_environment(f"is {sys.version_info[0]}.{sys.version_info[1]}")
        yield
    except ModuleNotFoundError as error:
        name = str(error.name).split(".")[0]
        if name in OUR_MODULES:  # a bug
            raise
        raise _no_environment(f"has no {name}") from None


def _no_environment(problem: str) -> SystemExit:
    oldest, newest = ("{}.{}".format(*version) for version in PYTHONS)
    root = Path(__file__).resolve().parent.parent
    python = root / ".venv/bin/python"
    repair = f"Make the environment: cd {root}, then make study, or pip install . in a virtual environment."
    if (root / ".venv/ready").exists():
        repair = f"Use the environment's: {python}."
    elif not (root / "Makefile").exists():
        repair = "Install wavenet-machine-listening with pip in a virtual environment."
    say_error(
        UserError(f"Python must be {oldest} to {newest} with the libraries, but {sys.executable} {problem}. {repair}")
    )
    return SystemExit(2)
