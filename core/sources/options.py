"""Converts the options in a study file's [data] into the configuration of a source."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from core.errors import UserError

Config = TypeVar("Config")


def read_options(kind: type[Config], options: Mapping[str, object], *, source: str) -> Config:
    """An instance of the dataclass `kind`. Raises UserError for an unknown option, and the errors of `kind` itself."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            raise UserError(
                f"data.{name} must be an option of the {source} source, but those are {', '.join(known)}. Remove it."
            )
    return kind(**options)
