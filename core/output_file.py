"""The file that an option names for a command's output: refused before the work, then written whole or not at all."""

import os
from pathlib import Path

from core.audio_suffixes import LOOKS_LIKE_AUDIO
from core.errors import UserError
from core.whole_file import check_writable, write_text


def check_output(path: Path, *, option: str) -> None:
    """UserError where the file could not be written, or is named as a recording, which a pattern without quotes may
    have put in its place. A link is followed."""
    target = Path(os.path.realpath(path))
    if {path.suffix.lower(), target.suffix.lower()} & LOOKS_LIKE_AUDIO:
        raise UserError(
            f"{option} must not be named as a recording, which it would replace, but got {path}. Name another file."
        )
    if target.exists() and not target.is_file():
        raise UserError(f"{option} must be a file that can be written, but {path} is no plain file.")
    try:
        check_writable(target)
    except OSError as error:
        raise UserError(
            f"{option} must be in a folder that exists and can be written, but got {path}: {error.strerror}."
        ) from error


def write_output(path: Path, text: str, *, option: str) -> None:
    """UserError where the file cannot be written after all. A link is followed."""
    target = Path(os.path.realpath(path))
    try:
        write_text(target, text, errors="surrogateescape")
    except OSError as error:
        raise UserError(
            f"{option} must be a file that can be written, but {target} cannot: {error.strerror}."
        ) from error
