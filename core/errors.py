"""The one exception that the user can repair: it is printed as one line, with exit code 2 and no traceback."""

from __future__ import annotations  # so that an older Python gets as far as the line that says what it must be

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Its message is one line: the thing, the rule that it breaks, the value that it has, and the repair."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error about a word that may be mistyped: a known word that is near, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
