"""Settings: from the command line, else the environment, else the project's .env file, else a default."""

import os
from pathlib import Path
from typing import NamedTuple

from core.errors import UserError
from core.project import ENV_FILE, reads_env


class Setting(NamedTuple):
    value: str
    source: str
    """For people: "the command line", "MLFLOW_TRACKING_URI in .env", ..."""


def resolve_setting(option: str | None, *, variable: str, project_root: Path, default: str) -> Setting:
    """The first that is set. An empty variable counts as not set, because `VARIABLE=${VARIABLE:-}` in a compose file
    makes one. An empty option is returned as it is.

    .env is read where the project's marker allows it (core/project.py). It is never loaded into the environment, so its
    passwords do not reach other programs.
    """
    if option is not None:
        return Setting(option, "the command line")
    if value := os.environ.get(variable, "").strip():
        return Setting(value, f"{variable} in the environment")
    if reads_env(project_root) and (value := _value_in_env_file(project_root / ENV_FILE, variable)):
        return Setting(value, f"{variable} in {ENV_FILE}")
    return Setting(default, "default")


def _value_in_env_file(path: Path, variable: str) -> str:
    if not path.is_file():
        return ""
    from dotenv import dotenv_values

    try:
        return (dotenv_values(path).get(variable) or "").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be readable UTF-8 text, but got {error}. Repair or remove it.") from error
