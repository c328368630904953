"""The file of a study's winner, and the command that applies it to recordings."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from core.command_line import program_of
from core.decision.checkpoint import DETECTOR_FILE
from hpo.results.result import WINNER_DIRECTORY


@dataclass(frozen=True, kw_only=True)
class WinnerFile:
    """What to hand over, for the report."""

    path: Path
    """Absolute."""
    num_bytes: int
    detect_command: str
    """A whole command line, with a placeholder for the recording."""


def winner_file(study_directory: Path) -> WinnerFile | None:
    """None where the study has no winner."""
    path = (study_directory / WINNER_DIRECTORY / DETECTOR_FILE).absolute()
    if not path.exists():
        return None
    return WinnerFile(path=path, num_bytes=path.stat().st_size, detect_command=detect_command(path.parent))


def detect_command(folder: Path | str) -> str:
    """The command line that judges a recording with the detector in `folder`."""
    return f"{program_of('detect')} {shlex.quote(str(folder))} RECORDING.wav"
