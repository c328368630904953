"""Study files by name: those that come with the program are found from any folder."""

from __future__ import annotations  # so that an older Python gets as far as the line that says what it must be

from pathlib import Path

from core.errors import UserError, did_you_mean

STUDIES = Path(__file__).resolve().parent.parent / "studies"
"""Beside core/, in the repository and where it is installed."""
SUFFIX = ".toml"
OF_SIMULATED, OF_RECORDINGS, OF_EVENTS = "quickstart", "any_machine", "any_events"


def known_studies() -> list[str]:
    """Names without the suffix, sorted."""
    return sorted(path.stem for path in STUDIES.glob(f"*{SUFFIX}"))


def default_study(source: str | None) -> str:
    """The study file for a source, where none is named. `source` is as `--data` takes it; None is the simulated car."""
    return OF_SIMULATED if source in (None, "simulated") else OF_RECORDINGS


def find_study_file(name: str) -> Path:
    """The path itself where the file exists, else the program's study file of that name, with or without its suffix.

    UserError, with the known names, where there is neither.
    """
    path = Path(name)
    if path.exists() and not path.is_dir():
        return path
    shipped = STUDIES / f"{name.removesuffix(SUFFIX)}{SUFFIX}"
    if path.name == name and shipped.is_file():
        return shipped
    known = known_studies()
    raise UserError(
        f"The study file must be a path to a file, or one of {', '.join(known)}, but got {name!r}."
        f"{did_you_mean(name, known)}"
    )
