"""Which storage Optuna's studies are in. Checks what the user wrote; opens nothing."""

from pathlib import Path

from hpo.tracking.settings import Setting, resolve_setting

SQLITE = "sqlite:///"
JOURNAL = "runs/optuna.journal"
"""The default, in the project's root."""
JOURNAL_SUFFIX = ".journal"


def resolve_storage(option: str | None, *, project_root: Path) -> Setting:
    """The storage and who named it. A path, alone or in an sqlite URL, is relative to the project's root."""
    default = str(project_root / JOURNAL)
    given, source = resolve_setting(option, variable="OPTUNA_STORAGE", project_root=project_root, default=default)
    path = given.removeprefix(SQLITE)
    if given.startswith(SQLITE):
        return Setting(given if path in ("", ":memory:") else f"{SQLITE}{project_root / path}", source)
    return Setting(given if "://" in given else str(project_root / given), source)
