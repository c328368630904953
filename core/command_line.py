"""Command lines that say what is wrong in one line, as everything else here does."""

import argparse
from typing import NoReturn

from core.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises UserError for arguments that cannot be right, where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"The command line must be right, but {message}. See --help.")


def printable(text: str) -> str:
    """One line that does nothing to a terminal, whatever a file or a machine is called."""
    return text if text.isprintable() else repr(text)
