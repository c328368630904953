"""Command lines that say what is wrong in one line, as everything else here does."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from core.errors import UserError

INSTALLED_PROGRAM = "machine-listening"
"""The command that an installed package has. Its first argument says what it does."""
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
    if Path(sys.argv[0]).stem == INSTALLED_PROGRAM:
        return f"{INSTALLED_PROGRAM} {command}"
    return PROGRAMS[command]


class Parser(argparse.ArgumentParser):
    """Raises UserError for arguments that cannot be right, where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"The command line must be right, but {message}. See --help.")


def printable(text: str) -> str:
    """One line that does nothing to a terminal, whatever a file or a machine is called."""
    return text if text.isprintable() else repr(text)
